//! Tokens: made, shown once, checked, ended.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{Reopen, SOON};
use crate::{StateQuotas, TenantName, TokenCheck, TokenInfo, TokenScope, Tokens, TokensError};

pub(super) const TESTS: [fn(&dyn Tokens); 1] = [tokens_are_made_listed_and_revoked];

fn tokens_are_made_listed_and_revoked(tokens: &dyn Tokens) {
    let before: Vec<TokenInfo> = tokens.list(None).unwrap();
    let end = Timestamp::from_second(32_503_680_000).unwrap();
    let scopes = [TokenScope::Run, TokenScope::Read].into();
    let new = tokens.create(None, "ci'; --\n🦀", &scopes, Some(end)).unwrap();
    assert_eq!((&*new.info.name, &new.info.scopes), ("ci'; --\n🦀", &scopes));
    assert_eq!(new.info.expires, Some(end));
    let mut after = tokens.list(None).unwrap();
    assert_eq!(after.pop().unwrap(), new.info, "the newest is the last");
    assert_eq!(after, before);
    assert!(matches!(tokens.create(None, "", &[].into(), None), Err(TokensError::NoScope)));
    let long = tokens.create(None, &"x".repeat(101), &scopes, None);
    assert!(matches!(long, Err(TokensError::Name)));
    tokens.revoke(&new.info.id, None).unwrap();
    for id in [new.info.id.as_str(), "0000000000000000"] {
        assert!(matches!(tokens.revoke(id, None), Err(TokensError::NoToken(of)) if of == id));
    }
    assert_eq!(tokens.list(None).unwrap(), before);
}

/// What is asked of whoever checks them.
pub(super) fn checked(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let state = new(StateQuotas::default());
    let (here, there) = (state().tokens().unwrap(), state().tokens().unwrap());
    a_token_is_checked_here_and_there(&*here, &*there);
    a_token_ends(&*here);

    let state = new(StateQuotas { tokens: 2, ..StateQuotas::default() });
    let few = state().tokens().unwrap();
    let [acme, other] = ["acme", "other"].map(tenant);
    let make = |of: &TenantName| few.create(Some(of), "", &[TokenScope::Run].into(), None);
    let first = make(&acme).unwrap();
    make(&acme).unwrap();
    assert!(matches!(make(&acme), Err(TokensError::TooMany { limit: 2 })));
    make(&other).unwrap();
    few.revoke(&first.info.id, Some(&acme)).unwrap();
    make(&acme).unwrap();
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

fn a_token_is_checked_here_and_there(here: &dyn TokenCheck, there: &dyn TokenCheck) {
    let [acme, other] = ["acme", "other"].map(tenant);
    let new = here.create(Some(&acme), "ci", &[TokenScope::Run].into(), None).unwrap();
    let own = here.create(None, "", &[TokenScope::Admin].into(), None).unwrap();
    assert!(own.info.tenant.is_default());
    for (tokens, whose) in [(here, "here"), (there, "there")] {
        let info = tokens.check(&new.token).unwrap();
        assert_eq!(info.as_ref(), Some(&new.info), "{whose}, at once");
        assert_eq!(tokens.list(Some(&acme)).unwrap(), std::slice::from_ref(&new.info), "{whose}");
        assert_eq!(tokens.list(None).unwrap().len(), 2, "{whose}");
    }
    assert!(new.info.allows(TokenScope::Run) && !new.info.allows(TokenScope::Read));
    assert!(own.info.allows(TokenScope::Activate), "an admin may do everything");
    let cut = &new.token[..new.token.len() - 1];
    // The secret of one with the id of another.
    let secret = own.token.rsplit_once(&*own.info.id).unwrap().1;
    let mixed = format!("compute_{}{secret}", new.info.id);
    for wrong in ["", "compute_", cut, &format!("{}x", new.token), &new.info.id, &mixed, "ä_🦀_'"]
    {
        assert_eq!(here.check(wrong).unwrap(), None, "{wrong}");
    }
    let refused = here.revoke(&new.info.id, Some(&other));
    assert!(matches!(refused, Err(TokensError::NoToken(_))), "another tenant's");
    assert!(there.check(&new.token).unwrap().is_some());
    here.revoke(&new.info.id, Some(&acme)).unwrap();
    assert_eq!(here.check(&new.token).unwrap(), None, "at once");
    let until = Instant::now() + SOON;
    while there.check(&new.token).unwrap().is_some() {
        assert!(Instant::now() < until, "what was revoked elsewhere is not seen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_token_ends(tokens: &dyn TokenCheck) {
    let make = |milliseconds| {
        let end = Timestamp::now() + SignedDuration::from_millis(milliseconds);
        tokens.create(None, "", &[TokenScope::Admin].into(), Some(end)).unwrap()
    };
    assert_eq!(tokens.check(&make(-1000).token).unwrap(), None);
    assert!(tokens.check(&make(60_000).token).unwrap().is_some());
    let soon = make(30);
    while tokens.check(&soon.token).unwrap().is_some() {
        let late = Timestamp::now().duration_since(soon.info.expires.unwrap());
        assert!(late < SignedDuration::from_millis(500), "it has not ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What has ended is listed until it is revoked.
    assert!(tokens.list(None).unwrap().contains(&soon.info));
}
