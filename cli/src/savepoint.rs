//! `millrace savepoint`.

use millrace_engine::model::Timestamp;
use millrace_engine::runtime::checkpoint::Savepoint;
use millrace_engine::savepoint::SavepointPlace;
use millrace_engine::wire::change::SavepointTaken;
use millrace_engine::wire::message::JobId;
use serde_json::{Value, json};

use crate::arguments::SavepointArguments;
use crate::check::Pipeline;
use crate::exit;
use crate::output::{complain, say};
use crate::reach::reach;
use crate::run::grouped;

/// Takes, lists or removes savepoints of a pipeline, whether it runs or not. Gives the exit code.
pub async fn savepoint(arguments: SavepointArguments) -> anyhow::Result<u8> {
    if let Some(address) = &arguments.on {
        return of_run(&arguments, address).await;
    }
    let pipeline = match Pipeline::read(&arguments.of) {
        Ok(pipeline) => pipeline,
        Err(code) => return Ok(code),
    };
    let place = match SavepointPlace::of(&pipeline.folder(), &pipeline.name(), &pipeline.text, &arguments.allow_path) {
        Ok(place) => place,
        Err(finding) => {
            complain(format_args!("{finding}"));
            return Ok(exit::FAILED);
        }
    };
    let found = match (&arguments.name, arguments.remove) {
        (None, _) => place.list().await,
        (Some(name), true) => place.remove(name).await.map(|()| Vec::new()),
        (Some(name), false) => place.take(name).await.map(|taken| vec![taken]),
    };
    match found {
        Ok(savepoints) if arguments.json => {
            let all: Vec<Value> = savepoints.iter().map(|savepoint| as_json(&taken(savepoint))).collect();
            say(format_args!("{}", json!(all)))?;
            Ok(exit::DONE)
        }
        Ok(savepoints) => {
            savepoints.iter().try_for_each(|savepoint| say(format_args!("{}", in_words(&taken(savepoint)))))?;
            Ok(exit::DONE)
        }
        Err(finding) => {
            complain(format_args!("{finding}"));
            Ok(exit::FAILED)
        }
    }
}

/// Takes one of a run on a node.
async fn of_run(arguments: &SavepointArguments, address: &str) -> anyhow::Result<u8> {
    let (Some(run), Some(name)) = (arguments.of.to_str().and_then(|run| run.parse().ok()), &arguments.name) else {
        complain(format_args!("error: `{}` is no run's number; see them: millrace ps --on {address}", arguments.of.display()));
        return Ok(exit::USAGE);
    };
    let client = match reach(address, arguments.token_file.as_deref()).await? {
        Ok(client) => client,
        Err(problem) => {
            complain(format_args!("error: {problem}"));
            return Ok(exit::FAILED);
        }
    };
    let taken = client.savepoint(JobId(run), name).await;
    client.leave().await;
    match taken {
        Ok(taken) if arguments.json => say(json!([as_json(&taken)]))?,
        Ok(taken) => say(in_words(&taken))?,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    }
    Ok(exit::DONE)
}

fn taken(savepoint: &Savepoint) -> SavepointTaken {
    let Savepoint { name, epoch, taken, bytes, .. } = savepoint;
    SavepointTaken { name: name.to_string(), epoch: *epoch, taken_us: taken.micros(), bytes: *bytes }
}

fn as_json(savepoint: &SavepointTaken) -> Value {
    json!({
        "name": savepoint.name,
        "epoch": savepoint.epoch,
        "taken": Timestamp(savepoint.taken_us).to_rfc3339(),
        "bytes": savepoint.bytes,
    })
}

/// `monday: epoch 12, taken 2013-03-14T09:42:07Z, 18,024 bytes`
fn in_words(savepoint: &SavepointTaken) -> String {
    let SavepointTaken { name, epoch, taken_us, bytes } = savepoint;
    format!("{name}: epoch {epoch}, taken {}, {} bytes", Timestamp(*taken_us).to_rfc3339(), grouped(*bytes))
}
