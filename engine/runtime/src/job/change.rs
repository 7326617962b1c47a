//! Changes of a run while it is under way: what is asked for, whether it can be, and what comes of it.
//!
//! A run goes over at an epoch that is taken on purpose: the last one of an attempt, behind whose barrier nothing is read any more. The tasks end
//! in order, as for a stop, and the next attempt goes on from that epoch as what was asked for. A failure on the way goes back to an epoch, as
//! any other does; the change stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_model::NodeId;
use millrace_plan::key_group::DEFAULT_KEY_GROUPS;
use millrace_plan::{BoundNode, Distribution, LogicalPlan, PhysicalPlan};
use millrace_state::checkpoint::SavepointName;
use millrace_wire::change::{ChangeFigures, Changed, Scale, StateKept};
use tokio::sync::{oneshot, watch};

use crate::checkpoint::{StateHome, codes};
use crate::error::{RunError, RunResult};
use crate::job::keep::outlook;
use crate::job::setup::Shared;
use crate::job::wiring::{connections, counters};
use crate::job::{JobOptions, cut};
use crate::share::Team;

/// The most channels that a run may be cut into while it is under way: each holds rows of its own.
const MOST_CHANNELS: usize = 1 << 16;

/// Names of nodes in one sentence.
const MOST_NAMED: usize = 5;

/// What is asked for.
pub enum Wanted {
    /// The same pipeline in other numbers of tasks.
    Scale(Scale),
    /// The same pipeline in the same numbers of tasks, spread over those that take part now. Why, in words: `moved off ws://127.0.0.1:7401`.
    Spread(String),
    Pipeline(Box<NewPipeline>),
}

/// A pipeline that a run is to go on as.
pub struct NewPipeline {
    pub plan: LogicalPlan,
    pub options: JobOptions,
    /// From one epoch's begin to the next one's.
    pub every: Duration,
    /// The processes that it may be spread over, which are told of this pipeline.
    pub team: Option<Arc<dyn Team>>,
    pub way: Way,
}

/// How a run becomes another pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// From an epoch that is taken for it, and kept under this name.
    Upgrade { savepoint: SavepointName, allow_state_loss: bool },
    /// From a savepoint. What came after it is given up, also what sinks have shown of it, if that is allowed.
    Back { to: SavepointName, allow_rewind: bool },
}

/// How the run gets from the attempt that ends to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// By the last epoch of this one, kept under a name if there is one.
    AtEpoch(Option<SavepointName>),
    /// By a savepoint: the attempt ends at once.
    AtSavepoint { to: SavepointName, allow_rewind: bool },
}

/// What a run is to be next.
pub struct Next {
    plan: LogicalPlan,
    physical: PhysicalPlan,
    options: JobOptions,
    /// Where state is kept, and how, if that changes.
    home: Option<StateHome>,
    team: Option<Arc<dyn Team>>,
    /// A stable word for it: what its notice is called.
    kind: &'static str,
    what: String,
    pub over: Over,
}

type Answer = oneshot::Sender<RunResult<Changed>>;

/// The changes of one run, one at a time: asked for by whoever holds it, carried out by its control.
pub struct Changes {
    slot: Mutex<Slot>,
    bell: watch::Sender<u64>,
}

#[derive(Default)]
struct Slot {
    wanted: Option<(Wanted, Answer)>,
    under_way: Option<UnderWay>,
    is_over: bool,
    newest: Option<ChangeFigures>,
}

struct UnderWay {
    kind: &'static str,
    what: String,
    /// None once an attempt was begun with it.
    next: Option<Next>,
    /// When nothing was read any more.
    since_ns: Option<u64>,
    fault: Option<String>,
    answer: Answer,
}

impl Default for Changes {
    fn default() -> Self {
        Changes { slot: Mutex::default(), bell: watch::Sender::new(0) }
    }
}

impl Changes {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a change. What comes of it is told by the receiver.
    ///
    /// # Errors
    /// If another is under way, or the run is over.
    pub fn ask(&self, wanted: Wanted) -> RunResult<oneshot::Receiver<RunResult<Changed>>> {
        let mut slot = self.slot();
        if slot.is_over {
            return Err(unchangeable("the run is over".to_owned(), "change the pipeline's file, and run that"));
        }
        if slot.wanted.is_some() || slot.under_way.is_some() {
            let message = "another change of the run is under way".to_owned();
            return Err(RunError::State { code: codes::CHANGING, message, help: "wait until it is through", retryable: true });
        }
        let (answer, answered) = oneshot::channel();
        slot.wanted = Some((wanted, answer));
        drop(slot);
        self.bell.send_modify(|rung| *rung += 1);
        Ok(answered)
    }

    /// Rings when something is asked for.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// Decides upon what is asked for. How the run gets there, if a change is under way from now on.
    pub fn consider(&self, at_us: i64, decide: impl FnOnce(Wanted) -> RunResult<Next>) -> Option<Over> {
        let mut slot = self.slot();
        let (wanted, answer) = slot.wanted.take()?;
        match decide(wanted) {
            Ok(next) => {
                let (kind, what, over) = (next.kind, next.what.clone(), next.over.clone());
                slot.newest = Some(ChangeFigures { what: what.clone(), at_us, epoch: None, pause_us: None });
                slot.under_way = Some(UnderWay { kind, what, next: Some(next), since_ns: None, fault: None, answer });
                Some(over)
            }
            Err(refusal) => {
                // Whoever asked may be gone.
                let _ = answer.send(Err(refusal));
                None
            }
        }
    }

    /// Nothing comes of the change that is under way: the run goes on as it was.
    pub fn refuse(&self, why: RunError) {
        let mut slot = self.slot();
        if let Some(change) = slot.under_way.take() {
            slot.newest = None;
            let _ = change.answer.send(Err(why));
        }
    }

    pub fn is_under_way(&self) -> bool {
        self.slot().under_way.is_some()
    }

    /// Whether one could be asked for.
    pub fn is_idle(&self) -> bool {
        let slot = self.slot();
        !slot.is_over && slot.wanted.is_none() && slot.under_way.is_none()
    }

    /// Nothing is read any more.
    pub fn pauses(&self, now_ns: u64) {
        if let Some(change) = &mut self.slot().under_way {
            change.since_ns.get_or_insert(now_ns);
        }
    }

    /// What went wrong on the way: the first of it.
    pub fn failed(&self, cause: &str) {
        if let Some(change) = &mut self.slot().under_way {
            change.fault.get_or_insert_with(|| cause.to_owned());
        }
    }

    /// What the next attempt is to be, if that is another than before. Given once.
    pub fn adopt(&self) -> Option<Next> {
        self.slot().under_way.as_mut()?.next.take()
    }

    /// Rows flow again, from that epoch on: the change is through. Its kind, and what came of it.
    pub fn flows(&self, epoch: u64, now_ns: u64) -> Option<(&'static str, Changed)> {
        let mut slot = self.slot();
        let change = slot.under_way.take()?;
        let pause_us = now_ns.saturating_sub(change.since_ns.unwrap_or(now_ns)) / 1_000;
        if let Some(newest) = &mut slot.newest {
            (newest.epoch, newest.pause_us) = (Some(epoch), Some(pause_us));
        }
        let changed = Changed { what: change.what, epoch, pause_us, fault: change.fault };
        let _ = change.answer.send(Ok(changed.clone()));
        Some((change.kind, changed))
    }

    /// The run is over: nothing more comes of what was asked.
    pub fn over(&self) {
        let mut slot = self.slot();
        slot.is_over = true;
        let wanted = slot.wanted.take().map(|(_, answer)| answer);
        for answer in wanted.into_iter().chain(slot.under_way.take().map(|change| change.answer)) {
            let _ = answer.send(Err(unchangeable("the run ended before the change was through".to_owned(), "see how it ended")));
        }
    }

    /// The newest change that was taken up.
    pub fn newest(&self) -> Option<ChangeFigures> {
        self.slot().newest.clone()
    }
}

impl Shared {
    /// The run as it is asked to go on.
    ///
    /// # Errors
    /// If it cannot, with the reason.
    pub fn changed(&self, wanted: Wanted) -> RunResult<Next> {
        let Some(home) = &self.host.state else {
            let message = "a run without checkpoints has no epoch at which it could go over".to_owned();
            return Err(unchangeable(message, "set `checkpoint_every` under [pipeline], and run it again"));
        };
        match wanted {
            Wanted::Scale(scale) => self.rescaled(&scale),
            Wanted::Spread(what) => self.spread_anew(what),
            Wanted::Pipeline(pipeline) => self.replaced(*pipeline, home),
        }
    }

    /// The run as another pipeline.
    fn replaced(&self, wanted: NewPipeline, home: &StateHome) -> RunResult<Next> {
        let NewPipeline { plan, options, every, team, way } = wanted;
        let mut home = home.resuming();
        home.every = every;
        let (kind, what, over) = match way {
            Way::Upgrade { savepoint, allow_state_loss } => {
                let StateKept { lost, .. } = outlook(&self.plan, &plan, &self.registry);
                if !lost.is_empty() && !allow_state_loss {
                    let message = format!("the new pipeline cannot keep all of the state: {}", lost.join("; "));
                    return Err(unchangeable(message, "bring those nodes back as they were; or allow it, with --allow-state-loss"));
                }
                home.allows.state_loss = allow_state_loss;
                ("upgraded", "upgraded".to_owned(), Over::AtEpoch(Some(savepoint)))
            }
            Way::Back { to, allow_rewind } => {
                ("rolled_back", format!("rolled back to savepoint `{to}`"), Over::AtSavepoint { to, allow_rewind })
            }
        };
        let physical = cut(&plan, &self.registry, options.parallelism, &self.host.files);
        Ok(Next { plan, physical, options, home: Some(home), team, kind, what, over })
    }

    /// The run as it is, whose next attempt asks anew who takes part.
    fn spread_anew(&self, what: String) -> RunResult<Next> {
        if self.host.team.is_none() {
            return Err(unchangeable("the run is of one process alone".to_owned(), "nothing of it can be elsewhere"));
        }
        let (plan, physical, options) = (self.plan.clone(), self.physical.clone(), self.options.clone());
        Ok(Next { plan, physical, options, home: None, team: None, kind: "moved", what, over: Over::AtEpoch(None) })
    }

    /// The run in other numbers of tasks.
    fn rescaled(&self, scale: &Scale) -> RunResult<Next> {
        self.check(scale)?;
        let (mut plan, mut options) = (self.plan.clone(), self.options.clone());
        options.parallelism = scale.parallelism.unwrap_or(options.parallelism);
        for node in &mut plan.nodes {
            if let Some(tasks) = scale.nodes.get(node.id()) {
                node.decl.common.parallelism = Some(*tasks);
            }
        }
        let physical = cut(&plan, &self.registry, options.parallelism, &self.host.files);
        let tasks = physical.tasks();
        for (id, wanted) in &scale.nodes {
            let most = tasks.get(id).copied().unwrap_or(1);
            if most < *wanted {
                return Err(unchangeable(self.fixed(id, most), "give it fewer tasks, or others more"));
            }
        }
        if physical == self.physical {
            let message = "the run has these numbers of tasks already".to_owned();
            let help = "see them: millrace ps; a node with `parallelism` of its own, and a sink of one file, keep theirs";
            return Err(unchangeable(message, help));
        }
        let channels: usize = physical.exchanges.iter().map(|exchange| connections(exchange, &physical).count()).sum();
        if channels > MOST_CHANNELS {
            let message = format!("{channels} channels between tasks are more than the {MOST_CHANNELS} that a run may have");
            return Err(unchangeable(message, "ask for fewer tasks"));
        }
        let what = self.in_words(scale, &physical);
        Ok(Next { plan, physical, options, home: None, team: None, kind: "rescaled", what, over: Over::AtEpoch(None) })
    }

    fn check(&self, scale: &Scale) -> RunResult<()> {
        if scale.parallelism.is_none() && scale.nodes.is_empty() {
            return Err(unchangeable("no number of tasks was given".to_owned(), "name one for the run, or for some of its nodes"));
        }
        for wanted in scale.parallelism.iter().chain(scale.nodes.values()) {
            if *wanted == 0 || *wanted > u32::from(DEFAULT_KEY_GROUPS) {
                let message = format!("{wanted} tasks are none that a node can run as");
                return Err(unchangeable(message, "ask for 1 to 1024: state is divided into so many groups of keys"));
            }
        }
        match scale.nodes.keys().find(|id| self.plan.node(id).is_none()) {
            Some(unknown) => Err(unchangeable(format!("the pipeline has no node `{unknown}`"), "name nodes as the pipeline file does")),
            None => Ok(()),
        }
    }

    /// Why a node has no more tasks than it has.
    fn fixed(&self, id: &NodeId, most: u32) -> String {
        let is_single = |node: &BoundNode| matches!(node.distribution, Distribution::Single);
        if self.plan.node(id).is_some_and(is_single) {
            return format!("`{id}` has one task: its rows come together in one place");
        }
        format!("`{id}` has at most {most} tasks: its input is in no more parts")
    }

    fn in_words(&self, scale: &Scale, physical: &PhysicalPlan) -> String {
        let (before, after) = (self.physical.tasks(), physical.tasks());
        let of_node = |(id, _): (&NodeId, &u32)| {
            let tasks = |of: &BTreeMap<NodeId, u32>| of.get(id).copied().unwrap_or(1);
            format!("`{id}` from {} to {}", tasks(&before), tasks(&after))
        };
        let of_all = scale.parallelism.map(|to| format!("from {} to {to}", self.options.parallelism));
        let mut parts: Vec<String> = of_all.into_iter().chain(scale.nodes.iter().map(of_node)).collect();
        let unnamed = parts.len().saturating_sub(MOST_NAMED);
        if unnamed > 0 {
            parts.truncate(MOST_NAMED);
            parts.push(format!("{unnamed} more"));
        }
        format!("rescaled {}", parts.join(", "))
    }

    /// The run as it goes on, once all tasks of the attempt before have ended. Its counters go on too.
    pub fn becoming(&self, next: Next) -> Shared {
        let Next { plan, physical, options, home, team, .. } = next;
        let mut host = self.host.clone();
        host.state = home.or(host.state);
        host.team = team.or(host.team);
        let (clock, before) = (self.host.clock.as_ref(), self.telemetry.as_ref());
        let telemetry = counters(&plan, &physical, &self.registry, options.batch_rows, clock, &self.samples, Some(before));
        Shared {
            state: self.state.clone(),
            plan,
            physical,
            registry: self.registry.clone(),
            options,
            host,
            telemetry: Arc::new(telemetry),
            notices: self.notices.clone(),
            kept_epoch: self.kept_epoch.clone(),
            samples: self.samples.clone(),
            replays: self.replays.clone(),
        }
    }
}

/// That a run cannot be changed so.
pub fn unchangeable(message: String, help: &'static str) -> RunError {
    RunError::State { code: codes::UNCHANGEABLE, message, help, retryable: false }
}

/// A change that comes while the run is at its end.
pub fn too_late() -> RunError {
    unchangeable("the run is coming to its end".to_owned(), "nothing is left to change")
}
