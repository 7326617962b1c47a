//! `millrace upgrade`: another pipeline for a run that is under way, and back.

use millrace_engine::cluster::{ClientError, EngineClient};
use millrace_engine::wire::change::{StateKept, Upgraded};
use millrace_engine::wire::message::{Deployment, JobId, RunOptions};

use crate::arguments::UpgradeArguments;
use crate::check::{Pipeline, Sound, show};
use crate::cluster::session;
use crate::exit;
use crate::output::{complain, say};

/// Shows what becomes of a run's state, and has it go on as another pipeline; or takes that back. Gives the exit code.
pub async fn upgrade(arguments: UpgradeArguments) -> anyhow::Result<u8> {
    if arguments.rollback {
        let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
        let code = roll_back(&client, &arguments).await;
        client.leave().await;
        return code;
    }
    let Some(file) = &arguments.file else { return Ok(exit::USAGE) };
    let sound = match Sound::read(file, &arguments.set).await? {
        Ok(sound) => sound,
        Err(code) => return Ok(code),
    };
    let deployment = sound.deployment(RunOptions { allow_state_loss: arguments.allow_state_loss, ..RunOptions::default() });
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let code = go_over(&client, &arguments, &sound.pipeline, deployment).await;
    client.leave().await;
    code
}

async fn go_over(client: &EngineClient, arguments: &UpgradeArguments, pipeline: &Pipeline, deployment: Deployment) -> anyhow::Result<u8> {
    let (job, json) = (JobId(arguments.run), arguments.node.json);
    let seen = match client.upgrade(job, deployment.clone(), true).await {
        Ok(seen) => seen,
        Err(error) => return Ok(refused(&error, pipeline)),
    };
    let stays = arguments.look || !seen.kept.lost.is_empty() && !arguments.allow_state_loss;
    if json && stays {
        say(serde_json::to_string(&seen)?)?;
    } else if !json {
        in_words(&seen.kept).into_iter().try_for_each(say)?;
    }
    if arguments.look {
        return Ok(exit::DONE);
    }
    if stays {
        complain(
            "error: the new pipeline cannot keep all of the state, and nothing was changed; if that is meant, give --allow-state-loss",
        );
        return Ok(exit::FAILED);
    }
    let upgraded = match client.upgrade(job, deployment, false).await {
        Ok(upgraded) => upgraded,
        Err(error) => return Ok(refused(&error, pipeline)),
    };
    if json {
        say(serde_json::to_string(&upgraded)?)?;
    } else {
        said(arguments, &upgraded)?;
    }
    Ok(exit::DONE)
}

fn said(arguments: &UpgradeArguments, Upgraded { change, savepoint, .. }: &Upgraded) -> anyhow::Result<()> {
    if let Some(change) = change {
        say(format_args!("run {} {}", arguments.run, change.in_words()))?;
    }
    if let Some(savepoint) = savepoint {
        let back = format!("millrace upgrade {} --rollback --on {}", arguments.run, arguments.node.on);
        say(format_args!("the state before it is kept as savepoint `{savepoint}`; to take it back: {back}"))?;
    }
    Ok(())
}

async fn roll_back(client: &EngineClient, arguments: &UpgradeArguments) -> anyhow::Result<u8> {
    match client.roll_back(JobId(arguments.run), arguments.allow_rewind).await {
        Ok(change) if arguments.node.json => say(serde_json::to_string(&change)?)?,
        Ok(change) => say(format_args!("run {} {}", arguments.run, change.in_words()))?,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    }
    Ok(exit::DONE)
}

/// Says why nothing was changed: what is wrong with the pipeline, or with the change.
fn refused(error: &ClientError, pipeline: &Pipeline) -> u8 {
    match error {
        ClientError::Rejected { diagnostics } => {
            show(diagnostics, &pipeline.text);
            let is_of_text = diagnostics.items.iter().any(|finding| finding.span.is_some());
            if is_of_text { exit::INVALID } else { exit::FAILED }
        }
        error => {
            complain(format_args!("error: {error}"));
            exit::FAILED
        }
    }
}

/// A line for each thing that there is to know.
fn in_words(StateKept { kept, new, lost, notes }: &StateKept) -> Vec<String> {
    let named = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what:6}{}", names.join(", ")));
    let mut words: Vec<String> = [named("keeps", kept), named("new", new)].into_iter().flatten().collect();
    words.extend(notes.iter().map(|note| format!("note  {note}")));
    words.extend(lost.iter().map(|loss| format!("loses {loss}")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_before_what_is_lost() {
        let kept = StateKept {
            kept: vec!["flights".into(), "hourly".into()],
            new: vec!["copy".into()],
            lost: vec!["`daily` is gone, and its state with it".into()],
            notes: Vec::new(),
        };
        assert_eq!(in_words(&kept), ["keeps flights, hourly", "new   copy", "loses `daily` is gone, and its state with it"]);
    }
}
