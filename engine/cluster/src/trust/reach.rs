//! How somebody who asks comes by what lets it in: a token as it is, or the certificate that a join token was once given for.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::authority::RENEW_BEFORE;
use super::enrol::{Source, ask_revoked, enrol, renew};
use super::error::TrustError;
use super::identity::Identity;
use super::keyring::Keyring;
use super::refusal::Refusal;
use super::token::JoinToken;
use crate::error::ClientError;
use crate::socket::Credential;

/// What to show at an address. At `wss://` that is the certificate kept for it under `home`, a folder of the user's, or the one that the token is
/// given for: see [`member`].
pub async fn credential(address: &str, token: Option<&str>, label: &str, home: &Path) -> Result<Credential, ClientError> {
    let Some(authority) = address.strip_prefix("wss://") else {
        return Ok(Credential::Token(token.unwrap_or_default().to_owned()));
    };
    let authority = authority.trim_end_matches('/');
    let identity = member(authority, token, label, &Keyring::at(home.join(folder_of(authority)))).await?;
    let expected = identity.given_by.clone();
    Ok(Credential::Certificate { identity: Arc::new(identity), expected })
}

/// The certificate that a keyring holds for the cluster at `authority` (`HOST:PORT`), renewed if its end comes near. If there is none, or it is of
/// another cluster than the join token, or it does not let this side in any more, the token is given for a new one. A token beside a certificate that
/// serves is not spent: a command can be started again as it is. `label`: what this side calls itself.
///
/// # Errors
/// If there is neither a certificate nor a join token, or the token is refused.
pub async fn member(authority: &str, token: Option<&str>, label: &str, keyring: &Keyring) -> Result<Identity, ClientError> {
    let token = token.and_then(JoinToken::parse);
    let kept = keyring.load()?.filter(|kept| token.as_ref().is_none_or(|token| token.authority.is_of(&kept.authority)));
    match (kept, token) {
        (Some(identity), Some(token)) if is_shut_out(authority, &identity).await => enrol(authority, &token, label, keyring).await,
        (Some(identity), _) => Ok(fresh(authority, identity, keyring).await),
        (None, Some(token)) => enrol(authority, &token, label, keyring).await,
        (None, None) => Err(TrustError::NotJoined { path: keyring.folder().to_owned() }.into()),
    }
}

/// Whether a certificate is not taken any more there, or another node answers than the one that gave it.
async fn is_shut_out(authority: &str, identity: &Identity) -> bool {
    let refused = match ask_revoked(&Source::of(authority, identity), identity).await {
        Err(ClientError::NotAdmitted { refusal, .. }) => refusal,
        _ => return false,
    };
    let of_this_side = [Refusal::ForeignCertificate, Refusal::ExpiredCertificate, Refusal::RevokedCertificate];
    of_this_side.contains(&refused) || refused == Refusal::AnotherNode
}

/// Renews a certificate whose end comes near, where the node there can; it is shown as it is otherwise.
async fn fresh(authority: &str, identity: Identity, keyring: &Keyring) -> Identity {
    if identity.is_valid_at(SystemTime::now() + RENEW_BEFORE) {
        return identity;
    }
    match renew(authority, &identity, keyring).await {
        Ok(renewed) => renewed,
        Err(error) => {
            tracing::warn!(%error, "the certificate for {authority} ends soon, and could not be renewed");
            identity
        }
    }
}

/// A folder's name for an address: what may be in it stays, the rest is `_`.
fn folder_of(authority: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-') { letter } else { '_' };
    let name: String = authority.chars().map(plain).collect();
    // Neither hidden nor the folder above.
    format!("at-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_address_is_its_folder_is_one_name() {
        for (address, folder) in
            [("10.0.0.7:7400", "at-10.0.0.7_7400"), ("[::1]:7400", "at-___1__7400"), ("../..", "at-.._.."), ("", "at-")]
        {
            assert_eq!(folder_of(address), folder);
        }
    }
}
