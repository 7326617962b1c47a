//! `millrace ps`, `status`, `logs`, `stop`, `scale` and `top`: what a node says of its cluster and does with its runs, on a terminal.

mod columns;
mod scaling;
pub mod words;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use millrace_engine::cluster::EngineClient;
use millrace_engine::model::NodeId;
use millrace_engine::wire::change::Scale;
use millrace_engine::wire::cluster::{Cluster, ClusterJob, DeploymentLook, Incident};
use millrace_engine::wire::message::{JobId, StopMode};
use serde::Serialize;

use crate::arguments::{LookArguments, ScaleArguments, StopArguments, TopArguments};
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};
use crate::reach::reach;

/// From one look of `top` to the next, and between the looks that wait for a run to end.
const TOP_EVERY: Duration = Duration::from_secs(1);
const STOP_EVERY: Duration = Duration::from_millis(100);

/// How long a run may take to end that was asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Moves to the upper left corner and clears what is there.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Lists the runs.
pub async fn ps(arguments: LookArguments) -> anyhow::Result<u8> {
    look(&arguments, |cluster| Shown { json: &cluster.jobs, text: words::runs_and_leader(cluster) }).await
}

/// Lists what the control group keeps running.
pub async fn deployments(arguments: LookArguments) -> anyhow::Result<u8> {
    look(&arguments, |cluster| {
        let deployments = cluster.control.as_ref().map_or(&[] as &[DeploymentLook], |control| control.deployments.as_slice());
        Shown { json: deployments, text: words::deployments(cluster.control.as_ref()) }
    })
    .await
}

/// Shows nodes, links and runs.
pub async fn status(arguments: LookArguments) -> anyhow::Result<u8> {
    look(&arguments, |cluster| Shown { json: cluster, text: words::status(cluster, &arguments.on, None) }).await
}

/// Tells the fault timeline.
pub async fn logs(arguments: LookArguments) -> anyhow::Result<u8> {
    look(&arguments, |cluster| {
        let incidents = cluster.timeline.as_ref().map_or(&[] as &[Incident], |timeline| timeline.incidents.as_slice());
        Shown { json: incidents, text: words::timeline(incidents) }
    })
    .await
}

/// Ends a run, and waits until it has ended.
pub async fn stop(arguments: StopArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let job = JobId(arguments.run);
    let mode = if arguments.now { StopMode::Abort } else { StopMode::Drain };
    let ended = match client.stop(job, mode).await {
        Ok(()) => wait(&client, job).await,
        Err(error) => {
            complain(format_args!("error: {error}"));
            client.leave().await;
            return Ok(exit::FAILED);
        }
    };
    client.leave().await;
    match ended? {
        Some(seen) if arguments.node.json => say(serde_json::to_string(&seen)?)?,
        None if arguments.node.json => say("null")?,
        seen => say(words::ended(job, seen.as_ref()))?,
    }
    Ok(exit::DONE)
}

/// Has a run go on in other numbers of tasks, and waits until its rows flow again.
pub async fn scale(arguments: ScaleArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let nodes = arguments.nodes.into_iter().map(|(node, tasks)| (NodeId::new(node), tasks)).collect();
    let scaled = client.scale(JobId(arguments.run), Scale { parallelism: arguments.parallelism, nodes }).await;
    client.leave().await;
    match scaled {
        Ok(change) if arguments.node.json => say(serde_json::to_string(&change)?)?,
        Ok(change) => say(format_args!("run {} {}", arguments.run, change.in_words()))?,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    }
    Ok(exit::DONE)
}

/// The run as it was last seen; none if its session has let it go already.
async fn wait(client: &EngineClient, job: JobId) -> anyhow::Result<Option<ClusterJob>> {
    let gone = async {
        loop {
            let cluster = client.cluster(0).await?;
            let seen = cluster.and_then(|cluster| cluster.jobs.into_iter().find(|seen| seen.job == job));
            if seen.as_ref().is_none_or(|seen| seen.state.is_over()) {
                return anyhow::Ok(seen);
            }
            tokio::time::sleep(STOP_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .with_context(|| format!("run {} was asked to end, and has not within {PATIENCE:.0?}", job.0))?
}

/// Shows the cluster again and again.
pub async fn top(arguments: TopArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let code = tokio::select! {
        looked = look_again(&client, &arguments) => looked,
        () = interrupted() => Ok(exit::DONE),
    };
    client.leave().await;
    code
}

async fn look_again(client: &EngineClient, arguments: &TopArguments) -> anyhow::Result<u8> {
    let (json, clears) = (arguments.node.json, std::io::stdout().is_terminal());
    let mut before: Option<Cluster> = None;
    let mut left = arguments.count;
    let mut ticks = tokio::time::interval(TOP_EVERY);
    loop {
        ticks.tick().await;
        let Some(cluster) = looked(client).await? else { return Ok(exit::FAILED) };
        if json {
            say(serde_json::to_string(&cluster)?)?;
        } else {
            if clears {
                std::io::stdout().write_all(CLEAR.as_bytes())?;
            }
            say(words::status(&cluster, &arguments.node.on, before.as_ref()))?;
        }
        before = Some(cluster);
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(exit::DONE);
        }
    }
}

/// What a command shows, in either form.
struct Shown<'a, T: Serialize + ?Sized> {
    json: &'a T,
    text: String,
}

async fn look<T: Serialize + ?Sized>(arguments: &LookArguments, show: impl FnOnce(&Cluster) -> Shown<'_, T>) -> anyhow::Result<u8> {
    let Some(client) = session(arguments).await? else { return Ok(exit::FAILED) };
    let cluster = looked(&client).await;
    client.leave().await;
    let Some(cluster) = cluster? else { return Ok(exit::FAILED) };
    let shown = show(&cluster);
    if arguments.json {
        say(serde_json::to_string(shown.json)?)?
    } else {
        say(shown.text)?
    }
    Ok(exit::DONE)
}

/// A session with the node; none if it cannot be reached, which has been said.
pub async fn session(node: &LookArguments) -> anyhow::Result<Option<EngineClient>> {
    match reach(&node.on, node.token_file.as_deref()).await? {
        Ok(client) => Ok(Some(client)),
        Err(problem) => {
            complain(format_args!("error: {problem}"));
            Ok(None)
        }
    }
}

/// A look; none if the node cannot tell, which has been said.
async fn looked(client: &EngineClient) -> anyhow::Result<Option<Cluster>> {
    let cluster = client.cluster(0).await?;
    if cluster.is_none() {
        complain("error: the node is of an earlier release, and tells nothing of its runs; install the same release on both");
    }
    Ok(cluster)
}
