//! How many tasks each unit wants. Pure: a graph, its flow and the settings in, advice out.
//!
//! A unit's *load* is the number of tasks that would be at work all the time if its rows came as they are wanted: the share of time that its tasks
//! work now, times how many times as many rows are wanted. DS2 has the same as a target rate divided by a true processing rate; so written nothing
//! is divided by a rate that may be nothing. How many times as many are wanted comes from the sources ([`pull`]) and goes down the graph with
//! the rows, by the share that each edge has of what a node gets; no further than what units let through that cannot have as many tasks as they need.

use millrace_model::alert::Unit as Measure;
use millrace_model::{Autoscale, NodeId};
use millrace_wire::autoscale::Advice;

use super::Graph;
use super::graph::{Limit, Shape, Unit};
use super::rates::{Flow, Rate};

/// A source that waits for its input, or for the time of its next row, for more of its time than this keeps up with it..
const WAITS: f64 = 0.05;

/// ..unless it waits for room downstream for so much of it.
const HELD_BACK: f64 = 0.1;

/// A source that works or waits for its input for less of its time than this can hardly be told from one that stands still.
const LEAST_ALONE: f64 = 0.001;

/// By how much a unit's load may pass what its tasks are to bear before it gets more..
const MORE: f64 = 0.05;

/// ..and by how much it must stay below what fewer would bear before it gets fewer. What lies between keeps a load that wavers from going to and fro.
const FEWER: f64 = 0.15;

/// Names of nodes that do the work of one task, in a sentence.
const MOST_NAMED: usize = 3;

/// What the units want, upstream first: those that want another number of tasks, and those that want one that they cannot have.
pub fn advise(graph: &Graph, flow: &Flow, settings: &Autoscale) -> Vec<Advice> {
    let pulls = Pulls::of(graph, flow, settings);
    graph.units.iter().filter_map(|unit| advice(graph, unit, flow, &pulls, settings)).collect()
}

/// Whether any source gave rows.
pub fn flows(graph: &Graph, flow: &Flow) -> bool {
    graph.nodes.iter().zip(&flow.nodes).any(|(node, rate)| node.is_source && rate.rows_per_s > 0.0)
}

/// How many times as many rows as come are wanted, for every node.
struct Pulls {
    /// If nothing held the sources back.
    full: Vec<f64>,
    /// If nothing did but those units that cannot bear it even with as many tasks as they can have: it makes no sense to give others more.
    within: Vec<f64>,
}

impl Pulls {
    fn of(graph: &Graph, flow: &Flow, settings: &Autoscale) -> Pulls {
        let into = into(graph);
        let full = pulls(graph, &into, flow, |_, source, rate| pull(source, rate));
        let bears = |unit: &Unit| {
            let load = load(unit, flow, &full)?;
            let most = most(unit, settings)?;
            (load.load > 0.0).then(|| f64::from(most) / load.load)
        };
        let bound: Vec<(&Unit, f64)> =
            graph.units.iter().filter_map(|unit| Some((unit, bears(unit)?))).filter(|(_, bears)| *bears < 1.0).collect();
        if bound.is_empty() {
            return Pulls { within: full.clone(), full };
        }
        let within = pulls(graph, &into, flow, |at, source, rate| {
            let reached = reached(&into, at);
            let is_reached = |unit: &Unit| unit.stages.iter().flatten().any(|node| reached.get(*node).copied().unwrap_or(false));
            let share = bound.iter().filter(|(unit, _)| is_reached(unit)).map(|(_, bears)| *bears).fold(1.0, f64::min);
            // What comes now is borne.
            (pull(source, rate) * share).max(1.0)
        });
        Pulls { full, within }
    }
}

/// The edges into each node, by place: the edge, and the node that it comes from.
fn into(graph: &Graph) -> Vec<Vec<(usize, usize)>> {
    let mut into = vec![Vec::new(); graph.nodes.len()];
    for (edge, (from, to)) in graph.edges.iter().enumerate() {
        if let Some(into) = into.get_mut(*to) {
            into.push((edge, *from));
        }
    }
    into
}

/// Carries what is wanted of the sources down the graph.
fn pulls(graph: &Graph, into: &[Vec<(usize, usize)>], flow: &Flow, of_source: impl Fn(usize, &Shape, &Rate) -> f64) -> Vec<f64> {
    let mut pulls: Vec<f64> = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        let rate = flow.nodes.get(at).copied().unwrap_or_default();
        let come = into.get(at).map_or(&[] as &[(usize, usize)], Vec::as_slice);
        pulls.push(if node.is_source { of_source(at, node, &rate) } else { passed_on(come, flow, &pulls) });
    }
    pulls
}

/// The nodes that rows of one come to, and itself.
fn reached(into: &[Vec<(usize, usize)>], from: usize) -> Vec<bool> {
    let mut reached: Vec<bool> = Vec::with_capacity(into.len());
    for (at, into) in into.iter().enumerate() {
        // Upstream comes first.
        let comes = into.iter().any(|(_, from)| reached.get(*from).copied().unwrap_or(false));
        reached.push(at == from || comes);
    }
    reached
}

/// How many times as many rows a source would give if nothing held it back. One that plays its rows at a speed is to keep to that; any other to what it
/// does while it works or waits for its input.
fn pull(source: &Shape, rate: &Rate) -> f64 {
    let tasks = f64::from(source.tasks.max(1));
    let (idle, blocked) = (rate.idle / tasks, rate.blocked / tasks);
    if rate.rows_per_s <= 0.0 || (idle > WAITS && blocked < HELD_BACK) {
        return 1.0;
    }
    let behind = match (source.speed, rate.event_seconds) {
        (Some(speed), Some(moved)) => speed / moved,
        _ => 1.0 / ((rate.busy + rate.idle) / tasks).max(LEAST_ALONE),
    };
    behind.clamp(1.0, 1.0 / LEAST_ALONE)
}

/// The mean over a node's inputs, by their rows. Where none came nothing is known, and nothing asked for.
fn passed_on(into: &[(usize, usize)], flow: &Flow, upstream: &[f64]) -> f64 {
    let (mut wanted, mut come) = (0.0, 0.0);
    for (edge, from) in into {
        let rows = flow.edges.get(*edge).copied().unwrap_or(0.0);
        wanted += rows * upstream.get(*from).copied().unwrap_or(1.0);
        come += rows;
    }
    if come > 0.0 { wanted / come } else { 1.0 }
}

/// What the busiest task of a unit does.
struct Load<'a> {
    stage: &'a [usize],
    /// Tasks that would be at work all the time.
    load: f64,
}

fn load<'a>(unit: &'a Unit, flow: &Flow, pulls: &[f64]) -> Option<Load<'a>> {
    let of_node = |node: &usize| flow.nodes.get(*node).map_or(0.0, |rate| rate.busy) * pulls.get(*node).copied().unwrap_or(1.0);
    let loads = unit.stages.iter().filter(|stage| gets_rows(stage, flow));
    loads.map(|stage| Load { stage, load: stage.iter().map(of_node).sum() }).max_by(|a, b| a.load.total_cmp(&b.load))
}

fn gets_rows(stage: &[usize], flow: &Flow) -> bool {
    stage.first().and_then(|head| flow.nodes.get(*head)).is_some_and(|rate| rate.rows_per_s > 0.0)
}

fn advice(graph: &Graph, unit: &Unit, flow: &Flow, pulls: &Pulls, settings: &Autoscale) -> Option<Advice> {
    if unit.limit == Limit::Source {
        return None;
    }
    let within = load(unit, flow, &pulls.within)?;
    let needs = |load: f64| needed(load, unit.tasks, settings.target_utilisation);
    let (wanted, bound) = bounded(unit, needs(within.load), settings);
    if wanted == unit.tasks && bound.is_none() {
        return None;
    }
    // Of one that holds the others back it is told what it would need to do so no more.
    let of = if bound.is_some() { &pulls.full } else { &pulls.within };
    let Load { stage, load } = load(unit, flow, of)?;
    let needed = needs(load);
    let head = *stage.first()?;
    let (rate, pull) = (flow.nodes.get(head)?, of.get(head)?);
    let busy: f64 = stage.iter().filter_map(|node| flow.nodes.get(*node)).map(|rate| rate.busy).sum();
    let tasks = f64::from(unit.tasks.max(1));
    let cause = cause(&Cause {
        who: who(graph, stage),
        busy: (busy / tasks).min(1.0),
        rows_a_task: rate.rows_per_s / tasks,
        rows_wanted: rate.rows_per_s * pull,
        target: settings.target_utilisation,
        needed,
        tasks: unit.tasks,
    });
    let named = unit.named.iter().filter(|_| wanted != unit.tasks);
    let asks = named.map(|node| (node.clone(), wanted)).collect();
    Some(Advice { node: unit.head.clone(), with: unit.with.clone(), tasks: unit.tasks, wanted, needed, cause, bound, asks })
}

/// As many tasks as bear a load, where as many bear it now.
pub fn needed(load: f64, tasks: u32, target: f64) -> u32 {
    let has = f64::from(tasks.max(1));
    if !load.is_finite() || target <= 0.0 {
        return tasks.max(1);
    }
    let whole = |tasks: f64| tasks.ceil().clamp(1.0, f64::from(u16::MAX)) as u32;
    if load > has * target * (1.0 + MORE) {
        return whole(load / (target * (1.0 + MORE)));
    }
    whole(load / (target * (1.0 - FEWER))).min(tasks.max(1))
}

/// The most tasks that a unit can have; none if it is a source, which has what its input has.
fn most(unit: &Unit, settings: &Autoscale) -> Option<u32> {
    match unit.limit {
        Limit::Source => None,
        Limit::Single | Limit::Rate => Some(unit.tasks),
        Limit::Tasks(most) => {
            // A number that somebody gave a node is not taken back by a bound that nobody gave.
            let had = if settings.is_max_said { 0 } else { unit.tasks };
            Some(settings.max.max(settings.min).max(had).min(most))
        }
    }
}

/// As many as it can have of those, and what keeps it from more or fewer.
fn bounded(unit: &Unit, needed: u32, settings: &Autoscale) -> (u32, Option<String>) {
    let most = most(unit, settings).unwrap_or(unit.tasks);
    let why = match unit.limit {
        Limit::Single => "it has one task: its rows come together in one place".to_owned(),
        Limit::Rate => "it keeps to a `rate` of its own, which its tasks share".to_owned(),
        Limit::Tasks(groups) if groups < settings.max => {
            format!("its rows are divided into {groups} groups, and it can have no more tasks")
        }
        Limit::Tasks(_) | Limit::Source => format!("`max` is {most}"),
    };
    if !unit.can_change() {
        return (unit.tasks, (needed > most).then_some(why));
    }
    let min = settings.min.min(most);
    let wanted = needed.clamp(min, most);
    // Where fewer would do, and it has as few as it may, nothing is to be said.
    let least = (needed < wanted && wanted != unit.tasks).then(|| format!("`min` is {min}"));
    (wanted, if needed > most { Some(why) } else { least })
}

struct Cause {
    who: String,
    busy: f64,
    rows_a_task: f64,
    rows_wanted: f64,
    target: f64,
    needed: u32,
    tasks: u32,
}

/// `count is 96 % busy at 410,000 rows/s a task; for 820,000 rows/s at 80 % it needs 3 tasks, has 2`
fn cause(of: &Cause) -> String {
    let percent = |share: f64| Measure::Percent.words(share * 100.0);
    let rows = |rate: f64| format!("{} rows/s", Measure::Count.words(rate));
    let tasks = if of.needed == 1 { "1 task".to_owned() } else { format!("{} tasks", of.needed) };
    format!(
        "{} is {} busy at {} a task; for {} at {} it needs {tasks}, has {}",
        of.who,
        percent(of.busy),
        rows(of.rows_a_task),
        rows(of.rows_wanted),
        percent(of.target),
        of.tasks
    )
}

/// The nodes that one task does the work of: `flown`, or `flown with delay`.
fn who(graph: &Graph, stage: &[usize]) -> String {
    let names: Vec<&NodeId> = stage.iter().filter_map(|at| graph.nodes.get(*at)).map(|node| &node.id).collect();
    match names.split_first() {
        None => "it".to_owned(),
        Some((head, [])) => head.to_string(),
        Some((head, rest)) => {
            let mut with: Vec<String> = rest.iter().take(MOST_NAMED).map(ToString::to_string).collect();
            if rest.len() > MOST_NAMED {
                with.push(format!("{} more", rest.len() - MOST_NAMED));
            }
            format!("{head} with {}", with.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::simulated::{self, settings, source, unit};
    use super::*;

    fn flow(nodes: &[(f64, f64, f64, f64)], edges: &[f64]) -> Flow {
        let rate = |(rows_per_s, busy, blocked, idle): &(f64, f64, f64, f64)| Rate {
            rows_per_s: *rows_per_s,
            busy: *busy,
            blocked: *blocked,
            idle: *idle,
            event_seconds: None,
        };
        Flow { nodes: nodes.iter().map(rate).collect(), edges: edges.to_vec() }
    }

    /// `flights` to `count` to `out`.
    fn chain(tasks: u32) -> Graph {
        let mut graph = simulated::graph(&[("flights", 1, Limit::Source), ("count", tasks, Limit::Tasks(1024)), ("out", 1, Limit::Single)]);
        graph.edges = vec![(0, 1), (1, 2)];
        graph
    }

    #[test]
    fn a_source_that_is_held_back_wants_what_it_would_do_alone_and_the_node_as_many_tasks_as_bear_that() {
        // At work half of the time, and held back the other half: it would give twice as many.
        let flow = flow(&[(820_000.0, 0.5, 0.5, 0.0), (820_000.0, 1.92, 0.0, 0.0), (10.0, 0.1, 0.0, 0.9)], &[820_000.0, 10.0]);
        let advice = advise(&chain(2), &flow, &settings());
        assert_eq!(advice.len(), 1);
        assert_eq!((advice[0].tasks, advice[0].wanted, advice[0].bound.clone()), (2, 5, None));
        assert_eq!(advice[0].cause, "count is 96 % busy at 410,000 rows/s a task; for 1,640,000 rows/s at 80 % it needs 5 tasks, has 2");
    }

    #[test]
    fn a_source_that_waits_for_its_input_keeps_up_and_what_is_seen_is_what_is_wanted() {
        let flow = flow(&[(1_000.0, 0.1, 0.0, 0.8), (1_000.0, 0.3, 0.0, 3.0), (1.0, 0.0, 0.0, 1.0)], &[1_000.0, 1.0]);
        let advice = advise(&chain(4), &flow, &settings());
        assert_eq!((advice[0].tasks, advice[0].wanted), (4, 1));
        assert!(advice[0].cause.ends_with("for 1,000 rows/s at 80 % it needs 1 task, has 4"), "{}", advice[0].cause);
    }

    #[test]
    fn a_replay_that_is_behind_wants_its_speed_and_no_more() {
        let mut graph = chain(1);
        graph.nodes[0].speed = Some(60.0);
        let mut flow = flow(&[(1_000.0, 0.01, 0.9, 0.0), (1_000.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 1.0)], &[1_000.0, 1.0]);
        flow.nodes[0].event_seconds = Some(20.0);
        assert_eq!(Pulls::of(&graph, &flow, &settings()).full[1], 3.0);
        flow.nodes[0].event_seconds = Some(90.0);
        assert_eq!(Pulls::of(&graph, &flow, &settings()).full[1], 1.0, "it catches up, and is asked for no more");
    }

    #[test]
    fn what_a_node_gets_of_two_inputs_is_wanted_by_their_rows() {
        let mut graph = simulated::graph(&[("a", 1, Limit::Source), ("b", 1, Limit::Source), ("both", 1, Limit::Tasks(1024))]);
        graph.edges = vec![(0, 2), (1, 2)];
        let flow = flow(&[(300.0, 0.25, 0.75, 0.0), (100.0, 0.0, 0.0, 1.0), (400.0, 0.4, 0.0, 0.6)], &[300.0, 100.0]);
        assert_eq!(Pulls::of(&graph, &flow, &settings()).full, [4.0, 1.0, 3.25]);
    }

    #[test]
    fn nodes_of_one_task_bear_its_load_together_and_the_busiest_stage_counts() {
        let mut graph = simulated::graph(&[("rows", 1, Limit::Source), ("flown", 1, Limit::Tasks(1024))]);
        graph.nodes.extend(["delay", "out"].map(|id| simulated::shape(id, 1)));
        graph.edges = vec![(0, 1), (1, 2), (2, 3)];
        let both = Unit { stages: vec![vec![1, 2], vec![3]], with: vec![NodeId::new("delay"), NodeId::new("out")], ..unit("flown", 1, 1) };
        graph.units = vec![source("rows", 0), both];
        let flow =
            flow(&[(100.0, 0.1, 0.2, 0.7), (100.0, 0.6, 0.0, 0.0), (50.0, 0.5, 0.0, 0.0), (50.0, 0.9, 0.0, 0.1)], &[100.0, 50.0, 50.0]);
        let held_back = advise(&graph, &flow, &settings());
        assert_eq!((held_back[0].wanted, held_back[0].with.len()), (2, 2));
        assert!(
            held_back[0].cause.starts_with("flown with delay is 100 % busy at 100 rows/s a task; for 125 rows/s"),
            "{}",
            held_back[0].cause
        );
    }

    #[test]
    fn what_cannot_be_is_said_with_its_reason() {
        let flow = flow(&[(100.0, 0.25, 0.75, 0.0), (100.0, 1.0, 0.0, 0.0), (100.0, 0.1, 0.0, 0.9)], &[100.0, 100.0]);
        let advice = advise(&chain(1), &flow, &Autoscale { max: 2, ..settings() });
        assert_eq!((advice.len(), advice[0].wanted, advice[0].needed, advice[0].bound.as_deref()), (1, 2, 5, Some("`max` is 2")));
        assert_eq!(advice[0].asks, std::collections::BTreeMap::from([(NodeId::new("count"), 2)]));
        let at_most = advise(&chain(2), &flow, &Autoscale { max: 1, ..settings() });
        assert_eq!((at_most[0].wanted, at_most[0].bound.as_deref()), (1, Some("`max` is 1")), "also of what it has already");
        let unsaid = advise(&chain(2), &flow, &Autoscale { max: 1, is_max_said: false, ..settings() });
        assert!(unsaid.first().is_none_or(|advice| advice.wanted >= 2), "nothing is taken back by a bound that nobody gave");
        let least = Autoscale { min: 7, ..settings() };
        assert_eq!(advise(&chain(1), &flow, &least)[0].bound.as_deref(), Some("`min` is 7"));
    }

    #[test]
    fn nothing_gets_more_tasks_than_those_need_that_hold_it_back_whatever_is_done() {
        // The source would give ten times as many; the sink, which cannot have another task, bears a quarter more.
        let flow = flow(&[(100.0, 0.1, 0.9, 0.0), (100.0, 1.0, 0.0, 0.0), (100.0, 0.8, 0.0, 0.2)], &[100.0, 100.0]);
        let advice = advise(&chain(1), &flow, &settings());
        assert_eq!((advice[0].wanted, advice[0].bound.clone()), (2, None));
        assert!(advice[0].cause.contains("for 125 rows/s at 80 %"), "{}", advice[0].cause);
        assert_eq!((advice[1].wanted, advice[1].is_change(), advice[1].asks.len()), (1, false, 0));
        assert!(advice[1].cause.contains("for 1,000 rows/s at 80 % it needs 10 tasks, has 1"), "{}", advice[1].cause);
        assert!(advice[1].in_words().ends_with("it has one task: its rows come together in one place"), "{}", advice[1].in_words());
        // Where what holds others back is somewhere else, they are not meant.
        let mut apart = simulated::graph(&[
            ("a", 1, Limit::Source),
            ("b", 1, Limit::Source),
            ("count", 1, Limit::Tasks(1024)),
            ("slow", 1, Limit::Rate),
        ]);
        apart.edges = vec![(0, 2), (1, 3)];
        let shares = [(100.0, 0.25, 0.75, 0.0), (10.0, 0.1, 0.9, 0.0), (100.0, 1.0, 0.0, 0.0), (10.0, 1.0, 0.0, 0.0)];
        let rates = self::flow(&shares, &[100.0, 10.0]);
        let advice = advise(&apart, &rates, &settings());
        assert_eq!((advice[0].wanted, advice[0].bound.clone()), (5, None));
        assert_eq!(advice[1].bound.as_deref(), Some("it keeps to a `rate` of its own, which its tasks share"));
    }

    #[test]
    fn where_nothing_comes_nothing_is_said() {
        let none = flow(&[(0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 4.0), (0.0, 0.0, 0.0, 1.0)], &[0.0, 0.0]);
        assert!(advise(&chain(4), &none, &settings()).is_empty());
        assert!(!flows(&chain(4), &none));
        assert!(advise(&chain(4), &Flow::default(), &settings()).is_empty());
    }

    #[test]
    fn a_load_between_the_two_thresholds_changes_nothing() {
        assert_eq!((needed(1.68, 2, 0.8), needed(1.69, 2, 0.8)), (2, 3));
        assert_eq!((needed(1.36, 3, 0.8), needed(1.37, 3, 0.8)), (2, 3));
        assert_eq!((needed(f64::NAN, 3, 0.8), needed(f64::INFINITY, 3, 0.8), needed(0.0, 0, 0.8)), (3, 3, 1));
    }

    proptest! {
        #[test]
        fn whatever_the_figures_are_what_is_wanted_is_within_bounds(
            rows in proptest::collection::vec(prop_oneof![Just(0.0), 0.0..1e12f64], 3),
            shares in proptest::collection::vec(0.0..64.0f64, 9),
            tasks in 1u32..2_000, min in 1u32..40, more in 0u32..40, target in 0.1..1.0f64,
        ) {
            let share = |node: usize, way: usize| shares[node * 3 + way];
            let nodes: Vec<_> = (0..3).map(|node| (rows[node], share(node, 0), share(node, 1), share(node, 2))).collect();
            let settings = Autoscale { min, max: min + more, target_utilisation: target, ..settings() };
            for advice in advise(&chain(tasks), &flow(&nodes, &rows[..2]), &settings) {
                if advice.node.as_str() == "count" {
                    prop_assert!((min..=min + more).contains(&advice.wanted), "{advice:?}");
                }
                prop_assert!(advice.needed >= 1 && !advice.cause.contains("NaN") && !advice.cause.contains("inf"), "{advice:?}");
            }
        }
    }
}
