//! What is otherwise in many records together.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::difference::{Change, Difference, short};
use crate::replay::Verdict;

/// How many ways in which one place changed are listed.
const KINDS: usize = 3;
/// How many places are told apart, and ways in which one changed: a server keeps them while it runs. The rest are one more.
const PLACES: usize = 50;
const WAYS: usize = 20;
/// The longest place that is told, in characters.
const LONGEST: usize = 200;
/// What the rest are called.
const OTHER: &str = "(others)";

/// What came of many records.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// How many were run again.
    pub records: usize,
    /// How many came out the same.
    pub same: usize,
    /// How many came out otherwise.
    pub different: usize,
    /// How many cannot be compared.
    pub incomparable: usize,
    /// How many more cannot be read: what they would have been is not known.
    pub unread: usize,
    /// How the answers changed, the most frequent first.
    pub groups: Vec<Group>,
    /// Fuel before and after, where both were metered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<(Spread, Spread)>,
    /// Peak memory before and after, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<(Spread, Spread)>,
    #[serde(skip)]
    kinds: BTreeMap<String, Kind>,
    #[serde(skip)]
    measured: [Vec<(u64, u64)>; 2],
}

/// A place in answers, or something else, that is otherwise in several of them.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Where: `output .items[*].price`, `status`, `fuel`.
    pub place: String,
    /// In how many records.
    pub records: usize,
    /// The most frequent ways: what it was, what it is, and in how many records.
    pub ways: Vec<(String, String, usize)>,
    /// The id of one of the records.
    pub example: String,
}

#[derive(Clone, Debug)]
struct Kind {
    records: usize,
    ways: BTreeMap<(String, String), usize>,
    example: String,
}

/// The middle, the upper end and the most of many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half of them are below.
    pub median: u64,
    /// One in a hundred is above.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let at = |share: usize| values.get((values.len().saturating_sub(1)) * share / 100).copied();
        Some(Self { median: at(50)?, p99: at(99)?, max: *values.last()? })
    }
}

impl Summary {
    /// Counts one more record.
    pub fn add(&mut self, id: &str, verdict: &Verdict) {
        self.records += 1;
        match verdict {
            Verdict::Identical => self.same += 1,
            Verdict::Incomparable(_) => self.incomparable += 1,
            Verdict::Different(differences) => {
                self.different += 1;
                let mut places: BTreeMap<String, (String, String)> = BTreeMap::new();
                for one in differences {
                    note(one, "", &mut places);
                }
                for (mut place, mut way) in places {
                    if place.chars().nth(LONGEST).is_some() {
                        place = place.chars().take(LONGEST).chain(['…']).collect();
                    }
                    if self.kinds.len() >= PLACES && !self.kinds.contains_key(&place) {
                        OTHER.clone_into(&mut place);
                    }
                    let known = self.kinds.get(&place).map(|kind| &kind.ways);
                    if known.is_some_and(|ways| ways.len() >= WAYS && !ways.contains_key(&way)) {
                        way = (OTHER.to_owned(), OTHER.to_owned());
                    }
                    let kind = self.kinds.entry(place).or_insert_with(|| Kind {
                        records: 0,
                        ways: BTreeMap::new(),
                        example: id.to_owned(),
                    });
                    kind.records += 1;
                    *kind.ways.entry(way).or_default() += 1;
                }
            }
        }
    }

    /// Counts what a record took before and after: fuel where it was metered, and peak memory.
    pub fn measure(&mut self, fuel: Option<(u64, u64)>, memory: (u64, u64)) {
        self.measured[0].extend(fuel);
        self.measured[1].push(memory);
    }

    /// The summary with its groups in order.
    #[must_use]
    pub fn done(mut self) -> Self {
        let group = |(place, kind): (&String, &Kind)| {
            let mut ways: Vec<_> = kind
                .ways
                .iter()
                .map(|((one, two), count)| (one.clone(), two.clone(), *count))
                .collect();
            ways.sort_by_key(|way| std::cmp::Reverse(way.2));
            ways.truncate(KINDS);
            let (records, example) = (kind.records, kind.example.clone());
            Group { place: place.clone(), records, ways, example }
        };
        self.groups = self.kinds.iter().map(group).collect();
        self.groups.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.place.cmp(&b.place)));
        let spreads = |pairs: &[(u64, u64)]| {
            let before = Spread::of(pairs.iter().map(|pair| pair.0).collect())?;
            Some((before, Spread::of(pairs.iter().map(|pair| pair.1).collect())?))
        };
        (self.fuel, self.memory) = (spreads(&self.measured[0]), spreads(&self.measured[1]));
        self
    }
}

/// Notes a difference under its place. The numbers of list items are left out: they are the same kind.
fn note(difference: &Difference, rule: &str, places: &mut BTreeMap<String, (String, String)>) {
    let place =
        |what: &str| if rule.is_empty() { what.to_owned() } else { format!("{rule} {what}") };
    let mut put = |what: &str, before: String, after: String| {
        places.entry(place(what)).or_insert((before, after));
    };
    match difference {
        Difference::Output(changes) => {
            for Change { path, before, after } in changes {
                let shown = |value: &Option<serde_json::Value>| {
                    value.as_ref().map_or_else(|| "(nothing)".to_owned(), short)
                };
                put(&format!("output {}", without_numbers(path)), shown(before), shown(after));
            }
        }
        Difference::Status { before, after } => put("status", before.clone(), after.clone()),
        Difference::OutputDigest => put("output", "bytes".into(), "other bytes".into()),
        Difference::Fuel { before, after } => put("fuel", before.to_string(), after.to_string()),
        Difference::Memory { before, after } => {
            put("memory", before.to_string(), after.to_string())
        }
        Difference::Log => put("log", "lines".into(), "other lines".into()),
        Difference::Events => put("events", "events".into(), "other events".into()),
        Difference::Step { rule, what } => what.iter().for_each(|one| note(one, rule, places)),
    }
}

/// `.items[2].price` as `.items[*].price`.
fn without_numbers(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('[') {
        let (before, after) = rest.split_at(at + 1);
        text.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        rest = after;
        if digits > 0 && after[digits..].starts_with(']') {
            text.push('*');
            rest = &after[digits..];
        }
    }
    text.push_str(rest);
    text
}
