//! `millrace drain`, `undrain` and `balance`: nodes that go and come on purpose.

use std::time::{Duration, Instant};

use millrace_engine::cluster::EngineClient;
use millrace_engine::wire::cluster::{Cluster, ControlNode, Drain, DrainLook};

use crate::arguments::{DrainArguments, LookArguments, UndrainArguments};
use crate::cluster::{session, words};
use crate::exit;
use crate::output::{complain, say};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long something stays there before somebody is told that it does: it may be about to go.
const STAYS_FOR: Duration = Duration::from_secs(4);

/// Empties a node, and waits until nothing runs there any more.
pub async fn drain(arguments: DrainArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let code = emptied(&client, &arguments).await;
    client.leave().await;
    code
}

async fn emptied(client: &EngineClient, arguments: &DrainArguments) -> anyhow::Result<u8> {
    let (begun, node) = (Instant::now(), of(&arguments.which, &arguments.node));
    let mut look = match client.drain(node, Some(true)).await {
        Ok(look) => look,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    let mut stays_since: Option<(Vec<String>, Instant)> = None;
    while look.drain != Drain::Drained {
        if stays_since.as_ref().is_none_or(|(stays, _)| *stays != look.stays) {
            stays_since = (!look.stays.is_empty()).then(|| (look.stays.clone(), Instant::now()));
        }
        let stays = stays_since.as_ref().is_some_and(|(_, since)| since.elapsed() > STAYS_FOR);
        if stays || begun.elapsed() > arguments.within {
            return Ok(not_yet(arguments, &look));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        look = match client.drain(node, None).await {
            // Somebody else has it take part again.
            Ok(look) if look.drain.is_no() => {
                complain(format_args!("error: {} takes part again, as somebody else has asked", arguments.which));
                return Ok(exit::FAILED);
            }
            Ok(look) => look,
            Err(error) => {
                complain(format_args!("error: {error}"));
                return Ok(exit::FAILED);
            }
        };
    }
    if arguments.node.json {
        say(serde_json::to_string(&look)?)?;
        return Ok(exit::DONE);
    }
    say(format_args!("{} is drained: nothing runs there, it may be stopped", arguments.which))?;
    if let Some(warning) = client.cluster(0).await?.and_then(|cluster| vote(&cluster, &arguments.which, node.is_none())) {
        say(warning)?;
    }
    Ok(exit::DONE)
}

/// What is left, and what to do about it.
fn not_yet(arguments: &DrainArguments, look: &DrainLook) -> u8 {
    let which = &arguments.which;
    complain(format_args!("error: {which} is not drained: it leads {} runs, and takes part in {} others", look.leads, look.shares));
    for stays in &look.stays {
        complain(format_args!("  {stays}"));
    }
    complain(format_args!(
        "it takes nothing new, and is drained once these are over: millrace stop RUN. To wait on: millrace drain {which}; to have it take part \
         again: millrace undrain {which}"
    ));
    exit::FAILED
}

/// Has a node take part again.
pub async fn undrain(arguments: UndrainArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let told = client.drain(of(&arguments.which, &arguments.node), Some(false)).await;
    client.leave().await;
    match told {
        Ok(look) if arguments.node.json => say(serde_json::to_string(&look)?)?,
        Ok(_) => say(format_args!("{} takes part again: millrace balance spreads runs over it", arguments.which))?,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    }
    Ok(exit::DONE)
}

/// Spreads runs anew, and waits until their rows flow again.
pub async fn balance(arguments: LookArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments).await? else { return Ok(exit::FAILED) };
    let balanced = client.balance().await;
    client.leave().await;
    let runs = match balanced {
        Ok(runs) => runs,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    if arguments.json {
        say(serde_json::to_string(&runs)?)?;
    } else if runs.is_empty() {
        say("Every run is spread as well as it can be.")?;
    }
    for run in runs.iter().filter(|_| !arguments.json) {
        match (&run.change, &run.why) {
            (Some(change), _) => say(format_args!("run {} of {} {}", run.job.0, run.name, change.in_words()))?,
            (None, why) => complain(format_args!("run {} of {} stays: {}", run.job.0, run.name, why.as_deref().unwrap_or("not told"))),
        }
    }
    Ok(if runs.iter().all(|run| run.change.is_some()) { exit::DONE } else { exit::FAILED })
}

/// What the node that is asked knows it by; none if it is that node itself.
fn of<'a>(which: &'a str, on: &LookArguments) -> Option<&'a str> {
    (words::authority(which) != words::authority(&on.on)).then_some(which)
}

/// That a node must not be stopped yet, if the control group cannot do without its vote.
fn vote(cluster: &Cluster, which: &str, is_asked: bool) -> Option<String> {
    let control = cluster.control.as_ref().filter(|control| control.survives == 0)?;
    let is_it = |node: &ControlNode| {
        node.votes && (node.name == which || words::authority(&node.address) == words::authority(which) || (is_asked && node.is_asked))
    };
    control.nodes.iter().any(is_it).then(|| {
        "it votes in the control group, which survives no loss now: while it is away no epoch completes, and no run begins".to_owned()
    })
}
