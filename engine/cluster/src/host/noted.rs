//! What the audit log is told of a request: what it changes and what it is about, and no more of it. Looking changes nothing, and is not told.

use millrace_wire::codes;
use millrace_wire::message::{Reply, Request};

use super::Caller;
use crate::trust::Outcome;

/// Most letters of what the asking side calls something.
const MAX_ABOUT: usize = 200;

/// A request that will be told of.
#[derive(Debug)]
pub struct Noted {
    what: &'static str,
    about: Option<String>,
}

/// None: it is not told of. Orders are a member's run's own, many in each epoch.
pub fn noted(request: &Request) -> Option<Noted> {
    let short = |text: &str| Some(text.chars().take(MAX_ABOUT).collect::<String>());
    let (what, about) = match request {
        Request::Stage { deployment, .. } => ("stage", short(&deployment.name)),
        Request::Start { job } => ("start", Some(format!("job {}", job.0))),
        Request::Stop { job, .. } => ("stop", Some(format!("job {}", job.0))),
        Request::Kill { job } => ("kill", Some(format!("job {}", job.0))),
        Request::Scale { job, .. } => ("scale", Some(format!("job {}", job.0))),
        Request::Savepoint { job, .. } => ("savepoint", Some(format!("job {}", job.0))),
        Request::Upgrade { looks_only: true, .. } => return None,
        Request::Upgrade { job, .. } => ("upgrade", Some(format!("job {}", job.0))),
        Request::RollBack { job, .. } => ("roll_back", Some(format!("job {}", job.0))),
        Request::Forget { job } => ("forget", Some(format!("job {}", job.0))),
        Request::Enlist { address, .. } => ("enlist", short(address)),
        Request::Balance => ("balance", None),
        Request::Drain { drains: None, .. } => return None,
        Request::Drain { node, drains: Some(true) } => ("drain", node.as_deref().and_then(short)),
        Request::Drain { node, drains: Some(false) } => ("undrain", node.as_deref().and_then(short)),
        Request::TakePart { deployment, .. } => ("take_part", short(&deployment.name)),
        Request::Dismiss { .. } => ("dismiss", None),
        Request::Deploy { deployment } => ("deploy", short(&deployment.name)),
        Request::Remove { deployment } => ("remove", short(deployment)),
        Request::Replica { deployment, .. } => ("replica", short(deployment)),
        Request::Invite { role, .. } => ("token", short(role)),
        Request::Revoke { name } => ("revoke", short(name)),
        Request::Expel { node } => ("expel", short(node)),
        Request::Describe
        | Request::Certificates
        | Request::Cluster { .. }
        // Nodes among themselves, many a second; what it is about is in the group's own log.
        | Request::Consensus { .. }
        | Request::Timeline { .. }
        | Request::Ping { .. }
        | Request::WatchFigures { .. }
        | Request::Tap { .. }
        | Request::WatchResults { .. }
        | Request::Order { .. } => return None,
    };
    Some(Noted { what, about })
}

impl Noted {
    pub fn tell(&self, caller: &Caller, reply: &Reply) {
        let outcome = match reply {
            Reply::Failed { diagnostic } => Outcome::Refused(&diagnostic.code),
            Reply::Rejected { diagnostics } => {
                let first = diagnostics.iter().find(|found| found.is_error());
                Outcome::Refused(first.map_or(codes::BUG, |found| &found.code))
            }
            _ => Outcome::Done,
        };
        caller.tell(self.what, self.about.as_deref(), outcome);
    }
}
