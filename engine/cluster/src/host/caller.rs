//! Who asks at the other end of a session, and what it may ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::Diagnostic;
use millrace_wire::codes;
use millrace_wire::message::Request;
use tokio::time::sleep;

use crate::node::{Approach, Peer, Refused};
use crate::trust::{Entry, Guard, Outcome, Role, Who, need};

/// How soon a session ends whose certificate was revoked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whom a session is served for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    came: Option<Came>,
    guard: Option<Arc<Guard>>,
}

#[derive(Debug, Clone)]
struct Came {
    approach: Approach,
    from: SocketAddr,
}

impl Caller {
    /// The process that the engine is in: it may do everything, and nobody keeps a log of it.
    pub fn local() -> Caller {
        Caller::default()
    }

    pub(crate) fn at(approach: &Approach, from: SocketAddr, guard: Option<Arc<Guard>>) -> Caller {
        Caller { came: Some(Came { approach: approach.clone(), from }), guard }
    }

    /// Its name and role, if it has shown a certificate.
    pub fn who(&self) -> Option<&Who> {
        match &self.came.as_ref()?.approach {
            Approach::Member(who) => Some(who),
            Approach::Plain(_) => None,
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.who().map_or(Peer::TokenHolder, |who| Peer::Member(who.name.clone()))
    }

    pub(crate) fn from(&self) -> Option<String> {
        self.came.as_ref().map(|came| came.from.to_string())
    }

    /// The trust of the node that it came to.
    pub const fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    /// Whether it may ask something. Who shows a node's own token, or is of the same process, may ask everything.
    pub fn check(&self, request: &Request) -> Result<(), Diagnostic> {
        let Some(who) = self.who() else { return Ok(()) };
        let need = need(request);
        if who.role.covers(need) {
            return Ok(());
        }
        let least = need.role();
        let message = format!("{} has the role `{}`, and this needs `{least}`", who.name, who.role);
        Err(Diagnostic::error(codes::ROLE, message)
            .help(format!("an administrator can give a join token for it: millrace token --role {least}")))
    }

    /// Writes to the node's audit log, if it keeps one.
    pub fn tell(&self, what: &str, about: Option<&str>, outcome: Outcome<'_>) {
        let (Some(guard), Some(came)) = (&self.guard, &self.came) else { return };
        let who = self.who();
        let entry = Entry {
            // Who shows the node's token has no name.
            who: Some(who.map_or("token", |who| who.name.as_str())),
            role: Some(who.map_or(Role::Admin, |who| who.role).as_str()),
            from: Some(came.from),
            what,
            about,
            outcome,
        };
        guard.audit().tell(entry);
    }

    /// The same for a connection, which may be a stranger's.
    pub(crate) fn connected(&self, refused: Option<Refused>) {
        let Some(refused) = refused else { return self.tell("connect", None, Outcome::Done) };
        let code = refused.code();
        if self.who().is_some() {
            return self.tell("connect", None, Outcome::Refused(code));
        }
        if let (Some(guard), Some(came)) = (&self.guard, &self.came) {
            let outcome = Outcome::Refused(code);
            guard.audit().tell(Entry { who: None, role: None, from: Some(came.from), what: "connect", about: None, outcome });
        }
    }

    /// Waits until its certificate is revoked.
    pub(crate) async fn revoked(&self) {
        let (Some(guard), Some(who)) = (&self.guard, self.who()) else { return std::future::pending().await };
        while !guard.is_revoked(&who.name) {
            sleep(LOOK_EVERY).await;
        }
    }
}
