//! A run that several processes share: one leads it, others run tasks of its operators.
//!
//! ```text
//! leader                                          member
//! sources, sinks, its own operators               operators
//!   channel ── pump ── bytes of one edge ──────── pump ── channel
//! epochs, manifests, commits ◀── reports ──────── tasks' reports, parts that are at rest
//!              orders (hasten, abort) ──────────▶
//! ```
//!
//! Barriers, watermarks and ends travel in band, as within a process, so that a member needs no epoch told: its tasks acknowledge, it
//! puts their parts to rest where the run's state lies, and reports the entries. Sources and sinks stay with the leader, near the files and
//! the folders that they belong to. A member that is lost fails the attempt; the next one is spread over those that are left.
//!
//! What carries bytes, orders and reports is handed in ([`Team`]): sockets, or memory in tests.

mod codes;
pub(crate) mod edges;
mod memory;
mod travel;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_model::NodeId;
use millrace_plan::{Member, PhysicalPlan, Placement};
use millrace_state::checkpoint::PartEntry;
pub use millrace_wire::message::EdgeId;
use millrace_wire::message::{Failure, Notice};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::RunResult;

pub use crate::job::member::{Part, take_part};
pub use crate::telemetry::mirror::Mirror;
pub use codes::{FOREIGN, MEMBER_LOST, member_lost};
pub use memory::joined;

/// What an attempt begins with at a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareStart {
    pub me: Member,
    /// The leader's: what a source's files say of it is not known elsewhere.
    pub plan: PhysicalPlan,
    pub placement: Placement,
    /// When the run first began, microseconds since 1970: it names the run's state.
    pub run_start_us: i64,
    pub is_durable: bool,
    /// The attempt's epochs come after this number.
    pub after: u64,
    /// The epoch to go on from.
    pub restored: Option<u64>,
    /// In a pipeline that changed: whose state each node takes over.
    pub carried: Option<BTreeMap<NodeId, NodeId>>,
}

impl ShareStart {
    /// How many tasks run at the member.
    pub fn tasks(&self) -> usize {
        ShareStart::tasks_of(&self.plan, &self.placement, self.me)
    }

    pub(crate) fn tasks_of(plan: &PhysicalPlan, placement: &Placement, member: Member) -> usize {
        let vertices = plan.vertices.iter().enumerate();
        vertices.map(|(vertex, of)| (0..of.parallelism).filter(|task| placement.member(vertex, *task) == member).count()).sum()
    }
}

/// What a leader tells a member. When the leader is gone, that is an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum MemberOrder {
    /// The barriers of an epoch do not wait for each other any more.
    Hasten {
        epoch: u64,
    },
    Abort,
}

/// What a member tells its leader. When a member is gone without the end of all its tasks, it is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum MemberReport {
    /// All tasks are made and have their state back.
    Began,
    /// They could not be.
    NotBegun {
        failure: Box<Failure>,
    },
    /// A task has passed the barrier of an epoch, and what it held is at rest.
    AtRest {
        epoch: u64,
        part: PartEntry,
    },
    /// What it held could not be put to rest.
    Declined {
        epoch: u64,
        node: NodeId,
        task: u32,
        why: String,
    },
    /// A task has ended.
    Ended,
    Cancelled,
    Failed {
        failure: Box<Failure>,
    },
    Counters {
        mirror: Box<Mirror>,
    },
    Notice {
        notice: Notice,
    },
    /// Records of a node that nobody takes, as JSON.
    Quarantined {
        node: NodeId,
        lines: Vec<String>,
    },
}

/// Carries the bytes of edges between a leader and one of its members.
#[async_trait]
pub trait Edges: Send + Sync {
    /// Sends the next bytes of an edge, once the other end has room for them. Fails if the other end is gone.
    async fn send(&self, edge: EdgeId, bytes: Bytes) -> RunResult<()>;

    /// The next bytes of an edge; none if the other end is gone. One reader an edge. Dropping the future loses nothing.
    async fn receive(&self, edge: EdgeId) -> Option<Bytes>;
}

/// A member's side of an attempt, as its leader has it.
pub struct FarMember {
    pub orders: mpsc::Sender<MemberOrder>,
    pub reports: mpsc::Receiver<MemberReport>,
    pub edges: Arc<dyn Edges>,
}

/// A leader's side of an attempt, as a member has it.
pub struct FarLeader {
    pub orders: mpsc::Receiver<MemberOrder>,
    pub reports: mpsc::Sender<MemberReport>,
    pub edges: Arc<dyn Edges>,
}

/// The processes that a leader may spread a run over.
#[async_trait]
pub trait Team: Send + Sync {
    /// Those that can take part now, and of how many tasks of each operator. The leader counts as well, if it is to run any.
    async fn muster(&self) -> BTreeMap<Member, u32>;

    /// An attempt is spread like this, before anything of it begins.
    fn spread(&self, _plan: &PhysicalPlan, _placement: &Placement) {}

    /// Begins an attempt at a member.
    ///
    /// # Errors
    /// One that may pass, where the member cannot be reached.
    async fn begin(&self, start: ShareStart) -> RunResult<FarMember>;

    /// What a person knows a member by, also one that is gone.
    fn name(&self, member: Member) -> String {
        format!("process {} of the run", member.0)
    }
}
