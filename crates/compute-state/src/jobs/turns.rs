//! Which jobs are taken where several tenants have some that wait: one of each in turn.

use super::Claim;
use crate::TenantName;

/// Which jobs of a tenant may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// Those that tell of the ends of others.
    pub tells: bool,
    /// The others.
    pub others: bool,
}

impl Takes {
    const fn all(self) -> bool {
        self.tells && self.others
    }
}

impl Claim<'_> {
    /// How many tenants' jobs are looked at for one claim; the next goes on with the tenant after the last.
    pub const TENANTS: usize = 64;

    /// Which jobs of this tenant may be taken.
    #[must_use]
    pub fn takes(&self, tenant: &str) -> Takes {
        let is_in = |names: &[TenantName]| names.iter().any(|name| name.as_str() == tenant);
        let others = !self.without_others && !is_in(self.only_tells);
        Takes { tells: !is_in(self.without_tells), others }
    }

    /// How many jobs of a tenant may be taken, of whom so many wait and so many run.
    #[must_use]
    pub fn share(&self, waiting: usize, running: usize) -> usize {
        waiting.min(self.most_of_tenant.saturating_sub(running)).min(self.most_each)
    }

    /// How many jobs of each tenant are looked at, of which this many may be taken, in this order. Of those of whom only some may be,
    /// there may be few of that kind: they take nothing from the others.
    #[must_use]
    pub fn shares(&self, may: &[(usize, Takes)]) -> Vec<usize> {
        let apart = |takes: &Takes, may: usize| if takes.all() { 0 } else { may.min(self.most) };
        let mut shares: Vec<_> = may.iter().map(|(may, takes)| apart(takes, *may)).collect();
        let may: Vec<_> =
            may.iter().map(|(may, takes)| if takes.all() { *may } else { 0 }).collect();
        let mut left = self.most;
        // Each time round, whoever has fewer than the others have is left out.
        while left > 0 {
            let mut given = 0;
            for (share, may) in shares.iter_mut().zip(&may) {
                if *share < *may && given < left {
                    *share += 1;
                    given += 1;
                }
            }
            if given == 0 {
                break;
            }
            left -= given;
        }
        shares
    }

    /// Those that are taken of what each tenant has, each with the size of its input.
    #[must_use]
    pub fn in_turn<T>(&self, tenants: Vec<Vec<(T, u64)>>) -> Vec<T> {
        let mut tenants: Vec<_> = tenants.into_iter().map(Vec::into_iter).collect();
        let (mut taken, mut bytes) = (Vec::new(), 0_u64);
        loop {
            let before = taken.len();
            for tenant in &mut tenants {
                let Some((job, size)) = tenant.next() else { continue };
                bytes = bytes.saturating_add(size);
                if taken.len() >= self.most || !taken.is_empty() && bytes > self.most_bytes {
                    return taken;
                }
                taken.push(job);
            }
            if taken.len() == before {
                return taken;
            }
        }
    }
}
