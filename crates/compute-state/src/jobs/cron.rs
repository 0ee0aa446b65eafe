//! When a schedule's time comes: a cron expression of five fields, by the clock of a place.
//!
//! Which civil times an expression names is `croner`'s to say; which moments these are is decided here, where clocks are moved. An
//! expression with `*` for the hour goes on every hour, whatever the clock shows. Any other names times of a day: one that is left out
//! comes at the first moment after it, and one that comes twice is the first of the two.

use std::cmp::Ordering;
use std::sync::LazyLock;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// The same on all machines, whatever they have installed.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The times that a cron expression names in a time zone. There is one at least.
#[derive(Clone, Debug)]
pub struct CronTimes {
    cron: Cron,
    text: String,
    zone: TimeZone,
    zone_name: String,
    /// Whether it goes on every hour.
    is_hourly: bool,
}

/// A text that names no times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronTimesError {
    /// It is no expression.
    #[error(
        "`{text}` is not a cron expression: {why}; an expression has five fields (minute, hour, day of the month, month, day of the week), such as `30 6 * * MON-FRI`"
    )]
    Expression {
        /// Its beginning.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// It names no time.
    #[error("`{0}` names a time that never comes")]
    Never(String),
    /// There is no such time zone.
    #[error("there is no time zone `{0}`; they are named as in `Europe/Berlin` or `UTC`")]
    TimeZone(String),
}

impl CronTimes {
    /// The longest expression and the longest name of a time zone, in bytes.
    pub const MAX: usize = 100;

    /// The times of an expression, in the time zone of this name.
    ///
    /// # Errors
    /// [`CronTimesError`].
    pub fn new(text: &str, zone: &str) -> Result<Self, CronTimesError> {
        let shown = |text: &str| text.chars().take(Self::MAX).collect::<String>();
        let wrong =
            |why: &str| CronTimesError::Expression { text: shown(text), why: why.to_owned() };
        if text.len() > Self::MAX || !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(wrong("it is long, or has other letters than those of ASCII"));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| wrong(&why(&parser, text, &error)))?;
        let is_tz = zone.len() <= Self::MAX && !zone.is_empty();
        let found = is_tz.then(|| ZONES.get(zone).ok()).flatten();
        let found = found.ok_or_else(|| CronTimesError::TimeZone(shown(zone)))?;
        let is_hourly = match text.trim() {
            nickname if nickname.starts_with('@') => nickname.eq_ignore_ascii_case("@hourly"),
            fields => fields.split_whitespace().nth(1) == Some("*"),
        };
        let (text, zone_name) = (text.to_owned(), zone.to_owned());
        let times = Self { cron, text, zone: found, zone_name, is_hourly };
        let some = times.following(DateTime::constant(2000, 1, 1, 0, 0, 0, 0));
        if some.is_none() { Err(CronTimesError::Never(times.text)) } else { Ok(times) }
    }

    /// The expression.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.zone_name
    }

    /// The first time after this one.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(after);
        // Every time up to here is over.
        let mut over = offset.to_datetime(after);
        let mut moved = self.zone.following(after);
        let mut change = moved.next();
        loop {
            let civil = self.following(over)?;
            let at = offset.to_timestamp(civil).ok()?;
            match &change {
                Some(next) if at >= next.timestamp() => {
                    // The clock is moved before that, or then, and may never show it.
                    let then = next.offset().to_datetime(next.timestamp());
                    if !self.is_hourly && civil < then {
                        return Some(next.timestamp());
                    }
                    offset = next.offset();
                    over = then.checked_sub(SignedDuration::from_secs(1)).ok()?;
                    change = moved.next();
                }
                _ if !self.is_hourly && self.comes_again(civil, offset) => over = civil,
                _ => return Some(at),
            }
        }
    }

    /// The last of the times from one on that are not after another, if there is one.
    #[must_use]
    pub fn last(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        // Those of the last hour are few; if there is none, those of the last day are, and so on.
        const BACK: [i64; 6] = [1, 24, 24 * 8, 24 * 32, 24 * 366, 24 * 366 * 9];
        let starts = BACK.iter().map(|hours| until.checked_sub(SignedDuration::from_hours(*hours)));
        let starts = starts.map(|start| start.map_or(from, |start| start.max(from)));
        for start in starts.chain([from]) {
            let mut last = None;
            let mut at = self.next(start.checked_sub(SignedDuration::from_millis(1)).ok()?);
            while let Some(found) = at.filter(|at| *at <= until) {
                last = Some(found);
                at = self.next(found);
            }
            if last.is_some() || start == from {
                return last;
            }
        }
        None
    }

    /// Whether the clock shows this for the second time by this offset.
    fn comes_again(&self, civil: DateTime, offset: Offset) -> bool {
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Fold { after, .. } => after == offset,
            _ => false,
        }
    }

    /// The first civil time that the expression names after this one.
    fn following(&self, after: DateTime) -> Option<DateTime> {
        // Calendars repeat after 400 years. An expression that names no time is looked for in all years up to 5000: in these, there are
        // more than 40 years left, in which each day of a year has had each day of the week, and less than 440.
        let shift = 400 * ((4959 - after.year()) / 400);
        let shifted = |at: DateTime, years: i16| at.with().year(at.year() + years).build().ok();
        let found = self.cron.find_next_occurrence(&Civil(shifted(after, shift)?), false).ok()?;
        shifted(found.0, -shift)
    }
}

/// What is wrong with an expression, and in which field.
fn why(parser: &CronParser, text: &str, error: &CronError) -> String {
    const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];
    let told = |error: &CronError| match error {
        CronError::IllegalCharacters(why) | CronError::ComponentError(why) => {
            why.trim_end_matches('.').to_lowercase()
        }
        _ => "it cannot be read".to_owned(),
    };
    if text.trim_start().starts_with('@') {
        return "the names are @hourly, @daily, @weekly, @monthly and @yearly".to_owned();
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let plural = if fields.len() == 1 { "" } else { "s" };
        return format!("it has {} field{plural}", fields.len());
    }
    for (at, (name, field)) in FIELDS.iter().zip(&fields).enumerate() {
        let mut alone = ["*"; 5];
        alone[at] = field;
        if let Err(error) = parser.parse(&alone.join(" ")) {
            return format!("the {name} `{field}`: {}", told(&error));
        }
    }
    told(error)
}

/// A civil time, as `croner` goes by it: no clock is moved.
#[derive(Clone, Debug)]
struct Civil(DateTime);

impl CronDateTime for Civil {
    fn to_civil(&self) -> CivilDateTime {
        let part = i8::unsigned_abs;
        let Self(at) = self;
        let date = CivilDate::from_parts_unchecked(
            at.year().into(),
            part(at.month()).into(),
            part(at.day()).into(),
        );
        let time = CivilTime::from_parts_unchecked(
            part(at.hour()).into(),
            part(at.minute()).into(),
            part(at.second()).into(),
        );
        CivilDateTime::new(date, time)
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(days.unsigned_abs().into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) =
            (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        let at = DateTime::new(year, month, day, hour, minute, second, 0);
        at.map(|at| Resolution::Single(Self(at))).map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
