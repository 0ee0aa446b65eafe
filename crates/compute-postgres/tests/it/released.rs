//! An artifact that goes, and schedules that would run it: one or the other, whichever node does what.

use compute::Ref;
use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{CronTimes, JobWork, NewSchedule, SchedulesError, State as _, TenantName};

#[test]
fn what_goes_is_in_no_schedule() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let open = || PostgresState::open(&address, PostgresSettings::default()).unwrap();
    let (one, two) = (open(), open());
    let tenant: TenantName = "acme".parse().unwrap();
    let catalogue = one.tenant(&tenant).unwrap().catalogue().unwrap();
    let (jobs, other) = (two.jobs().unwrap(), "other".parse().unwrap());
    let set = |name: &str, of: &TenantName, artifact: &Ref| {
        let times = CronTimes::new("@daily", "UTC").unwrap();
        let work = JobWork::Run(artifact.clone());
        let new = NewSchedule::new(name.parse().unwrap(), times, work, Vec::new());
        jobs.set_schedule(of, &new)
    };
    let [kept, goes]: [Ref; 2] =
        ["compute://sha256/aa", "compute://sha256/bb"].map(|text| text.parse().unwrap());
    set("s", &tenant, &kept).unwrap();
    assert!(!catalogue.release(&kept).unwrap());
    assert!(catalogue.release(&goes).unwrap());
    let refused = set("t", &tenant, &goes);
    let told = refused.unwrap_err();
    assert!(matches!(&told, SchedulesError::Released(one) if *one == goes), "{told:?}");
    assert!(told.to_string().ends_with("try again in 2 minutes"), "{told}");
    // Nor does one change to run it, and what it was stays.
    assert!(set("s", &tenant, &goes).is_err());
    assert!(!catalogue.release(&kept).unwrap());
    // Another tenant's is another.
    set("t", &other, &goes).unwrap();
    jobs.delete_schedule(&tenant, &"s".parse().unwrap()).unwrap();
    assert!(catalogue.release(&kept).unwrap());

    // However near the two come to each other, one of them is refused.
    for number in 0..20 {
        let artifact: Ref = format!("compute://sha256/c{number}").parse().unwrap();
        let (released, scheduled) = std::thread::scope(|scope| {
            let released = scope.spawn(|| catalogue.release(&artifact).unwrap());
            (set("r", &tenant, &artifact).is_ok(), released.join().unwrap())
        });
        assert_ne!(released, scheduled, "{number}");
    }
}
