//! Runs over several nodes, as real processes, while all that can go wrong does: members are killed, stopped and restarted, connections cut,
//! ways held, slow and closed, and the state's disk is full. What a run comes to, and counts, is what it does without any of it.
//!
//! A seed decides which faults come when; `CHAOS_SEED` runs another, and `CHAOS_SECONDS` says how long the proof goes on. Where the machine lets its user make network namespaces, each process has
//! a network of its own; else ways between them are proxies in this process (`way.rs`). Which it was is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod disk;
mod fleet;
mod ground;
mod namespaces;
mod pipelines;
mod process;
mod schedule;
mod storm;
mod terrain;
mod way;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::{Fleet, MEMBERS};
use millrace_tests::Ran;
use namespaces::Namespaces;
use pipelines::{ALL, Truth, Work};
use schedule::{Kind, Schedule};
use storm::{Over, Storm, Tally};
use terrain::Terrain;

/// How long a run may take beyond the time of its faults: those that came last are got over, and rows that waited come.
const AFTERWARDS: Duration = Duration::from_secs(180);

/// What befell a run that came to what it should.
struct Outcome {
    tally: Tally,
    /// How often it began again from an epoch.
    restarts: usize,
    refusals: usize,
}

/// One run under faults, compared with what it is without.
fn run(truth: &Truth, terrain: Terrain, schedule: &Schedule) -> Outcome {
    let what = format!("{} under faults of seed {}", truth.work.name(), schedule.seed);
    let (fleet, project, over) = (Fleet::start(terrain), truth.work.project(truth.seconds), Over::default());
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| project.path(name));
    let mut command = fleet.run(truth.work.command(&project).arg("--replay"));
    command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
    let running = command.spawn().unwrap();
    let storm = Storm::new(&fleet, &over);
    let (tally, code) = std::thread::scope(|scope| {
        let ended = scope.spawn(|| ended(running, schedule.time + AFTERWARDS, &over));
        (storm.rage(schedule), ended.join().unwrap())
    });
    let said = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let ran = Ran { code, stdout: said(&stdout), stderr: said(&stderr) };
    assert_eq!(ran.code, 0, "{what}, {tally}:\n{}\n{}", ran.stderr, fleet.logs());
    truth.is_that_of(&project, &ran, &what);
    fleet.is_as_before();
    Outcome { tally, restarts: ran.stderr.matches("begins again from").count(), refusals: fleet.refusals() }
}

/// Waits for a run, and ends its faults with it. Gives its code, or -1 if it took too long.
fn ended(mut running: Child, patience: Duration, over: &Over) -> i32 {
    let began = Instant::now();
    let code = loop {
        match running.try_wait().unwrap() {
            Some(status) => break status.code().unwrap_or(-1),
            None if began.elapsed() > patience => {
                let _ = running.kill();
                let _ = running.wait();
                break -1;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    over.end();
    code
}

/// A network for each process if there can be, else proxies between them.
fn terrain() -> (Terrain, &'static str) {
    match Namespaces::of(1 + MEMBERS) {
        Some(namespaces) => (Terrain::Namespaces(Arc::new(namespaces)), "namespaces"),
        None => (Terrain::loopback(), "proxies"),
    }
}

fn seed(or: u64) -> u64 {
    std::env::var("CHAOS_SEED").ok().map_or(or, |seed| seed.parse().expect("CHAOS_SEED is a number"))
}

/// A short run with faults of these kinds, which have to come.
fn short(work: Work, seconds: u64, seed_or: u64, of_each_member: &[Kind], of_all: &[Kind]) {
    let schedule = Schedule {
        seed: seed(seed_or),
        time: Duration::from_secs(seconds),
        of_each_member: of_each_member.to_vec(),
        of_all: of_all.to_vec(),
    };
    println!("{} under faults of CHAOS_SEED={}", work.name(), schedule.seed);
    let outcome = run(&Truth::of(work, seconds), Terrain::loopback(), &schedule);
    println!("{}: {}, {} restarts, {} strangers refused", work.name(), outcome.tally, outcome.restarts, outcome.refusals);
    assert!(of_each_member.iter().any(|kind| outcome.tally.of(*kind) > 0), "faults came: {}", outcome.tally);
    assert!(outcome.refusals > 0, "a stranger knocked and was refused");
}

#[test]
fn q5_comes_to_the_same_when_members_are_killed_and_restarted() {
    short(Work::Nexmark("q5"), 12, 5, &[Kind::Kill], &[Kind::RollingRestart]);
}

#[test]
fn q7_comes_to_the_same_over_connections_that_are_cut_held_and_slow() {
    short(Work::Nexmark("q7"), 12, 166, &[Kind::Cut, Kind::Partition, Kind::OneWayPartition, Kind::SlowLink], &[]);
}

#[test]
fn q18_comes_to_the_same_when_members_stand_still_and_the_disk_is_full() {
    short(Work::Nexmark("q18"), 12, 18, &[Kind::Stop, Kind::Stop, Kind::LongStop], &[Kind::FullDisk]);
}

#[test]
fn numbered_rows_are_all_there_once_after_faults_of_every_short_kind() {
    let kinds = [Kind::Kill, Kind::Stop, Kind::Cut, Kind::Partition, Kind::SlowLink];
    short(Work::Numbers, 12, 100, &kinds, &[Kind::FullDisk, Kind::RollingRestart, Kind::StopLeader]);
}

/// How long rows of one run come, in the long proof.
const ROUND_SECONDS: u64 = 50;
const EVERY_KIND: [Kind; 9] = [
    Kind::Kill,
    Kind::Stop,
    Kind::LongStop,
    Kind::Cut,
    Kind::Partition,
    Kind::OneWayPartition,
    Kind::LongPartition,
    Kind::EndlessPartition,
    Kind::SlowLink,
];

#[test]
#[ignore = "a long proof: make prove"]
fn half_an_hour_of_all_faults_leaves_every_run_as_it_is_without() {
    let seconds = std::env::var("CHAOS_SECONDS").map_or(1_800, |seconds| seconds.parse().expect("CHAOS_SECONDS is a number"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let truths = ALL.map(|work| Truth::of(work, ROUND_SECONDS));
    let first = seed(2013);
    let (mut tally, mut restarts, mut runs, mut refusals) = (Tally::default(), 0, 0, 0);
    let mut over = BTreeMap::new();
    while runs == 0 || Instant::now() < until {
        let (seed, (terrain, which)) = (first + runs as u64, terrain());
        let truth = &truths[seed as usize % truths.len()];
        let schedule = Schedule {
            seed,
            time: Duration::from_secs(ROUND_SECONDS),
            of_each_member: EVERY_KIND.to_vec(),
            of_all: vec![Kind::FullDisk, Kind::RollingRestart, Kind::StopLeader],
        };
        // Begun with this seed, the proof has these faults first.
        println!("{} over {which}, CHAOS_SEED={seed}", truth.work.name());
        let outcome = run(truth, terrain, &schedule);
        println!("{} came to the same after {}, {} restarts", truth.work.name(), outcome.tally, outcome.restarts);
        *over.entry(which).or_insert(0) += 1;
        tally.add(&outcome.tally);
        (restarts, runs, refusals) = (restarts + outcome.restarts, runs + 1, refusals + outcome.refusals);
    }
    let over: Vec<String> = over.iter().map(|(which, runs)| format!("{runs} runs over {which}")).collect();
    println!("chaos: {}, {tally}, {restarts} restarts, {refusals} strangers refused, none wrong", over.join(", "));
}
