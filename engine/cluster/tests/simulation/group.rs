//! A control group alone: three nodes, everything that may befall their processes, their disks and what lies between them, and clients all the while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_control::control::{Answer, Command, Generation};
use millrace_control::time::{Moment, draw, sleep, within};
use millrace_control::{ControlGroup, Settings};
use millrace_testkit::sim::{Chance, Faults, Spell, Trouble, World};

use crate::clients::Clients;
use crate::fleet::{Ending, Fleet};
use crate::net::Weather;
use crate::process::Process;
use crate::story::{MOST_QUIET, Story};

const NODES: usize = 3;

/// After the faults, a write has to go through within this time.
const BOUND: Duration = Duration::from_secs(10);

fn settings(chance: &mut Chance) -> Settings {
    Settings {
        snapshot_after: chance.between(8, 60),
        kept_entries: chance.between(1, 20),
        snapshot_piece: chance.between(200, 3_000),
        segment_bytes: chance.between(1, 16) << 10,
        ..Settings::default()
    }
}

/// Faults of a life's disk.
fn faults(chance: &mut Chance) -> Faults {
    let crash_at = chance.one_in(3).then(|| chance.between(1, 120));
    let spell = |chance: &mut Chance| {
        let from = chance.between(1, 80);
        let trouble = *chance.pick(&[Trouble::Broken, Trouble::Full, Trouble::SyncFails]);
        Spell { from, until: from + chance.between(1, 20), trouble, one_in: *chance.pick(&[1, 3, 10]) }
    };
    let spells = if chance.one_in(2) { vec![spell(chance)] } else { Vec::new() };
    Faults { crash_at, spells }
}

/// # Errors
/// What is wrong, in words; the story has the log in any case.
pub fn simulate(seed: u64, story: &mut Story) -> Result<(), String> {
    let world = World::new(seed);
    world.begin_life();
    let outside = Process::new(&world);
    let told = world.run(within(outside.clone(), live(world.clone(), outside, story)));
    story.log = world.log();
    story.count_lines("processes that ended", &[" ends: ", "is not reached"]);
    story.count_lines("changes of the network", &[" Weather {"]);
    if let Some(panic) = story.log.iter().find(|line| line.contains("PANIC: ")) {
        return Err(panic.clone());
    }
    told.unwrap_or_else(|halt| Err(format!("the world ended: {halt:?}")))
}

async fn live(world: World, outside: Arc<Process>, story: &mut Story) -> Result<(), String> {
    let settings = world.chance(settings);
    world.say(format_args!("{settings:?}"));
    let fleet = Fleet::found(&world, NODES, settings, &outside).await?;
    drop(outside.run(fleet.clone().watch()));
    let clients = Clients::begin(&fleet, 3, 2).await?;
    let told = through(&fleet, &clients, story).await;
    story.count("commands that were answered", clients.answered());
    story.count("terms with a leader", fleet.net.judge.terms());
    story.count("calls of a disk that failed", fleet.failed_calls());
    (0..NODES).for_each(|number| fleet.end(number, Ending::Killed));
    told
}

async fn through(fleet: &Arc<Fleet>, clients: &Arc<Clients>, story: &mut Story) -> Result<(), String> {
    for _ in 0..fleet.world.chance(|chance| chance.between(8, 20)) {
        disturb(fleet);
        sleep(Duration::from_millis(fleet.world.chance(|chance| chance.between(20, 900)))).await;
        fleet.bury().await;
        fleet.start_missing(|| fleet.world.chance(|chance| (Duration::from_millis(chance.between(1, 1_500)), faults(chance))));
        if let Some(wrong) = fleet.net.judge.wrong() {
            return Err(wrong);
        }
    }
    clients.end();
    fleet.net.turn(|weather| *weather = Weather::default());
    fleet.calm();
    fleet.bury().await;
    let quiet = Moment::now();
    settle(fleet, quiet + BOUND).await?;
    story.count(MOST_QUIET, u64::try_from(quiet.elapsed().as_millis()).unwrap_or(u64::MAX));
    let groups = (0..NODES).filter_map(|number| fleet.net.host(number)).map(|host| host.group).collect::<Vec<ControlGroup>>();
    agree(&groups, Moment::now() + BOUND).await?;
    groups.iter().try_for_each(|group| clients.check(group))?;
    fleet.net.judge.wrong().map_or(Ok(()), Err)
}

/// Something befalls the group.
fn disturb(fleet: &Arc<Fleet>) {
    let (net, any) = (&fleet.net, |fleet: &Fleet| fleet.world.chance(|chance| chance.below(NODES as u64)) as usize);
    let ending = if fleet.world.chance(|chance| chance.one_in(3)) { Ending::Killed } else { Ending::PowerGone };
    match fleet.world.chance(|chance| chance.below(16)) {
        0..5 => fleet.end(any(fleet), ending),
        5 => (0..NODES).for_each(|number| fleet.end(number, ending)),
        // One way alone: questions arrive and answers do not, or the other way round.
        6 | 7 => {
            let (from, to) = (any(fleet), any(fleet));
            net.turn(|weather| weather.cut.extend([(from, to)]));
        }
        8 | 9 => {
            let alone = any(fleet);
            net.turn(|weather| weather.cut = (0..NODES).flat_map(|other| [(alone, other), (other, alone)]).collect::<BTreeSet<_>>());
        }
        10 => net.turn(|weather| weather.loses = 2 + draw() % 8),
        11 => net.turn(|weather| weather.slow = Duration::from_millis(1 + draw() % 700)),
        12 => net.turn(|weather| weather.doubles = 2 + draw() % 6),
        _ => net.turn(|weather| *weather = Weather { doubles: weather.doubles, ..Weather::default() }),
    }
}

/// Waits until a write by each node goes through.
async fn settle(fleet: &Arc<Fleet>, until: Moment) -> Result<(), String> {
    for number in 0..NODES {
        loop {
            fleet.start_missing(|| (Duration::from_millis(1), Faults::default()));
            if write(fleet, number).await {
                break;
            }
            if Moment::now() > until {
                let looks: Vec<_> = fleet.net.present().iter().filter_map(|number| Some(fleet.net.host(*number)?.group.look())).collect();
                return Err(format!("no write by n{number} goes through within {BOUND:?} after the faults: {looks:#?}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn write(fleet: &Arc<Fleet>, number: usize) -> bool {
    let Some(host) = fleet.net.host(number) else { return false };
    let command =
        Command::Join { name: format!("last-{number}"), generation: Generation(1), address: String::new(), slots: 1, is_control: true };
    let group = host.group.clone();
    let answer = host.process.run(async move { group.write(command).await }).await;
    matches!(answer, Ok(Ok(answer)) if Answer::is_done(&answer))
}

/// Waits until all hold the same after the same entry.
async fn agree(groups: &[ControlGroup], until: Moment) -> Result<(), String> {
    let state = |group: &ControlGroup| group.read_at(|last, control| (last, control.clone()));
    loop {
        let states: Vec<_> = groups.iter().map(state).collect();
        if groups.len() == NODES && states.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        if Moment::now() > until {
            let lasts: Vec<_> = states.iter().map(|(last, _)| last).collect();
            return Err(format!("the nodes do not come to the same: {lasts:?}"));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
