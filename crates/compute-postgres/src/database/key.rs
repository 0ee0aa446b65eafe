//! The one key that seals the secrets of all who share a database: the database knows whether a vault has it.

use compute_state::{Vault, VaultError};

use super::{Change, Stop};

/// What is sealed to tell whether vaults have one key.
const CHECKED: &str = "compute";

/// That a vault has the key; where nobody has said which that is, this is it. Where it `may_change`, and no tenant has secrets, it is this
/// from now on. Until this change has ended the key stays, so what is sealed in it is sealed with that key.
pub(crate) async fn check<E: From<VaultError>>(
    change: &Change<'_>,
    vault: &Vault,
    may_change: bool,
    shown: &str,
) -> Result<(), Stop<E>> {
    let told = |error: VaultError| Stop::Told(error.into());
    let opens = |kept: &Vec<u8>| vault.open(CHECKED, kept).is_ok_and(|text| text == CHECKED);
    // Whoever only looks keeps nobody from looking, as nearly all do.
    let kept = "SELECT key_check FROM compute.format FOR SHARE";
    let kept: Option<Vec<u8>> = change.row(kept, &[]).await?.get(0);
    if kept.as_ref().is_some_and(opens) {
        return Ok(());
    }
    let kept = "SELECT key_check FROM compute.format FOR UPDATE";
    let kept: Option<Vec<u8>> = change.row(kept, &[]).await?.get(0);
    if kept.as_ref().is_some_and(opens) {
        return Ok(());
    }
    if kept.is_some() {
        let tenant = change.row("SELECT compute.tenant_with_secrets()", &[]).await?;
        let tenant: Option<String> = tenant.get(0);
        if tenant.is_some() || !may_change {
            return Err(told(VaultError::OtherKey { state: shown.to_owned(), tenant }));
        }
    }
    let sealed = vault.seal(CHECKED, CHECKED).map_err(told)?;
    change.does("UPDATE compute.format SET key_check = $1", &[&sealed]).await?;
    Ok(())
}
