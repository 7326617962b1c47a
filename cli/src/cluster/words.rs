//! A cluster in words: tables of nodes, links and runs, and the fault timeline.

use std::collections::BTreeMap;

use millrace_engine::model::Timestamp;
use millrace_engine::wire::alerts::AlertFigures;
use millrace_engine::wire::change::ChangeFigures;
use millrace_engine::wire::cluster::{
    Cluster, ClusterJob, ClusterNode, ControlLook, ControlNode, DeploymentLook, DeploymentStanding, Happening, Incident, Standing,
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
    let runs = runs_since(cluster, None);
    cluster.control.as_ref().map_or_else(|| runs.clone(), |control| format!("{runs}\n\n{}", control_group(control)))
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
            standing(node.standing).to_owned(),
            slots,
            grouped(u64::from(node.tasks)),
            cpu,
            memory,
            node.why.clone().unwrap_or_default(),
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

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Leads => "leads",
        Standing::Joined => "joined",
        Standing::Suspected => "suspected",
        Standing::Lost => "lost",
    }
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
            autoscale: None,
        }
    }

    #[test]
    fn a_run_says_which_of_its_tasks_are_where() {
        assert_eq!(where_it_runs(&job(0, 0)), "0: flights; 1: hourly x2; 2: hourly");
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
