//! `millrace node`.

use std::io::Write;

use millrace_engine::cluster::share::{Enlistment, stay_enlisted};
use millrace_engine::cluster::socket::authority;
use millrace_engine::cluster::{ClientError, NodeOptions, serve as serve_node};
use millrace_engine::runtime::data_runtime::DataPriority;

use crate::arguments::NodeArguments;
use crate::check::engine;
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};

/// Listens until Ctrl-C. Prints where, and the token that clients must show.
pub async fn serve(arguments: NodeArguments) -> anyhow::Result<u8> {
    let engine = engine(Vec::new(), DataPriority::Equal, arguments.state_memory)?;
    let advertised = match arguments.advertise.as_deref().map(authority).transpose() {
        Ok(advertised) => advertised,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::USAGE);
        }
    };
    let options = NodeOptions { advertised, ..NodeOptions::default() };
    let node = match serve_node(&arguments.listen, engine.host().clone(), options).await {
        Ok(node) => node,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    say(format_args!("listening ws://{}", node.address()))?;
    say(format_args!("token {}", node.token().reveal()))?;
    std::io::stdout().flush()?;
    let Some(leader) = arguments.join else {
        interrupted().await;
        return Ok(exit::DONE);
    };
    let cores = || std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let own = Enlistment {
        address: arguments.advertise.unwrap_or_else(|| format!("ws://{}", node.address())),
        token: node.token().clone(),
        slots: arguments.slots.unwrap_or_else(cores),
    };
    let token = arguments.token.unwrap_or_default();
    tokio::select! {
        () = interrupted() => {}
        () = stay_enlisted(&leader, &token, &own, |enlisted| tell(&leader, enlisted)) => {}
    }
    Ok(exit::DONE)
}

fn tell(leader: &str, enlisted: Result<(), &ClientError>) {
    match enlisted {
        Ok(()) => {
            // Whoever started it may listen no more.
            let _ = say(format_args!("joined {leader}"));
            let _ = std::io::stdout().flush();
        }
        Err(error) => complain(format_args!("error: cannot join {leader}: {error}")),
    }
}
