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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_model::NodeId;
use millrace_plan::key_group::groups_of;
use millrace_plan::{ExchangeKind, Member, PhysicalPlan, Placement};
use millrace_state::checkpoint::{Manifest, PartEntry, TaskId};
use millrace_state::snapshot::Counts;
use millrace_state::store::Gate;
pub use millrace_wire::message::EdgeId;
use millrace_wire::message::{Failure, Notice};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::RunResult;

pub use crate::job::member::{Part, take_part, told_every};
pub use crate::telemetry::mirror::Mirror;
pub use codes::{FOREIGN, MEMBER_LOST, member_lost};
pub use memory::joined;
pub use travel::foreign;

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
    /// What the nodes had counted at that epoch.
    pub counted: BTreeMap<NodeId, Counts>,
    /// In a pipeline that changed: whose state each node takes over.
    pub carried: Option<BTreeMap<NodeId, NodeId>>,
}

impl ShareStart {
    /// How many tasks run at the member.
    pub fn tasks(&self) -> usize {
        ShareStart::tasks_of(&self.plan, &self.placement, self.me)
    }

    /// Whether the member's tasks go on from anything of a former task: from its rows in flight, or from key groups that it owned.
    pub(crate) fn wants(&self, manifest: &Manifest, former: &TaskId) -> bool {
        let heads: BTreeSet<&NodeId> = self.plan.vertices.iter().filter_map(|vertex| vertex.nodes.first()).collect();
        let formerly: BTreeSet<&NodeId> = manifest.parts.iter().map(|part| &part.task.node).collect();
        if self.carried.is_some() || heads != formerly {
            // The nodes were in other tasks then: which of them one had is known by its part alone.
            return true;
        }
        let mut vertices = self.plan.vertices.iter().enumerate();
        let Some((index, vertex)) = vertices.find(|(_, vertex)| vertex.nodes.first() == Some(&former.node)) else { return true };
        let mut mine = (0..vertex.parallelism).filter(|task| self.placement.member(index, *task) == self.me);
        let into = || self.plan.exchanges.iter().filter(|exchange| exchange.to_vertex == index);
        if into().any(|exchange| !matches!(exchange.kind, ExchangeKind::Hash { .. })) || into().next().is_none() {
            return mine.next().is_some();
        }
        let tasks = manifest.parts.iter().filter(|part| part.task.node == former.node).count() as u32;
        let owned = groups_of(former.task, manifest.key_groups, tasks);
        mine.any(|task| {
            let owns = groups_of(task, manifest.key_groups, vertex.parallelism);
            owns.start < owned.end && owned.start < owns.end
        })
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

    /// The next bytes of an edge; none if the other end is gone. One reader an edge. Dropping the future loses nothing. Fails if what came is nothing
    /// that the other end can have sent.
    async fn receive(&self, edge: EdgeId) -> RunResult<Option<Bytes>>;
}

/// A member's side of an attempt, as its leader has it.
pub struct FarMember {
    pub orders: mpsc::Sender<MemberOrder>,
    pub reports: mpsc::Receiver<MemberReport>,
    pub edges: Arc<dyn Edges>,
    /// Between the member and the store of the run's state: shut once the attempt is over. What a member had under way then would else be put
    /// down after the run has gone back, or was forgotten.
    pub gate: Gate,
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

    /// An attempt is spread like this, before anything of it begins. `stays`: of each vertex, whether its tasks are the leader's, whoever takes part.
    fn spread(&self, _plan: &PhysicalPlan, _placement: &Placement, _stays: &[bool]) {}

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

#[cfg(test)]
mod tests {
    use millrace_model::PortRef;
    use millrace_plan::{Exchange, LEADER, Vertex};
    use millrace_state::checkpoint::RunId;

    use super::*;

    fn vertex(head: &str, parallelism: u32) -> Vertex {
        Vertex { nodes: vec![NodeId::new(head)], parallelism, chained: Vec::new() }
    }

    /// A source at the leader, and an operator of four tasks by key at two members.
    fn start(me: u32) -> ShareStart {
        let exchange = Exchange {
            from: PortRef::main(NodeId::new("rows")),
            from_vertex: 0,
            to: NodeId::new("work"),
            input: 0,
            to_vertex: 1,
            kind: ExchangeKind::Hash { columns: vec!["k".to_owned()] },
        };
        let plan = PhysicalPlan { key_groups: 1024, vertices: vec![vertex("rows", 1), vertex("work", 4)], exchanges: vec![exchange] };
        let placement =
            Placement::spread(&plan, &BTreeMap::from([(Member(1), 2), (Member(2), 2)]), &|vertex| vertex.nodes[0].as_str() == "rows");
        assert_eq!(placement.member(0, 0), LEADER);
        ShareStart {
            me: Member(me),
            plan,
            placement,
            run_start_us: 0,
            is_durable: true,
            after: 1,
            restored: Some(1),
            counted: BTreeMap::new(),
            carried: None,
        }
    }

    fn manifest(work: u32) -> Manifest {
        let part =
            |node: &str, task| PartEntry { task: TaskId { node: NodeId::new(node), task }, bytes: 0, checksum: 0, blocks: Vec::new() };
        let parts = std::iter::once(part("rows", 0)).chain((0..work).map(|task| part("work", task))).collect();
        let (nodes, meanings, ready) = Default::default();
        Manifest { run: RunId(0), epoch: 1, taken_us: 0, ending: None, key_groups: 1024, nodes, meanings, parts, ready }
    }

    fn wanted(start: &ShareStart, manifest: &Manifest) -> Vec<u32> {
        let wants = manifest.parts.iter().filter(|part| start.wants(manifest, &part.task));
        wants.filter(|part| part.task.node.as_str() == "work").map(|part| part.task.task).collect()
    }

    #[test]
    fn each_former_task_is_wanted_where_its_key_groups_are_now() {
        for former in [1, 2, 3, 4, 8] {
            let manifest = manifest(former);
            let (first, second) = (wanted(&start(1), &manifest), wanted(&start(2), &manifest));
            assert!(first.len() + second.len() < 2 * former as usize || former == 1, "{former}: {first:?}, {second:?}");
            assert!((0..former).all(|task| first.contains(&task) || second.contains(&task)), "{former}: {first:?}, {second:?}");
        }
        assert!(!start(1).wants(&manifest(4), &TaskId { node: NodeId::new("rows"), task: 0 }), "the source stays with the leader");
    }

    #[test]
    fn a_pipeline_whose_nodes_were_in_other_tasks_wants_all_of_them() {
        let mut other = manifest(4);
        other.parts.push(PartEntry { task: TaskId { node: NodeId::new("more"), task: 0 }, bytes: 0, checksum: 0, blocks: Vec::new() });
        assert_eq!(wanted(&start(1), &other), [0, 1, 2, 3]);
        let changed = ShareStart { carried: Some(BTreeMap::new()), ..start(1) };
        assert_eq!(wanted(&changed, &manifest(4)), [0, 1, 2, 3]);
    }
}
