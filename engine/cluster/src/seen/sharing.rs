//! How control nodes tell each other what they have seen: each asks each of the others for what is newer than what it knows.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{Seen, now_us};
use crate::control::{ControlNode, Peer};

/// From one time that the others are asked to the next: how much of what a node saw may be lost with it.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks for as long as this is polled. Never returns.
pub async fn share(seen: &Seen, control: &ControlNode) {
    loop {
        let peers: Vec<Peer> = control.peers().into_iter().filter(|peer| peer.name != control.name()).collect();
        let asking = peers.iter().map(|peer| async move {
            if let Ok(Err(error)) = timeout(PATIENCE, ask(seen, control, peer)).await {
                // Whoever is away is told of otherwise.
                tracing::debug!(node = peer.name, error, "a node's timeline was not heard");
            }
        });
        join_all(asking).await;
        sleep(EVERY).await;
    }
}

async fn ask(seen: &Seen, control: &ControlNode, peer: &Peer) -> Result<(), String> {
    let client = control.ways().client(peer).await?;
    if client.contact().borrow().is_resuming() {
        return Err("its connection is being made again".to_owned());
    }
    let asked_us = now_us();
    let Some((at_us, pages)) = client.timeline(seen.marks()).await.map_err(|error| error.to_string())? else { return Ok(()) };
    seen.heard(control.name(), &peer.name, pages, (asked_us, at_us, now_us()));
    Ok(())
}
