//! When the times of cron expressions come, above all where clocks are moved.

use compute_state::{CronTimes, CronTimesError};
use jiff::Timestamp;

fn times(cron: &str, zone: &str) -> CronTimes {
    CronTimes::new(cron, zone).unwrap()
}

/// The first so many times after one, as they are by the zone's clock.
fn next(cron: &str, zone: &str, after: &str, number: usize) -> Vec<String> {
    let times = times(cron, zone);
    let mut at: Timestamp = after.parse().unwrap();
    let tz = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
    (0..number)
        .map(|_| {
            at = times.next(at).unwrap();
            format!(
                "{} {}",
                tz.to_datetime(at).strftime("%m-%d %H:%M"),
                hours(tz.to_offset(at).seconds())
            )
        })
        .collect()
}

fn hours(seconds: i32) -> String {
    format!("{:+03}:{:02}", seconds / 3600, seconds / 60 % 60)
}

#[test]
fn times_are_those_of_the_place() {
    let found = next("30 6 * * MON-FRI", "America/New_York", "2026-01-02T11:30:00Z", 2);
    assert_eq!(found, ["01-05 06:30 -05:00", "01-06 06:30 -05:00"]);
    assert_eq!(next("30 6 * * *", "UTC", "2026-01-02T06:29:59.999Z", 1), ["01-02 06:30 +00:00"]);
    assert_eq!(
        next("@monthly", "Asia/Kathmandu", "2026-01-02T00:00:00Z", 1),
        ["02-01 00:00 +05:45"]
    );
    // The rarest: a day of the year on a day of the week.
    assert_eq!(
        times("0 0 29 2 +1", "UTC").next("2072-03-01T00:00:00Z".parse().unwrap()),
        Some("2112-02-29T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_time_that_is_left_out_comes_at_the_first_moment_after() {
    let before = "2026-03-28T12:00:00Z";
    let daily = next("30 2 * * *", "Europe/Berlin", before, 3);
    assert_eq!(daily, ["03-29 03:00 +02:00", "03-30 02:30 +02:00", "03-31 02:30 +02:00"]);
    // Of several that are left out, and one that comes then, there is one.
    let often = next("*/20 2,3 * * *", "Europe/Berlin", before, 4);
    let expected =
        ["03-29 03:00 +02:00", "03-29 03:20 +02:00", "03-29 03:40 +02:00", "03-30 02:00 +02:00"];
    assert_eq!(often, expected);
    // The clock of another place goes on by half an hour.
    let half = next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2);
    assert_eq!(half, ["10-04 02:30 +11:00", "10-05 02:15 +11:00"]);
}

#[test]
fn a_time_that_comes_twice_is_the_first() {
    let daily = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(daily, ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]);
    let often = next("0,30 1-3 * * *", "Europe/Berlin", "2026-10-24T22:59:59Z", 5);
    let expected = [
        "10-25 01:00 +02:00",
        "10-25 01:30 +02:00",
        "10-25 02:00 +02:00",
        "10-25 02:30 +02:00",
        "10-25 03:00 +01:00",
    ];
    assert_eq!(often, expected);
    // Also seen from between the two.
    assert_eq!(
        next("45 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", 1),
        ["10-26 02:45 +01:00"]
    );
}

#[test]
fn every_hour_is_every_hour() {
    let spring = next("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(spring, ["03-29 01:30 +01:00", "03-29 03:30 +02:00", "03-29 04:30 +02:00"]);
    let autumn = next("@hourly", "Europe/Berlin", "2026-10-24T23:30:00Z", 4);
    let expected =
        ["10-25 02:00 +02:00", "10-25 02:00 +01:00", "10-25 03:00 +01:00", "10-25 04:00 +01:00"];
    assert_eq!(autumn, expected);
    let minutes = next("*/15 * * * *", "Europe/Berlin", "2026-10-25T00:40:00Z", 3);
    assert_eq!(minutes, ["10-25 02:45 +02:00", "10-25 02:00 +01:00", "10-25 02:15 +01:00"]);
}

#[test]
fn each_time_of_some_years_is_after_the_one_before() {
    for zone in [
        "Europe/Berlin",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Apia",
        "UTC",
    ] {
        for cron in ["*/7 * * * *", "*/30 0-4 * * *", "0 0 * * *", "15 2 * * SUN"] {
            let times = times(cron, zone);
            let mut at: Timestamp = "2011-12-25T00:00:00Z".parse().unwrap();
            for _ in 0..3000 {
                let next = times.next(at).unwrap();
                assert!(next > at, "{cron} {zone} {at} {next}");
                at = next;
            }
        }
    }
}

#[test]
fn the_last_time_is_found_from_wherever_it_is_asked() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, until) = (at("2020-01-01T00:00:00Z"), at("2026-03-29T10:00:30Z"));
    for (cron, expected) in [
        ("* * * * *", Some("2026-03-29T10:00:00Z")),
        ("30 2 * * *", Some("2026-03-29T01:00:00Z")),
        ("0 12 28 * *", Some("2026-03-28T11:00:00Z")),
        ("0 0 29 2 *", Some("2024-02-28T23:00:00Z")),
    ] {
        assert_eq!(times(cron, "Europe/Berlin").last(from, until), expected.map(at), "{cron}");
    }
    let daily = times("0 5 * * *", "UTC");
    assert_eq!(daily.last(at("2026-03-29T05:00:00Z"), until), Some(at("2026-03-29T05:00:00Z")));
    assert_eq!(daily.last(at("2026-03-29T05:00:01Z"), until), None);
}

#[test]
fn what_names_no_time_is_refused() {
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31W 2 *", "0 0 30,31 2 +7#5"] {
        let refused = CronTimes::new(never, "UTC");
        assert!(matches!(refused, Err(CronTimesError::Never(_))), "{never}: {refused:?}");
    }
    for wrong in [
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "a b c d e",
        "@reboot",
        "@every 5m",
        "5-1 * * * *",
        "*/0 * * * *",
        "* * * * 5#6",
        "* * * * *\0",
        "* * * * ä",
        &"1,".repeat(60),
    ] {
        let refused = CronTimes::new(wrong, "UTC");
        assert!(matches!(refused, Err(CronTimesError::Expression { .. })), "{wrong}: {refused:?}");
    }
    for zone in ["", "Mars/Olympus", "../UTC", "UTC\0", &"a".repeat(1000)] {
        let refused = CronTimes::new("* * * * *", zone);
        assert!(matches!(refused, Err(CronTimesError::TimeZone(_))), "{zone}: {refused:?}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    const PIECES: &[u8] = b"0123456789*/,-#LW+?@ MONJAN  ";
    let mut state = 1_u64;
    let mut chance = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    let (mut read, now) = (0, "2026-10-24T22:59:59Z".parse::<Timestamp>().unwrap());
    for _ in 0..20_000 {
        let fields = (0..5).map(|_| {
            let text: Vec<u8> = (0..1 + chance(4)).map(|_| PIECES[chance(PIECES.len())]).collect();
            if chance(3) == 0 { "*".to_owned() } else { String::from_utf8(text).unwrap() }
        });
        let text = fields.collect::<Vec<_>>().join(" ");
        if let Ok(times) = CronTimes::new(&text, "Europe/Berlin") {
            read += 1;
            let next = times.next(now).unwrap();
            assert!(next > now, "{text}");
        }
    }
    assert!(read > 50, "{read}");
}
