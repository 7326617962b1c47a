//! A member's side of an attempt: makes its share of the tasks, runs them, and tells the leader.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use millrace_model::NodeId;
use millrace_plan::LogicalPlan;
use millrace_state::checkpoint::{PartEntry, RunId, TaskId};
use millrace_state::snapshot::TaskPartWriter;
use millrace_wire::message::Notice;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::chain::CurrentWork;
use crate::checkpoint::Restored;
use crate::error::{RunError, RunResult};
use crate::job::coordinator::read_parts;
use crate::job::poison::Precautions;
use crate::job::setup::{self, Attempt, Lines, Made, Shared};
use crate::job::wiring::{Share, counters, wire};
use crate::job::{HostContext, JobOptions};
use crate::memory::PipelineState;
use crate::quarantine::QuarantineFile;
use crate::registry::Registry;
use crate::share::edges::FarEnds;
use crate::share::{Edges, FarLeader, MemberOrder, MemberReport, ShareStart};
use crate::task::boundary::panic_text;
use crate::task::sink_task::Decision;
use crate::task::{StopSignal, Stopping, TaskReport};
use crate::telemetry::NoticeBoard;

/// How often the counters of a small run are told.
const TOLD_EVERY: Duration = Duration::from_millis(250);
/// Tasks of a run that is small.
const SMALL_RUN_TASKS: usize = 1_000;
/// A large run's are told less often, and not less often than this many times that.
const LEAST_OFTEN: usize = 4;

/// How often the members of a run with so many tasks tell what these have counted: its leader reads all of it.
pub fn told_every(tasks: usize) -> Duration {
    TOLD_EVERY * (tasks / SMALL_RUN_TASKS).clamp(1, LEAST_OFTEN) as u32
}

/// What a member is given of a run.
pub struct Part {
    pub plan: LogicalPlan,
    pub registry: Registry,
    pub options: JobOptions,
    /// Its state is where the leader's is.
    pub host: HostContext,
    pub start: ShareStart,
}

/// Runs a member's share of an attempt until its tasks have ended, the leader aborts it, or the leader is gone.
pub async fn take_part(part: Part, leader: FarLeader) {
    let FarLeader { orders, reports, edges } = leader;
    let (shared, notices) = shared(&part);
    let work = CurrentWork::default();
    let begun = AssertUnwindSafe(begin(&shared, &part.start, &work)).catch_unwind().await;
    let begun = begun.unwrap_or_else(|panic| Err(RunError::bug(format!("making the tasks panicked: {}", panic_text(panic.as_ref())))));
    let (made, ends, told) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let failure = Box::new(shared.failed(&error, &work));
            let _ = reports.send(MemberReport::NotBegun { failure }).await;
            return;
        }
    };
    if reports.send(MemberReport::Began).await.is_err() {
        return;
    }
    let pumps = carry(&shared, ends, &edges);
    let Told { stop, hasten, inbox, given } = told;
    let quarantine = made.quarantine.clone();
    let running = made.tasks.len();
    let mut member =
        Member { shared: shared.clone(), start: part.start, reports, stop, hasten, quarantine, resting: JoinSet::new(), running };
    for task in made.tasks {
        let given = given.clone();
        // A runtime that has shut down ends the process.
        let _ = shared.host.data.spawn(async move {
            let report = task.run().await;
            let _ = given.send(report).await;
        });
    }
    drop(given);
    let is_whole = member.run(inbox, orders, notices).await;
    match pumps {
        // What the tasks gave out before they ended is still on its way.
        Ok(mut pumps) if is_whole => while pumps.next().await.is_some() {},
        Ok(pumps) => pumps.iter().for_each(JoinHandle::abort),
        Err(_) => {}
    }
}

fn shared(part: &Part) -> (Arc<Shared>, mpsc::Receiver<Notice>) {
    let Part { plan, registry, options, host, start } = part;
    let (samples, _) = mpsc::channel(1);
    let telemetry = Arc::new(counters(plan, &start.plan, registry, options.batch_rows, host.clock.as_ref(), &samples, None));
    let (board, notices) = NoticeBoard::new(host.clock.clone());
    let shared = Shared {
        state: PipelineState::new(host.data.memory().clone(), options.max_state),
        plan: plan.clone(),
        physical: start.plan.clone(),
        registry: registry.clone(),
        options: options.clone(),
        host: host.clone(),
        telemetry,
        notices: Arc::new(board),
        kept_epoch: Arc::default(),
        samples,
        replays: Arc::default(),
    };
    (Arc::new(shared), notices)
}

/// The ends by which tasks are told and tell.
struct Told {
    stop: StopSignal,
    hasten: watch::Sender<u64>,
    inbox: mpsc::Receiver<TaskReport>,
    given: mpsc::Sender<TaskReport>,
}

async fn begin(shared: &Arc<Shared>, start: &ShareStart, work: &CurrentWork) -> RunResult<(Made, FarEnds, Told)> {
    let restored = match start.restored {
        Some(epoch) => Some(Arc::new(restored(shared, start, epoch).await?)),
        None => None,
    };
    let attempt = Attempt {
        run_start_us: start.run_start_us,
        is_durable: start.is_durable,
        may_rewind: false,
        restored,
        after: start.after,
        // Sinks are with the leader.
        may_be_lost: false,
        precautions: Precautions::default(),
        is_change: false,
    };
    let (given, inbox) = mpsc::channel(4 * start.tasks() + 1);
    let (stop, hasten) = (StopSignal::default(), watch::Sender::new(0));
    let lines = Lines {
        stop: stop.receiver(),
        reports: given.clone(),
        decision: watch::Sender::new(Decision::Pending).subscribe(),
        hasten: hasten.subscribe(),
        caution: watch::Sender::new(None).subscribe(),
    };
    let share = || Share { placement: &start.placement, me: start.me };
    let mut wiring = wire(&shared.telemetry, shared.options.batch_rows, &share());
    let far = wiring.far();
    let mut made = Made::default();
    setup::make(shared, &attempt, share(), wiring, lines, &mut made, work).await?;
    Ok((made, far, Told { stop, hasten, inbox, given }))
}

/// Reads what the share's tasks go on from.
async fn restored(shared: &Shared, start: &ShareStart, epoch: u64) -> RunResult<Restored> {
    let home = shared.host.state.clone().ok_or_else(|| RunError::bug("a member that goes on from an epoch has no state"))?;
    let run = RunId(start.run_start_us);
    let reading = home.clone();
    let joined = |error: tokio::task::JoinError| RunError::bug(error.to_string());
    let manifest = shared.host.data.blocking(move || reading.complete(run, epoch)).await.map_err(joined)??;
    let parts = read_parts(shared, &home, &manifest, |task| start.wants(&manifest, task)).await?;
    let mut restored = Restored::new(manifest, parts).counted(start.counted.clone());
    if let Some(carried) = &start.carried {
        restored.carry(carried.clone());
    }
    Ok(restored)
}

type Pumps = FuturesUnordered<JoinHandle<RunResult<()>>>;

fn carry(shared: &Shared, ends: FarEnds, edges: &Arc<dyn Edges>) -> RunResult<Pumps> {
    let gone = || RunError::bug("the data runtime has shut down");
    let pumps = Pumps::new();
    for outgoing in ends.out {
        pumps.push(shared.host.data.spawn(outgoing.pump(edges.clone())).ok_or_else(gone)?);
    }
    for incoming in ends.into {
        pumps.push(shared.host.data.spawn(incoming.pump(edges.clone(), shared.host.clock.clone())).ok_or_else(gone)?);
    }
    Ok(pumps)
}

/// A member while its tasks run.
struct Member {
    shared: Arc<Shared>,
    start: ShareStart,
    reports: mpsc::Sender<MemberReport>,
    stop: StopSignal,
    hasten: watch::Sender<u64>,
    quarantine: BTreeMap<NodeId, Arc<QuarantineFile>>,
    /// Parts on their way to rest.
    resting: JoinSet<MemberReport>,
    running: usize,
}

impl Member {
    /// Until all tasks have ended and all their parts are at rest. False if the leader aborted them or is gone.
    async fn run(
        &mut self,
        mut inbox: mpsc::Receiver<TaskReport>,
        mut orders: mpsc::Receiver<MemberOrder>,
        mut notices: mpsc::Receiver<Notice>,
    ) -> bool {
        let clock = self.shared.host.clock.clone();
        let told_every = told_every(self.shared.physical.vertices.iter().map(|vertex| vertex.parallelism as usize).sum());
        let mut is_whole = true;
        let mut due_ns = 0;
        while self.running > 0 || !self.resting.is_empty() {
            let tick = clock.sleep(Duration::from_nanos(due_ns - clock.monotonic_ns().min(due_ns)));
            tokio::select! {
                biased;
                order = orders.recv(), if is_whole => match order {
                    Some(MemberOrder::Hasten { epoch }) => {
                        self.hasten.send_replace(epoch);
                    }
                    Some(MemberOrder::Abort) | None => {
                        is_whole = false;
                        self.stop.send(Stopping::Abort);
                    }
                },
                report = inbox.recv(), if self.running > 0 => self.hear(report).await,
                Some(rested) = self.resting.join_next() => {
                    if let Ok(report) = rested {
                        self.tell(report).await;
                    }
                }
                Some(notice) = notices.recv() => self.tell(MemberReport::Notice { notice }).await,
                () = tick => {
                    self.tell_counters().await;
                    due_ns = clock.monotonic_ns() + told_every.as_nanos() as u64;
                }
            }
        }
        self.shared.notices.flush(true);
        while let Ok(notice) = notices.try_recv() {
            self.tell(MemberReport::Notice { notice }).await;
        }
        is_whole
    }

    /// If the leader is gone there is nobody to tell, and its orders end.
    async fn tell(&self, report: MemberReport) {
        let _ = self.reports.send(report).await;
    }

    async fn tell_counters(&self) {
        for (node, file) in &self.quarantine {
            let lines = file.take_lines();
            if !lines.is_empty() {
                self.tell(MemberReport::Quarantined { node: node.clone(), lines }).await;
            }
        }
        self.shared.notices.flush(false);
        let now = self.shared.host.clock.monotonic_ns();
        let mirror = Box::new(self.shared.telemetry.mirror(&self.start.placement, self.start.me, now));
        self.tell(MemberReport::Counters { mirror }).await;
    }

    async fn hear(&mut self, report: Option<TaskReport>) {
        let report = match report {
            Some(TaskReport::Acknowledged { task, epoch, part, .. }) => return self.put_to_rest(task, epoch, part),
            Some(TaskReport::Ended) => MemberReport::Ended,
            Some(TaskReport::Cancelled) => MemberReport::Cancelled,
            Some(TaskReport::Failed(failure)) => MemberReport::Failed { failure },
            // What only sources, sinks and members elsewhere tell.
            Some(
                TaskReport::AtRest { .. }
                | TaskReport::Declined { .. }
                | TaskReport::Quiet { .. }
                | TaskReport::Flowing
                | TaskReport::Exhausted
                | TaskReport::ReaderGone,
            ) => return,
            None => {
                self.running = 0;
                return;
            }
        };
        self.running -= 1;
        // The last counts come before the end, so that the run's are whole when it is over.
        self.tell_counters().await;
        self.tell(report).await;
    }

    fn put_to_rest(&mut self, task: TaskId, epoch: u64, part: Option<Box<TaskPartWriter>>) {
        let run = RunId(self.start.run_start_us);
        let home = self.shared.host.state.clone();
        self.shared.host.data.blocking_in(&mut self.resting, move || {
            let (node, number) = (task.node.clone(), task.task);
            let written = match (home, part) {
                (Some(home), Some(part)) => home.write_part(run, epoch, task, *part),
                _ => Ok(PartEntry { task, bytes: 0, checksum: 0, blocks: Vec::new() }),
            };
            match written {
                Ok(part) => MemberReport::AtRest { epoch, part },
                Err(error) => MemberReport::Declined { epoch, node, task: number, why: error.to_string() },
            }
        });
    }
}
