//! The deployments of the log, as they are shown.

use millrace_control::control::{Control, Deployment, Desired};
use millrace_wire::cluster::{DeploymentLook, DeploymentStanding};

/// All of them, by name.
pub fn deployments(agreed: &Control) -> Vec<DeploymentLook> {
    let nodes = u32::try_from(agreed.members().iter().count()).unwrap_or(u32::MAX);
    agreed.deployments().iter().map(|(name, known)| shown(name, known, nodes)).collect()
}

fn shown(name: &str, known: &Deployment, nodes: u32) -> DeploymentLook {
    let standing = match (known.desired, &known.handed, &known.led, &known.waits) {
        (Desired::Stopped, ..) => DeploymentStanding::Stopped,
        (_, _, _, Some(_)) => DeploymentStanding::Waiting,
        (_, Some(_), ..) => DeploymentStanding::TakenOver,
        (_, None, Some(_), None) => DeploymentStanding::Running,
        (_, None, None, None) => DeploymentStanding::Waiting,
    };
    let declined = || known.declined.iter().next_back().map(|(node, why)| format!("{node} could not lead it: {why}"));
    DeploymentLook {
        name: name.to_owned(),
        version: known.version,
        generation: known.generation.0,
        standing,
        node: known.owner().map(str::to_owned),
        epoch: known.complete.map(|epoch| epoch.number),
        replicas: known.source.place.as_ref().map_or(0, |place| place.replicas.min(nodes)),
        holders: known.holders.iter().cloned().collect(),
        folder: known.source.place.as_ref().map(|place| place.folder.clone()),
        why: known.waits.clone().or_else(|| known.handed.as_ref().map(|handed| handed.why.clone())).or_else(declined),
    }
}
