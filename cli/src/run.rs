//! `millrace run`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_engine::Engine;
use millrace_engine::cluster::{ClientError, Ended, EngineClient};
use millrace_engine::inspect::Inspection;
use millrace_engine::model::file::Override;
use millrace_engine::runtime::data_runtime::DataPriority;
use millrace_engine::wire::figures::{RunState, Summary};
use millrace_engine::wire::message::{Deployment, Event, Failure, JobId, RunOptions, StopMode};
use tokio::sync::broadcast::Receiver;

use crate::arguments::RunArguments;
use crate::check::{Pipeline, engine, overrides, show};
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};
use crate::progress::Progress;
use crate::reach::reach;

/// How long a node may take to end a run that was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long webhooks of a run that is over may take to be told.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Runs a pipeline to its end. Gives the exit code.
pub async fn run(arguments: RunArguments) -> anyhow::Result<u8> {
    let pipeline = match Pipeline::read(&arguments.file) {
        Ok(pipeline) => pipeline,
        Err(code) => return Ok(code),
    };
    let overrides = match overrides(&arguments.set) {
        Ok(overrides) => overrides,
        Err(code) => return Ok(code),
    };
    let engine = engine(arguments.allow_path.clone(), DataPriority::Equal, arguments.state_memory)?;
    let inspection = pipeline.inspect(engine.inspector(), &overrides).await;
    show(&inspection.diagnostics, &pipeline.text);
    if inspection.diagnostics.has_errors() {
        return Ok(exit::INVALID);
    }
    let client = match client(&engine, &arguments).await? {
        Ok(client) => client,
        Err(problem) => {
            complain(format_args!("error: {problem}"));
            return Ok(exit::FAILED);
        }
    };
    let code = run_on(&client, &engine, &pipeline, &inspection, &arguments, overrides).await;
    client.leave().await;
    engine.webhooks_told(LAST_WORDS).await;
    code
}

async fn run_on(
    client: &EngineClient,
    engine: &Engine,
    pipeline: &Pipeline,
    inspection: &Inspection,
    arguments: &RunArguments,
    overrides: Vec<Override>,
) -> anyhow::Result<u8> {
    let files = Arc::new(engine.inspector().files(&pipeline.folder()).context("the project's folder cannot be used")?);
    let deployment = deployment(pipeline, inspection, arguments, overrides);
    // From before the run begins, so that nothing of it is missed.
    let events = client.events();
    let job = match client.deploy(deployment, files, inspection.run_files.clone()).await {
        Ok(job) => job,
        Err(ClientError::Rejected { diagnostics }) => {
            show(&diagnostics, &pipeline.text);
            return Ok(exit::INVALID);
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    let others = others(client, arguments).await;
    let followed = follow(client, events, job, inspection).await;
    let (ended, interrupted) = match followed {
        Err(error) if matches!(error.downcast_ref(), Some(ClientError::ContactLost { .. })) && !others.is_empty() => {
            if let Some(error) = error.downcast_ref() {
                lost(error, &others);
            }
            return Ok(exit::FAILED);
        }
        other => other?,
    };
    report(arguments, inspection, ended, interrupted)
}

async fn client(engine: &Engine, arguments: &RunArguments) -> anyhow::Result<Result<EngineClient, String>> {
    match &arguments.on {
        Some(address) => reach(address, arguments.token_file.as_deref()).await,
        None => Ok(Ok(engine.session())),
    }
}

fn deployment(pipeline: &Pipeline, inspection: &Inspection, arguments: &RunArguments, overrides: Vec<Override>) -> Deployment {
    Deployment {
        name: pipeline.name(),
        text: pipeline.text.clone(),
        env: inspection.environment(),
        options: RunOptions {
            parallelism: arguments.parallelism,
            batch_rows: arguments.batch_rows,
            replay: arguments.replay,
            fresh: arguments.fresh,
            from: arguments.from.clone(),
            allow_rewind: arguments.allow_rewind,
            allow_state_loss: arguments.allow_state_loss,
            overrides,
            place: None,
        },
    }
}

/// Where a run may be followed if its node dies: the other nodes of its control group, if that keeps it running.
async fn others(client: &EngineClient, arguments: &RunArguments) -> Vec<String> {
    let Some(on) = &arguments.on else { return Vec::new() };
    let look = client.cluster(0).await.ok().flatten();
    let Some(control) = look.and_then(|look| look.control) else { return Vec::new() };
    if control.deployments.iter().all(|deployment| deployment.folder.is_none()) {
        return Vec::new();
    }
    let authority = on.split_once("://").map_or(on.as_str(), |(_, authority)| authority);
    let others = control.nodes.into_iter().filter(|node| !node.is_asked && !node.address.ends_with(authority));
    others.map(|node| node.address).collect()
}

/// What a terminal says whose node is gone.
fn lost(error: &ClientError, others: &[String]) {
    complain(format_args!("error: {error}"));
    if let Some(other) = others.first() {
        complain(format_args!(
            "the control group goes on with the run at another of its nodes; follow it: millrace deployments --on {other}"
        ));
        complain(format_args!("  what became of it: millrace logs --on {other}; it may take some seconds"));
        others.iter().skip(1).for_each(|other| complain(format_args!("  or, if that is gone too: --on {other}")));
    }
}

/// Waits for the end; Ctrl-C drains, a second one gives up.
async fn follow(client: &EngineClient, events: Receiver<Event>, job: JobId, inspection: &Inspection) -> anyhow::Result<(Ended, bool)> {
    let progress = Progress::start(client, events, job, inspection);
    let wait = client.wait(job);
    tokio::pin!(wait);
    let ended = tokio::select! {
        ended = &mut wait => Ok((ended?, false)),
        _ = interrupted() => {
            client.stop(job, StopMode::Drain).await?;
            let drained = tokio::select! {
                ended = &mut wait => Some(ended?),
                _ = interrupted() => None,
                () = tokio::time::sleep(PATIENCE) => None,
            };
            match drained {
                Some(ended) => Ok((ended, true)),
                None => {
                    client.stop(job, StopMode::Abort).await?;
                    Ok((tokio::time::timeout(PATIENCE, &mut wait).await.context("the run did not end")??, true))
                }
            }
        }
    };
    progress.finish().await;
    ended
}

fn report(arguments: &RunArguments, inspection: &Inspection, ended: Ended, interrupted: bool) -> anyhow::Result<u8> {
    if let Some(cause) = &ended.cause {
        show_failure(cause);
    }
    let writes_stdout = inspection.pipeline.iter().flat_map(|pipeline| &pipeline.nodes).any(|node| node.kind == "stdout");
    let text = if arguments.json { serde_json::to_string(&ended.summary)? } else { summary(&ended) };
    // Rows of a `stdout` sink are the output then; the summary stands beside them.
    if writes_stdout || !arguments.json {
        complain(format_args!("{text}"));
    } else {
        say(format_args!("{text}"))?;
    }
    let _ = std::io::stdout().flush();
    Ok(match ended.state {
        RunState::Failed => exit::FAILED,
        _ if interrupted => exit::INTERRUPTED,
        RunState::Finished => exit::DONE,
        _ => exit::FAILED,
    })
}

fn show_failure(cause: &Failure) {
    complain(format_args!("{}", cause.diagnostic));
    if !cause.sample.is_empty() {
        complain(format_args!("  rows that it was working on:"));
        cause.sample.iter().for_each(|row| complain(format_args!("    {row}")));
    }
}

/// `336,776 rows in, 18,024 out, 8,255 filtered, 1,203 late, in 0.41 s`
fn summary(ended: &Ended) -> String {
    let Summary { rows_in, rows_out, filtered, late, quarantined, elapsed_ms, .. } = &ended.summary;
    let mut parts = vec![format!("{} rows in", grouped(*rows_in)), format!("{} out", grouped(*rows_out))];
    for (count, word) in [(filtered, "filtered"), (late, "late"), (quarantined, "quarantined")] {
        if *count > 0 {
            parts.push(format!("{} {word}", grouped(*count)));
        }
    }
    let word = match ended.state {
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        _ => "stopped",
    };
    format!("{word}: {}, in {:.2} s", parts.join(", "), *elapsed_ms as f64 / 1e3)
}

/// `336,776`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
