//! A cluster in words: tables of nodes, links and runs, and the fault timeline.

use std::collections::BTreeMap;

use millrace_engine::model::Timestamp;
use millrace_engine::wire::alerts::AlertFigures;
use millrace_engine::wire::change::ChangeFigures;
use millrace_engine::wire::cluster::{
    Cluster, ClusterJob, ClusterNode, ControlLook, ControlNode, DeploymentLook, DeploymentStanding, Drain, Happening, Incident, Standing,
};
use millrace_engine::wire::figures::RunState;
use millrace_engine::wire::message::JobId;

use super::columns::Side::{Left, Right};
use super::columns::table;
use super::scaling::scaling;
use crate::run::grouped;

/// Nodes, links and runs. `on` is where the node that leads was asked; `before` the look before, for the rates of runs.
pub fn status(cluster: &Cluster, on: &str, before: Option<&Cluster>) -> String {
    let mut parts = vec![nodes(cluster, on)];
    if cluster.nodes.len() == 1 {
        let how = if on.starts_with("wss:") {
            "make a join token for one: millrace token --data DIR".to_owned()
        } else {
            format!("on another terminal: millrace node --listen 127.0.0.1:0 --join {on} --token TOKEN --slots 2")
        };
        parts.push(format!("No other node has joined; {how}"));
    }
    if !cluster.links.is_empty() {
        parts.push(links(cluster));
    }
    if let Some(control) = &cluster.control {
        parts.push(format!("{}\n{}", control_nodes(control), control_group(control)));
        if !control.deployments.is_empty() {
            parts.push(deployments(Some(control)));
        }
    }
    parts.push(runs_since(cluster, before));
    parts.extend(firing(cluster));
    parts.extend(balance(cluster));
    parts.extend(releases(cluster));
    parts.extend(scaling(cluster));
    parts.join("\n\n")
}

/// What a control group keeps running, and what it has heard of runs that are their nodes' alone.
pub fn deployments(control: Option<&ControlLook>) -> String {
    let Some(control) = control else { return "The node is of no control group, which alone keeps pipelines running.".to_owned() };
    if control.deployments.is_empty() {
        return "The control group keeps nothing running.".to_owned();
    }
    let line = |of: &DeploymentLook| {
        let held = match (of.replicas, of.epoch) {
            (0, _) | (_, None) => "-".to_owned(),
            (replicas, Some(_)) => format!("{} of {replicas}", of.holders.len()),
        };
        vec![
            of.name.clone(),
            standing_of(of).to_owned(),
            of.node.clone().unwrap_or_else(|| "-".to_owned()),
            of.epoch.map_or_else(|| "-".to_owned(), grouped),
            held,
            of.why.clone().unwrap_or_default(),
        ]
    };
    let titles = [("DEPLOYMENT", Left), ("STATE", Left), ("LED BY", Left), ("EPOCH", Right), ("REPLICAS", Right), ("WHY", Left)];
    table(&titles, &control.deployments.iter().map(line).collect::<Vec<_>>())
}

fn standing_of(of: &DeploymentLook) -> &'static str {
    match of.standing {
        DeploymentStanding::Running if of.is_under_replicated() => "running, under-replicated",
        DeploymentStanding::Running => "running",
        DeploymentStanding::TakenOver => "being taken over",
        DeploymentStanding::Waiting => "waiting",
        DeploymentStanding::Stopped => "stopped",
    }
}

/// Alerts that fire, the one that has fired longest first. None if none does.
fn firing(cluster: &Cluster) -> Option<String> {
    let mut firing: Vec<(&ClusterJob, &AlertFigures)> =
        cluster.jobs.iter().flat_map(|job| job.firing.iter().map(move |alert| (job, alert))).collect();
    firing.sort_by_key(|(_, alert)| alert.since_us);
    let line = |(job, alert): &(&ClusterJob, &AlertFigures)| {
        let seconds = cluster.at_us.saturating_sub(alert.since_us).max(0) / 1_000_000;
        vec![job.job.0.to_string(), alert.name.clone(), format!("{seconds} s"), alert.shown.clone(), alert.rule.clone()]
    };
    let titles = [("RUN", Right), ("ALERT FIRING", Left), ("FOR", Right), ("VALUE", Right), ("RULE", Left)];
    (!firing.is_empty()).then(|| table(&titles, &firing.iter().map(line).collect::<Vec<_>>()))
}

/// The runs, and who leads the control group if there is one.
pub fn runs_and_leader(cluster: &Cluster) -> String {
    let group = cluster.control.as_ref().map(control_group);
    let parts = [Some(runs_since(cluster, None)), draining(cluster, None), balance(cluster), releases(cluster), group];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// `control group: first-3f9a2c1b leads, term 4; 3 of 3 nodes vote, and the loss of 1 is survived`
pub fn control_group(control: &ControlLook) -> String {
    let leads = control.leader().map_or_else(|| "nobody leads".to_owned(), |node| format!("{} leads", node.name));
    let (votes, nodes) = (control.nodes.iter().filter(|node| node.votes).count(), control.nodes.len());
    let of = if nodes == 1 { "its one node votes".to_owned() } else { format!("{votes} of {nodes} nodes vote") };
    let loss = match control.survives {
        0 if nodes == 2 => "two survive no loss: with a third node one".to_owned(),
        0 => "no loss is survived".to_owned(),
        survives => format!("the loss of {survives} is survived"),
    };
    let majority = if control.has_majority == Some(false) { "; it hears of no majority, so that nothing can be agreed on" } else { "" };
    format!("control group: {leads}, term {}; {of}, and {loss}{majority}", control.term)
}

fn control_nodes(control: &ControlLook) -> String {
    let line = |node: &ControlNode| {
        let part = match (node.leads, node.votes) {
            (true, _) => "leads",
            (false, true) => "votes",
            (false, false) => "follows",
        };
        vec![node.name.clone(), node.address.clone(), part.to_owned()]
    };
    table(&[("CONTROL", Left), ("ADDRESS", Left), ("PART", Left)], &control.nodes.iter().map(line).collect::<Vec<_>>())
}

fn nodes(cluster: &Cluster, on: &str) -> String {
    let line = |node: &ClusterNode| {
        // What a lost node told last is not how it is.
        let health = node.health.filter(|_| node.standing != Standing::Lost);
        let slots = node.slots.map_or_else(|| "-".to_owned(), |slots| format!("{}/{slots}", node.slots_used));
        let cpu = health.and_then(|health| health.cpu_percent).map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0} %"));
        let memory =
            health.map_or_else(|| "-".to_owned(), |health| format!("{} of {}", size(health.memory_bytes), size(node.memory_bytes)));
        vec![
            node.member.to_string(),
            node.address.clone().unwrap_or_else(|| on.to_owned()),
            standing(node),
            slots,
            grouped(u64::from(node.tasks)),
            cpu,
            memory,
            node.version.clone().unwrap_or_else(|| "-".to_owned()),
            why(node),
        ]
    };
    let titles = [
        ("NODE", Right),
        ("ADDRESS", Left),
        ("STATE", Left),
        ("SLOTS", Right),
        ("TASKS", Right),
        ("CPU", Right),
        ("MEMORY", Right),
        ("RELEASE", Left),
        ("WHY", Left),
    ];
    table(&titles, &cluster.nodes.iter().map(line).collect::<Vec<_>>())
}

fn links(cluster: &Cluster) -> String {
    let lines = cluster.links.iter().map(|link| {
        vec![
            link.member.to_string(),
            format!("{}/s", size(link.sent_per_s as u64)),
            format!("{}/s", size(link.received_per_s as u64)),
            link.round_trip_us.map_or_else(|| "-".to_owned(), |us| format!("{:.1} ms", us as f64 / 1e3)),
            grouped(link.resumes),
        ]
    });
    let titles = [("LINK TO", Right), ("SENT", Right), ("RECEIVED", Right), ("ROUND TRIP", Right), ("RESUMES", Right)];
    table(&titles, &lines.collect::<Vec<_>>())
}

fn runs_since(cluster: &Cluster, before: Option<&Cluster>) -> String {
    if cluster.jobs.is_empty() {
        return "Nothing runs.".to_owned();
    }
    let line = |job: &ClusterJob| {
        vec![
            job.job.0.to_string(),
            job.name.clone(),
            state(job.state).to_owned(),
            format!("{} s", job.elapsed_ms / 1_000),
            grouped(job.rows_in),
            grouped(rate(job, before.and_then(|before| before.jobs.iter().find(|other| other.job == job.job)))),
            job.epoch.map_or_else(|| "-".to_owned(), grouped),
            if job.parallelism == 0 { "-".to_owned() } else { job.parallelism.to_string() },
            where_it_runs(job),
            job.change.as_ref().map_or_else(String::new, changed),
        ]
    };
    let titles = [
        ("RUN", Right),
        ("PIPELINE", Left),
        ("STATE", Left),
        ("TIME", Right),
        ("ROWS", Right),
        ("ROWS/S", Right),
        ("EPOCH", Right),
        ("PARALLEL", Right),
        ("TASKS BY NODE", Left),
        ("LAST CHANGE", Left),
    ];
    table(&titles, &cluster.jobs.iter().map(line).collect::<Vec<_>>())
}

/// `rescaled from 2 to 4 at epoch 17, paused 83 ms`
fn changed(change: &ChangeFigures) -> String {
    match (change.epoch, change.pause_us) {
        (Some(epoch), Some(pause_us)) => format!("{} at epoch {epoch}, paused {} ms", change.what, pause_us.div_ceil(1_000)),
        _ => format!("{}: under way", change.what),
    }
}

/// Rows a second since the look before, else since the run began.
fn rate(job: &ClusterJob, before: Option<&ClusterJob>) -> u64 {
    let (rows, ms) = before.map_or((0, 0), |before| (before.rows_in, before.elapsed_ms));
    let passed = job.elapsed_ms.saturating_sub(ms);
    job.rows_in.saturating_sub(rows).saturating_mul(1_000).checked_div(passed).unwrap_or(0)
}

/// `0: flights, flown; 1: hourly x2`
fn where_it_runs(job: &ClusterJob) -> String {
    let mut by_member: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (node, members) in &job.places {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        members.iter().for_each(|member| *counts.entry(*member).or_default() += 1);
        for (member, tasks) in counts {
            by_member.entry(member).or_default().push(if tasks == 1 { node.to_string() } else { format!("{node} x{tasks}") });
        }
    }
    by_member.iter().map(|(member, nodes)| format!("{member}: {}", nodes.join(", "))).collect::<Vec<_>>().join("; ")
}

/// Causes, oldest first, each with what came of it below.
pub fn timeline(incidents: &[Incident]) -> String {
    if incidents.is_empty() {
        return "Nothing has happened yet.".to_owned();
    }
    let told = incidents.iter().flat_map(|incident| {
        let unlisted = (incident.unlisted > 0).then(|| format!("  .. and {} more", incident.unlisted));
        std::iter::once(happening(&incident.root))
            .chain(incident.victims.iter().map(|victim| format!("  {}", happening(victim))))
            .chain(unlisted)
    });
    told.collect::<Vec<String>>().join("\n")
}

/// `2026-11-27T05:44:13Z  node_lost  ws://127.0.0.1:7401: nobody listens there any more`
fn happening(of: &Happening) -> String {
    let at = Timestamp(of.at_us).to_rfc3339();
    let run = of.job.map(|job| format!("run {}", job.0));
    let who: Vec<String> = [of.node.clone(), run, of.pipeline.clone()].into_iter().flatten().collect();
    format!("{at}  {}  {}: {}", of.kind, who.join(", "), of.message)
}

pub fn ended(job: JobId, seen: Option<&ClusterJob>) -> String {
    match seen {
        Some(seen) => format!("run {} of {} is {}, after {} rows", job.0, seen.name, state(seen.state), grouped(seen.rows_in)),
        None => format!("run {} has ended", job.0),
    }
}

fn standing(node: &ClusterNode) -> String {
    let standing = match node.standing {
        Standing::Leads => "leads",
        Standing::Joined => "joined",
        Standing::Suspected => "suspected",
        Standing::Lost if node.drain == Drain::Drained => return "left".to_owned(),
        Standing::Lost => return "lost".to_owned(),
    };
    match node.drain {
        Drain::No => standing.to_owned(),
        Drain::Draining => format!("{standing}, draining"),
        Drain::Drained => format!("{standing}, drained"),
    }
}

/// Why it stands as it does, and what stays there although it is drained.
fn why(node: &ClusterNode) -> String {
    node.why.iter().chain(&node.stays).cloned().collect::<Vec<_>>().join("; ")
}

/// Nodes that are being drained, or are, one a line. None if none is.
fn draining(cluster: &Cluster, on: Option<&str>) -> Option<String> {
    let line = |node: &ClusterNode| {
        let address = node.address.as_deref().or(on).unwrap_or("this node");
        let stays = if node.stays.is_empty() { String::new() } else { format!("; {}", node.stays.join("; ")) };
        match node.drain {
            Drain::No => None,
            _ if node.standing == Standing::Lost => None,
            Drain::Draining => Some(format!("{address} is being drained{stays}")),
            Drain::Drained => Some(format!("{address} is drained: nothing runs there, it may be stopped")),
        }
    };
    let lines: Vec<String> = cluster.nodes.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What runs other releases than most, if any does: `releases differ: 0.2.0 on 3 nodes; 0.1.0 on wss://b:7400`.
fn releases(cluster: &Cluster) -> Option<String> {
    let mut by_release: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in cluster.nodes.iter().filter(|node| node.standing != Standing::Lost) {
        if let Some(version) = &node.version {
            by_release.entry(version).or_default().push(node.address.as_deref().unwrap_or("the node that was asked"));
        }
    }
    let most = by_release.values().map(Vec::len).max().filter(|_| by_release.len() > 1)?;
    let mut is_told = false;
    let of = |(version, nodes): (&&str, &Vec<&str>)| {
        let is_most = nodes.len() == most && nodes.len() > 1 && !std::mem::replace(&mut is_told, true);
        if is_most { format!("{version} on {most} nodes") } else { format!("{version} on {}", nodes.join(", ")) }
    };
    Some(format!("releases differ: {}", by_release.iter().map(of).collect::<Vec<_>>().join("; ")))
}

/// That runs would be spread better, if any would.
fn balance(cluster: &Cluster) -> Option<String> {
    let runs = cluster.jobs.iter().filter(|job| job.spreads_better).count();
    match runs {
        0 => None,
        1 => Some("1 run would be spread better over the nodes that are there now: millrace balance".to_owned()),
        runs => Some(format!("{runs} runs would be spread better over the nodes that are there now: millrace balance")),
    }
}

/// `HOST:PORT` of an address, with or without a scheme.
pub fn authority(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, authority)| authority).trim_end_matches('/')
}

/// `1.5 s`, `30 s`
pub fn time(time: std::time::Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

const fn state(state: RunState) -> &'static str {
    match state {
        RunState::Starting => "starting",
        RunState::Running => "running",
        RunState::Draining => "draining",
        RunState::Finished => "finished",
        RunState::Stopped => "stopped",
        RunState::Failed => "failed",
    }
}

/// `142 MB`, in decimal units as files and memory are mostly given.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes < 10 * unit => format!("{:.1} {name}", bytes as f64 / unit as f64),
        Some((unit, name)) => format!("{:.0} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn job(rows_in: u64, elapsed_ms: u64) -> ClusterJob {
        let places = BTreeMap::from([("flights".into(), vec![0]), ("hourly".into(), vec![1, 1, 2])]);
        ClusterJob {
            job: JobId(3),
            name: "x".into(),
            state: RunState::Running,
            elapsed_ms,
            rows_in,
            late: 0,
            quarantined: 0,
            epoch: Some(4),
            places,
            parallelism: 2,
            change: None,
            firing: Vec::new(),
            spreads_better: false,
            autoscale: None,
        }
    }

    #[test]
    fn a_run_says_which_of_its_tasks_are_where() {
        assert_eq!(where_it_runs(&job(0, 0)), "0: flights; 1: hourly x2; 2: hourly");
    }

    fn node(member: u32, standing: Standing, drain: Drain, version: &str) -> ClusterNode {
        ClusterNode {
            member,
            address: (member > 0).then(|| format!("ws://b:{member}")),
            incarnation: 1,
            standing,
            since_us: 0,
            why: None,
            slots: None,
            slots_used: 0,
            tasks: 0,
            cores: 1,
            memory_bytes: 1,
            health: None,
            drain,
            stays: Vec::new(),
            version: Some(version.to_owned()),
        }
    }

    #[test]
    fn a_node_that_drains_says_so_and_what_stays_and_one_that_went_drained_has_left() {
        let stays = vec!["run 3 of x is not moved: a run without checkpoints".to_owned()];
        let drains = ClusterNode { stays, ..node(1, Standing::Joined, Drain::Draining, "1") };
        let nodes = vec![node(0, Standing::Leads, Drain::No, "1"), drains, node(2, Standing::Joined, Drain::Drained, "1")];
        assert_eq!(nodes.iter().map(super::standing).collect::<Vec<_>>(), ["leads", "joined, draining", "joined, drained"]);
        assert_eq!(super::standing(&node(3, Standing::Lost, Drain::Drained, "1")), "left");
        let text = "ws://b:1 is being drained; run 3 of x is not moved: a run without checkpoints\n\
                    ws://b:2 is drained: nothing runs there, it may be stopped";
        assert_eq!(draining(&Cluster { nodes, ..Cluster::default() }, None).as_deref(), Some(text));
    }

    #[test]
    fn releases_are_told_where_they_differ_and_a_node_that_is_gone_does_not_count() {
        let of = |versions: &[&str]| {
            let node = |(member, version): (u32, &&str)| node(member, Standing::Joined, Drain::No, version);
            Cluster { nodes: (0..).zip(versions).map(node).collect(), ..Cluster::default() }
        };
        assert_eq!(releases(&of(&["1", "1"])), None);
        let told = releases(&of(&["2", "1", "2"]));
        assert_eq!(told.as_deref(), Some("releases differ: 1 on ws://b:1; 2 on 2 nodes"));
        let mut gone = of(&["2", "1"]);
        gone.nodes[1].standing = Standing::Lost;
        assert_eq!(releases(&gone), None);
    }

    #[test]
    fn runs_that_would_be_spread_better_are_told_with_what_to_do() {
        let of = |better: &[bool]| Cluster {
            jobs: better.iter().map(|spreads_better| ClusterJob { spreads_better: *spreads_better, ..job(0, 0) }).collect(),
            ..Cluster::default()
        };
        assert_eq!(balance(&of(&[false])), None);
        assert!(balance(&of(&[true, false, true])).is_some_and(|text| text.starts_with("2 runs would be spread better")));
    }

    #[test]
    fn a_control_group_says_who_leads_it_and_what_it_survives() {
        let node = |name: &str, leads, votes| ControlNode { name: name.into(), address: String::new(), votes, leads, is_asked: false };
        let look = |survives, nodes| ControlLook { term: 4, survives, nodes, ..ControlLook::default() };
        let three = look(1, vec![node("a", false, true), node("b", true, true), node("c", false, true)]);
        assert_eq!(control_group(&three), "control group: b leads, term 4; 3 of 3 nodes vote, and the loss of 1 is survived");
        let two = look(0, vec![node("a", true, true), node("b", false, false)]);
        assert_eq!(
            control_group(&two),
            "control group: a leads, term 4; 1 of 2 nodes vote, and two survive no loss: with a third node one"
        );
        let one = ControlLook { has_majority: Some(false), ..look(0, vec![node("a", false, true)]) };
        let text = "control group: nobody leads, term 4; its one node votes, and no loss is survived; it hears of no majority, so that nothing can be agreed on";
        assert_eq!(control_group(&one), text);
    }

    #[test]
    fn a_deployment_says_who_leads_it_and_how_many_hold_its_newest_epoch() {
        let of =
            DeploymentLook { name: "p".into(), standing: DeploymentStanding::Running, node: Some("a".into()), ..DeploymentLook::default() };
        let held = DeploymentLook { epoch: Some(1_004), replicas: 2, holders: vec!["a".into()], ..of.clone() };
        let waits = DeploymentLook { standing: DeploymentStanding::Waiting, node: None, why: Some("b is gone".into()), ..of };
        let text = deployments(Some(&ControlLook { deployments: vec![held, waits], ..ControlLook::default() }));
        let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "p running, under-replicated a 1,004 1 of 2");
        assert_eq!(lines[2], "p waiting - - - b is gone");
    }

    #[test]
    fn a_rate_is_of_the_time_between_two_looks() {
        assert_eq!(rate(&job(3_000, 3_000), Some(&job(1_000, 1_000))), 1_000);
        assert_eq!((rate(&job(3_000, 1_500), None), rate(&job(3_000, 0), None)), (2_000, 0));
    }

    #[test]
    fn sizes_keep_two_figures() {
        assert_eq!([900, 1_200, 35_400_000, 8_000_000_000].map(size), ["900 B", "1.2 kB", "35 MB", "8.0 GB"]);
    }

    #[test]
    fn a_cause_is_told_before_what_came_of_it() {
        let what = |kind: &str, node: Option<&str>, job| Happening {
            at_us: 0,
            kind: kind.into(),
            node: node.map(str::to_owned),
            job,
            pipeline: None,
            alert: None,
            message: "m".into(),
        };
        let victims = vec![what("restarted", None, Some(JobId(3)))];
        let text = timeline(&[Incident { id: 1, root: what("node_lost", Some("ws://b:1"), None), victims, unlisted: 2 }]);
        assert_eq!(text, "1970-01-01T00:00:00Z  node_lost  ws://b:1: m\n  1970-01-01T00:00:00Z  restarted  run 3: m\n  .. and 2 more");
    }
}
