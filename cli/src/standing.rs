//! Taking part in the runs of every node of a control group: whichever of them leads a run, and takes it over, those that are left are its members.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::cluster::Credential;
use millrace_engine::cluster::control::ControlNode;
use millrace_engine::cluster::share::{Enlistment, Learned, stay_enlisted};
use millrace_engine::cluster::trust::{Guard, Name};
use millrace_engine::wire::message::ControlPeer;
use tokio::task::AbortHandle;

/// From one look at who is of the control group to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where a node that is no control node keeps whom it was told of, within its data: it finds them again when the one that it joined is gone.
const KNOWN: &str = "control-nodes.json";

/// Enlists with each node of the control group but this one and that at `leader`, which is told by itself. Never ends.
pub async fn stand_by(own: &Enlistment, guard: &Arc<Guard>, leader: Option<&str>, peers: impl Fn() -> Vec<ControlPeer>) {
    let mut stays: BTreeMap<ControlPeer, AbortHandle> = BTreeMap::new();
    loop {
        let peers: Vec<ControlPeer> =
            peers().into_iter().filter(|peer| peer.address != own.address && leader.is_none_or(|leader| leader != peer.address)).collect();
        stays.retain(|peer, stay| {
            let is_there = peers.contains(peer);
            if !is_there {
                stay.abort();
            }
            is_there
        });
        for peer in peers {
            let (own, guard) = (own.clone(), guard.clone());
            stays.entry(peer.clone()).or_insert_with(|| tokio::spawn(stay_with(peer, own, guard)).abort_handle());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn stay_with(peer: ControlPeer, own: Enlistment, guard: Arc<Guard>) {
    let credential = || Credential::Certificate { identity: guard.identity(), expected: Name::parse(&peer.name).ok() };
    // It may be away for long, and then it leads nothing.
    stay_enlisted(&peer.address, credential, &own, |_| {}).await;
}

/// The other nodes of the group, as this one of them knows it.
pub fn peers_of(control: &ControlNode) -> Vec<ControlPeer> {
    let known = control.peers().into_iter().filter(|peer| peer.name != control.name());
    known.map(|peer| ControlPeer { name: peer.name, address: peer.address }).collect()
}

/// Whom this node was told of before. A file that cannot be read says nothing: the node that is joined tells anew.
pub fn known(data: Option<&Path>) -> Learned {
    let read = data.and_then(|data| std::fs::read(data.join(KNOWN)).ok());
    Learned::of(read.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
}

/// Keeps whom this node is told of, for its next start. Never ends.
pub async fn keep_known(data: &Path, learned: &Learned) {
    let (mut follow, path) = (learned.follow(), data.join(KNOWN));
    while follow.changed().await.is_ok() {
        let (known, path) = (follow.borrow_and_update().clone(), path.clone());
        let written = tokio::task::spawn_blocking(move || put(&path, &known)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the addresses of the control group cannot be kept");
        }
    }
    std::future::pending().await
}

fn put(path: &Path, known: &[ControlPeer]) -> io::Result<()> {
    let beside = path.with_extension("json.tmp");
    std::fs::write(&beside, serde_json::to_vec(known)?)?;
    std::fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_node_was_told_of_is_known_at_its_next_start_and_a_spoiled_file_says_nothing() {
        let data = tempfile::tempdir().unwrap();
        let known_now = || known(Some(data.path())).follow().borrow().clone();
        assert!(known_now().is_empty() && known(None).follow().borrow().is_empty());
        let peers = [ControlPeer { name: "b".into(), address: "wss://b:1".into() }];
        put(&data.path().join(KNOWN), &peers).unwrap();
        assert_eq!(known_now(), peers);
        std::fs::write(data.path().join(KNOWN), "[{").unwrap();
        assert!(known_now().is_empty());
    }
}
