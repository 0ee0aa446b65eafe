//! How many bytes of memory something may take, counted as they are taken.
//!
//! Accounts form a tree: a server's, below it a tenant's, below that one request's. What is charged to one
//! is charged to all above it, so no number of requests takes more than their tenant's share, and no number
//! of tenants more than the server's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes a charge takes at once from its accounts, so that small steps touch no shared memory.
const STEP: u64 = 16 << 10;

/// A number of bytes that whoever shares this may hold together. Cheap to clone.
///
/// ```
/// use compute::Account;
///
/// let server = Account::new("the server's memory", 1 << 20);
/// let request = server.child("the request's memory", 100_000);
/// let charge = request.charge(60_000)?;
/// let error = request.charge(60_000).unwrap_err();
/// assert_eq!(error.to_string(), "the request's memory has a limit of 100000 bytes, which this would pass");
/// drop(charge);
/// assert_eq!(server.used(), 0);
/// # Ok::<(), compute::OverLimit>(())
/// ```
#[derive(Clone, Debug)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    limit: u64,
    used: AtomicU64,
    parent: Option<Account>,
}

/// What is charged would pass a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has a limit of {limit} bytes, which this would pass")]
pub struct OverLimit {
    /// Whose limit it is: the name of its account.
    pub name: &'static str,
    /// The limit, in bytes.
    pub limit: u64,
}

impl Account {
    /// An account of its own. The name is what errors call it.
    #[must_use]
    pub fn new(name: &'static str, limit: u64) -> Self {
        Self(Arc::new(Inner { name, limit, used: AtomicU64::new(0), parent: None }))
    }

    /// An account that nothing limits, for callers that keep no accounts.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new("memory", u64::MAX)
    }

    /// An account below this one, with a limit of its own.
    #[must_use]
    pub fn child(&self, name: &'static str, limit: u64) -> Self {
        let (used, parent) = (AtomicU64::new(0), Some(self.clone()));
        Self(Arc::new(Inner { name, limit, used, parent }))
    }

    /// The bytes that are charged now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that may be charged.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Charges bytes until the charge is dropped.
    ///
    /// # Errors
    /// [`OverLimit`] with the name of the account that has no room for them; then nothing is charged.
    pub fn charge(&self, bytes: usize) -> Result<Charge, OverLimit> {
        let mut charge = self.empty();
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// A charge of nothing yet, to be grown.
    #[must_use]
    pub fn empty(&self) -> Charge {
        Charge { account: self.clone(), used: 0, held: 0 }
    }

    fn take(&self, bytes: u64) -> Result<(), OverLimit> {
        let inner = &*self.0;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= inner.limit);
        inner
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| OverLimit { name: inner.name, limit: inner.limit })?;
        if let Some(parent) = &inner.parent
            && let Err(over) = parent.take(bytes)
        {
            inner.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(over);
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let mut account = Some(self);
        while let Some(Self(inner)) = account {
            inner.used.fetch_sub(bytes, Ordering::Relaxed);
            account = inner.parent.as_ref();
        }
    }
}

/// Bytes that are charged to an account, until this is dropped.
#[derive(Debug)]
pub struct Charge {
    account: Account,
    /// What was asked for.
    used: u64,
    /// What the accounts are charged: somewhat more, so that the next small step is free.
    held: u64,
}

impl Charge {
    /// Charges more.
    ///
    /// # Errors
    /// [`OverLimit`] if an account has no room for them; then this charge is as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let used = self.used.saturating_add(bytes as u64);
        if used > self.held {
            let missing = used - self.held;
            let step = missing.max(STEP);
            let taken = match self.account.take(step) {
                Ok(()) => step,
                // Near the limit, to the byte.
                Err(_) => self.account.take(missing).map(|()| missing)?,
            };
            self.held += taken;
        }
        self.used = used;
        Ok(())
    }

    /// Gives some of it back.
    pub fn shrink(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes as u64);
        let spare = self.held.saturating_sub(self.used.saturating_add(STEP));
        if spare > 0 {
            self.held -= spare;
            self.account.give_back(spare);
        }
    }

    /// Charges so many bytes from now on, whatever it was for before.
    ///
    /// # Errors
    /// [`OverLimit`] if there is no room for what is more; then this charge is as it was.
    pub fn resize(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let (now, bytes) = (self.used, bytes as u64);
        if bytes >= now {
            return self.grow((bytes - now) as usize);
        }
        self.shrink((now - bytes) as usize);
        Ok(())
    }

    /// The bytes that it is for.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.used
    }

    /// The account that is charged.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.held > 0 {
            self.account.give_back(self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn what_is_charged_below_counts_above_and_comes_back() {
        let server = Account::new("server", 300_000);
        let [a, b] = ["a", "b"].map(|name| server.child(name, 200_000));
        let mut first = a.charge(150_000).unwrap();
        assert_eq!(a.charge(100_000).unwrap_err().name, "a");
        assert_eq!(b.charge(180_000).unwrap_err().name, "server");
        assert_eq!((a.used(), b.used(), server.used()), (150_000, 0, 150_000));
        first.grow(50_000).unwrap();
        assert_eq!(first.grow(1).unwrap_err().name, "a");
        first.shrink(200_000);
        assert!(a.used() <= 16 << 10);
        first.resize(100_000).unwrap();
        assert_eq!(first.resize(200_001).unwrap_err().name, "a");
        assert_eq!((first.bytes(), a.used()), (100_000, 100_000));
        first.resize(10).unwrap();
        assert_eq!(first.bytes(), 10);
        drop(first);
        assert_eq!((a.used(), server.used()), (0, 0));
    }
}
