//! The one key that seals the secrets of all who share a database: the database knows whether a vault has it.

use compute_state::{Vault, VaultError};

use super::{Change, Stop};

/// What is sealed to tell whether vaults have one key.
const CHECKED: &str = "compute";

/// That a vault has the key. Where no tenant has secrets, it is the key from now on. Until this change has ended nobody else asks, so
/// what is sealed in it is sealed with that key.
pub(crate) async fn check<E: From<VaultError>>(
    change: &Change<'_>,
    vault: &Vault,
    shown: &str,
) -> Result<(), Stop<E>> {
    let told = |error: VaultError| Stop::Told(error.into());
    let kept = "SELECT key_check FROM compute.format FOR UPDATE";
    let kept: Option<Vec<u8>> = change.row(kept, &[]).await?.get(0);
    if let Some(kept) = kept {
        if vault.open(CHECKED, &kept).is_ok_and(|text| text == CHECKED) {
            return Ok(());
        }
        let tenant = change.row("SELECT compute.tenant_with_secrets()", &[]).await?;
        if let Some(tenant) = tenant.get(0) {
            return Err(told(VaultError::OtherKey { state: shown.to_owned(), tenant }));
        }
    }
    let sealed = vault.seal(CHECKED, CHECKED).map_err(told)?;
    change.does("UPDATE compute.format SET key_check = $1", &[&sealed]).await?;
    Ok(())
}
