//! Runs what a seed draws: once without faults, then through its lives, and judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use millrace_model::{NodeId, Pipeline};
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::files::Files;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::registry::{Entry, Registry};
use millrace_runtime::share::Team;
use millrace_runtime::{Clock, DataRuntime, HostContext, JobOutcome, RunError, launch, operators, prepare};
use millrace_state::store::FolderStore;
use millrace_testkit::TestTeam;
use millrace_testkit::harness::Results;
use millrace_testkit::memory::Exploding;
use millrace_testkit::sim::{Chance, Halt, LifeDisk, SimDisk, SimSink, World};
use millrace_testkit::team::Recipe;
use millrace_wire::change::Scale;
use millrace_wire::figures::{NodeSummary, RunState};

use crate::answer::{Answer, SINKS, answer};
use crate::drawn::{Drawn, Fold, Life, lives, rescale, spread};

/// How a life ended.
enum End {
    Finished(BTreeMap<NodeId, NodeSummary>),
    /// Its code, whether it says that another try may help, and the message.
    Failed(String, bool, String),
    Halted(Halt),
}

/// What came of a seed.
#[derive(Debug, Default)]
pub struct Story {
    pub log: Vec<String>,
    pub lives: u64,
    pub crashes: u64,
    pub failed_calls: u64,
    /// Lives that ended with an error.
    pub errors: u64,
    /// Whether damage that a lying disk did was told, and the run could not go on.
    pub is_refused: bool,
    pub epochs: u64,
    pub rows: u64,
    pub is_spilled: bool,
    /// Whether some of its lives were spread over members.
    pub is_spread: bool,
    /// How often its lives were rescaled while they were under way.
    pub rescaled: u64,
}

const STATE: &str = "/state/sim";

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

async fn job(drawn: &Drawn, world: &World, disk: Arc<LifeDisk>, life: &Life) -> Result<JobOutcome, RunError> {
    let kinds = [
        Entry::Source(Arc::new(drawn.memory())),
        Entry::Operator(Arc::new(Exploding::default())),
        Entry::Sink(Arc::new(SimSink::new(disk.clone()))),
    ];
    let registry = Registry::default().with(operators::all()).with(kinds);
    let data = DataRuntime::simulated(Arc::new(world.clone()));
    let data = if drawn.is_spilled { data.with_memory(StateMemory::of_machine(1 << 40, Some(0))) } else { data };
    let store = FolderStore::open_on(disk, Path::new(STATE))?;
    let team = (!life.team.is_empty()).then(|| TestTeam::of(&life.team));
    let host = HostContext {
        files: files(),
        clock: Arc::new(world.clone()),
        results: Arc::new(Results::default()),
        run: "sim".to_owned(),
        data,
        team: team.clone().map(|team| team as Arc<dyn Team>),
        state: Some(StateHome::new(Arc::new(store), drawn.every, false)),
        ledger: None,
        herald: None,
    };
    let pipeline = Pipeline { nodes: drawn.nodes(), ..Pipeline::default() };
    let (plan, found) = prepare(&pipeline, &registry, &host).await;
    let plan = plan.unwrap_or_else(|| panic!("the pipeline is wrong: {found:#?}"));
    let options = drawn.options(life.parallelism);
    if let Some(team) = &team {
        team.learn(Recipe { plan: plan.clone(), registry: registry.clone(), options: options.clone(), host: host.clone() });
    }
    let running = launch(plan, registry, options, host)?;
    let losing = async {
        for (member, after) in &life.lost {
            world.sleep(*after).await;
            world.say(format_args!("member {member} is lost"));
            team.iter().for_each(|team| team.lose(*member));
        }
        std::future::pending().await
    };
    let scaling = async {
        for (parallelism, after) in &life.scales {
            world.sleep(*after).await;
            match running.rescale(Scale { parallelism: Some(*parallelism), ..Scale::default() }).await {
                Ok(changed) => world.say(changed.in_words()),
                Err(error) => world.say(format_args!("not rescaled to {parallelism}: {error}")),
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        outcome = running.wait() => Ok(outcome),
        outcome = losing => outcome,
        outcome = scaling => outcome,
    }
}

fn live(drawn: &Drawn, world: &World, disk: &SimDisk, life: &Life) -> End {
    let handle = disk.begin_life(life.faults.clone());
    let end = match world.run(job(drawn, world, handle, life)) {
        Err(halt) => End::Halted(halt),
        Ok(Err(error)) => End::Failed(error.code().to_owned(), error.is_retryable(), error.to_string()),
        Ok(Ok(outcome)) => match outcome.cause {
            Some(cause) => {
                let help = cause.diagnostic.help.iter().fold(String::new(), |all, help| all + "; " + help);
                End::Failed(cause.diagnostic.code.to_string(), cause.retryable, format!("{}{help}", cause.diagnostic.message))
            }
            None if outcome.state == RunState::Finished => End::Finished(outcome.summary.nodes),
            None => End::Failed(String::new(), false, format!("it ended as {:?}", outcome.state)),
        },
    };
    match &end {
        End::Finished(_) => world.say("finished"),
        End::Failed(code, _, message) => world.say(format_args!("failed: {code} {message}")),
        End::Halted(halt) => world.say(format_args!("{halt:?}")),
    }
    end
}

/// What nobody should find after a run that is finished.
fn left_behind(disk: &SimDisk) -> Vec<PathBuf> {
    let is_mine = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_part = name.starts_with("part-") || SINKS.contains(&name.as_str());
        if path.starts_with("/out") { is_part } else { path == Path::new(STATE).join("lock") || path == Path::new(STATE).join("newest") }
    };
    disk.all().into_iter().filter(|path| !is_mine(path)).collect()
}

/// The rows and counts of a run without faults, with the calls of the disk that it took.
fn reference(drawn: &Drawn, seed: u64) -> Result<(Answer, u64, World), String> {
    let world = World::new(seed);
    let disk = SimDisk::new(&world);
    let life = Life { parallelism: 1, ..Life::default() };
    match live(drawn, &world, &disk, &life) {
        End::Finished(counts) => {
            let left = left_behind(&disk);
            if !left.is_empty() {
                return Err(format!("a run without faults leaves behind {left:?}"));
            }
            Ok((answer(&drawn.fold, &disk, counts)?, disk.calls().0, world))
        }
        End::Failed(code, _, message) => Err(format!("a run without faults failed: {code} {message}")),
        End::Halted(halt) => Err(format!("a run without faults ended: {halt:?}")),
    }
}

/// # Errors
/// What is wrong, in words; the story has the log in any case.
pub fn simulate(seed: u64, story: &mut Story) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let drawn = Drawn::of_seed(seed, &mut chance);
    let (expected, calls, without) = reference(&drawn, chance.draw())?;
    let mut lives = lives(&mut chance, calls);
    spread(seed, &mut lives);
    rescale(seed, &mut lives);
    story.is_spread = lives.iter().any(|life| !life.team.is_empty());
    let world = World::new(chance.draw());
    world.say(&drawn.what);
    let disk = SimDisk::new(&world);
    story.is_spilled = drawn.is_spilled;
    story.rows = expected.rows.values().map(|rows| rows.len() as u64).sum();
    let judged = through(&drawn, &world, &disk, lives, &mut chance, story).and_then(|counts| match counts {
        Some(counts) => judge(&drawn.fold, &disk, &expected, counts),
        None => Ok(()),
    });
    story.log = without.log();
    story.log.push("----".to_owned());
    story.log.extend(world.log());
    story.rescaled = story.log.iter().filter(|line| line.contains("rescaled from ")).count() as u64;
    story.epochs = story.log.iter().filter(|line| line.contains("Link /state") && line.ends_with("/manifest")).count() as u64;
    judged
}

/// Through all lives with faults, then on without until the run is finished. No counts if a lying disk's damage was told.
fn through(
    drawn: &Drawn,
    world: &World,
    disk: &SimDisk,
    lives: Vec<Life>,
    chance: &mut Chance,
    story: &mut Story,
) -> Result<Option<BTreeMap<NodeId, NodeSummary>>, String> {
    let last = (0..3).map(|_| Life { parallelism: chance.between(1, 3) as u32, ..Life::default() });
    let last: Vec<Life> = last.collect();
    for life in lives.into_iter().chain(last) {
        story.lives += 1;
        let end = live(drawn, world, disk, &life);
        let failed = disk.calls().1;
        story.failed_calls += failed;
        match end {
            // What is left to be cleared away when a fault comes between, the next life clears away.
            End::Finished(counts) if failed == 0 && !life.power_goes => return Ok(Some(counts)),
            End::Finished(_) => {
                if life.power_goes {
                    story.crashes += 1;
                    disk.crash();
                }
            }
            End::Halted(Halt::Crashed) => {
                story.crashes += 1;
                disk.crash();
            }
            End::Halted(Halt::Stuck) => return Err("nothing happens any more".to_owned()),
            End::Failed(code, _, message) if disk.lied() > 0 => {
                story.errors += 1;
                // The state's or a sink's own codes: the damage is told. A run without faults has nothing else to fail for.
                if !code.starts_with("MR04") && !code.starts_with("MR05") || code == "MR0404" {
                    return Err(format!("a disk that lied led to {code} {message}"));
                }
                story.is_refused = failed == 0;
                if story.is_refused {
                    return Ok(None);
                }
                if life.power_goes {
                    disk.crash();
                }
            }
            End::Failed(code, is_retryable, message) => {
                story.errors += 1;
                if failed == 0 {
                    return Err(format!("a life without faults failed: {code} {message}"));
                }
                if !is_retryable {
                    return Err(format!("a fault that passes led to an error that stays: {code} {message}"));
                }
                if life.power_goes {
                    story.crashes += 1;
                    disk.crash();
                }
            }
        }
    }
    Err("three lives without faults did not finish it".to_owned())
}

fn judge(fold: &Fold, disk: &SimDisk, expected: &Answer, counts: BTreeMap<NodeId, NodeSummary>) -> Result<(), String> {
    let found = answer(fold, disk, counts)?;
    expected.compare_rows(&found)?;
    if disk.lied() > 0 {
        return Ok(());
    }
    expected.compare_counts(&found)?;
    match left_behind(disk).as_slice() {
        [] => Ok(()),
        left => Err(format!("it leaves behind {left:?}")),
    }
}
