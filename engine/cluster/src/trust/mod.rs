//! Who is who in a cluster, and what each may do.
//!
//! A cluster has one *authority*: the key of its first node, with a certificate that it gave itself ([`authority`]). Every node and everybody who
//! asks has a certificate of it, with a name and a role that only the authority can give ([`identity`]). Links are TLS 1.3, and both ends show
//! theirs ([`tls`], [`verify`]); so whoever speaks is known before the first byte of a request, and its role is looked at for each ([`roles`]).
//!
//! Who has no certificate yet shows a *join token* ([`token`]): it names the authority by its hash, so that a newcomer knows whom it speaks to
//! before it says a word, and holds a secret that serves once and not for long ([`tokens`]). The newcomer makes its key itself and shows it in the
//! handshake, which proves that it holds it; the key never travels ([`enrol`]). What a process holds afterwards lies in a folder that is its
//! user's alone ([`keyring`]).
//!
//! ```text
//! newcomer ── TLS, ALPN millrace-enrol, own key ──► is the authority the token's? ── token ──► spent once ── certificate ──►
//! member   ── TLS, ALPN millrace, certificate  ──► the authority's? not revoked?  ── request ──► does the role cover it? ──► audit
//! ```
//!
//! The authority's key is at the first node, and at every control node that joined with a token of the role `control`: it is handed to those within TLS
//! ([`answering`]), and lies in their folders alone. Where there is a control group it agrees on tokens, on who has certificates and on who is revoked
//! ([`agreed`]), so that any of those nodes serves in the place of the first; a node's folder and the group are brought together all the while
//! ([`tending`]). A first node without a group decides by its files.
//!
//! What is refused is told by one [`Refusal`] at both ends, under one code.

mod agreed;
mod answering;
mod audit;
mod authority;
mod enrol;
mod error;
mod files;
mod guard;
mod identity;
mod keyring;
mod reach;
mod refusal;
mod revoked;
mod roles;
mod tending;
mod tls;
mod token;
mod tokens;
mod verify;

pub use audit::{Audit, Entry, Outcome};
pub use authority::{Authority, AuthorityKey, HeldKey, Issued};
pub use enrol::{Source, ask_authority, enrol, renew};
pub use error::TrustError;
pub use guard::{Admitted, Guard, folder_in};
pub use identity::{Fingerprint, Identity, Name, Who};
pub use keyring::{Keyring, new_key};
pub use reach::{credential, member};
pub use refusal::Refusal;
pub use revoked::Revoked;
pub use roles::{Need, Role, need};
pub use tls::{Shown, client_config, handshake, session_config};
pub use token::JoinToken;
pub use tokens::Tokens;
pub use verify::Believed;
