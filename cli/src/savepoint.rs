//! `millrace savepoint`.

use millrace_engine::runtime::checkpoint::Savepoint;
use millrace_engine::savepoint::SavepointPlace;
use serde_json::{Value, json};

use crate::arguments::SavepointArguments;
use crate::check::Pipeline;
use crate::exit;
use crate::output::{complain, say};
use crate::run::grouped;

/// Takes, lists or removes savepoints of a pipeline, whether it runs or not. Gives the exit code.
pub async fn savepoint(arguments: SavepointArguments) -> anyhow::Result<u8> {
    let pipeline = match Pipeline::read(&arguments.file) {
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
            let all: Vec<Value> = savepoints.iter().map(as_json).collect();
            say(format_args!("{}", json!(all)))?;
            Ok(exit::DONE)
        }
        Ok(savepoints) => {
            savepoints.iter().try_for_each(|savepoint| say(format_args!("{}", in_words(savepoint))))?;
            Ok(exit::DONE)
        }
        Err(finding) => {
            complain(format_args!("{finding}"));
            Ok(exit::FAILED)
        }
    }
}

fn as_json(savepoint: &Savepoint) -> Value {
    json!({
        "name": savepoint.name.to_string(),
        "epoch": savepoint.epoch,
        "taken": savepoint.taken.to_rfc3339(),
        "bytes": savepoint.bytes,
    })
}

/// `monday: epoch 12, taken 2013-03-14T09:42:07Z, 18,024 bytes`
fn in_words(savepoint: &Savepoint) -> String {
    let Savepoint { name, epoch, taken, bytes, .. } = savepoint;
    format!("{name}: epoch {epoch}, taken {}, {} bytes", taken.to_rfc3339(), grouped(*bytes))
}
