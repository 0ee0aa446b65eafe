//! What a person who misspelt a name most likely means.

/// How much alike two names must be, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// The candidate that is most like a name, if any is.
pub(crate) fn nearest<T: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = T>,
) -> Option<T> {
    candidates
        .into_iter()
        .map(|one| (strsim::jaro_winkler(name, one.as_ref()), one))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}
