//! A pipeline that is nothing but numbers, for tests: what it counts where its slowest node holds the others back.

use millrace_model::field::Duration;
use millrace_model::{Autoscale, AutoscaleMode, NodeId};
use proptest::prelude::*;

use super::Graph;
use super::graph::{Limit, Shape, Unit};
use super::model::advise;
use super::rates::{Flow, Rate};

pub fn settings() -> Autoscale {
    Autoscale { mode: AutoscaleMode::On, target_utilisation: 0.8, min: 1, max: 64, is_max_said: true, cool_down: Duration::from_secs(60) }
}

pub fn shape(id: &str, tasks: u32) -> Shape {
    Shape { id: NodeId::new(id), is_source: false, tasks, speed: None }
}

pub fn unit(head: &str, at: usize, tasks: u32) -> Unit {
    let head = NodeId::new(head);
    Unit { named: vec![head.clone()], head, stages: vec![vec![at]], with: Vec::new(), tasks, limit: Limit::Tasks(1024) }
}

pub fn source(head: &str, at: usize) -> Unit {
    Unit { limit: Limit::Source, ..unit(head, at, 1) }
}

/// Each node a unit of its own, without edges.
pub fn graph(nodes: &[(&str, u32, Limit)]) -> Graph {
    let shaped = |(id, tasks, limit): &(&str, u32, Limit)| Shape { is_source: *limit == Limit::Source, ..shape(id, *tasks) };
    let units = nodes.iter().enumerate().map(|(at, (id, tasks, limit))| Unit { limit: *limit, ..unit(id, at, *tasks) });
    Graph { nodes: nodes.iter().map(shaped).collect(), units: units.collect(), edges: Vec::new() }
}

/// How a source has its pace.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// As fast as it can, as a file.
    Full,
    /// So many times as fast as the clock, which is known.
    Speed,
    /// As rows come from elsewhere.
    Unknown,
}

/// A source and nodes in a row.
#[derive(Debug, Clone)]
struct Line {
    pace: Pace,
    /// Rows a second that come, or would.
    offered: f64,
    /// The share of its time that the source works at that.
    source_busy: f64,
    /// Tasks that each node needs at that, at work all the time.
    loads: Vec<f64>,
    /// Rows out for each row in.
    kept: f64,
}

impl Line {
    /// What is seen of it in so many tasks. `noise` is how far each figure is off, in its turn.
    fn seen(&self, tasks: &[u32], noise: &mut dyn FnMut() -> f64) -> Flow {
        let bears = |(load, tasks): (&f64, &u32)| f64::from(*tasks) / load.max(1e-9);
        let full = if self.pace == Pace::Full { 1.0 / self.source_busy } else { 1.0 };
        let (slowest, share) = self.loads.iter().zip(tasks).map(bears).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 1.0));
        let (share, is_held) = if share < full { (share, true) } else { (full, false) };
        let busy = share * self.source_busy;
        let rest = (1.0 - busy).max(0.0);
        let (blocked, idle) = if is_held { (rest, 0.0) } else { (0.0, rest) };
        let event_seconds = (self.pace == Pace::Speed).then_some(60.0 * share);
        let mut nodes = vec![Rate { rows_per_s: self.offered * share * noise(), busy: busy * noise(), blocked, idle, event_seconds }];
        let mut rows = self.offered * share;
        let mut edges = Vec::new();
        for (at, (load, tasks)) in self.loads.iter().zip(tasks).enumerate() {
            edges.push(rows * noise());
            let busy = load * share;
            let rest = (f64::from(*tasks) - busy).max(0.0);
            let (blocked, idle) = if is_held && at < slowest { (rest, 0.0) } else { (0.0, rest) };
            nodes.push(Rate { rows_per_s: rows * noise(), busy: busy * noise(), blocked, idle, event_seconds: None });
            rows *= self.kept;
        }
        Flow { nodes, edges }
    }

    fn graph(&self, tasks: &[u32]) -> Graph {
        let names: Vec<String> = (0..tasks.len()).map(|at| format!("n{at}")).collect();
        let nodes = names.iter().zip(tasks).map(|(name, tasks)| (name.as_str(), *tasks, Limit::Tasks(1024)));
        let mut graph = graph(&std::iter::once(("rows", 1, Limit::Source)).chain(nodes).collect::<Vec<_>>());
        graph.nodes[0].speed = (self.pace == Pace::Speed).then_some(60.0);
        graph.edges = (0..tasks.len()).map(|at| (at, at + 1)).collect();
        graph
    }

    /// The next numbers of tasks.
    fn step(&self, tasks: &[u32], settings: &Autoscale, noise: &mut dyn FnMut() -> f64) -> Vec<u32> {
        let graph = self.graph(tasks);
        let advice = advise(&graph, &self.seen(tasks, noise), settings);
        let wanted =
            |(at, tasks): (usize, &u32)| advice.iter().find(|it| it.node.as_str() == format!("n{at}")).map_or(*tasks, |it| it.wanted);
        tasks.iter().enumerate().map(wanted).collect()
    }

    /// How many tasks each node needs at the rate that the source is to have.
    fn loads(&self) -> impl Iterator<Item = f64> + '_ {
        let full = if self.pace == Pace::Full { 1.0 / self.source_busy } else { 1.0 };
        self.loads.iter().map(move |load| load * full)
    }
}

fn lines() -> impl Strategy<Value = Line> {
    let pace = prop_oneof![Just(Pace::Full), Just(Pace::Speed), Just(Pace::Unknown)];
    (pace, 10.0..1e6f64, 0.2..0.9f64, proptest::collection::vec(0.01..10.0f64, 1..6), 0.01..2.0f64)
        .prop_map(|(pace, offered, source_busy, loads, kept)| Line { pace, offered, source_busy, loads, kept })
}

proptest! {
    #[test]
    fn from_whatever_numbers_three_steps_lead_to_those_that_bear_the_load_and_no_more(
        line in lines(), from in proptest::collection::vec(1u32..60, 6),
    ) {
        let mut tasks = from[..line.loads.len()].to_vec();
        let mut steps = 0;
        loop {
            let next = line.step(&tasks, &settings(), &mut || 1.0);
            if next == tasks {
                break;
            }
            tasks = next;
            steps += 1;
            prop_assert!(steps <= 3, "{tasks:?}");
        }
        for (load, tasks) in line.loads().zip(&tasks) {
            let tasks = f64::from(*tasks);
            prop_assert!(load <= tasks * 0.8 * 1.06, "{load} is too much for {tasks}");
            prop_assert!(tasks <= 1.0 || load > (tasks - 1.0) * 0.8 * 0.84, "fewer than {tasks} would bear {load}");
        }
    }

    #[test]
    fn figures_that_waver_lead_to_no_going_to_and_fro(line in lines(), off in proptest::collection::vec(0.97..1.03f64, 64)) {
        let mut turn = off.iter().cycle();
        let mut noise = || *turn.next().unwrap();
        let mut tasks = vec![1; line.loads.len()];
        for _ in 0..3 {
            tasks = line.step(&tasks, &settings(), &mut noise);
        }
        let mut turns = vec![Vec::new(); tasks.len()];
        for _ in 0..100 {
            let next = line.step(&tasks, &settings(), &mut noise);
            for ((before, now), turns) in tasks.iter().zip(&next).zip(&mut turns) {
                if before != now {
                    turns.push(now > before);
                }
            }
            tasks = next;
        }
        for turns in turns {
            // Of many tasks one more or less may be found with time, but never one more and then one less.
            prop_assert!(turns.len() <= 4 && turns.windows(2).all(|pair| pair[0] == pair[1]), "more: {turns:?}");
        }
    }

    #[test]
    fn bounds_hold_at_every_step(line in lines(), min in 1u32..4, more in 0u32..4) {
        let bounded = Autoscale { min, max: min + more, ..settings() };
        let mut tasks = vec![min; line.loads.len()];
        for _ in 0..4 {
            tasks = line.step(&tasks, &bounded, &mut || 1.0);
            prop_assert!(tasks.iter().all(|tasks| (min..=min + more).contains(tasks)), "{tasks:?}");
        }
    }
}
