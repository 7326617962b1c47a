//! From what a leader tells to what the screens show.

use std::collections::BTreeMap;

use millrace_engine::cluster::Contact;
use millrace_engine::wire::cluster::{self as wire, Drain, Standing};
use millrace_engine::wire::figures::RunState;
use millrace_engine::wire::message::JobId;
use millrace_studio_api::{
    Cluster, ClusterContact, ClusterDrain, ClusterJob, ClusterLink, ClusterNode, ClusterStanding, ControlGroup, ControlNode, ControlPart,
    DeploymentState, GroupDeployment, Happening, Incident,
};

use super::News;

/// The run of this studio, if it is at a target: screens mark it.
pub type Mine = Option<JobId>;

/// What is known of the cluster at one target.
pub struct View {
    shown: Cluster,
    revision: u64,
    /// Rows that each run had read, and when, at the look before.
    before: BTreeMap<JobId, (u64, u64)>,
}

impl View {
    pub fn new(target: &str) -> View {
        let shown = Cluster {
            target: target.to_owned(),
            contact: ClusterContact::Asking,
            at_ms: None,
            nodes: Vec::new(),
            links: Vec::new(),
            jobs: Vec::new(),
            incidents: Vec::new(),
            refused: None,
            led_elsewhere: 0,
            control: None,
        };
        View { shown, revision: 0, before: BTreeMap::new() }
    }

    pub fn target(&self) -> &str {
        &self.shown.target
    }

    /// Nothing is known of the fault timeline of whoever is asked from now on.
    pub const fn begin(&mut self) {
        self.revision = 0;
    }

    pub fn shown(&self, mine: Mine) -> Cluster {
        let mut shown = self.shown.clone();
        let mine = mine.map(|job| job.0 as f64);
        shown.jobs.iter_mut().for_each(|job| job.mine = Some(job.job) == mine);
        shown
    }

    pub fn take(&mut self, news: News, now_ms: f64) {
        match news {
            News::Look(cluster) => self.look(*cluster),
            News::Refused(why) => self.shown.refused = why,
            News::Unknown => self.shown.contact = ClusterContact::Unknown,
            News::Contact(contact) => {
                let ago = |since: std::time::Instant| now_ms - since.elapsed().as_secs_f64() * 1e3;
                let has_come = self.shown.at_ms.is_some();
                self.shown.contact = match contact {
                    Contact::Connected if has_come => ClusterContact::Connected,
                    Contact::Connected => ClusterContact::Asking,
                    Contact::Resuming { since, why } => ClusterContact::Reconnecting { since_ms: ago(since), why },
                    Contact::Lost { since, why } => ClusterContact::Lost { since_ms: ago(since), why },
                };
            }
        }
    }

    fn look(&mut self, cluster: wire::Cluster) {
        let wire::Cluster { at_us, nodes, links, jobs, timeline, control } = cluster;
        let leader = without_scheme(&self.shown.target).to_owned();
        let names: BTreeMap<u32, String> = nodes.iter().map(|node| (node.member, name(node, &leader))).collect();
        let of = |member: u32| names.get(&member).cloned().unwrap_or_default();
        let shown = &mut self.shown;
        shown.contact = ClusterContact::Connected;
        shown.at_ms = Some(millis(at_us));
        shown.control = control.map(control_group);
        shown.led_elsewhere = nodes.first().and_then(|node| node.health).map_or(0, |health| health.shares);
        shown.nodes = nodes.iter().map(|it| node(it, of(it.member))).collect();
        shown.links = links.iter().map(|it| link(it, of(it.member))).collect();
        shown.jobs = jobs.iter().map(|it| job(it, self.before.get(&it.job))).collect();
        self.before = jobs.iter().map(|job| (job.job, (job.rows_in, job.elapsed_ms))).collect();
        match timeline {
            Some(timeline) => {
                self.revision = timeline.revision;
                shown.incidents = timeline.incidents.iter().map(incident).collect();
            }
            // Nothing has happened there yet.
            None if self.revision == 0 => shown.incidents.clear(),
            None => {}
        }
    }
}

fn control_group(control: wire::ControlLook) -> ControlGroup {
    let node = |node: wire::ControlNode| ControlNode {
        address: without_scheme(&node.address).to_owned(),
        name: node.name,
        part: match (node.leads, node.votes) {
            (true, _) => ControlPart::Leads,
            (false, true) => ControlPart::Votes,
            (false, false) => ControlPart::Follows,
        },
    };
    ControlGroup {
        term: control.term as f64,
        has_majority: control.has_majority.unwrap_or(true),
        survives: control.survives,
        nodes: control.nodes.into_iter().map(node).collect(),
        deployments: control.deployments.into_iter().map(deployment).collect(),
    }
}

fn deployment(of: wire::DeploymentLook) -> GroupDeployment {
    let state = match of.standing {
        wire::DeploymentStanding::Running => DeploymentState::Running,
        wire::DeploymentStanding::TakenOver => DeploymentState::TakenOver,
        wire::DeploymentStanding::Waiting => DeploymentState::Waiting,
        wire::DeploymentStanding::Stopped => DeploymentState::Stopped,
    };
    let held = u32::try_from(of.holders.len()).unwrap_or(u32::MAX);
    let epoch = of.epoch.map(|epoch| epoch as f64);
    GroupDeployment { name: of.name, state, node: of.node, epoch, held, replicas: of.replicas, why: of.why }
}

fn millis(us: i64) -> f64 {
    us as f64 / 1e3
}

fn without_scheme(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, rest)| rest)
}

fn name(node: &wire::ClusterNode, leader: &str) -> String {
    node.address.as_deref().map_or_else(|| leader.to_owned(), |address| without_scheme(address).to_owned())
}

fn node(of: &wire::ClusterNode, name: String) -> ClusterNode {
    ClusterNode {
        member: of.member,
        name,
        incarnation: of.incarnation,
        standing: match of.standing {
            Standing::Leads => ClusterStanding::Leads,
            Standing::Joined => ClusterStanding::Joined,
            Standing::Suspected => ClusterStanding::Suspected,
            Standing::Lost => ClusterStanding::Lost,
        },
        since_ms: millis(of.since_us),
        why: of.why.clone(),
        slots: of.slots,
        slots_used: of.slots_used,
        tasks: of.tasks,
        cores: of.cores,
        machine_bytes: of.memory_bytes as f64,
        cpu_percent: of.health.and_then(|health| health.cpu_percent),
        memory_bytes: of.health.map(|health| health.memory_bytes as f64),
        drain: match of.drain {
            Drain::No => ClusterDrain::No,
            Drain::Draining => ClusterDrain::Draining,
            Drain::Drained => ClusterDrain::Drained,
        },
        stays: of.stays.clone(),
        version: of.version.clone(),
    }
}

fn link(of: &wire::ClusterLink, name: String) -> ClusterLink {
    ClusterLink {
        member: of.member,
        name,
        sent_bytes: of.sent_bytes as f64,
        received_bytes: of.received_bytes as f64,
        sent_per_s: of.sent_per_s,
        received_per_s: of.received_per_s,
        round_trip_ms: of.round_trip_us.map(|us| us as f64 / 1e3),
        resumes: of.resumes as f64,
    }
}

/// `before`: what it had read, and for how long it ran, at the look before.
fn job(of: &wire::ClusterJob, before: Option<&(u64, u64)>) -> ClusterJob {
    let (rows, ms) = before.copied().unwrap_or_default();
    let passed_s = of.elapsed_ms.saturating_sub(ms) as f64 / 1e3;
    let rate = if passed_s > 0.0 { of.rows_in.saturating_sub(rows) as f64 / passed_s } else { 0.0 };
    ClusterJob {
        job: of.job.0 as f64,
        name: of.name.clone(),
        mine: false,
        state: state(of.state).to_owned(),
        elapsed_ms: of.elapsed_ms as f64,
        rows_in: of.rows_in as f64,
        rows_per_s: if of.state.is_over() { 0.0 } else { rate },
        epoch: of.epoch.map(|epoch| epoch as f64),
        places: of.places.iter().map(|(node, members)| (node.to_string(), members.clone())).collect(),
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

fn incident(of: &wire::Incident) -> Incident {
    Incident { id: of.id as f64, root: happening(&of.root), victims: of.victims.iter().map(happening).collect(), unlisted: of.unlisted }
}

fn happening(of: &wire::Happening) -> Happening {
    Happening {
        at_ms: millis(of.at_us),
        kind: of.kind.clone(),
        node: of.node.as_deref().map(|address| without_scheme(address).to_owned()),
        pipeline: of.pipeline.clone(),
        message: of.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use millrace_engine::wire::cluster::{FaultTimeline, Health};

    use super::*;

    fn told(rows_in: u64, elapsed_ms: u64, timeline: Option<FaultTimeline>) -> News {
        let node = |member: u32, address: Option<&str>, standing| wire::ClusterNode {
            member,
            address: address.map(str::to_owned),
            incarnation: 1,
            standing,
            since_us: 5_000,
            why: None,
            slots: None,
            slots_used: 0,
            tasks: 0,
            cores: 2,
            memory_bytes: 8,
            health: Some(Health { shares: 3, ..Health::default() }),
            drain: if member == 2 { Drain::Draining } else { Drain::No },
            stays: Vec::new(),
            version: None,
        };
        let job = wire::ClusterJob {
            job: JobId(4),
            name: "x".into(),
            state: RunState::Running,
            elapsed_ms,
            rows_in,
            late: 0,
            quarantined: 0,
            epoch: None,
            places: BTreeMap::new(),
            parallelism: 2,
            change: None,
            firing: Vec::new(),
            spreads_better: false,
            autoscale: None,
        };
        let nodes = vec![node(0, None, Standing::Leads), node(2, Some("ws://b:1"), Standing::Joined)];
        News::Look(Box::new(wire::Cluster { at_us: 9_000, nodes, links: Vec::new(), jobs: vec![job], timeline, control: None }))
    }

    #[test]
    fn a_look_names_nodes_by_their_addresses_and_makes_rates_of_two() {
        let mut view = View::new("ws://a:1");
        view.take(told(1_000, 1_000, None), 0.0);
        view.take(told(3_000, 2_000, None), 0.0);
        let shown = view.shown(Some(JobId(4)));
        assert_eq!(shown.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["a:1", "b:1"]);
        assert_eq!(shown.nodes.iter().map(|node| node.drain).collect::<Vec<_>>(), [ClusterDrain::No, ClusterDrain::Draining]);
        assert_eq!((shown.jobs[0].rows_per_s, shown.jobs[0].mine, shown.led_elsewhere), (2_000.0, true, 3));
    }

    #[test]
    fn what_was_told_last_stays_when_the_leader_is_lost_and_a_timeline_that_did_not_change_is_kept() {
        let mut view = View::new("ws://a:1");
        let root = wire::Happening {
            at_us: 1,
            kind: "node_joined".into(),
            node: Some("ws://b:1".into()),
            job: None,
            pipeline: None,
            alert: None,
            message: "m".into(),
        };
        let incidents = vec![wire::Incident { id: 1, root, victims: Vec::new(), unlisted: 0 }];
        view.take(told(0, 0, Some(FaultTimeline { revision: 7, incidents })), 0.0);
        view.take(told(0, 0, None), 0.0);
        view.take(News::Contact(Contact::Lost { since: Instant::now(), why: "gone".into() }), 60_000.0);
        let shown = view.shown(None);
        assert_eq!((shown.incidents.len(), shown.nodes.len()), (1, 2));
        assert_eq!(shown.incidents[0].root.node.as_deref(), Some("b:1"));
        assert!(matches!(shown.contact, ClusterContact::Lost { ref why, .. } if why == "gone"));
        view.begin();
        view.take(told(0, 0, None), 0.0);
        assert!(view.shown(None).incidents.is_empty(), "another process at that address has a story of its own");
    }
}
