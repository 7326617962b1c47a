//! Emptying a node, so that it can be stopped: this one, or another that it knows.
//!
//! A node that drains says so to its leaders, which ask it for nothing new and move what it has ([`super::moving`]); what it leads itself for the control
//! group is handed to another node ([`super::handing`]). That it drains ends with its process: one that starts again takes part.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use millrace_control::control::{Deployment as Agreed, Desired};
use millrace_model::Diagnostic;
use millrace_plan::Member;
use millrace_wire::cluster::{Drain, DrainLook};
use millrace_wire::codes;
use millrace_wire::message::Reply;
use tokio::time::{sleep, timeout};

use super::handing::successors;
use super::job::Job;
use super::{EngineHost, Shared, moving};
use crate::client::EngineClient;
use crate::control::{ControlNode, Peer};

/// How long another node may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// How long a member is waited for that is to say itself that it drains, and how often it is looked.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const HEARD_EVERY: Duration = Duration::from_millis(5);

/// From one look to the next, of a process that is about to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long what stays is looked at before a process ends that is about to: a run may be just about to be handed on.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Whom somebody means.
enum Meant {
    Own,
    Member(Member, String, EngineClient),
    Peer(Peer),
}

/// Empties a node, has it take part again, or looks how far it has come.
///
/// # Errors
/// If nobody knows the node, or nobody else could take what it has.
pub async fn drain(host: &Arc<Shared>, node: Option<&str>, drains: Option<bool>) -> Result<Reply, Diagnostic> {
    let look = match node.map_or(Ok(Meant::Own), |node| meant(host, node))? {
        Meant::Own => own(host, drains).await?,
        Meant::Member(member, address, client) => of_member(host, member, address, &client, drains).await?,
        Meant::Peer(peer) => {
            let control = super::keeper::control(host)?;
            let asked = async {
                let client =
                    control.ways().client(&peer).await.map_err(|why| not_drained(format!("{} is out of reach: {why}", peer.name)))?;
                client.drain(None, drains).await.map_err(|error| error.diagnostic())
            };
            let look = timeout(ANSWERED_WITHIN, asked).await.unwrap_or_else(|_| Err(silent(&peer.name)))?;
            DrainLook { node: peer.name.clone(), ..look }
        }
    };
    Ok(Reply::Drain { look })
}

fn not_drained(message: String) -> Diagnostic {
    Diagnostic::error(codes::NOT_DRAINED, message)
}

fn silent(node: &str) -> Diagnostic {
    not_drained(format!("{node} does not answer within {} s", ANSWERED_WITHIN.as_secs())).help("see `millrace status` for how it is")
}

fn meant(host: &Shared, node: &str) -> Result<Meant, Diagnostic> {
    let crew = &host.options.crew;
    let bare = |address: &str| address.split_once("://").map_or(address, |(_, authority)| authority).trim_end_matches('/').to_owned();
    if node == "0" || crew.control().is_some_and(|control| control.name() == node || bare(control.address()) == bare(node)) {
        return Ok(Meant::Own);
    }
    if let Some((member, address, client)) = crew.find(node) {
        return Ok(Meant::Member(member, address, client));
    }
    let peers = crew.control().map(ControlNode::peers).unwrap_or_default();
    if let Some(peer) = peers.into_iter().find(|peer| peer.name == node || bare(&peer.address) == bare(node)) {
        // Where it takes part in what is led here too, it is asked by that way.
        let member = crew.find(&peer.address);
        return Ok(member.map_or(Meant::Peer(peer), |(member, address, client)| Meant::Member(member, address, client)));
    }
    let unknown = not_drained(format!("there is no node {node}, or it is out of reach"));
    Err(unknown.help("write its address, its name or its number, as `millrace status` shows them"))
}

async fn own(host: &Arc<Shared>, drains: Option<bool>) -> Result<DrainLook, Diagnostic> {
    let now = host.options.crew.drains();
    if drains == Some(true) && !now.is_on() && host.leads() > 0 {
        is_not_last(host).await?;
    }
    if let Some(drains) = drains.filter(|drains| now.set(*drains)) {
        tracing::info!(drains, "this node is drained, or takes part again");
    }
    Ok(host.drain_look())
}

/// That another node could take what this one leads.
async fn is_not_last(host: &Arc<Shared>) -> Result<(), Diagnostic> {
    let leads = || host.under_way().first().map_or_else(String::new, |job| job.called());
    let Some(control) = host.options.crew.control() else {
        let message = format!("this node leads {}, and no other one could: it is of no control group", leads());
        return Err(not_drained(message).help("stop its runs first: millrace stop RUN"));
    };
    let (others, why) = successors(host, control, None).await;
    if others.is_empty() {
        let message = format!("this node leads {}, and is the last one that could: {}", leads(), why.join("; "));
        return Err(not_drained(message).help("start another node of the control group, or stop the runs: millrace stop RUN"));
    }
    Ok(())
}

async fn of_member(
    host: &Arc<Shared>,
    member: Member,
    address: String,
    client: &EngineClient,
    drains: Option<bool>,
) -> Result<DrainLook, Diagnostic> {
    let crew = &host.options.crew;
    if drains == Some(true) && crew.drains().is_on() && crew.hands() == 0 {
        return Err(not_drained(format!("{address} is the last node that takes part: the one that was asked is being drained too"))
            .help("have another one take part again: millrace undrain NODE"));
    }
    let asked = timeout(ANSWERED_WITHIN, client.drain(None, drains)).await;
    let look = asked.map_err(|_| silent(&address))?.map_err(|error| error.diagnostic())?;
    // It says so itself, in order with what it said before; only if that does not come it is taken from its answer.
    let is_on = !look.drain.is_no();
    let heard = async {
        while crew.is_draining(&address) != is_on {
            sleep(HEARD_EVERY).await;
        }
    };
    if timeout(HEARD_WITHIN, heard).await.is_err() {
        crew.tell_drains(&address, is_on);
    }
    if is_on {
        tokio::spawn(moving::move_off(host.clone()));
    }
    let (_, here) = crew.seen().drain(member);
    let stays = look.stays.into_iter().chain(here).collect();
    Ok(DrainLook { node: address, stays, ..look })
}

/// Deployments that are led elsewhere and go on from what is on this node's disk alone: whoever was handed one has not come to a checkpoint of its own yet.
fn held_alone(control: &ControlNode) -> Vec<String> {
    let is_alone = |known: &Agreed| {
        let is_copied = known.source.place.as_ref().is_some_and(|place| place.replicas > 0);
        let is_mine = known.holders.len() == 1 && known.holders.contains(control.name());
        known.desired == Desired::Running && known.complete.is_some() && is_copied && is_mine
    };
    let held: Vec<String> = control.group().read(|agreed| {
        let held = agreed.deployments().iter().filter(|(_, known)| is_alone(known));
        held.map(|(name, _)| name.to_owned()).collect()
    });
    held.into_iter().filter(|name| !control.leading().is_led(name)).collect()
}

impl Shared {
    /// The runs that this node leads and that are not over.
    pub(super) fn under_way(&self) -> Vec<Arc<Job>> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.values().filter_map(std::sync::Weak::upgrade).filter(|job| job.is_under_way()).collect()
    }

    pub(super) fn leads(&self) -> u32 {
        u32::try_from(self.under_way().len()).unwrap_or(u32::MAX)
    }

    /// Parts that it takes in runs which are led elsewhere.
    pub(super) fn shares(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.share) - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn drain(&self) -> Drain {
        let crew = &self.options.crew;
        // A run that is handed on is over before that is entered.
        let is_needed = || crew.control().is_some_and(|control| control.leading().is_any() || !held_alone(control).is_empty());
        match crew.drains().is_on() {
            false => Drain::No,
            true if self.leads() > 0 || self.shares() > 0 || is_needed() => Drain::Draining,
            true => Drain::Drained,
        }
    }

    /// What stays here although it drains: runs whose files are this node's alone, and what could not be handed on.
    pub(super) fn own_stays(&self) -> Vec<String> {
        if !self.options.crew.drains().is_on() {
            return Vec::new();
        }
        let not_handed = self.not_handed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let control = self.options.crew.control();
        let led = |job: &Arc<Job>| job.group_name(control).filter(|name| control.is_some_and(|control| control.leading().is_led(name)));
        let why = |job: &Arc<Job>| match led(job) {
            Some(name) => not_handed.get(&name).map(|why| format!("{} is not handed on: {why}", job.called())),
            None => Some(format!("{} is this node's alone: its files are here, or it takes no checkpoints", job.called())),
        };
        let held = control.map(held_alone).unwrap_or_default();
        let held = held
            .into_iter()
            .map(|name| format!("{name} goes on from what is on this node's disk alone, until its next checkpoint elsewhere"));
        self.under_way().iter().filter_map(why).chain(held).collect()
    }

    fn drain_look(&self) -> DrainLook {
        DrainLook { node: String::new(), drain: self.drain(), leads: self.leads(), shares: self.shares(), stays: self.own_stays() }
    }

    /// That it takes nothing new, if it is being emptied.
    pub(super) fn takes_runs(&self) -> Result<(), Diagnostic> {
        if self.options.crew.drains().is_on() {
            let drains = Diagnostic::error(codes::DRAINS, "this node is being drained, and takes no new run");
            return Err(drains.help("ask another node; or have it take part again: millrace undrain NODE --on ADDRESS"));
        }
        Ok(())
    }
}

impl EngineHost {
    /// Empties this node, whose process is to end: returns once nothing runs here any more, once all that is left cannot be moved, or after so long.
    pub async fn drain_before_end(&self, within: Duration) {
        let host = &self.shared;
        host.options.crew.drains().set(true);
        // A run of a group may be just about to be handed on; what nobody else could take is not waited for, however long.
        let patience = if host.options.crew.control().is_some() { SETTLED_AFTER } else { Duration::ZERO };
        let emptied = async {
            let mut settled = Instant::now();
            while host.drain() != Drain::Drained {
                let leads = host.leads() as usize;
                let nothing_moves = leads > 0 && host.shares() == 0 && host.own_stays().len() >= leads;
                if !nothing_moves {
                    settled = Instant::now();
                } else if settled.elapsed() >= patience {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let _ = timeout(within, emptied).await;
    }

    /// Whether there is anything to empty this node of.
    pub fn is_empty(&self) -> bool {
        self.shared.leads() == 0 && self.shared.shares() == 0
    }
}
