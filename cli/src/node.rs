//! `millrace node`.

use std::io::Write;

use millrace_engine::cluster::{NodeOptions, serve as serve_node};
use millrace_engine::runtime::data_runtime::DataPriority;

use crate::arguments::NodeArguments;
use crate::check::engine;
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};

/// Listens until Ctrl-C. Prints where, and the token that clients must show.
pub async fn serve(arguments: NodeArguments) -> anyhow::Result<u8> {
    let engine = engine(Vec::new(), DataPriority::Equal, arguments.state_memory)?;
    let node = match serve_node(&arguments.listen, engine.host().clone(), NodeOptions::default()).await {
        Ok(node) => node,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    say(format_args!("listening ws://{}", node.address()))?;
    say(format_args!("token {}", node.token().reveal()))?;
    std::io::stdout().flush()?;
    interrupted().await;
    Ok(exit::DONE)
}
