//! `millrace deploy` and `remove`: what a control group keeps running.

use std::sync::Arc;

use anyhow::Context;
use millrace_engine::cluster::ClientError;
use millrace_engine::wire::message::RunOptions;
use serde_json::json;

use crate::arguments::{DeployArguments, RemoveArguments};
use crate::check::Sound;
use crate::cluster::session;
use crate::exit;
use crate::output::{complain, say};

/// Has a control group keep a pipeline running.
pub async fn deploy(arguments: DeployArguments) -> anyhow::Result<u8> {
    let sound = match Sound::read(&arguments.file, &arguments.set).await? {
        Ok(sound) => sound,
        Err(code) => return Ok(code),
    };
    if sound.inspection.pipeline.as_ref().is_some_and(|pipeline| pipeline.settings.checkpoint_every.is_none()) {
        complain("error: a pipeline without checkpoints cannot be gone on with; set `checkpoint_every` under [pipeline]");
        return Ok(exit::INVALID);
    }
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let files = Arc::new(sound.engine.inspector().files(&sound.pipeline.folder()).context("the project's folder cannot be used")?);
    let options = RunOptions { parallelism: arguments.parallelism, replay: arguments.replay, ..RunOptions::default() };
    let deployed = client.keep_running(sound.deployment(options), files, &sound.inspection.run_files, arguments.name).await;
    client.leave().await;
    match deployed {
        Ok(name) if arguments.node.json => say(json!({ "deployment": name }))?,
        Ok(name) => say(format_args!("deployed {name}; see millrace deployments --on {}", arguments.node.on))?,
        Err(error) => return Ok(refused(&error)),
    }
    Ok(exit::DONE)
}

/// Ends a deployment.
pub async fn remove(arguments: RemoveArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let removed = client.remove_deployment(&arguments.name).await;
    client.leave().await;
    match removed {
        Ok(()) if arguments.node.json => say(json!({ "removed": arguments.name }))?,
        Ok(()) => say(format_args!("removed {}", arguments.name))?,
        Err(error) => return Ok(refused(&error)),
    }
    Ok(exit::DONE)
}

fn refused(error: &ClientError) -> u8 {
    complain(format_args!("error: {error}"));
    exit::FAILED
}
