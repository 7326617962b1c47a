//! How a node comes to have just what the log says that a run goes on from.

use std::sync::Arc;

use millrace_control::control::EpochId;
use millrace_model::Diagnostic;
use millrace_runtime::checkpoint::{EpochOf, copy_epoch, cut_to, look_over};
use millrace_state::checkpoint::RunId;
use millrace_state::store::Store;
use millrace_wire::codes;
use millrace_wire::message::ReplicaOpen;

use super::far::FarReplica;
use crate::control::ControlNode;

/// An epoch of the log as a store names it.
pub const fn epoch_of(epoch: EpochId) -> EpochOf {
    (RunId(epoch.run), epoch.number)
}

/// Brings the state of a deployment that this node leads to the newest complete epoch of the log: what came after it goes, since it was never
/// complete, and what is missing of it is taken from those that hold it.
///
/// # Errors
/// If nobody in reach has it whole. There is no going back further: sinks may have committed it.
pub async fn bring_to_log(control: &ControlNode, deployment: &str, store: &Arc<dyn Store>) -> Result<(), Diagnostic> {
    let (newest, holders) = control.group().read(|agreed| {
        let known = agreed.deployments().get(deployment);
        known.map(|known| (known.complete.map(epoch_of), known.holders.clone())).unwrap_or_default()
    });
    let looking = store.clone();
    let looked = blocking(move || {
        cut_to(looking.as_ref(), newest)?;
        newest.map_or(Ok(()), |newest| look_over(looking.as_ref(), newest))
    });
    let (mine, newest) = match (looked.await, newest) {
        (Ok(()), _) => return Ok(()),
        (Err(why), None) => return Err(Diagnostic::error(codes::NO_REPLICA, format!("the state of {deployment} cannot be used: {why}"))),
        (Err(mine), Some(newest)) => (mine, newest),
    };
    let mut told = vec![format!("here {mine}")];
    for holder in holders.iter().filter(|holder| *holder != control.name()) {
        match take_from(control, holder, deployment, newest, store).await {
            Ok(()) => return Ok(()),
            Err(why) => told.push(format!("{holder}: {why}")),
        }
    }
    let message = format!("epoch {} of {deployment} is complete, and is nowhere to be had: {}", newest.1, told.join("; "));
    Err(Diagnostic::error(codes::NO_REPLICA, message).help("bring a node back that holds it; or give the run up: millrace remove NAME"))
}

async fn take_from(control: &ControlNode, holder: &str, deployment: &str, epoch: EpochOf, store: &Arc<dyn Store>) -> Result<(), String> {
    let peer = control.peer(holder).ok_or("it is not of the group any more")?;
    let far = FarReplica::open(control, &peer, deployment, ReplicaOpen::Read).await?;
    let to = store.clone();
    far.with(move |from| {
        let words = |error: millrace_state::StateError| error.to_string();
        // What is damaged here must not pass for what is whole there.
        cut_below(to.as_ref(), epoch).map_err(words)?;
        copy_epoch(from.as_ref(), to.as_ref(), epoch, &[]).map_err(words)?;
        look_over(to.as_ref(), epoch).map_err(words)
    })
    .await
}

/// Takes the epoch itself away too.
fn cut_below(store: &dyn Store, (run, epoch): EpochOf) -> millrace_state::StateResult<()> {
    cut_to(store, Some((run, epoch.saturating_sub(1))))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> millrace_state::StateResult<T> + Send + 'static) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| error.to_string()).and_then(|done| done.map_err(|error| error.to_string()))
}
