//! What the node that leads knows of its cluster: who has joined and how it is, where tasks run, and what went wrong.
//!
//! ```text
//! sessions with members ── watch, once a second ──▶ Roster ┐
//! runs' attempts ── muster, begin ────────────────▶ Places ├──▶ one look: `Cluster`
//! runs' notices, members lost ────────────────────▶ Timeline ┘
//! ```
//!
//! Control nodes tell each other their timelines ([`share`]), so that each shows what all have seen ([`others`]), and what a node saw outlives it.
//!
//! It is kept in memory and ends with the node, but for the timelines where there is a file for them ([`Seen::keep_in`]). Nothing here is on a row's way:
//! a look reads counters that are there anyway.

mod kept;
mod others;
mod places;
mod roster;
mod sharing;
mod timeline;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_model::NodeId;
use millrace_plan::{LEADER, Member, PhysicalPlan, Placement};
use millrace_wire::cluster::happenings::{
    ALERT_FIRING, ALERT_RESOLVED, AUTOSCALE_REFUSED, AUTOSCALED, CHECKPOINT_FAILED, CHECKPOINT_SLOW, FAILED, LEADER_CHANGED, MOVED,
    NODE_DRAINS, NODE_JOINED, NODE_LEFT, NODE_LOST, NODE_RESUMED, NODE_SUSPECTED, NODE_TAKES_PART, RESCALED, RESTARTED, ROLLED_BACK,
    RUNNING, TASKS_LOST, UPGRADED,
};
use millrace_wire::cluster::{
    Cluster, ClusterNode, ControlLook, ControlNode, Drain, FaultTimeline, Happening, Health, Incident, PageMark, Standing, TimelinePage,
};
use millrace_wire::message::{EngineDescription, JobId, Notice};

pub use kept::Keeping;
pub use roster::{Look, Traffic};
pub use sharing::share;
pub use watch::Watching;

use others::Others;
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
    /// What other control nodes have seen.
    others: Others,
    /// Who was last known to lead the control group.
    leader: Option<ControlNode>,
}

impl State {
    /// Of all that the timeline tells, this node's own and what it has heard.
    const fn revision(&self) -> u64 {
        self.timeline.revision() + self.others.revision()
    }

    /// The timeline, if it has changed since.
    fn told(&self, known: u64) -> Option<FaultTimeline> {
        let revision = self.revision();
        (known != revision).then(|| FaultTimeline { revision, incidents: self.others.with(self.timeline.incidents()) })
    }

    fn own(&self) -> Vec<Incident> {
        self.timeline.incidents().cloned().collect()
    }

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

    /// A member is being emptied from now on, or takes part again.
    pub fn drains(&self, member: Member, drains: bool) {
        let mut state = self.state();
        let Some(address) = state.roster.drains(member, drains) else { return };
        let (kind, message) =
            if drains { (NODE_DRAINS, "it is drained: its tasks go to others") } else { (NODE_TAKES_PART, "it takes part again") };
        state.timeline.note(of_node(now_us(), kind, &address, message.to_owned()));
    }

    /// What stays at members although they are being emptied, each with why.
    pub fn stays(&self, stays: &BTreeMap<Member, Vec<String>>) {
        self.state().roster.stays(stays);
    }

    /// The same of one member, with how far it has come.
    pub fn drain(&self, member: Member) -> (Drain, Vec<String>) {
        let state = self.state();
        state.roster.drain(member, state.places.load(member))
    }

    /// A member is gone, and the tasks that it ran. Said once, whoever finds it first.
    pub fn lost(&self, member: Member, why: &str) {
        let now = now_us();
        let mut state = self.state();
        let load = state.places.load(member);
        // It ends once nothing is there, which is before it is looked at again: what it said last is that it drains.
        let has_left = load.tasks == 0 && state.roster.drain(member, load).0 != Drain::No;
        let why = if has_left { "it was drained, and has left" } else { why };
        let Some(address) = state.roster.turn(member, Standing::Lost, Some(why), now) else { return };
        if has_left {
            return state.timeline.note(of_node(now, NODE_LEFT, &address, why.to_owned()));
        }
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

    /// How new what is known of other control nodes' timelines is.
    fn marks(&self) -> BTreeMap<String, PageMark> {
        self.state().others.marks()
    }

    /// Another control node has told what it has seen and heard. `clock`: this node's when it asked, the other's, and this node's when it heard.
    fn heard(&self, own: &str, by: &str, pages: Vec<TimelinePage>, clock: (i64, i64, i64)) {
        let (asked_us, told_us, heard_us) = clock;
        let mut state = self.state();
        state.others.take(own, pages);
        state.others.clock(by, told_us, asked_us, heard_us);
    }

    /// What this control node has seen and heard, as far as it is newer than what is known; and what its clock tells.
    pub(crate) fn pages(&self, own: &str, incarnation: u64, known: &BTreeMap<String, PageMark>) -> (i64, Vec<TimelinePage>) {
        let state = self.state();
        let mark = PageMark { incarnation, revision: state.timeline.revision() };
        let page = TimelinePage { by: own.to_owned(), mark, incidents: state.own() };
        (now_us(), state.others.told(page, known))
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
    pub fn placed(&self, job: JobId, name: &str, plan: &PhysicalPlan, placement: &Placement, stays: &[bool]) {
        self.state().places.placed(job, file_name(name), plan, placement, stays);
    }

    /// Whether a run would be spread better over these slots than it is.
    pub fn would_spread_better(&self, job: JobId, slots: &BTreeMap<Member, u32>) -> bool {
        self.state().places.would_spread_better(job, slots)
    }

    pub fn over(&self, job: JobId) {
        self.state().places.over(job);
    }

    /// A run tells something. What belongs into the fault timeline is taken in.
    pub fn noticed(&self, job: JobId, notice: &Notice) {
        let kind = match notice.kind.as_str() {
            "restarted" => RESTARTED,
            "checkpoint_failed" => CHECKPOINT_FAILED,
            "checkpoint_slow" => CHECKPOINT_SLOW,
            "failed" => FAILED,
            "rescaled" => RESCALED,
            "moved" => MOVED,
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
        Cluster { at_us: now_us(), nodes, links: state.roster.links(), jobs: Vec::new(), timeline: state.told(known), control: None }
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
        drain: own.drain.unwrap_or_default(),
        stays: Vec::new(),
        version: Some(own.version.clone()),
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
