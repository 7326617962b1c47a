//! The leader's side of an attempt that other processes share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use millrace_model::NodeId;
use millrace_plan::{LEADER, Member, Placement, Vertex};
use millrace_state::checkpoint::TaskId;
use millrace_state::store::Gate;
use millrace_wire::message::{Failure, NoticeSeverity};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::{RunError, RunResult};
use crate::job::setup::{Attempt, Shared};
use crate::job::wiring::connections;
use crate::quarantine::QuarantineFile;
use crate::registry::Entry;
use crate::share::edges::FarEnds;
use crate::share::{EdgeId, Edges, FarMember, MEMBER_LOST, MemberOrder, MemberReport, Mirror, ShareStart, Team, member_lost};
use crate::task::boundary::failure;
use crate::task::{StopReceiver, Stopping, TaskReport};

/// The members that take part in an attempt, each with its tasks made.
#[derive(Default)]
pub struct Members {
    pub placement: Placement,
    far: BTreeMap<Member, FarMember>,
}

/// How the leader's side speaks with the attempt's control.
pub struct MemberLines {
    pub reports: mpsc::Sender<TaskReport>,
    pub stop: StopReceiver,
    pub hasten: watch::Receiver<u64>,
}

/// Asks who can take part, spreads the tasks, and has all members make theirs. One that cannot, and never will, is left out.
///
/// # Errors
/// One that may pass, if a member could not be reached or could not begin.
pub async fn gather(shared: &Shared, attempt: &Attempt) -> Result<Members, Box<Failure>> {
    let Some(team) = &shared.host.team else { return Ok(Members::default()) };
    let stay: Vec<bool> = shared.physical.vertices.iter().map(|vertex| stays(shared, vertex)).collect();
    let mut unfit = BTreeSet::new();
    // Ends: each turn leaves members out, and without any the leader runs everything. If it is the pipeline that cannot begin, it says so itself.
    loop {
        let mut slots = team.muster().await;
        slots.retain(|member, _| !unfit.contains(member));
        let placement = Placement::spread(&shared.physical, &slots, &|vertex| stays(shared, vertex));
        team.spread(&shared.physical, &placement, &stay);
        let Begun { far, refused } = begin_all(shared, team.as_ref(), attempt, &placement).await?;
        if refused.is_empty() {
            return Ok(Members { placement, far });
        }
        far.values().for_each(|far| far.gate.shut());
        for (member, failure) in refused {
            let message =
                || format!("{} cannot take part, and the run begins without it: {}", team.name(member), failure.diagnostic.message);
            shared.notices.say(None, NoticeSeverity::Warning, "left_out", 1, message);
            unfit.insert(member);
        }
    }
}

/// What became of the members that were to begin.
struct Begun {
    far: BTreeMap<Member, FarMember>,
    /// Those that cannot, whatever is tried: a full disk, another release.
    refused: Vec<(Member, Box<Failure>)>,
}

/// # Errors
/// Of a member that is gone, or that could not begin and may the next time.
async fn begin_all(shared: &Shared, team: &dyn Team, attempt: &Attempt, placement: &Placement) -> Result<Begun, Box<Failure>> {
    let start = |me| ShareStart {
        me,
        plan: shared.physical.clone(),
        placement: placement.clone(),
        run_start_us: attempt.run_start_us,
        is_durable: attempt.is_durable,
        after: attempt.after,
        restored: attempt.restored.as_ref().map(|restored| restored.manifest.epoch),
        counted: attempt.restored.as_ref().map_or_else(BTreeMap::new, |restored| {
            shared.telemetry.nodes.keys().map(|node| (node.clone(), restored.counts(node))).collect()
        }),
        carried: attempt.restored.as_ref().and_then(|restored| restored.carried().cloned()),
    };
    let beginning = placement.members().into_iter().map(|member| {
        let begun = team.begin(start(member));
        async move {
            let mut far = begun.await.map_err(|error| Box::new(told(shared, &error)))?;
            match far.reports.recv().await {
                Some(MemberReport::Began) => Ok((member, Ok(far))),
                Some(MemberReport::NotBegun { failure }) if !failure.retryable => Ok((member, Err(failure))),
                Some(MemberReport::NotBegun { failure }) => Err(failure),
                _ => Err(Box::new(told(shared, &lost(shared, member)))),
            }
        }
    });
    let (mut far, mut refused) = (BTreeMap::new(), Vec::new());
    for begun in join_all(beginning).await {
        match begun? {
            (member, Ok(begun)) => drop(far.insert(member, begun)),
            (member, Err(failure)) => refused.push((member, failure)),
        }
    }
    Ok(Begun { far, refused })
}

/// Sources and sinks belong to the files and folders of the leader.
fn stays(shared: &Shared, vertex: &Vertex) -> bool {
    let head = vertex.nodes.first().and_then(|head| shared.plan.node(head));
    !head.is_some_and(|node| matches!(shared.registry.get(&node.decl.kind), Some(Entry::Operator(_))))
}

fn lost(shared: &Shared, member: Member) -> RunError {
    let name = shared.host.team.as_ref().map_or_else(|| "a member".to_owned(), |team| team.name(member));
    member_lost(format!("{name} is gone, and its tasks with it"))
}

fn told(shared: &Shared, error: &RunError) -> Failure {
    shared.failed(error, &crate::chain::CurrentWork::default())
}

impl Members {
    /// What stands between the members and the store of the run's state.
    pub fn gates(&self) -> Vec<Gate> {
        self.far.values().map(|far| far.gate.clone()).collect()
    }

    /// The tasks that run elsewhere.
    pub fn names(&self, shared: &Shared) -> Vec<TaskId> {
        tasks_at(shared, &self.placement, |member| member != LEADER)
    }

    /// Carries what goes between the tasks here and those elsewhere, and what members report, until all have ended.
    pub fn follow(
        self,
        shared: &Arc<Shared>,
        ends: FarEnds,
        quarantine: &BTreeMap<NodeId, Arc<QuarantineFile>>,
        lines: &MemberLines,
    ) -> RunResult<()> {
        let Members { placement, far } = self;
        let mut carried: BTreeMap<Member, FuturesUnordered<JoinHandle<RunResult<()>>>> = BTreeMap::new();
        let mut spawn = |member: Member, pump: std::pin::Pin<Box<dyn Future<Output = RunResult<()>> + Send>>| {
            let pump = shared.host.data.spawn(pump).ok_or_else(|| RunError::bug("the data runtime has shut down"))?;
            carried.entry(member).or_default().push(pump);
            RunResult::Ok(())
        };
        let edges = |member: &Member| far.get(member).map(|far| far.edges.clone()).ok_or_else(|| lost(shared, *member));
        for outgoing in ends.out {
            let edges = edges(&outgoing.to)?;
            spawn(outgoing.to, Box::pin(outgoing.pump(edges)))?;
        }
        for incoming in ends.into {
            let (member, edges, clock) = (incoming.from, edges(&incoming.from)?, shared.host.clock.clone());
            spawn(member, Box::pin(incoming.pump(edges, clock)))?;
        }
        for (edge, from, to) in between(shared, &placement) {
            spawn(from, Box::pin(relay(edge, edges(&from)?, edges(&to)?)))?;
        }
        for (member, far) in far {
            let tasks = ShareStart::tasks_of(&shared.physical, &placement, member);
            let listener = Listener {
                member,
                tasks: tasks_at(shared, &placement, |other| other == member),
                shared: shared.clone(),
                quarantine: quarantine.clone(),
                reports: lines.reports.clone(),
                carried: carried.remove(&member).unwrap_or_default(),
                running: tasks,
                fault: None,
                seen: Mirror::default(),
            };
            tokio::spawn(listener.run(far, lines.stop.clone(), lines.hasten.clone()));
        }
        Ok(())
    }
}

/// The tasks that run at some members.
fn tasks_at(shared: &Shared, placement: &Placement, is_there: impl Fn(Member) -> bool) -> Vec<TaskId> {
    let vertices = shared.physical.vertices.iter().enumerate();
    let of = |(vertex, of): (usize, &Vertex)| {
        let there = (0..of.parallelism).filter(|task| is_there(placement.member(vertex, *task))).collect::<Vec<u32>>();
        let head = of.nodes.first().cloned().unwrap_or_else(|| NodeId::new("?"));
        there.into_iter().map(move |task| TaskId { node: head.clone(), task }).collect::<Vec<TaskId>>()
    };
    vertices.flat_map(of).collect()
}

/// The channels from one member to another, which go by way of the leader.
fn between(shared: &Shared, placement: &Placement) -> Vec<(EdgeId, Member, Member)> {
    let exchanges = shared.physical.exchanges.iter().enumerate();
    let of = exchanges.flat_map(|(index, exchange)| {
        connections(exchange, &shared.physical).map(move |(from, to)| {
            let edge = EdgeId { exchange: index as u32, from, to };
            (edge, placement.member(exchange.from_vertex, from), placement.member(exchange.to_vertex, to))
        })
    });
    of.filter(|(_, from, to)| from != to && *from != LEADER && *to != LEADER).collect()
}

async fn relay(edge: EdgeId, from: Arc<dyn Edges>, to: Arc<dyn Edges>) -> RunResult<()> {
    while let Some(bytes) = from.receive(edge).await? {
        to.send(edge, bytes).await?;
    }
    Ok(())
}

/// Hears one member.
struct Listener {
    member: Member,
    tasks: Vec<TaskId>,
    shared: Arc<Shared>,
    quarantine: BTreeMap<NodeId, Arc<QuarantineFile>>,
    reports: mpsc::Sender<TaskReport>,
    carried: FuturesUnordered<JoinHandle<RunResult<()>>>,
    /// Its tasks that have not ended.
    running: usize,
    /// Why the member was told to abort, if that was not the job's wish.
    fault: Option<RunError>,
    /// The counters it told last.
    seen: Mirror,
}

impl Listener {
    async fn run(mut self, mut far: FarMember, mut stop: StopReceiver, mut hasten: watch::Receiver<u64>) {
        let mut is_aborted = false;
        // Parts may come to rest after the tasks that wrote them have ended: the member says when it is through by saying nothing more.
        loop {
            tokio::select! {
                biased;
                () = stop.reached(Stopping::Abort), if !is_aborted => {
                    is_aborted = true;
                    // A member that takes no orders is lost soon.
                    let _ = far.orders.try_send(MemberOrder::Abort);
                }
                report = far.reports.recv() => match report {
                    Some(report) => self.hear(report, &far.orders).await,
                    None => break self.lose().await,
                },
                Ok(()) = hasten.changed() => {
                    let epoch = *hasten.borrow_and_update();
                    let _ = far.orders.try_send(MemberOrder::Hasten { epoch });
                }
                Some(carried) = self.carried.next() => {
                    let carried = carried.unwrap_or_else(|error| if error.is_cancelled() { Ok(()) } else { Err(RunError::bug(error.to_string())) });
                    if let Err(error) = carried {
                        self.fault.get_or_insert(error);
                        let _ = far.orders.try_send(MemberOrder::Abort);
                    }
                }
            }
        }
        if !is_aborted && self.fault.is_none() {
            // What its tasks gave out before they ended is still on its way.
            while self.carried.next().await.is_some() {}
        }
        self.carried.iter().for_each(JoinHandle::abort);
    }

    async fn hear(&mut self, report: MemberReport, orders: &mpsc::Sender<MemberOrder>) {
        let told = match report {
            MemberReport::AtRest { epoch, part } => TaskReport::AtRest { epoch, part },
            MemberReport::Declined { epoch, node, task, why } => TaskReport::Declined { epoch, task: TaskId { node, task }, why },
            MemberReport::Ended => {
                self.running = self.running.saturating_sub(1);
                TaskReport::Ended
            }
            MemberReport::Cancelled => {
                self.running = self.running.saturating_sub(1);
                match self.fault.take() {
                    Some(fault) => TaskReport::Failed(Box::new(told(&self.shared, &fault))),
                    None => TaskReport::Cancelled,
                }
            }
            MemberReport::Failed { failure } => {
                self.running = self.running.saturating_sub(1);
                TaskReport::Failed(failure)
            }
            MemberReport::Counters { mirror } => {
                self.shared.telemetry.show(&mirror, &self.seen, self.shared.host.clock.monotonic_ns());
                self.seen = *mirror;
                return;
            }
            MemberReport::Notice { notice } => {
                self.shared.notices.pass_on(notice);
                return;
            }
            MemberReport::Quarantined { node, lines } => {
                if let Err(error) = self.keep(&node, lines) {
                    self.fault.get_or_insert(error);
                    // Rows that are kept nowhere end the attempt, as they do where the file is written by the task itself.
                    let _ = orders.try_send(MemberOrder::Abort);
                }
                return;
            }
            MemberReport::Began | MemberReport::NotBegun { .. } => return,
        };
        // If the job is gone there is nobody to tell.
        let _ = self.reports.send(told).await;
    }

    fn keep(&mut self, node: &NodeId, lines: Vec<String>) -> RunResult<()> {
        let file = self.quarantine.entry(node.clone()).or_insert_with(|| Arc::new(self.shared.quarantine_file(node)));
        file.append_lines(lines.into_iter())
    }

    /// The member is gone: too early, if not all of its tasks have ended.
    async fn lose(&mut self) {
        if self.running == 0 {
            // It is through, or it was lost with what its tasks had left to be put to rest: an epoch that waits for that would wait for good.
            let (tasks, why) = (std::mem::take(&mut self.tasks), lost(&self.shared, self.member).to_string());
            let _ = self.reports.send(TaskReport::Quiet { tasks, why }).await;
            return;
        }
        // A channel may be found closed before the reports are: that is the same loss, told by who it is that is gone.
        let error = self.fault.take().filter(|fault| fault.code() != MEMBER_LOST).unwrap_or_else(|| lost(&self.shared, self.member));
        let failure = failure(&error, &self.node(), &crate::chain::CurrentWork::default());
        let _ = self.reports.send(TaskReport::Failed(Box::new(failure))).await;
        for _ in 1..self.running {
            let _ = self.reports.send(TaskReport::Cancelled).await;
        }
        self.running = 0;
        self.fault.get_or_insert(error);
    }

    /// A node of the run, for a message that is about none of them in particular.
    fn node(&self) -> NodeId {
        self.shared.plan.nodes.first().map_or_else(|| NodeId::new("pipeline"), |node| node.id().clone())
    }
}
