//! The way to a node.

use std::path::Path;

use anyhow::Context;
use millrace_engine::cluster::EngineClient;
use millrace_engine::cluster::socket::{Transport, connect_as};
use millrace_engine::cluster::trust::credential;

use crate::trust::{home, own_label};

/// A session with the node at an address. Its token is in the file, else in `MILLRACE_TOKEN`; at `wss://` there may be a certificate instead. What
/// a person has to put right is the inner error.
pub async fn reach(address: &str, token_file: Option<&Path>) -> anyhow::Result<Result<EngineClient, String>> {
    let token = match (token_file, std::env::var("MILLRACE_TOKEN")) {
        (Some(file), _) => Some(std::fs::read_to_string(file).with_context(|| format!("the token in {} cannot be read", file.display()))?),
        (None, Ok(token)) => Some(token),
        // There may be a certificate from before.
        (None, Err(_)) if address.starts_with("wss://") => None,
        (None, Err(_)) => return Ok(Err("a node wants its token: set MILLRACE_TOKEN, or name a --token-file".to_owned())),
    };
    let reached = async {
        let shown = credential(address, token.as_deref().map(str::trim), &own_label(), &home()).await?;
        connect_as(address, &shown, Transport::default()).await
    };
    Ok(reached.await.map_err(|error| format!("{address} cannot be reached: {error}")))
}
