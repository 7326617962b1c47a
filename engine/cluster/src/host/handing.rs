//! Hands what this node leads for the control group to other nodes, while it is being emptied.
//!
//! A run comes to its end in order, at an epoch of its own; then it is entered who is to go on with it, in place of that it was stopped
//! ([`crate::control::Leading::hand_over`]). Whatever happens between is a crash like another: the log says that this node leads the run, until it says
//! who is to.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use millrace_control::control::ranked;
use millrace_wire::cluster::Drain;
use millrace_wire::message::{JobId, StopMode};
use tokio::time::timeout;

use super::Shared;
use crate::control::{ControlNode, Peer};

/// How long a run that is to be handed on may take to come to its end in order.
const DRAINING: Duration = Duration::from_secs(30);

/// How long another node may take to say how it is.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// The other nodes of the group that could lead a run from here on, those first that hold its newest epoch; and why others could not.
pub async fn successors(host: &Shared, control: &ControlNode, name: Option<&str>) -> (Vec<Peer>, Vec<String>) {
    let known = name.and_then(|name| control.group().read(|agreed| agreed.deployments().get(name).cloned()));
    let root = known.as_ref().and_then(|known| known.source.place.as_ref()).map(|place| place.root.clone());
    let peers: Vec<Peer> = control.peers().into_iter().filter(|peer| peer.name != control.name()).collect();
    if peers.is_empty() {
        return (Vec::new(), vec!["no other node is of the control group".to_owned()]);
    }
    let asked = join_all(peers.iter().map(|peer| could_lead(host, control, peer, root.as_deref()))).await;
    let (mut able, mut why) = (BTreeMap::new(), Vec::new());
    for (peer, answer) in peers.into_iter().zip(asked) {
        match answer {
            Ok(()) => drop(able.insert(peer.name.clone(), peer)),
            Err(reason) => why.push(format!("{} {reason}", peer.name)),
        }
    }
    let holds = |name: &&str| known.as_ref().is_some_and(|known| known.holders.contains(*name));
    let order = ranked(name.unwrap_or_default(), able.keys().map(String::as_str));
    let (first, then): (Vec<&str>, Vec<&str>) = order.into_iter().partition(holds);
    (first.into_iter().chain(then).filter_map(|name| able.get(name).cloned()).collect(), why)
}

/// Asks a node whether it could lead a run in a folder.
async fn could_lead(host: &Shared, control: &ControlNode, peer: &Peer, root: Option<&str>) -> Result<(), String> {
    if host.options.crew.is_draining(&peer.address) {
        return Err("is being drained".to_owned());
    }
    let asked = async {
        let client = control.ways().client(peer).await?;
        client.describe().await.map_err(|error| error.to_string())
    };
    let told = timeout(ANSWERED_WITHIN, asked).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    let told = told.map_err(|why| format!("is out of reach: {why}"))?;
    if told.drain.is_some_and(|drain| drain != Drain::No) {
        return Err("is being drained".to_owned());
    }
    match root {
        Some(root) if !told.shared.iter().any(|shared| std::path::Path::new(root).starts_with(shared)) => {
            Err(format!("does not share {root}"))
        }
        _ => Ok(()),
    }
}

/// The runs that are being handed on.
#[derive(Default)]
pub struct Handing {
    since: BTreeMap<JobId, Instant>,
}

impl Handing {
    /// One step: what this node leads for the group is told to end, and to whom it goes.
    pub async fn step(&mut self, host: &Shared, control: &ControlNode) {
        if !host.options.crew.drains().is_on() {
            return self.since.clear();
        }
        let mut not_handed = BTreeMap::new();
        for job in host.under_way() {
            let Some(name) = job.group_name(Some(control)).filter(|name| control.leading().is_led(name)) else { continue };
            if let Some(since) = self.since.get(&job.id) {
                if since.elapsed() > DRAINING {
                    job.stop(StopMode::Abort);
                }
                continue;
            }
            let (able, why) = successors(host, control, Some(&name)).await;
            match able.first() {
                Some(to) => {
                    tracing::info!(name, to = to.name, "a deployment is handed on, since this node is being drained");
                    control.leading().hand_over(&name, &to.name);
                    job.stop(StopMode::Drain);
                    self.since.insert(job.id, Instant::now());
                }
                None => drop(not_handed.insert(name, format!("no other node could lead it: {}", why.join("; ")))),
            }
        }
        *host.not_handed.lock().unwrap_or_else(PoisonError::into_inner) = not_handed;
    }
}
