//! What an administrator asks: who is let in, who is not any more, and who is of the control group no more.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::Diagnostic;
use millrace_wire::codes;
use millrace_wire::message::{Certificate, Reply, Request, Secret};

use super::{Shared, keeper};
use crate::control::code;
use crate::trust::{Guard, Name, Role, TrustError};

/// Longest that a token serves: whoever has one for longer forgets where.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// Answers one of these requests. Whether whoever asks may ask it was looked at before.
pub async fn answer(host: &Shared, guard: Option<&Arc<Guard>>, request: Request) -> Result<Reply, Diagnostic> {
    match request {
        Request::Invite { role, life_s } => invite(known(guard)?, &role, Duration::from_secs(life_s)).await,
        Request::Revoke { name } => {
            let name = Name::parse(&name).map_err(|error| told(&error))?;
            known(guard)?.revoke(&name).await.map(|()| Reply::Done).map_err(|error| told(&error))
        }
        Request::Certificates => certificates(known(guard)?).await,
        Request::Expel { node } => expel(host, guard, &node).await,
        _ => Err(Diagnostic::error(codes::BUG, "that is nothing of who is let in")),
    }
}

fn known(guard: Option<&Arc<Guard>>) -> Result<&Arc<Guard>, Diagnostic> {
    guard.ok_or_else(|| {
        let refused = Diagnostic::error(codes::KEYRING, "this node has no certificates, and is of no cluster that has");
        refused.help("start it with --data")
    })
}

fn told(error: &TrustError) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}

async fn invite(guard: &Guard, role: &str, life: Duration) -> Result<Reply, Diagnostic> {
    let unknown =
        || Diagnostic::error(codes::ROLE, format!("there is no role `{role}`")).help("a role is view, operate, admin, node or control");
    let role = Role::parse(role).ok_or_else(unknown)?;
    let token = guard.make_token(role, life.min(LONGEST_LIFE)).await.map_err(|error| told(&error))?;
    Ok(Reply::Invited { token: Secret(token.reveal()) })
}

async fn certificates(guard: &Guard) -> Result<Reply, Diagnostic> {
    let all = guard.certificates().await.map_err(|error| told(&error))?;
    let certificates = all.into_iter().map(|(issued, revoked)| Certificate {
        name: issued.who.name.to_string(),
        role: issued.who.role.as_str().to_owned(),
        expires: issued.expires,
        revoked,
    });
    Ok(Reply::Certificates { certificates: certificates.collect() })
}

async fn expel(host: &Shared, guard: Option<&Arc<Guard>>, node: &str) -> Result<Reply, Diagnostic> {
    let control = keeper::control(host)?;
    control.expel(node).await.map_err(|error| Diagnostic::error(code(&error), error.to_string()))?;
    tracing::info!(node, asked = guard.map(|guard| guard.identity().who.name.to_string()), "a node is of the control group no more");
    Ok(Reply::Done)
}
