//! What a certificate lets its holder ask.

use std::fmt;

use millrace_wire::message::Request;
use serde::{Deserialize, Serialize};

/// What somebody was let in as. `view` < `operate` < `admin`; nodes are beside them: they take part in runs, and begin none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    View,
    Operate,
    Admin,
    Node,
    /// A node that may hold the authority's key: the first one, and control nodes that joined with a token of this role. They alone are shown join
    /// tokens: no other node can have what one is good for.
    Control,
}

/// What a request wants its asker to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To look.
    View,
    /// To change what runs.
    Operate,
    /// To empty nodes: who changes what runs may, and nodes among themselves, which pass it on.
    Empty,
    /// To be a member of the cluster.
    Member,
    /// To decide who is let in, and who is of the control group.
    Admin,
    /// To be a node: what nodes say among themselves is nobody else's, not even an administrator's.
    Node,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::View, Role::Operate, Role::Admin, Role::Node, Role::Control];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::View => "view",
            Role::Operate => "operate",
            Role::Admin => "admin",
            Role::Node => "node",
            Role::Control => "control",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether it answers others.
    pub const fn is_node(self) -> bool {
        matches!(self, Role::Node | Role::Control)
    }

    pub const fn covers(self, need: Need) -> bool {
        match need {
            Need::View => true,
            Need::Operate => matches!(self, Role::Operate | Role::Admin),
            Need::Admin => matches!(self, Role::Admin),
            Need::Empty => !matches!(self, Role::View),
            Need::Member => matches!(self, Role::Node | Role::Control | Role::Admin),
            Need::Node => self.is_node(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Need {
    /// The least role that serves.
    pub const fn role(self) -> Role {
        match self {
            Need::View => Role::View,
            Need::Operate | Need::Empty => Role::Operate,
            Need::Admin => Role::Admin,
            Need::Member | Need::Node => Role::Node,
        }
    }
}

/// What a request needs. Without a default: whoever adds a request decides here.
pub const fn need(request: &Request) -> Need {
    match request {
        Request::Describe
        | Request::Cluster { .. }
        | Request::Ping { .. }
        | Request::WatchFigures { .. }
        | Request::Tap { .. }
        | Request::WatchResults { .. } => Need::View,
        Request::Stage { .. }
        | Request::Start { .. }
        | Request::Stop { .. }
        | Request::Kill { .. }
        | Request::Scale { .. }
        | Request::Balance
        | Request::Savepoint { .. }
        | Request::Upgrade { .. }
        | Request::RollBack { .. }
        | Request::Deploy { .. }
        | Request::Remove { .. }
        | Request::Forget { .. } => Need::Operate,
        Request::Invite { .. } | Request::Revoke { .. } | Request::Certificates | Request::Expel { .. } => Need::Admin,
        // To look how far it has come is a look at the node.
        Request::Drain { drains: None, .. } => Need::View,
        Request::Drain { .. } => Need::Empty,
        Request::Consensus { .. } | Request::Replica { .. } | Request::Timeline { .. } => Need::Node,
        Request::Enlist { .. } | Request::TakePart { .. } | Request::Order { .. } | Request::Dismiss { .. } => Need::Member,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_covers_what_the_one_below_does_and_a_node_begins_no_runs() {
        let needs = [Need::View, Need::Operate, Need::Empty, Need::Admin, Need::Member, Need::Node];
        let covered = |role: Role| needs.map(|need| role.covers(need));
        assert_eq!(covered(Role::View), [true, false, false, false, false, false]);
        assert_eq!(covered(Role::Operate), [true, true, true, false, false, false]);
        assert_eq!(covered(Role::Admin), [true, true, true, true, true, false]);
        assert_eq!(covered(Role::Node), [true, false, true, false, true, true]);
        assert_eq!(covered(Role::Control), [true, false, true, false, true, true]);
    }

    #[test]
    fn the_least_role_that_is_told_serves() {
        for need in [Need::View, Need::Operate, Need::Empty, Need::Admin, Need::Member, Need::Node] {
            assert!(need.role().covers(need));
        }
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
        assert_eq!(Role::parse("root"), None);
    }
}
