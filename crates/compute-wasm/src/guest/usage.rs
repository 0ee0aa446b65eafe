//! What a sandbox has of what guests can grow.

/// How much a sandbox has of something that it can grow, in all its instances together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    limit: u64,
    used: u64,
    pub(crate) peak: u64,
    /// What was last allowed, until it is known to be there.
    growing: u64,
    /// Whether the guest was ever refused more.
    pub(crate) refused: bool,
}

impl Usage {
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, used: 0, peak: 0, growing: 0, refused: false }
    }

    /// Whether one of them may grow from this to that. What is beyond its own maximum does not come about.
    pub(super) fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let more = desired.saturating_sub(current) as u64;
        self.growing = 0;
        let sum = self.used.saturating_add(more);
        if sum > self.limit {
            self.refused = true;
            return false;
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            (self.used, self.growing) = (sum, more);
            self.peak = self.peak.max(sum);
        }
        true
    }

    /// What was last allowed did not come about.
    pub(super) const fn take_back(&mut self) {
        self.used = self.used.saturating_sub(self.growing);
        self.growing = 0;
    }
}
