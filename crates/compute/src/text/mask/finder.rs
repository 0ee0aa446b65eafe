//! Finds secrets in a text, in any form in which it may have them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, Input, MatchKind};

use super::forms::forms_of;
use super::joined::Joined;
use super::unescaped::Unescaped;
use super::{BEGINNING, MAX_COMPARED, MAX_LINES, MIN, MIN_LINE};

/// Finds all forms of all secrets at once, in a text as it is and in what its escapes say.
pub(super) struct Finder {
    /// There is none where the forms are too many for it: then everything is masked.
    automaton: Option<AhoCorasick>,
    /// As the automaton numbers them.
    beginnings: Vec<Beginning>,
    /// The same in order, for the end of a text that was cut.
    sorted: Vec<Box<[u8]>>,
    /// The longest form, in bytes.
    longest: usize,
}

/// The beginning of forms.
struct Beginning {
    /// What may follow it.
    rests: Vec<Box<[u8]>>,
    /// The longest form that it begins with itself, in bytes; 0 if there is none.
    whole: usize,
}

impl Finder {
    pub(super) fn new(secrets: &BTreeSet<String>) -> Self {
        let mut forms: BTreeMap<Vec<u8>, Vec<Box<[u8]>>> = BTreeMap::new();
        let mut longest = 0;
        let mut add = |form: Vec<u8>| {
            longest = longest.max(form.len());
            let (beginning, rest) = form.split_at(form.len().min(BEGINNING));
            forms.entry(beginning.to_owned()).or_default().push(rest.into());
            beginning.len()
        };
        for form in secrets.iter().flat_map(|secret| forms_of(secret)) {
            add(form);
        }
        let mut lines = 0;
        // As they are first: that is how most are shown.
        let plain = lines_of(secrets).map(|line| line.as_bytes().to_owned());
        for form in plain.chain(lines_of(secrets).flat_map(forms_of)) {
            lines += add(form);
            if lines >= MAX_LINES {
                break;
            }
        }
        let whole = |beginning: &[u8]| {
            let is_form = |length: &usize| {
                let rests = forms.get(&beginning[..*length]);
                rests.is_some_and(|rests| rests.iter().any(|one| one.is_empty()))
            };
            (MIN..=beginning.len()).rev().find(is_form)
        };
        let wholes: Vec<_> = forms.keys().map(|one| whole(one).unwrap_or_default()).collect();
        let sorted = forms.keys().map(|one| one.as_slice().into()).collect();
        let automaton = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(forms.keys());
        let beginnings = forms.into_values().zip(wholes).map(|(mut rests, whole)| {
            rests.retain(|rest| !rest.is_empty());
            rests.sort_unstable();
            rests.dedup();
            Beginning { rests, whole }
        });
        Self { beginnings: beginnings.collect(), automaton: automaton.ok(), sorted, longest }
    }

    /// The longest form, in bytes.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// Where they are in a text, in order; in one that was cut, also the beginning of one at its end.
    pub(super) fn find(&self, text: &str, cut: bool, compared: &mut usize) -> Vec<Range<usize>> {
        let mut found = self.find_in(text.as_bytes(), cut, compared);
        let read = Unescaped::read(text, cut);
        // What is read, without an escape that was cut off, and where it was.
        let bytes = read.as_ref().map_or(text.as_bytes(), |read| match cut {
            true => read.without_cut_escape(),
            false => read.bytes(),
        });
        let mut add = |mut range: Range<usize>| {
            if let Some(read) = &read {
                if cut && range.end == bytes.len() {
                    range.end = read.bytes().len();
                }
                range = read.source(range);
            }
            let (start, end) =
                (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end));
            found.push(start..end);
        };
        if read.is_some() {
            self.find_in(bytes, cut, compared).into_iter().for_each(&mut add);
        }
        if let Some(joined) = Joined::new(bytes) {
            let joined_found = self.find_in(joined.bytes(), cut, compared);
            joined_found.into_iter().for_each(|range| add(joined.source(range)));
        }
        found.sort_unstable_by_key(|range| range.start);
        found
    }

    fn find_in(&self, text: &[u8], cut: bool, compared: &mut usize) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut done = 0;
        // One that begins within another's form ends it.
        while let Some(next) = self.next(text, done, cut, compared) {
            done = next.end;
            found.push(next);
        }
        found
    }

    /// Where the next form is in a text from here on.
    fn next(
        &self,
        text: &[u8],
        mut from: usize,
        cut: bool,
        compared: &mut usize,
    ) -> Option<Range<usize>> {
        let Some(automaton) = &self.automaton else {
            return (from < text.len()).then_some(from..text.len());
        };
        while let Some(found) = automaton.find(Input::new(text).range(from..)) {
            let beginning = &self.beginnings[found.pattern().as_usize()];
            let after = &text[found.end()..];
            let mut longest = (beginning.whole > 0).then_some(found.start() + beginning.whole);
            for rest in &beginning.rests {
                let same = rest.iter().zip(after).take_while(|(a, b)| a == b).count();
                *compared += same + 1;
                let enough = *compared > MAX_COMPARED.saturating_mul(text.len().max(BEGINNING));
                if same == rest.len() || (cut && same == after.len()) || enough {
                    longest = longest.max(Some(found.end() + same));
                }
            }
            if let Some(end) = longest {
                return Some(found.start()..end);
            }
            from = found.start() + 1;
        }
        if !cut {
            return None;
        }
        // What is shorter than a beginning, from the longest.
        let longest = BEGINNING.min(text.len().saturating_sub(from));
        let mut starts = (MIN..=longest).rev().map(|length| text.len() - length);
        let start = starts.find(|start| {
            let end = &text[*start..];
            let at = self.sorted.partition_point(|one| **one < *end);
            self.sorted.get(at).is_some_and(|one| one.starts_with(end))
        });
        start.map(|start| start..text.len())
    }

    /// About how many bytes of memory it takes.
    pub(super) fn size(&self) -> usize {
        let rests = |one: &Beginning| {
            one.rests.iter().map(|rest| size_of_val(rest) + rest.len()).sum::<usize>()
        };
        let beginnings = self.beginnings.iter().map(|one| size_of_val(one) + rests(one));
        let sorted = self.sorted.iter().map(|one| size_of_val(one) + one.len());
        let automaton = self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage);
        automaton + beginnings.sum::<usize>() + sorted.sum::<usize>()
    }
}

/// The lines of those secrets that have several.
fn lines_of(secrets: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let several = secrets.iter().filter(|secret| secret.contains('\n'));
    let lines = several.flat_map(|secret| secret.lines().map(str::trim));
    lines.filter(|line| line.len() >= MIN_LINE)
}
