//! What is asked of schedules: of those who set them, and of those who fire them.

use std::collections::BTreeSet;

use compute::{Ref, Seed};
use jiff::{SignedDuration, Timestamp};

use super::jobs::{claim, hours, tenant};
use super::{ModelQueue, Reopen};
use crate::{
    Actor, Begun, CatchUp, CronTimes, DueSchedule, Fired, Firing, JobFilter, JobId, JobQueue,
    JobState, JobWork, NamedBy, NewJob, NewSchedule, Schedule, ScheduleName, Schedules,
    SchedulesError, StateQuotas, TenantName,
};

pub(super) const TESTS: [fn(&dyn Schedules); 2] =
    [a_schedule_is_kept_as_it_was_set, what_is_deleted_is_gone];

const QUEUE_TESTS: [fn(&dyn JobQueue); 8] = [
    what_is_due_is_told,
    it_fires_once,
    what_was_decided_of_another_is_left,
    missed_times_are_caught_up_or_not,
    what_cannot_be_read_stops_nobody,
    schedules_are_each_tenants_own,
    schedules_are_kept_elsewhere,
    what_names_an_artifact_is_told,
];

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    for test in QUEUE_TESTS {
        test(&ModelQueue::new(standard));
        let open = new(standard);
        test(&*open().jobs().unwrap());
    }
    two_fire_timeonce(&new(standard));
    let few = StateQuotas { schedules: 2, jobs: 1, ..standard };
    quotas(&ModelQueue::new(few));
    let open = new(few);
    quotas(&*open().jobs().unwrap());
}

fn name(name: &str) -> ScheduleName {
    name.parse().unwrap()
}

fn times(cron: &str) -> CronTimes {
    CronTimes::new(cron, "Europe/Berlin").unwrap()
}

fn schedule(called: &str, cron: &str) -> NewSchedule {
    let work = JobWork::Document("a/1".to_owned());
    NewSchedule::new(name(called), times(cron), work, b"{\"a\": 1}".to_vec())
}

/// Keeps one whose time is this.
fn at(jobs: &dyn JobQueue, of: &str, new: &NewSchedule, next: Timestamp) -> Schedule {
    let mut kept = new.set(None, hours(-1000));
    kept.info.next = next;
    jobs.restore_schedules(&[(tenant(of), kept.clone())]).unwrap();
    kept
}

/// A whole minute, so many minutes from now.
fn minutes(minutes: i64) -> Timestamp {
    let at = Timestamp::now() + SignedDuration::from_mins(minutes);
    Timestamp::from_second(at.as_second() / 60 * 60).unwrap()
}

fn begun(at: Timestamp) -> Option<Begun> {
    Some(Begun { at, id: JobId::new(), seed: Seed::random() })
}

fn jobs_of(jobs: &dyn JobQueue, of: &str) -> Vec<JobId> {
    let any = JobFilter { state: None, before: None, most: 100 };
    jobs.list(&tenant(of), &any).unwrap().into_iter().map(|info| info.id).collect()
}

fn a_schedule_is_kept_as_it_was_set(schedules: &dyn Schedules) {
    let new = NewSchedule {
        priority: 9,
        attempts: 7,
        fuel: Some(77),
        catch_up: CatchUp::Once,
        ..schedule("Nightly_1-a", "30 6 * * MON-FRI")
    };
    let set = schedules.set(&new).unwrap();
    assert_eq!((set.cron.as_str(), set.time_zone.as_str()), ("30 6 * * MON-FRI", "Europe/Berlin"));
    assert_eq!((set.priority, set.attempts, set.fuel), (9, 7, Some(77)));
    assert_eq!((set.catch_up, &set.work, &set.name), (CatchUp::Once, &new.work, &new.name));
    assert_eq!((set.last, set.last_job, &set.last_error), (None, None, &None));
    assert!((hours(-1)..hours(1)).contains(&set.created) && set.created == set.changed);
    assert_eq!(Some(set.next), new.times.next(set.changed));
    let shown = schedules.show(&new.name).unwrap();
    assert_eq!((&shown.info, shown.input.as_slice()), (&set, b"{\"a\": 1}".as_slice()));
    // Set anew, it is another, and has the same name and beginning.
    let work = JobWork::Run("compute://sha256/ab".parse().unwrap());
    let input = format!("\"{}\"", "a".repeat(NewSchedule::MAX_INPUT - 2)).into_bytes();
    let large = NewSchedule { input, work, ..new.clone() };
    let again = NewSchedule { times: times("@daily"), fuel: None, ..large };
    let set_again = schedules.set(&again).unwrap();
    assert_eq!((set_again.created, &set_again.work), (set.created, &again.work));
    assert_eq!((set_again.cron.as_str(), set_again.fuel), ("@daily", None));
    assert_eq!(schedules.show(&new.name).unwrap().input.len(), NewSchedule::MAX_INPUT);
    let other = schedules.set(&schedule("A", "* * * * *")).unwrap();
    assert_eq!(schedules.list().unwrap(), [other, set_again]);
}

fn what_is_deleted_is_gone(schedules: &dyn Schedules) {
    assert!(schedules.list().unwrap().is_empty());
    for one in ["a", "b"] {
        schedules.set(&schedule(one, "@daily")).unwrap();
    }
    schedules.delete(&name("a")).unwrap();
    for gone in [schedules.delete(&name("a")), schedules.show(&name("a")).map(drop)] {
        assert!(matches!(&gone, Err(SchedulesError::NotFound(of)) if *of == name("a")), "{gone:?}");
    }
    assert_eq!(schedules.list().unwrap().len(), 1);
}

fn what_is_due_is_told(jobs: &dyn JobQueue) {
    at(jobs, "a", &schedule("later", "@daily"), hours(3));
    let claimed = claim(jobs, 9);
    assert!(claimed.due.is_empty(), "{claimed:?}");
    assert!((hours(-1)..hours(1)).contains(&claimed.now), "{claimed:?}");
    assert!(claimed.next.is_some_and(|next| next.as_secs().abs_diff(3 * 3600) < 600));
    at(jobs, "b", &schedule("one", "@daily"), hours(-1));
    let new = NewSchedule { catch_up: CatchUp::Once, ..schedule("two", "@hourly") };
    let kept = at(jobs, "a", &new, hours(-2));
    let claimed = claim(jobs, 9);
    let told: Vec<_> = claimed.due.iter().map(|one| (one.tenant.as_str(), &one.name)).collect();
    assert_eq!(told, [("a", &name("two")), ("b", &name("one"))]);
    assert!(kept.info.is_as(&claimed.due[0]));
    assert_eq!(claimed.next.map(|next| next.as_millis()), Some(0));
    // Until they are fired, they are due.
    assert_eq!(claim(jobs, 0).due, claimed.due);
}

fn it_fires_once(jobs: &dyn JobQueue) {
    let new = NewSchedule { priority: 8, attempts: 3, fuel: Some(5), ..schedule("s", "@hourly") };
    at(jobs, "a", &new, hours(-3));
    let due = claim(jobs, 9).due.remove(0);
    let job = Begun { at: due.next, id: JobId::new(), seed: Seed::random() };
    let firing = Firing { due: due.clone(), next: hours(2), job: Some(job.clone()), error: None };
    let other = Firing { job: begun(due.next), ..firing.clone() };
    let next = firing.next;
    let fired = jobs.fire(&[firing.clone(), other.clone()]).unwrap();
    assert_eq!(fired, [Fired::Submitted, Fired::Not]);
    assert_eq!(jobs.fire(&[other, firing]).unwrap(), [Fired::Not, Fired::Not]);
    assert_eq!(jobs_of(jobs, "a"), [job.id]);
    let shown = jobs.show(&tenant("a"), &job.id).unwrap();
    assert_eq!((shown.info.state, &shown.info.work), (JobState::Waiting, &new.work));
    assert_eq!((shown.info.priority, shown.info.attempts, shown.seed), (8, 3, job.seed));
    assert_eq!(shown.info.submitted_by, Some(Actor::Schedule { name: "s".to_owned() }));
    assert_eq!(shown.now, due.next.as_millisecond() * 1_000_000);
    let kept = jobs.schedule(&tenant("a"), &name("s")).unwrap().info;
    assert_eq!((kept.next, kept.last, kept.last_job), (next, Some(due.next), Some(job.id)));
    let claimed = claim(jobs, 9);
    assert_eq!((claimed.due.len(), claimed.jobs.len()), (0, 1));
    assert_eq!((&claimed.jobs[0].input, claimed.jobs[0].fuel), (&new.input, Some(5)));
}

fn what_was_decided_of_another_is_left(jobs: &dyn JobQueue) {
    let new = schedule("s", "@hourly");
    at(jobs, "a", &new, hours(-3));
    let due = claim(jobs, 9).due.remove(0);
    let fire = |due: &DueSchedule| {
        let due = due.clone();
        jobs.fire(&[Firing { job: begun(due.next), due, next: hours(2), error: None }]).unwrap()
    };
    for other in [
        DueSchedule { next: hours(-2), ..due.clone() },
        DueSchedule { cron: "@daily".to_owned(), ..due.clone() },
        DueSchedule { time_zone: "UTC".to_owned(), ..due.clone() },
        DueSchedule { catch_up: CatchUp::Once, ..due.clone() },
        DueSchedule { tenant: tenant("b"), ..due.clone() },
        DueSchedule { name: name("t"), ..due.clone() },
    ] {
        assert_eq!(fire(&other), [Fired::Not], "{other:?}");
    }
    // What it does may be another by now.
    let work = JobWork::Document("b".to_owned());
    at(jobs, "a", &NewSchedule { work: work.clone(), ..new.clone() }, due.next);
    assert_eq!(fire(&due), [Fired::Submitted]);
    let id = jobs_of(jobs, "a")[0];
    assert_eq!(jobs.show(&tenant("a"), &id).unwrap().info.work, work);
    // Set anew, its time is to come, and the last one is known.
    at(jobs, "a", &new, due.next);
    let set = jobs.set_schedule(&tenant("a"), &new).unwrap();
    assert!(set.next > set.changed);
    assert_eq!(fire(&due), [Fired::Not]);
    jobs.delete_schedule(&tenant("a"), &name("s")).unwrap();
    assert_eq!(fire(&due), [Fired::Not]);
    assert_eq!(jobs_of(jobs, "a").len(), 1);
}

fn missed_times_are_caught_up_or_not(jobs: &dyn JobQueue) {
    // Of each minute, one has just been; of each other day, none has.
    let day = |ago: i64| {
        let at = minutes(-24 * 60 * ago);
        let date = jiff::tz::TimeZone::UTC.to_datetime(at);
        (format!("{} {} {} {} *", date.minute(), date.hour(), date.day(), date.month()), at)
    };
    let (cron, missed) = day(3);
    let utc = |called: &str, cron: &str, catch_up| NewSchedule {
        catch_up,
        times: CronTimes::new(cron, "UTC").unwrap(),
        ..schedule(called, cron)
    };
    let long_ago = minutes(-60 * 24 * 400);
    for (called, cron, catch_up, next) in [
        ("skip", &cron[..], CatchUp::Skip, missed),
        ("once", &cron, CatchUp::Once, long_ago),
        ("now", "* * * * *", CatchUp::Skip, minutes(-300)),
    ] {
        at(jobs, "a", &utc(called, cron, catch_up), next);
    }
    let claimed = claim(jobs, 9);
    let firings: Vec<_> = claimed.due.iter().map(|due| due.firing(claimed.now)).collect();
    assert_eq!(firings.len(), 3);
    jobs.fire(&firings).unwrap();
    let [now, once, skip] = &jobs.schedules(&tenant("a")).unwrap()[..] else {
        return assert_eq!(firings.len(), 0);
    };
    // One job for the last time of those that were missed, however many they were.
    assert_eq!((once.last, &once.last_error), (Some(missed), &None));
    assert_eq!((skip.last, skip.last_job), (None, None));
    assert!(skip.last_error.as_ref().is_some_and(|why| why.contains("missed")), "{skip:?}");
    assert!([now, once, skip].iter().all(|one| one.next > claimed.now));
    assert_eq!(once.next, skip.next);
    // What is at hand is not missed.
    let last = now.last.unwrap();
    assert!(last <= claimed.now && last > claimed.now - SignedDuration::from_secs(61), "{now:?}");
    assert_eq!(now.next, last + SignedDuration::from_mins(1));
    let ids: BTreeSet<_> = jobs_of(jobs, "a").into_iter().collect();
    assert_eq!(ids, [now, once].map(|one| one.last_job.unwrap()).into());
}

fn what_cannot_be_read_stops_nobody(jobs: &dyn JobQueue) {
    let mut broken = at(jobs, "a", &schedule("broken", "@hourly"), hours(-3));
    broken.info.cron = "what '\"\\ was".to_owned();
    jobs.restore_schedules(&[(tenant("a"), broken)]).unwrap();
    at(jobs, "b", &schedule("whole", "* * * * *"), minutes(-3));
    let claimed = claim(jobs, 9);
    let firings: Vec<_> = claimed.due.iter().map(|due| due.firing(claimed.now)).collect();
    assert_eq!(jobs.fire(&firings).unwrap(), [Fired::Advanced, Fired::Submitted]);
    let broken = jobs.schedule(&tenant("a"), &name("broken")).unwrap().info;
    assert!(broken.last_error.is_some_and(|why| why.contains("not a cron expression")));
    assert_eq!(broken.next, claimed.now + SignedDuration::from_hours(24));
    assert!(claim(jobs, 0).due.is_empty());
}

fn schedules_are_each_tenants_own(jobs: &dyn JobQueue) {
    let of = |of| tenant(of);
    jobs.set_schedule(&of("a"), &schedule("s", "@daily")).unwrap();
    let own = jobs.set_schedule(&of("b"), &schedule("s", "@hourly")).unwrap();
    assert!(matches!(jobs.schedule(&of("c"), &name("s")), Err(SchedulesError::NotFound(_))));
    assert!(jobs.schedules(&of("c")).unwrap().is_empty());
    assert!(matches!(jobs.delete_schedule(&of("c"), &name("s")), Err(SchedulesError::NotFound(_))));
    jobs.delete_schedule(&of("a"), &name("s")).unwrap();
    assert_eq!(jobs.schedules(&of("b")).unwrap(), [own]);
    assert!(jobs.schedules(&of("a")).unwrap().is_empty());
}

fn schedules_are_kept_elsewhere(jobs: &dyn JobQueue) {
    let new = schedule("s", "@daily");
    let mut all = Vec::new();
    for number in 0..Schedule::PAGE + 2 {
        let one = NewSchedule { name: name(&format!("s{number:03}")), ..new.clone() };
        let mut kept = one.set(None, hours(-5));
        kept.info.next = hours(1);
        kept.info.last = Some(hours(-7));
        kept.info.last_job = Some(JobId::new());
        kept.info.last_error = Some("'\"ä🦀".to_owned());
        all.push((tenant(["a", "b"][number % 2]), kept));
    }
    jobs.restore_schedules(&all).unwrap();
    all.sort_by_key(|(tenant, one)| (tenant.clone(), one.info.name.clone()));
    let mut found = Vec::<(TenantName, Schedule)>::new();
    loop {
        let last = found.last().map(|(tenant, one)| (tenant.clone(), one.info.name.clone()));
        let page = jobs.kept_schedules(last.as_ref()).unwrap();
        assert!(page.len() <= Schedule::PAGE);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, all);
}

fn quotas(jobs: &dyn JobQueue) {
    for one in ["one", "two"] {
        jobs.set_schedule(&tenant("a"), &schedule(one, "@daily")).unwrap();
    }
    let full = jobs.set_schedule(&tenant("a"), &schedule("three", "@daily"));
    assert!(matches!(full, Err(SchedulesError::Quota(2))), "{full:?}");
    // In the place of another there is room, and others have their own.
    jobs.set_schedule(&tenant("a"), &schedule("two", "@hourly")).unwrap();
    jobs.set_schedule(&tenant("b"), &schedule("three", "@daily")).unwrap();
    // There is room for one job: the other one is left out, and its schedule goes on.
    let (due, next) = (hours(-2), hours(5));
    for (one, time) in [("one", hours(-3)), ("two", due)] {
        at(jobs, "a", &schedule(one, "@daily"), time);
    }
    let firings = claim(jobs, 9).due.into_iter().map(|due| Firing {
        job: begun(due.next),
        due,
        next,
        error: None,
    });
    let fired = jobs.fire(&firings.collect::<Vec<_>>()).unwrap();
    assert_eq!(fired, [Fired::Submitted, Fired::Advanced]);
    let two = jobs.schedule(&tenant("a"), &name("two")).unwrap().info;
    assert_eq!((two.next, two.last, two.last_job), (next, Some(due), None));
    assert!(two.last_error.is_some_and(|why| why.contains("jobs that have not ended")));
    assert_eq!(jobs_of(jobs, "a").len(), 1);
}

fn what_names_an_artifact_is_told(jobs: &dyn JobQueue) {
    let named: Ref = "compute://sha256/aa".parse().unwrap();
    let naming = |of: &str| jobs.naming(&tenant(of), &named).unwrap();
    let run = |of: &str| JobWork::Run(of.parse().unwrap());
    let put = |of: &str, work: JobWork| {
        let job = NewJob::new(work, Vec::new());
        jobs.submit(&[(tenant(of), job.clone())]).unwrap().remove(0).unwrap();
        job.id
    };
    put("a", run("compute://sha256/ab"));
    put("a", JobWork::Document(named.to_string()));
    put("b", run(named.as_str()));
    assert_eq!(naming("a"), None);
    let id = put("a", run(named.as_str()));
    assert_eq!(naming("a"), Some(NamedBy::Job(id)));
    let new = NewSchedule { work: run(named.as_str()), ..schedule("nightly", "@daily") };
    jobs.set_schedule(&tenant("a"), &new).unwrap();
    assert_eq!(naming("a"), Some(NamedBy::Schedule(name("nightly"))));
    jobs.cancel(&tenant("a"), &id).unwrap();
    jobs.set_schedule(&tenant("a"), &schedule("nightly", "@daily")).unwrap();
    assert_eq!(naming("a"), None);
    assert!(matches!(naming("b"), Some(NamedBy::Job(_))));
}

fn two_fire_timeonce(open: &Reopen) {
    let (one, two) = (open(), open());
    let queues = [one.jobs().unwrap(), two.jobs().unwrap()];
    for number in 0..40 {
        let new = schedule(&format!("s{number}"), "@daily");
        at(&*queues[0], ["a", "b", "c"][number % 3], &new, hours(-1));
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let jobs = &queues[thread % 2];
            scope.spawn(move || {
                loop {
                    let due = claim(&**jobs, 0).due;
                    if due.is_empty() {
                        break;
                    }
                    let firings = due.into_iter().map(|due| Firing {
                        job: begun(due.next),
                        due,
                        next: hours(5),
                        error: None,
                    });
                    jobs.fire(&firings.collect::<Vec<_>>()).unwrap();
                }
            });
        }
    });
    let number: usize = ["a", "b", "c"].map(|of| jobs_of(&*queues[1], of).len()).iter().sum();
    assert_eq!(number, 40);
}
