//! The whole: a run that is spread over four processes, led by a node of a control group of three in whose log its epochs are entered. Whatever befalls
//! them, it ends with the rows and counts of a run alone and without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millrace_cluster::control::{ControlNode, RunLedger};
use millrace_control::Settings;
use millrace_control::time::{Moment, sleep, timeout, within};
use millrace_model::{NodeId, Pipeline};
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::files::Files;
use millrace_runtime::ledger::{Fenced, Ledger};
use millrace_runtime::registry::{Entry, Registry};
use millrace_runtime::share::Team;
use millrace_runtime::{Clock, DataRuntime, HostContext, JobHandle, JobOutcome, RunError, launch, operators, prepare};
use millrace_state::checkpoint::RunId;
use millrace_state::store::FolderStore;
use millrace_testkit::harness::Results;
use millrace_testkit::memory::Exploding;
use millrace_testkit::sim::{Chance, Faults, LifeDisk, SimDisk, SimSink, Spell, Trouble, World};
use millrace_testkit::team::Recipe;
use millrace_wire::figures::{NodeSummary, RunState};
use millrace_wire::message::StopMode;

use crate::answer::{Answer, SINKS, answer};
use crate::drawn::Drawn;
use crate::fleet::{Ending, Fleet};
use crate::judge::Judge;
use crate::net::{Host, Weather, peer};
use crate::process::Process;
use crate::story::{MOST_QUIET, Story};
use crate::team::{SimTeam, place, with_memory};

const CONTROL: usize = 3;
const WORKERS: usize = 4;
/// The node that leads the run.
const LEADER: usize = 0;
/// Where the run's state lies on its disk.
const STATE: &str = "/state/sim";
/// After the faults, the run has to come to its end within this time.
const BOUND: Duration = Duration::from_secs(60);

/// The project's folder: nothing is ever put there.
fn files() -> Arc<Files> {
    static FOLDER: OnceLock<(tempfile::TempDir, Arc<Files>)> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::for_folder(folder.path(), &[]).unwrap());
        (folder, files)
    });
    made.1.clone()
}

/// What has been entered, as whoever entered it was told.
#[derive(Default)]
struct Entered {
    epochs: Mutex<BTreeSet<(i64, u64)>>,
}

/// A ledger that is asked within its process, and answers nothing once that is over.
struct Book {
    process: Arc<Process>,
    ledger: Arc<RunLedger>,
    entered: Arc<Entered>,
    judge: Judge,
}

#[async_trait]
impl Ledger for Book {
    async fn complete(&self, run: RunId, epoch: u64) -> Result<(), Fenced> {
        let ledger = self.ledger.clone();
        let entering = self.process.run(async move { ledger.complete(run, epoch).await });
        let Ok(entered) = entering.await else { return std::future::pending().await };
        if entered.is_ok() {
            self.entered.epochs.lock().unwrap_or_else(PoisonError::into_inner).insert((run.0, epoch));
        }
        entered
    }

    async fn committed(&self, run: RunId, epoch: u64) {
        if !self.entered.epochs.lock().unwrap_or_else(PoisonError::into_inner).contains(&(run.0, epoch)) {
            self.judge.find(format!("sinks have committed epoch {epoch}, which is not entered"));
        }
        let ledger = self.ledger.clone();
        // If the process is over nobody hears of it.
        let _ = self.process.run(async move { ledger.committed(run, epoch).await }).await;
    }

    async fn rewind(&self) -> Result<(), Fenced> {
        let ledger = self.ledger.clone();
        let Ok(rewound) = self.process.run(async move { ledger.rewind().await }).await else { return std::future::pending().await };
        rewound
    }

    async fn ended(&self, state: RunState, why: Option<String>) {
        let ledger = self.ledger.clone();
        let _ = self.process.run(async move { ledger.ended(state, why).await }).await;
    }
}

/// What a run has beside its pipeline.
struct Around {
    world: World,
    disk: Arc<LifeDisk>,
    team: Option<Arc<SimTeam>>,
    ledger: Option<Arc<dyn Ledger>>,
    parallelism: u32,
}

async fn begin(drawn: &Drawn, around: Around) -> Result<JobHandle, RunError> {
    let Around { world, disk, team, ledger, parallelism } = around;
    let kinds = [
        Entry::Source(Arc::new(drawn.memory())),
        Entry::Operator(Arc::new(Exploding::default())),
        Entry::Sink(Arc::new(SimSink::new(disk.clone()))),
    ];
    let registry = Registry::default().with(operators::all()).with(kinds);
    let data = with_memory(DataRuntime::simulated(Arc::new(world.clone())), drawn.is_spilled);
    let store = FolderStore::open_on(disk, Path::new(STATE))?;
    let host = HostContext {
        files: files(),
        clock: Arc::new(world),
        results: Arc::new(Results::default()),
        run: "sim".to_owned(),
        data,
        team: team.clone().map(|team| team as Arc<dyn Team>),
        state: Some(StateHome::new(Arc::new(store), drawn.every, false)),
        ledger,
        herald: None,
    };
    let pipeline = Pipeline { nodes: drawn.nodes(), ..Pipeline::default() };
    let (plan, found) = prepare(&pipeline, &registry, &host).await;
    let plan = plan.unwrap_or_else(|| panic!("the pipeline is wrong: {found:#?}"));
    let options = drawn.options(parallelism);
    if let Some(team) = &team {
        let recipe = Recipe { plan: plan.clone(), registry: registry.clone(), options: options.clone(), host: host.clone() };
        team.learn(recipe, drawn.is_spilled);
    }
    launch(plan, registry, options, host)
}

/// How long a run takes that has none of this: long enough for something to befall it, and not so long that nothing but waiting is simulated.
const LENGTH: RangeInclusive<Duration> = Duration::from_millis(25)..=Duration::from_millis(1_200);

/// A run, with the rows and counts that it has alone and without faults.
fn draw(seed: u64, chance: &mut Chance) -> Result<(Drawn, Answer), String> {
    let mut last = None;
    for further in 0..4 {
        let drawn = Drawn::of_seed(seed + further, chance);
        let (answer, length) = reference(&drawn, chance.draw())?;
        let is_it = LENGTH.contains(&length);
        last = Some((drawn, answer));
        if is_it {
            break;
        }
    }
    last.ok_or_else(|| "nothing is drawn".to_owned())
}

/// The rows and counts of a run alone and without faults, and how long it takes.
fn reference(drawn: &Drawn, seed: u64) -> Result<(Answer, Duration), String> {
    let world = World::new(seed);
    let disk = SimDisk::new(&world);
    let life = disk.begin_life(Faults::default());
    let around = Around { world: world.clone(), disk: life, team: None, ledger: None, parallelism: 1 };
    let outcome = world.run(async { Ok::<_, RunError>(begin(drawn, around).await?.wait().await) });
    let outcome = outcome.map_err(|halt| format!("a run without faults ended: {halt:?}"))?.map_err(|error| error.to_string())?;
    conserved(&outcome.summary.nodes)?;
    if let Some(cause) = outcome.cause {
        return Err(format!("a run without faults failed: {}", cause.diagnostic.message));
    }
    Ok((answer(&drawn.fold, &disk, outcome.summary.nodes)?, Duration::from_nanos(world.monotonic_ns())))
}

/// No row vanishes at an input.
fn conserved(nodes: &BTreeMap<NodeId, NodeSummary>) -> Result<(), String> {
    let is_kept = |node: &NodeSummary| node.rows_in == node.accepted + node.filtered + node.late + node.quarantined;
    let lost = nodes.iter().find(|(_, node)| !is_kept(node));
    lost.map_or(Ok(()), |(id, node)| Err(format!("rows of {id} have vanished: {node:?}")))
}

/// # Errors
/// What is wrong, in words; the story has the log in any case.
pub fn simulate(seed: u64, story: &mut Story) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let (drawn, expected) = draw(seed, &mut chance)?;
    let drawn = Arc::new(drawn);
    story.count("rows", expected.rows.values().map(|rows| rows.len() as u64).sum());
    let world = World::new(chance.draw());
    world.begin_life();
    world.say(&drawn.what);
    let outside = Process::new(&world);
    let told = world.run(within(outside.clone(), live(world.clone(), outside, drawn, &expected, story)));
    story.log = world.log();
    story.count_lines("connections that were dropped", &[") is dropped"]);
    story.count_lines("processes that ended", &[" is gone", " ends: ", "is not reached"]);
    story.count_lines("changes of the network", &[" Weather {"]);
    if let Some(panic) = story.log.iter().find(|line| line.contains("PANIC: ")) {
        return Err(panic.clone());
    }
    told.unwrap_or_else(|halt| Err(format!("the world ended: {halt:?}")))
}

/// What all parts of a cluster know of each other.
struct Cluster {
    world: World,
    fleet: Arc<Fleet>,
    /// The run's members, as the present process that leads it has them.
    team: Mutex<Option<Arc<SimTeam>>>,
    slots: Vec<u32>,
    entered: Arc<Entered>,
    lives: AtomicU64,
}

impl Cluster {
    fn team(&self) -> Option<Arc<SimTeam>> {
        self.team.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn live(world: World, outside: Arc<Process>, drawn: Arc<Drawn>, expected: &Answer, story: &mut Story) -> Result<(), String> {
    let settings = Settings { snapshot_after: 40, kept_entries: 10, segment_bytes: 8 << 10, ..Settings::default() };
    let fleet = Fleet::found(&world, CONTROL, settings, &outside).await?;
    let slots = world.chance(|chance| (0..WORKERS).map(|_| chance.between(1, 2) as u32).collect());
    let (team, entered, lives) = (Mutex::default(), Arc::default(), AtomicU64::new(0));
    let cluster = Arc::new(Cluster { world, fleet, team, slots, entered, lives });
    drop(outside.run(cluster.fleet.clone().watch()));
    // Counted from here on.
    let faults = cluster.world.chance(disk_faults);
    cluster.world.say(format_args!("n{LEADER} from now on: {faults:?}"));
    cluster.fleet.disk(LEADER).trouble(faults);
    let running = outside.run(lead(cluster.clone(), drawn.clone()));
    let told = through(&cluster, running, story).await;
    // Whoever was given up may still have something under way.
    sleep(Duration::from_millis(700)).await;
    story.count("calls of a disk that failed", cluster.fleet.failed_calls());
    story.count("lives of the run", cluster.lives.load(Ordering::Relaxed));
    story.count("epochs that were entered", cluster.entered.epochs.lock().unwrap_or_else(PoisonError::into_inner).len() as u64);
    let judged = told.and_then(|outcome| judge(&cluster, &drawn, expected, outcome));
    cluster.team().into_iter().for_each(|team| team.end());
    (0..CONTROL).for_each(|number| cluster.fleet.end(number, Ending::Killed));
    judged
}

/// Lets faults loose until there were enough of them, and waits for the end of the run.
async fn through(
    cluster: &Arc<Cluster>,
    mut running: tokio::sync::oneshot::Receiver<Result<JobOutcome, String>>,
    story: &mut Story,
) -> Result<JobOutcome, String> {
    let fleet = &cluster.fleet;
    // Faults before there is a run befall a group alone.
    while cluster.lives.load(Ordering::Relaxed) == 0 {
        sleep(Duration::from_millis(1)).await;
        fleet.bury().await;
        mend(cluster, |_| (1, Faults::default()));
    }
    for _ in 0..fleet.world.chance(|chance| chance.between(8, 24)) {
        disturb(cluster);
        let pause = fleet.world.chance(|chance| match chance.below(12) {
            0 => chance.between(3_000, 12_000),
            1 | 2 => chance.between(200, 1_500),
            _ => chance.between(1, 14),
        });
        if let Ok(ended) = timeout(Duration::from_millis(pause), &mut running).await {
            return ended.map_err(|_| "whoever leads is gone".to_owned())?;
        }
        fleet.bury().await;
        mend(cluster, |chance| (chance.between(1, 800), disk_faults(chance)));
        if let Some(wrong) = fleet.net.judge.wrong() {
            return Err(wrong);
        }
    }
    fleet.net.turn(|weather| *weather = Weather::default());
    fleet.calm();
    let quiet = Moment::now();
    while quiet.elapsed() < BOUND {
        fleet.bury().await;
        mend(cluster, |_| (1, Faults::default()));
        if let Some(wrong) = fleet.net.judge.wrong() {
            return Err(wrong);
        }
        if let Ok(ended) = timeout(Duration::from_millis(200), &mut running).await {
            story.count(MOST_QUIET, u64::try_from(quiet.elapsed().as_millis()).unwrap_or(u64::MAX));
            return ended.map_err(|_| "whoever leads is gone".to_owned())?;
        }
    }
    Err(format!("the run does not come to its end within {BOUND:?} after the faults"))
}

/// Starts what is not there, each after a while.
fn mend(cluster: &Arc<Cluster>, draw: impl Fn(&mut Chance) -> (u64, Faults)) {
    let fleet = &cluster.fleet;
    fleet.start_missing(|| {
        let (after, faults) = fleet.world.chance(&draw);
        (Duration::from_millis(after), faults)
    });
    let Some(team) = cluster.team() else { return };
    let present = team.present();
    for machine in (0..WORKERS).filter(|machine| !present.contains(machine)) {
        // Joins again with the next look, or the one after.
        if fleet.world.chance(|chance| chance.one_in(2)) {
            team.join(machine, cluster.slots[machine]);
        }
    }
}

fn disk_faults(chance: &mut Chance) -> Faults {
    let crash_at = chance.one_in(2).then(|| chance.between(1, 600));
    let spell = |chance: &mut Chance| {
        let from = chance.between(1, 400);
        let trouble = *chance.pick(&[Trouble::Broken, Trouble::Full, Trouble::SyncFails]);
        Spell { from, until: from + chance.between(1, 20), trouble, one_in: *chance.pick(&[1, 3, 10]) }
    };
    let spells = if chance.one_in(3) { vec![spell(chance)] } else { Vec::new() };
    Faults { crash_at, spells }
}

/// Something befalls the cluster.
fn disturb(cluster: &Arc<Cluster>) {
    let (fleet, net) = (&cluster.fleet, &cluster.fleet.net);
    let draw = |below: usize| fleet.world.chance(|chance| chance.below(below as u64)) as usize;
    let ending = if draw(2) == 0 { Ending::Killed } else { Ending::PowerGone };
    let team = cluster.team();
    match draw(20) {
        0 | 1 => fleet.end(LEADER, ending),
        2 => fleet.end(1 + draw(CONTROL - 1), ending),
        3..6 => {
            let machine = draw(WORKERS);
            team.into_iter().for_each(|team| team.lose(machine));
        }
        6..12 => {
            let machine = draw(WORKERS);
            team.into_iter().for_each(|team| team.break_connection(machine));
        }
        // One way alone.
        12 | 13 => {
            let (there, machine) = (draw(2) == 0, place(draw(WORKERS)));
            net.turn(|weather| weather.cut.extend([if there { (LEADER, machine) } else { (machine, LEADER) }]));
        }
        14 => {
            let alone = draw(CONTROL);
            let others = (0..CONTROL).chain((0..WORKERS).map(place));
            let cut = others.flat_map(|other| [(alone, other), (other, alone)]).collect::<BTreeSet<_>>();
            net.turn(|weather| weather.cut.extend(cut));
        }
        15 => net.turn(|weather| weather.loses = 3 + draw(8) as u64),
        16 => net.turn(|weather| weather.slow = Duration::from_millis(1 + draw(300) as u64)),
        17 => net.turn(|weather| weather.doubles = 2 + draw(6) as u64),
        _ => net.turn(|weather| *weather = Weather { doubles: weather.doubles, ..Weather::default() }),
    }
}

/// Leads the run, life after life of the node, until it is finished.
async fn lead(cluster: Arc<Cluster>, drawn: Arc<Drawn>) -> Result<JobOutcome, String> {
    loop {
        let Some(host) = cluster.fleet.net.host(LEADER) else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let failed = cluster.fleet.failed_of(LEADER);
        let outcome = life(&cluster, &drawn, &host).await;
        if let Some(team) = cluster.team.lock().unwrap_or_else(PoisonError::into_inner).take() {
            team.end();
        }
        match outcome {
            Some(Ok(outcome)) => match &outcome.cause {
                // What is left to be cleared away when a fault comes between, the next life clears away.
                None if outcome.state == RunState::Finished && cluster.fleet.failed_of(LEADER) == failed => return Ok(outcome),
                None => {}
                Some(cause) => {
                    cluster.world.say(format_args!("failed: {} {}", cause.diagnostic.code, cause.diagnostic.message));
                    if !cause.retryable {
                        return Err(format!(
                            "a fault that passes led to an error that stays: {} {}",
                            cause.diagnostic.code, cause.diagnostic.message
                        ));
                    }
                }
            },
            Some(Err(why)) => cluster.world.say(why),
            None => cluster.world.say("the process that led is gone"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One life of the process that leads; none if it ended.
async fn life(cluster: &Arc<Cluster>, drawn: &Drawn, host: &Host) -> Option<Result<JobOutcome, String>> {
    let node = ControlNode::of(host.group.clone(), peer(LEADER), 2);
    let leading = host.process.run(async move { RunLedger::lead(&node, "sim".to_owned(), "", &[], false).await });
    let ledger = match leading.await.ok()? {
        Ok(ledger) => Arc::new(ledger),
        Err(not_led) => return Some(Err(not_led.message.to_string())),
    };
    let team = SimTeam::new(&cluster.world, &cluster.fleet.net, &host.process);
    cluster.slots.iter().enumerate().for_each(|(machine, slots)| team.join(machine, *slots));
    *cluster.team.lock().unwrap_or_else(PoisonError::into_inner) = Some(team.clone());
    // Their connections are made.
    sleep(Duration::from_millis(20)).await;
    let (entered, judge) = (cluster.entered.clone(), cluster.fleet.net.judge.clone());
    let book = Book { process: host.process.clone(), ledger, entered, judge };
    let parallelism = cluster.world.chance(|chance| chance.between(1, 3)) as u32;
    let around =
        Around { world: cluster.world.clone(), disk: host.disk.clone(), team: Some(team), ledger: Some(Arc::new(book)), parallelism };
    let job = match begin(drawn, around).await {
        Ok(job) => job,
        Err(error) if error.is_retryable() => return Some(Err(error.to_string())),
        Err(error) => {
            cluster.fleet.net.judge.find(format!("the run cannot be begun: {error}"));
            return Some(Err(error.to_string()));
        }
    };
    cluster.lives.fetch_add(1, Ordering::Relaxed);
    let gone = async {
        while !host.process.is_over() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        () = gone => {
            // A process that is gone does nothing more: its disk and its ways are shut already, and its tasks find that.
            job.stop(StopMode::Abort);
            None
        }
        // Whoever is dead has told nobody.
        outcome = job.wait() => (!host.process.is_over()).then_some(Ok(outcome)),
    }
}

/// What nobody should find after a run that is finished.
fn left_behind(disk: &SimDisk) -> Vec<String> {
    let is_mine = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_part = name.starts_with("part-") || SINKS.contains(&name.as_str());
        let is_state = path == Path::new(STATE).join("lock") || path == Path::new(STATE).join("newest");
        path.starts_with("/n0") || if path.starts_with("/out") { is_part } else { is_state }
    };
    disk.all().into_iter().filter(|path| !is_mine(path)).map(|path| path.display().to_string()).collect()
}

fn judge(cluster: &Cluster, drawn: &Drawn, expected: &Answer, outcome: JobOutcome) -> Result<(), String> {
    if let Some(wrong) = cluster.fleet.net.judge.wrong() {
        return Err(wrong);
    }
    let disk = cluster.fleet.disk(LEADER);
    conserved(&outcome.summary.nodes)?;
    let found = answer(&drawn.fold, disk, outcome.summary.nodes)?;
    expected.compare_rows(&found)?;
    expected.compare_counts(&found)?;
    match left_behind(disk).as_slice() {
        [] => Ok(()),
        left => Err(format!("it leaves behind {left:?}")),
    }
}
