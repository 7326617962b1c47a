//! What a large cluster costs the node that leads a run: many nodes and tasks that are simulated, each told to the leader by what a real one says.
//!
//! Nothing runs: a plan of so many tasks is placed and told to each node as a run that begins does; what all of them report in a second is read
//! and shown; and sessions stand to as many ends as there are nodes, which are looked at once a second, as members are.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_engine::cluster::seen::{Seen, Watching};
use millrace_engine::cluster::{NodeOptions, connect, serve};
use millrace_engine::model::{NodeId, PortRef};
use millrace_engine::plan::{Exchange, ExchangeKind, Member, PhysicalPlan, Placement, Vertex};
use millrace_engine::runtime::share::{MemberReport, Mirror, ShareStart, told_every};
use millrace_engine::runtime::telemetry::figures::{EdgeTelemetry, JobTelemetry, NodeTelemetry, Role};
use millrace_engine::runtime::telemetry::{EdgeProbe, TaskMetrics};
use millrace_engine::wire::message::{Control, Event, ShareId};
use millrace_engine::{Engine, EngineOptions};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Setting, process};

/// Tasks of each operator that one node takes.
const SLOTS: u32 = 4;
/// The sizes that are measured: parts of the largest.
const PARTS: [u32; 3] = [4, 2, 1];
/// How often each is measured; the least counts.
const ROUNDS: usize = 5;

/// The cost of a cluster of one size.
#[derive(Debug, Clone, Serialize)]
pub struct Size {
    pub nodes: u32,
    pub tasks: u32,
    /// To place all tasks.
    pub place_ms: f64,
    /// To place them, and to write what each node is told.
    pub schedule_ms: f64,
    /// What all nodes are told.
    pub told_bytes: u64,
    /// What the nodes report in a second.
    pub reported_bytes_per_second: f64,
    /// To read and show that, of one core.
    pub figures_cpu_percent: f64,
    /// Sessions that rest but for a look each second, both of their ends, of one core. None where the system does not tell.
    pub sessions_cpu_percent: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    pub name: &'static str,
    /// The smallest first.
    pub sizes: Vec<Size>,
    pub load: [Option<f64>; 2],
}

pub async fn fleet(setting: &Setting) -> anyhow::Result<Fleet> {
    let load_before = process::load();
    let mut sizes = Vec::new();
    for part in PARTS {
        let (nodes, tasks) = ((setting.nodes / part).max(1), u32::try_from(setting.events).unwrap_or(u32::MAX) / part);
        sizes.push(size(nodes, tasks, setting.seconds / 2).await?);
    }
    Ok(Fleet { name: "fleet", sizes, load: [load_before, process::load()] })
}

async fn size(nodes: u32, tasks: u32, time: Duration) -> anyhow::Result<Size> {
    let plan = plan(nodes, tasks);
    let slots: BTreeMap<Member, u32> = (1..=nodes).map(|member| (Member(member), SLOTS)).collect();
    let placing = || Placement::spread(&plan, &slots, &|_| false);
    let place = least(|| drop(black_box(placing())));
    let placement = placing();
    let mut told_bytes = 0;
    let mut tell = || {
        let placement = placing();
        let told = slots.keys().map(|member| serde_json::to_vec(&start(&plan, &placement, *member)));
        told.collect::<Result<Vec<_>, _>>().map(|told| told_bytes = told.iter().map(Vec::len).sum())
    };
    tell()?;
    let schedule = least(|| drop(black_box(tell())));
    let (reports, figures) = figures(&plan, &placement, &slots)?;
    let reported = reports.iter().map(Vec::len).sum::<usize>() as f64;
    let tasks: u32 = plan.vertices.iter().map(|vertex| vertex.parallelism).sum();
    let every = told_every(tasks as usize).as_secs_f64();
    Ok(Size {
        nodes,
        tasks,
        place_ms: place.as_secs_f64() * 1e3,
        schedule_ms: schedule.as_secs_f64() * 1e3,
        told_bytes: told_bytes as u64,
        reported_bytes_per_second: reported / every,
        figures_cpu_percent: figures.as_secs_f64() / every * 100.0,
        sessions_cpu_percent: sessions(nodes, time).await?,
    })
}

/// The least time of a few.
fn least(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

/// Operators in a row, each as wide as the cluster, with an exchange by key between each two.
fn plan(nodes: u32, tasks: u32) -> PhysicalPlan {
    let parallelism = nodes * SLOTS;
    let named = |at: u32| NodeId::new(format!("operator_{at}"));
    let vertex = |at| Vertex { nodes: vec![named(at)], parallelism, chained: Vec::new() };
    let vertices: Vec<Vertex> = (0..tasks.div_ceil(parallelism).max(2)).map(vertex).collect();
    let exchange = |to: u32| Exchange {
        from: PortRef::main(named(to - 1)),
        from_vertex: to as usize - 1,
        to: named(to),
        input: 0,
        to_vertex: to as usize,
        kind: ExchangeKind::Hash { columns: vec!["key".to_owned()] },
    };
    let exchanges = (1..vertices.len() as u32).map(exchange).collect();
    PhysicalPlan { key_groups: 1024, vertices, exchanges }
}

fn start(plan: &PhysicalPlan, placement: &Placement, me: Member) -> ShareStart {
    ShareStart {
        me,
        plan: plan.clone(),
        placement: placement.clone(),
        run_start_us: 0,
        is_durable: true,
        after: 0,
        restored: None,
        counted: BTreeMap::new(),
        carried: None,
    }
}

/// What all members report at once, and how long it takes to read and show it.
fn figures(plan: &PhysicalPlan, placement: &Placement, slots: &BTreeMap<Member, u32>) -> anyhow::Result<(Vec<Vec<u8>>, Duration)> {
    let there = telemetry(plan);
    for task in there.nodes.values().flat_map(|node| &node.tasks) {
        // Of the length that counters have which have run for a while.
        [&task.rows_in, &task.rows_out, &task.accepted].into_iter().for_each(|counter| counter.set(1_234_567_890));
        [&task.bytes_in, &task.bytes_out, &task.state_bytes].into_iter().for_each(|counter| counter.set(123_456_789_012));
        [&task.busy, &task.blocked, &task.idle].into_iter().for_each(|watch| watch.set_total(3_456_789_012_345));
    }
    let report = |member: &Member| {
        let mirror = Box::new(there.mirror(placement, *member, 0));
        let report = Some(serde_json::to_value(MemberReport::Counters { mirror })?);
        serde_json::to_vec(&Control::Event { event: Event::Share { share: ShareId(u64::from(member.0)), report } })
    };
    let reports = slots.keys().map(report).collect::<Result<Vec<_>, _>>()?;
    let (here, none) = (telemetry(plan), Mirror::default());
    let show = |report: &Vec<u8>| {
        let Control::Event { event: Event::Share { report: Some(report), .. } } = serde_json::from_slice(report)? else { return Ok(()) };
        if let MemberReport::Counters { mirror } = serde_json::from_value(report)? {
            here.show(&mirror, &none, 1);
        }
        anyhow::Ok(())
    };
    reports.iter().try_for_each(show)?;
    let took = least(|| drop(black_box((reports.iter().try_for_each(show), here.node_figures(2), here.edge_figures(2)))));
    Ok((reports, took))
}

fn telemetry(plan: &PhysicalPlan) -> JobTelemetry {
    let node = |vertex: &Vertex| {
        let tasks = (0..vertex.parallelism).map(|_| Arc::new(TaskMetrics::new(0))).collect();
        vertex.nodes.first().map(|node| (node.clone(), NodeTelemetry { role: Role::Operator, has_event_time: true, tasks }))
    };
    let edge = |exchange: &Exchange| {
        let probe = EdgeProbe::new(exchange.from.clone(), exchange.to.clone(), mpsc::channel(1).0);
        EdgeTelemetry { probe, channels: Vec::new() }
    };
    let edges = plan.exchanges.iter().map(edge).collect();
    JobTelemetry { nodes: plan.vertices.iter().filter_map(node).collect(), edges, plan: plan.clone() }
}

/// The part of a core that as many sessions take as there are nodes, both ends of each in this process.
async fn sessions(nodes: u32, time: Duration) -> anyhow::Result<Option<f64>> {
    let engine = Engine::new(EngineOptions::default())?;
    let options = NodeOptions { max_sessions: nodes as usize + 1, max_handshakes: nodes as usize + 1, ..NodeOptions::default() };
    let node = serve("127.0.0.1:0", engine.host().clone(), options).await?;
    let (address, seen) = (format!("ws://{}", node.address()), Seen::default());
    let mut watched = Vec::new();
    for member in 1..=nodes {
        let client = connect(&address, &node.token().reveal()).await.context("a session cannot be had")?;
        seen.joined(Member(member), &format!("{address}/{member}"), SLOTS);
        watched.push(Watching::start(seen.clone(), Member(member), client));
    }
    let Some(before) = process::cpu_seconds() else { return Ok(None) };
    let begun = Instant::now();
    tokio::time::sleep(time).await;
    let used = process::cpu_seconds().map(|after| (after - before) / begun.elapsed().as_secs_f64() * 100.0);
    drop(watched);
    Ok(used)
}
