//! The processes that a run may be spread over, as its leader has them: each by a session of its own, each lost and back again as it comes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_plan::Member;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::share::{FarLeader, FarMember, MemberOrder, MemberReport, Part, ShareStart, Team, member_lost, take_part};
use millrace_runtime::{Clock, DataRuntime, HostContext, RunError, RunResult, Turns};
use millrace_state::store::Gate;
use millrace_testkit::sim::World;
use millrace_testkit::team::Recipe;
use millrace_wire::message::ShareId;
use tokio::sync::mpsc;

use crate::link::{Link, Side};
use crate::net::Net;
use crate::process::Process;

/// Where members stand in the network's table; the leader is the control group's first node.
const FIRST_PLACE: usize = 10;
const LEADER_PLACE: usize = 0;

/// Notes under way.
const NOTES: usize = 16;

/// One process that takes part.
struct Hand {
    slots: u32,
    /// Ends with it.
    process: Arc<Process>,
    link: Arc<Link>,
}

/// What a member knows of a run before an attempt begins, and whether its state goes to disk.
type Learnt = Arc<Mutex<Option<(Recipe, bool)>>>;

/// The data runtime of a process whose state goes to disk, or stays in memory.
pub fn with_memory(data: DataRuntime, is_spilled: bool) -> DataRuntime {
    if is_spilled { data.with_memory(StateMemory::of_machine(1 << 40, Some(0))) } else { data }
}

pub struct SimTeam {
    world: World,
    net: Arc<Net>,
    /// What the leader's side of sessions runs in.
    leader: Arc<Process>,
    /// By the number of the machine that it runs on.
    hands: Mutex<BTreeMap<usize, (Member, Hand)>>,
    last: AtomicU64,
    shares: AtomicU64,
    recipe: Learnt,
    gates: Arc<Mutex<BTreeMap<ShareId, Gate>>>,
}

pub const fn place(machine: usize) -> usize {
    FIRST_PLACE + machine
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimTeam {
    pub fn new(world: &World, net: &Arc<Net>, leader: &Arc<Process>) -> Arc<SimTeam> {
        Arc::new(SimTeam {
            world: world.clone(),
            net: net.clone(),
            leader: leader.clone(),
            hands: Mutex::default(),
            last: AtomicU64::new(0),
            shares: AtomicU64::new(0),
            recipe: Arc::default(),
            gates: Arc::default(),
        })
    }

    /// Tells members of a run.
    pub fn learn(&self, recipe: Recipe, is_spilled: bool) {
        *lock(&self.recipe) = Some((recipe, is_spilled));
    }

    /// A process on a machine joins, in place of the one before.
    pub fn join(&self, machine: usize, slots: u32) {
        self.lose(machine);
        let member = Member(self.last.fetch_add(1, Ordering::Relaxed) as u32 + 1);
        let process = Process::new(&self.world);
        let taking = Taking {
            world: self.world.clone(),
            net: self.net.clone(),
            process: process.clone(),
            recipe: self.recipe.clone(),
            gates: self.gates.clone(),
            side: Arc::default(),
        };
        let side = taking.side.clone();
        let begin = Box::new(move |share, note| taking.begin(share, &note));
        let link = Link::join(&self.net, Process::new(&self.world), (LEADER_PLACE, place(machine)), begin);
        *lock(&side) = Some(link.member.clone());
        self.world.say(format_args!("{member:?} joins on machine {machine}"));
        lock(&self.hands).insert(machine, (member, Hand { slots, process, link }));
    }

    /// The process on a machine is gone.
    pub fn lose(&self, machine: usize) {
        if let Some((member, hand)) = lock(&self.hands).remove(&machine) {
            self.world.say(format_args!("{member:?} is gone"));
            hand.process.end();
            hand.link.end();
        }
    }

    /// The machines whose processes are there, and have not been given up.
    pub fn present(&self) -> Vec<usize> {
        let hands = lock(&self.hands);
        hands.iter().filter(|(_, (_, hand))| !hand.link.leader.is_over()).map(|(machine, _)| *machine).collect()
    }

    pub fn break_connection(&self, machine: usize) {
        if let Some((_, hand)) = lock(&self.hands).get(&machine) {
            hand.link.break_connection();
        }
    }

    /// The leader is gone, and with it everything here.
    pub fn end(&self) {
        let machines: Vec<usize> = lock(&self.hands).keys().copied().collect();
        machines.into_iter().for_each(|machine| self.lose(machine));
        lock(&self.gates).values().for_each(Gate::shut);
        lock(&self.recipe).take();
    }
}

/// The turns of a member: what it puts down travels to its leader, which takes its time.
#[derive(Debug)]
struct Far(World);

impl Turns for Far {
    fn begin(&self) -> u64 {
        self.0.begin()
    }

    fn poll_turn(&self, task: u64, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_turn(task, context)
    }

    fn end(&self, task: u64) {
        self.0.end(task);
    }

    fn delay(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let micros = self.0.chance(|chance| if chance.one_in(4) { chance.below(600_000) } else { chance.between(20, 3_000) });
        self.0.sleep(Duration::from_micros(micros))
    }
}

/// A member's process, as it hears of shares.
struct Taking {
    world: World,
    net: Arc<Net>,
    process: Arc<Process>,
    recipe: Learnt,
    gates: Arc<Mutex<BTreeMap<ShareId, Gate>>>,
    side: Arc<Mutex<Option<Arc<Side>>>>,
}

impl Taking {
    fn begin(&self, share: ShareId, note: &Bytes) {
        let Ok(start) = serde_json::from_slice::<ShareStart>(note) else {
            return self.net.judge.find("a note of no share comes to a member".to_owned());
        };
        let (Some((recipe, is_spilled)), Some(side)) = (lock(&self.recipe).clone(), lock(&self.side).clone()) else { return };
        let Recipe { plan, registry, options, host } = recipe;
        let gate = lock(&self.gates).get(&share).cloned().unwrap_or_default();
        let data = with_memory(DataRuntime::simulated(Arc::new(Far(self.world.clone()))), is_spilled);
        let host = HostContext { state: host.state.map(|home| home.behind(&gate)), data, team: None, ledger: None, ..host };
        let (notes, mut noted) = mpsc::channel::<Bytes>(NOTES);
        let (give_orders, orders) = mpsc::channel(NOTES);
        let (reports, mut reported) = mpsc::channel::<MemberReport>(NOTES);
        let edges = side.begin(share, notes);
        let judge = self.net.judge.clone();
        drop(self.process.run(async move {
            while let Some(note) = noted.recv().await {
                match serde_json::from_slice::<MemberOrder>(&note) {
                    Ok(order) => drop(give_orders.send(order).await),
                    Err(error) => judge.find(format!("what comes to a member is no order: {error}")),
                }
            }
        }));
        drop(self.process.run(take_part(Part { plan, registry, options, host, start }, FarLeader { orders, reports, edges })));
        drop(self.process.run(async move {
            while let Some(report) = reported.recv().await {
                side.note(share, serde_json::to_vec(&report).expect("a report").into()).await;
            }
            side.note(share, Bytes::new()).await;
        }));
    }
}

#[async_trait]
impl Team for SimTeam {
    async fn muster(&self) -> BTreeMap<Member, u32> {
        let hands = lock(&self.hands);
        hands.values().filter(|(_, hand)| hand.link.is_connected()).map(|(member, hand)| (*member, hand.slots)).collect()
    }

    async fn begin(&self, start: ShareStart) -> RunResult<FarMember> {
        let side = lock(&self.hands).values().find(|(member, _)| *member == start.me).map(|(_, hand)| hand.link.leader.clone());
        let side = side.filter(|side| !side.is_over()).ok_or_else(|| member_lost(self.name(start.me)))?;
        let share = ShareId(self.shares.fetch_add(1, Ordering::Relaxed) + 1);
        self.world.say(format_args!("{:?} is to begin {share:?}", start.me));
        let gate = Gate::default();
        lock(&self.gates).insert(share, gate.clone());
        let (notes, mut noted) = mpsc::channel::<Bytes>(NOTES);
        let (give_reports, reports) = mpsc::channel(NOTES);
        let (orders, mut ordered) = mpsc::channel::<MemberOrder>(NOTES);
        let edges = side.begin(share, notes);
        let begun = serde_json::to_vec(&start).map_err(|error| RunError::bug(error.to_string()))?;
        let (judge, world) = (self.net.judge.clone(), self.world.clone());
        drop(self.leader.run(async move {
            while let Some(note) = noted.recv().await {
                let Ok(report) = serde_json::from_slice::<MemberReport>(&note) else {
                    return judge.find("what comes from a member is no report".to_owned());
                };
                if !matches!(report, MemberReport::Counters { .. }) {
                    world.say(format_args!("{share:?}: {report:?}"));
                }
                if give_reports.send(report).await.is_err() {
                    return;
                }
            }
        }));
        let telling = self.world.clone();
        drop(self.leader.run(async move {
            side.note(share, begun.into()).await;
            while let Some(order) = ordered.recv().await {
                telling.say(format_args!("{share:?}: {order:?}"));
                side.note(share, serde_json::to_vec(&order).expect("an order").into()).await;
            }
            side.note(share, Bytes::new()).await;
            side.drop_share(share);
        }));
        Ok(FarMember { orders, reports, edges, gate })
    }
}
