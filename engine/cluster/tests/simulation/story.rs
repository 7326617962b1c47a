//! What came of a seed, and of many.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::catch_unwind;

/// From the last fault to when all was well again.
pub const MOST_QUIET: &str = "most ms from the last fault to the end";

#[derive(Debug, Default)]
pub struct Story {
    pub log: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Story {
    pub fn count(&mut self, what: &'static str, times: u64) {
        self.counts.insert(what, times);
    }

    /// Counts lines of the log that have one of these in them.
    pub fn count_lines(&mut self, what: &'static str, any: &[&str]) {
        let times = self.log.iter().filter(|line| any.iter().any(|one| line.contains(one))).count();
        self.count(what, times as u64);
    }
}

/// A simulation of one seed.
pub type Simulate = fn(u64, &mut Story) -> Result<(), String>;

/// Over many seeds.
#[derive(Debug, Default)]
pub struct Total {
    pub seeds: u64,
    pub counts: BTreeMap<&'static str, u64>,
    pub wrong: Vec<u64>,
}

impl Total {
    fn add(&mut self, story: &Story) {
        self.seeds += 1;
        for (what, times) in &story.counts {
            let sum = self.counts.entry(what).or_default();
            *sum = if *what == MOST_QUIET { *times.max(sum) } else { *sum + *times };
        }
    }

    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

/// The seeds that the environment names, else these.
pub fn asked(otherwise: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return otherwise };
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.expect("SEEDS=from..to")
}

/// What came of a seed, and what is wrong with it.
pub fn story_of(simulate: Simulate, seed: u64) -> (Story, Option<String>) {
    let told = catch_unwind(|| {
        let mut story = Story::default();
        let judged = simulate(seed, &mut story);
        (story, judged.err())
    });
    let (story, wrong) = told.unwrap_or_else(|_| (Story::default(), Some("it panicked".to_owned())));
    if std::env::var("LOG").is_ok() {
        story.log.iter().for_each(|line| println!("{line}"));
    }
    (story, wrong)
}

/// Runs seeds until so many are wrong, and says how to run each of those alone, by a test.
pub fn run(simulate: Simulate, by: &str, seeds: Range<u64>, most_wrong: usize) -> Total {
    let mut total = Total::default();
    for seed in seeds.clone() {
        let (story, wrong) = story_of(simulate, seed);
        total.add(&story);
        if let Some(wrong) = wrong {
            let alone = format!("SEEDS={seed}..{} LOG=1 cargo nextest run -E 'test(={by})' --no-capture", seed + 1);
            println!("seed {seed}: {wrong}\nto run it alone: {alone}");
            total.wrong.push(seed);
        }
        if total.wrong.len() == most_wrong {
            break;
        }
        if total.seeds % 500 == 0 {
            println!("up to seed {seed}: {total:?}");
        }
    }
    println!("seeds {seeds:?}: {total:?}");
    total
}

/// A seed gives the same log twice, line by line.
#[track_caller]
pub fn same_twice(simulate: Simulate, seeds: Range<u64>) {
    for seed in seeds {
        let (first, second) = (story_of(simulate, seed).0.log, story_of(simulate, seed).0.log);
        let differs = first.iter().zip(&second).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert!(first.len() == second.len() && first.len() > 100, "seed {seed}");
    }
}
