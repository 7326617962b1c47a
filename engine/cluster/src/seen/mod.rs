//! What the node that leads knows of its cluster: who has joined and how it is, where tasks run, and what went wrong.
//!
//! ```text
//! sessions with members ── watch, once a second ──▶ Roster ┐
//! runs' attempts ── muster, begin ────────────────▶ Places ├──▶ one look: `Cluster`
//! runs' notices, members lost ────────────────────▶ Timeline ┘
//! ```
//!
//! It is kept in memory and ends with the node, but for the timeline where there is a file for it ([`Seen::keep_in`]). Nothing here is on a row's way:
//! a look reads counters that are there anyway.

mod kept;
mod places;
mod roster;
mod timeline;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_model::NodeId;
use millrace_plan::{LEADER, Member, PhysicalPlan, Placement};
use millrace_wire::cluster::happenings::{
    ALERT_FIRING, ALERT_RESOLVED, AUTOSCALE_REFUSED, AUTOSCALED, CHECKPOINT_FAILED, FAILED, LEADER_CHANGED, NODE_JOINED, NODE_LOST,
    NODE_RESUMED, NODE_SUSPECTED, RESCALED, RESTARTED, ROLLED_BACK, RUNNING, TASKS_LOST, UPGRADED,
};
use millrace_wire::cluster::{Cluster, ClusterNode, ControlLook, ControlNode, Happening, Health, Standing};
use millrace_wire::message::{EngineDescription, JobId, Notice};

pub use kept::Keeping;
pub use roster::{Look, Traffic};
pub use watch::Watching;

use places::Places;
use roster::Roster;
use timeline::Timeline;

/// How the process is that this engine runs in. Asked about once a second.
pub trait Vitals: Send + Sync + 'static {
    fn health(&self) -> Health;
}

/// For engines that are not asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVitals;

impl Vitals for NoVitals {
    fn health(&self) -> Health {
        Health::default()
    }
}

/// Shared by whoever learns something of the cluster. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    roster: Roster,
    places: Places,
    timeline: Timeline,
    /// Who was last known to lead the control group.
    leader: Option<ControlNode>,
}

impl State {
    fn of_job(&self, at_us: i64, kind: &str, job: JobId, message: String) -> Happening {
        Happening { at_us, kind: kind.to_owned(), node: None, job: Some(job), pipeline: self.places.name(job), alert: None, message }
    }
}

impl Seen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn joined(&self, member: Member, address: &str, slots: u32) {
        let now = now_us();
        let mut state = self.state();
        let incarnation = state.roster.joined(member, address, slots, now);
        let again = if incarnation > 1 { format!("; it has joined {incarnation} times") } else { String::new() };
        let tasks = if slots == 1 { "one task".to_owned() } else { format!("up to {slots} tasks") };
        let message = format!("takes part in {tasks} of each operator{again}");
        state.timeline.note(of_node(now, NODE_JOINED, address, message));
    }

    /// A member's connection was dropped, and is being made again.
    pub fn suspected(&self, member: Member, why: &str) {
        let now = now_us();
        let mut state = self.state();
        if let Some(address) = state.roster.turn(member, Standing::Suspected, Some(why), now) {
            state.timeline.note(of_node(now, NODE_SUSPECTED, &address, why.to_owned()));
        }
    }

    /// It was made again.
    pub fn resumed(&self, member: Member) {
        let now = now_us();
        let mut state = self.state();
        if let Some(address) = state.roster.turn(member, Standing::Joined, None, now) {
            let message = "it is in reach again, and nothing was lost".to_owned();
            state.timeline.note(of_node(now, NODE_RESUMED, &address, message));
        }
    }

    /// A member is gone, and the tasks that it ran. Said once, whoever finds it first.
    pub fn lost(&self, member: Member, why: &str) {
        let now = now_us();
        let mut state = self.state();
        let Some(address) = state.roster.turn(member, Standing::Lost, Some(why), now) else { return };
        let at = state.places.at(member);
        let tasks = at.into_iter().map(|(job, words)| state.of_job(now, TASKS_LOST, job, words)).collect();
        state.timeline.note_lost(of_node(now, NODE_LOST, &address, why.to_owned()), tasks);
    }

    /// The control group looks like this now. Another leader than before is told of.
    pub fn control(&self, look: &ControlLook) {
        let Some(leader) = look.leader() else { return };
        let mut state = self.state();
        let before = state.leader.replace(leader.clone());
        if let Some(before) = before.filter(|before| before.name != leader.name) {
            let message = format!("leads the control group in term {}, in place of {}", look.term, before.name);
            state.timeline.note(of_node(now_us(), LEADER_CHANGED, &leader.address, message));
        }
    }

    /// Something happened that is of no run that this node leads, to a node of the control group.
    pub fn told(&self, kind: &str, node: &str, message: &str) {
        self.state().timeline.note(of_node(now_us(), kind, node, message.to_owned()));
    }

    /// Where a member listens, or did.
    pub fn address(&self, member: Member) -> Option<String> {
        self.state().roster.address(member)
    }

    pub fn looked(&self, member: Member, look: Look) {
        self.state().roster.looked(member, look);
    }

    /// A run begins whose tasks these are.
    pub fn planned(&self, job: JobId, name: &str, plan: &PhysicalPlan) {
        self.state().places.planned(job, file_name(name), plan);
    }

    /// A run asks who can take part in its next attempt.
    pub fn gathers(&self, job: JobId) {
        self.state().places.gathers(job);
    }

    /// The attempt of a run is spread like this.
    pub fn placed(&self, job: JobId, name: &str, plan: &PhysicalPlan, placement: &Placement) {
        self.state().places.placed(job, file_name(name), plan, placement);
    }

    pub fn over(&self, job: JobId) {
        self.state().places.over(job);
    }

    /// A run tells something. What belongs into the fault timeline is taken in.
    pub fn noticed(&self, job: JobId, notice: &Notice) {
        let kind = match notice.kind.as_str() {
            "restarted" => RESTARTED,
            "checkpoint_failed" => CHECKPOINT_FAILED,
            "failed" => FAILED,
            "rescaled" => RESCALED,
            "autoscaled" => AUTOSCALED,
            "autoscale_refused" => AUTOSCALE_REFUSED,
            "upgraded" => UPGRADED,
            "rolled_back" => ROLLED_BACK,
            "started" => RUNNING,
            "alert_firing" => ALERT_FIRING,
            "alert_resolved" => ALERT_RESOLVED,
            _ => return,
        };
        let mut state = self.state();
        let happening = Happening { alert: notice.alert.clone(), ..state.of_job(notice.at_us, kind, job, notice.message.clone()) };
        state.timeline.note(happening);
    }

    pub fn places(&self, job: JobId) -> BTreeMap<NodeId, Vec<u32>> {
        self.state().places.of(job)
    }

    /// A look at nodes, links and the timeline, which comes along if it has changed since `known`. The runs are their host's to add.
    pub fn look(&self, own: &EngineDescription, known: u64) -> Cluster {
        let state = self.state();
        let load = |member| state.places.load(member);
        let mut nodes = vec![leader(own, load(LEADER))];
        nodes.extend(state.roster.nodes(load));
        Cluster {
            at_us: now_us(),
            nodes,
            links: state.roster.links(),
            jobs: Vec::new(),
            timeline: state.timeline.since(known),
            control: None,
        }
    }
}

fn leader(own: &EngineDescription, load: places::Load) -> ClusterNode {
    ClusterNode {
        member: LEADER.0,
        address: None,
        incarnation: 1,
        standing: Standing::Leads,
        since_us: own.health.map_or(0, |health| health.started_us),
        why: None,
        slots: None,
        slots_used: load.slots,
        tasks: load.tasks,
        cores: own.cores,
        memory_bytes: own.memory_bytes,
        health: own.health,
    }
}

fn of_node(at_us: i64, kind: &str, address: &str, message: String) -> Happening {
    Happening { at_us, kind: kind.to_owned(), node: Some(address.to_owned()), job: None, pipeline: None, alert: None, message }
}

/// The last part of a path, as either system writes it: where the file lies at the asking side means nothing here.
pub fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Wall clock, microseconds since 1970.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
