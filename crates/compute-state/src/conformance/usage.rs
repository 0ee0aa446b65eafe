//! What tenants use is added up by day.

use jiff::civil::Date;
use jiff::{Timestamp, tz::Offset};

use super::Reopen;
use crate::{StateQuotas, TenantName, Usage, UsedToday};

fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let state = new(StateQuotas::default());
    let [acme, other, none] =
        ["acme", "other", "none"].map(|name| name.parse::<TenantName>().unwrap());
    let (here, there) = (state().usage().unwrap(), state().usage().unwrap());
    let one = Usage::of([1, 2, 3, 4, 5, 6]);
    let before = today();
    // What each used today, in their order; a day may end at any moment.
    let told = |told: Vec<UsedToday>, expected: &[[u64; Usage::FIELDS]]| {
        let day = std::time::Duration::from_hours(24);
        assert!(told.iter().all(|today| today.left <= day), "{told:?}");
        let used: Vec<_> = told.iter().map(|today| today.used.numbers()).collect();
        assert!(used == expected || today() != before, "{used:?}");
    };
    let two = one.numbers().map(|number| number * 2);
    told(here.add(&[(other.clone(), one), (acme.clone(), one)]).unwrap(), &[one.numbers(); 2]);
    told(there.add(&[(acme.clone(), one)]).unwrap(), &[two]);
    told(here.add(&[]).unwrap(), &[]);
    let nothing = [none.clone(), other.clone(), acme.clone()].map(|name| (name, Usage::default()));
    told(there.add(&nothing).unwrap(), &[[0; Usage::FIELDS], one.numbers(), two]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (log, acme, other) = (state().usage().unwrap(), acme.clone(), other.clone());
            scope.spawn(move || {
                for _ in 0..5 {
                    log.add(&[
                        (acme.clone(), one),
                        (other.clone(), Usage { fuel: 1, ..Usage::default() }),
                    ])
                    .unwrap();
                }
            });
        }
    });
    let after = today();
    let sum = |tenant| {
        let days = there.days(tenant, None, None).unwrap();
        assert!(days.iter().all(|day| (before..=after).contains(&day.day)), "{days:?}");
        days.iter().fold([0; Usage::FIELDS], |mut sum, day| {
            for (sum, number) in sum.iter_mut().zip(day.used.numbers()) {
                *sum += number;
            }
            sum
        })
    };
    assert_eq!(sum(&acme), one.numbers().map(|number| number * 22));
    assert_eq!(sum(&other), [1, 2, 3, 4, 5, 26]);
    assert_eq!(there.days(&none, None, None).unwrap(), []);
    let days = |from: Option<Date>, to: Option<Date>| there.days(&acme, from, to).unwrap().len();
    let [early, late] = [before.yesterday().unwrap(), after.tomorrow().unwrap()];
    assert_eq!((days(None, Some(early)), days(Some(late), None)), (0, 0));
    assert!(days(Some(before), Some(after)) >= 1);
}
