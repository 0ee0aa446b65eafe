//! Takes many things away from one value.

use std::collections::HashSet;

use serde_json::Value;

use crate::{Budget, Path, Stop};

/// How many paths to places of one list, one after the other, are worth a plan.
const MANY: usize = 8;
/// About how many items are moved between two looks at the time.
const STRIDE: usize = 1 << 18;

/// Takes away what is at these paths, one after the other, as [`Path::remove`] does: what follows in a list
/// moves up before the next path is looked at.
///
/// # Errors
/// Why the budget ended it; the value may lack some of them then.
pub fn remove_all(value: &mut Value, paths: &[Path], budget: &Budget) -> Result<(), Stop> {
    let mut rest = paths;
    let mut cost = 0;
    while let [first, ..] = rest {
        let siblings = rest.iter().take_while(|path| path.parent() == first.parent()).count();
        let (run, after) = rest.split_at(siblings);
        rest = after;
        cost += 64
            + match first.parent_in(value) {
                Some(Value::Array(items)) if run.len() >= MANY => {
                    from_list(items, run, budget)?;
                    items.len()
                }
                Some(Value::Object(map)) if run.len() >= MANY => {
                    budget.check()?;
                    let names: HashSet<_> = run.iter().map(Path::last).collect();
                    map.retain(|key, _| !names.contains(key.as_str()));
                    map.len()
                }
                Some(parent) => {
                    let size = match parent {
                        Value::Array(items) => items.len(),
                        Value::Object(map) => map.len(),
                        _ => 0,
                    };
                    for path in run {
                        path.remove(value);
                    }
                    size * run.len()
                }
                None => 0,
            };
        if cost > STRIDE {
            budget.check()?;
            cost = 0;
        }
    }
    Ok(())
}

/// Takes places of a list away, each counted when those before it are gone.
fn from_list(items: &mut Vec<Value>, run: &[Path], budget: &Budget) -> Result<(), Stop> {
    budget.charge(items.len() * (size_of::<usize>() + 1))?;
    let mut left = Remaining::new(items.len());
    let mut gone = vec![false; items.len()];
    for (at, path) in run.iter().enumerate() {
        if at % 4096 == 0 {
            budget.check()?;
        }
        let place = path.last().parse().ok().and_then(|place| left.take(place));
        if let Some(place) = place {
            gone[place] = true;
        }
    }
    let mut gone = gone.into_iter();
    items.retain(|_| gone.next() != Some(true));
    Ok(())
}

/// Finds the n-th of what is left of a list: a Fenwick tree.
struct Remaining {
    sums: Vec<usize>,
    count: usize,
}

impl Remaining {
    fn new(count: usize) -> Self {
        let sums = (0..=count).map(|at| at & at.wrapping_neg()).collect();
        Self { sums, count }
    }

    /// Takes the n-th of what is left, and says where it was in the beginning.
    fn take(&mut self, nth: usize) -> Option<usize> {
        if nth >= self.count {
            return None;
        }
        self.count -= 1;
        let (mut at, mut before) = (0, nth);
        let mut step = self.sums.len().next_power_of_two() / 2;
        while step > 0 {
            if let Some(sum) = self.sums.get(at + step)
                && *sum <= before
            {
                at += step;
                before -= sum;
            }
            step /= 2;
        }
        let place = at;
        let mut at = at + 1;
        while let Some(sum) = self.sums.get_mut(at) {
            *sum -= 1;
            at += at & at.wrapping_neg();
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use compute::Account;
    use serde_json::{Value, json};

    use super::remove_all;
    use crate::{Budget, Path, Stop};

    #[test]
    fn many_are_taken_away_as_one_after_the_other() {
        let budget = Budget::new(&Account::unlimited(), None, None);
        let mut seed = 1_u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for _ in 0..200 {
            let value = json!({
                "l": (0..random(40)).collect::<Vec<_>>(),
                "o": (0..30).map(|n| (n.to_string(), n.into())).collect::<serde_json::Map<_, _>>(),
                "s": "text",
            });
            let mut paths: Vec<_> = (0..40)
                .map(|_| {
                    format!(".{}.{}", ["l", "l", "l", "o", "s"][random(5) as usize], random(42))
                })
                .collect();
            if random(2) == 0 {
                paths.sort();
            }
            let paths: Vec<_> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
            let (mut one_by_one, mut at_once) = (value.clone(), value);
            paths.iter().for_each(|path| drop(path.remove(&mut one_by_one)));
            remove_all(&mut at_once, &paths, &budget).unwrap();
            assert_eq!(at_once.to_string(), one_by_one.to_string());
        }
    }

    #[test]
    fn a_quarter_of_a_million_are_quick_and_others_see_the_time() {
        let items: Vec<Value> = (0..250_000).map(Value::from).collect();
        let mut value = json!({ "a": items, "b": items });
        let first = Path::parse(".a.0").unwrap();
        let budget = Budget::new(&Account::unlimited(), None, None);
        let began = Instant::now();
        remove_all(&mut value, &vec![first.clone(); 240_000], &budget).unwrap();
        assert_eq!(
            (value["a"].as_array().unwrap().len(), &value["a"][0]),
            (10_000, &json!(240_000))
        );
        assert!(began.elapsed() < Duration::from_secs(5));
        // Between the places of two lists nothing can be planned.
        let mut value = json!({ "a": items, "b": items });
        let paths = [first, Path::parse(".b.0").unwrap()];
        let paths: Vec<_> = paths.iter().cycle().take(240_000).cloned().collect();
        let deadline = Instant::now() + Duration::from_millis(100);
        let budget = Budget::new(&Account::unlimited(), Some(deadline), None);
        assert_eq!(remove_all(&mut value, &paths, &budget), Err(Stop::Deadline));
        assert!(deadline.elapsed() < Duration::from_secs(1), "{:?}", deadline.elapsed());
    }
}
