//! Which faults come when: decided by a seed.

use std::time::Duration;

use millrace_tests::Chance;

/// What befalls a member, or (the last three) all of them or their leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9`, and another process in its place after a while.
    Kill,
    /// `SIGSTOP`, and `SIGCONT` before anybody's patience is over.
    Stop,
    /// The same, after the leader's patience.
    LongStop,
    /// All connections end, and can be made again at once.
    Cut,
    /// Nothing goes either way, for less than the leader's patience.
    Partition,
    /// What goes one way alone.
    OneWayPartition,
    /// Longer than the leader's patience: it goes on without the member, which comes back afterwards.
    LongPartition,
    /// Longer than any side's: the member has given its share up as well.
    EndlessPartition,
    /// Every byte comes late, and few come in a second.
    SlowLink,
    FullDisk,
    RollingRestart,
    /// `SIGSTOP` of the leader, and `SIGCONT` before anybody's patience is over.
    StopLeader,
}

impl Kind {
    /// As counts name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kill => "killed and started again",
            Kind::Stop => "stopped for up to 5 s",
            Kind::LongStop => "stopped for longer than its leader waits",
            Kind::Cut => "connections cut",
            Kind::Partition => "partition shorter than anybody waits",
            Kind::OneWayPartition => "partition one way",
            Kind::LongPartition => "partition longer than the leader waits",
            Kind::EndlessPartition => "partition longer than both sides wait",
            Kind::SlowLink => "slow link",
            Kind::FullDisk => "state's disk full",
            Kind::RollingRestart => "all members restarted in turn",
            Kind::StopLeader => "leader stopped for up to 5 s",
        }
    }
}

/// How a partition is seen from the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parted {
    Wholly,
    /// It hears nothing, and is heard.
    Deaf,
    /// It is not heard, and hears.
    Mute,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Kill { away: Duration },
    Stop { time: Duration },
    Cut,
    Partition { parted: Parted, time: Duration },
    SlowLink { delay: Duration, bytes_per_second: u32, time: Duration },
    FullDisk { time: Duration },
    RollingRestart { apart: Duration },
    StopLeader { time: Duration },
}

/// A fault, and how long it is quiet before it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub after: Duration,
    pub kind: Kind,
    pub fault: Fault,
}

/// The faults of one member, or of all: without end, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Lane {
    chance: Chance,
    kinds: Vec<Kind>,
}

impl Lane {
    pub fn new(seed: u64, lane: u64, kinds: &[Kind]) -> Lane {
        Lane { chance: Chance(seed.wrapping_mul(1_000_003).wrapping_add(lane)), kinds: kinds.to_vec() }
    }

    fn between(&mut self, least_ms: usize, most_ms: usize) -> Duration {
        Duration::from_millis((least_ms + self.chance.below(most_ms - least_ms)) as u64)
    }

    fn fault(&mut self, kind: Kind) -> Fault {
        match kind {
            Kind::Kill => Fault::Kill { away: self.between(0, 1_000) },
            Kind::Stop => Fault::Stop { time: self.between(500, 5_000) },
            Kind::LongStop => Fault::Stop { time: self.between(15_000, 20_000) },
            Kind::Cut => Fault::Cut,
            Kind::Partition => Fault::Partition { parted: Parted::Wholly, time: self.between(500, 8_000) },
            Kind::OneWayPartition => {
                let parted = self.chance.one_of(&[Parted::Deaf, Parted::Mute]);
                Fault::Partition { parted, time: self.between(500, 18_000) }
            }
            Kind::LongPartition => Fault::Partition { parted: Parted::Wholly, time: self.between(15_000, 25_000) },
            Kind::EndlessPartition => Fault::Partition { parted: Parted::Wholly, time: self.between(45_000, 50_000) },
            Kind::SlowLink => {
                let bytes_per_second = self.chance.one_of(&[50_000, 1_000_000, 0]);
                Fault::SlowLink { delay: self.between(5, 200), bytes_per_second, time: self.between(1_000, 6_000) }
            }
            Kind::FullDisk => Fault::FullDisk { time: self.between(300, 2_500) },
            Kind::RollingRestart => Fault::RollingRestart { apart: self.between(800, 2_000) },
            Kind::StopLeader => Fault::StopLeader { time: self.between(500, 5_000) },
        }
    }
}

impl Iterator for Lane {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.kinds.is_empty() {
            return None;
        }
        let kind = self.kinds[self.chance.below(self.kinds.len())];
        Some(Step { after: self.between(1_000, 4_000), kind, fault: self.fault(kind) })
    }
}

/// What is to befall a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    /// How long faults come; then the run may end in peace.
    pub time: Duration,
    pub of_each_member: Vec<Kind>,
    pub of_all: Vec<Kind>,
}

impl Schedule {
    /// The faults of one member.
    pub fn of_member(&self, member: usize) -> Lane {
        Lane::new(self.seed, 1 + member as u64, &self.of_each_member)
    }

    /// The faults of the leader and of all members together.
    pub fn of_all(&self) -> Lane {
        Lane::new(self.seed, 0, &self.of_all)
    }
}

#[test]
fn a_seed_draws_the_same_faults_every_time_and_another_draws_others() {
    let drawn = |seed| {
        let all = [Kind::Kill, Kind::Cut, Kind::OneWayPartition, Kind::SlowLink];
        let lane = Lane::new(seed, 1, &all);
        lane.take(50).map(|step| format!("{step:?}")).collect::<Vec<String>>()
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}
