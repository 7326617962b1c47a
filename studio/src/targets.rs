//! Where a pipeline can run: this computer, and nodes that the user named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_engine::cluster::EngineClient;
use millrace_engine::cluster::socket::{Transport, connect_as};
use millrace_engine::cluster::trust::credential;
use millrace_studio_api::{Target, TargetState};

use crate::home::write_whole;

/// The id of the engine in this process.
pub const LOCAL: &str = "local";

/// What a studio calls itself where it joins a cluster.
const LABEL: &str = "studio";

/// Addresses are kept between sessions, and certificates of clusters; tokens are not.
pub struct Targets {
    file: PathBuf,
    /// Where the certificates lie.
    certificates: PathBuf,
    local: EngineClient,
    nodes: BTreeMap<String, Node>,
}

struct Node {
    token: Option<String>,
    client: Option<EngineClient>,
    state: TargetState,
    detail: String,
}

impl Node {
    fn unasked() -> Node {
        Node { token: None, client: None, state: TargetState::Unreachable, detail: "enter its token to connect".to_owned() }
    }
}

impl Targets {
    pub fn load(data_dir: &Path, local: EngineClient) -> Targets {
        let file = data_dir.join("targets.json");
        let addresses: Vec<String> = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let certificates = data_dir.join("clusters");
        Targets { file, certificates, local, nodes: addresses.into_iter().map(|address| (address, Node::unasked())).collect() }
    }

    pub fn list(&self) -> Vec<Target> {
        let here = Target { id: LOCAL.to_owned(), title: "This computer".to_owned(), state: TargetState::Ready, detail: String::new() };
        let node = |(address, node): (&String, &Node)| Target {
            id: address.clone(),
            title: address.split_once("://").map_or(address.as_str(), |(_, authority)| authority).to_owned(),
            state: node.state,
            detail: node.detail.clone(),
        };
        std::iter::once(here).chain(self.nodes.iter().map(node)).collect()
    }

    /// Connects to a node with a token that the user gave, and remembers its address. At `wss://` that is a join token, for which a certificate comes
    /// that is kept.
    pub async fn add(&mut self, address: &str, token: &str) -> Result<(), String> {
        let address = address.trim().trim_end_matches('/').to_owned();
        let outcome = open(&address, Some(token.trim()), &self.certificates).await;
        let node = self.nodes.entry(address).or_insert_with(Node::unasked);
        node.token = Some(token.trim().to_owned());
        let outcome = match outcome {
            Ok((client, detail)) => {
                (node.client, node.state, node.detail) = (Some(client), TargetState::Ready, detail);
                Ok(())
            }
            Err(problem) => {
                (node.client, node.state) = (None, TargetState::Unreachable);
                node.detail.clone_from(&problem);
                Err(problem)
            }
        };
        let addresses: Vec<&String> = self.nodes.keys().collect();
        if let Ok(bytes) = serde_json::to_vec_pretty(&addresses)
            && let Err(error) = write_whole(&self.file, &bytes)
        {
            tracing::warn!(%error, "the list of targets could not be kept");
        }
        outcome
    }

    /// A session with a target; a node that was lost is dialled again.
    pub async fn client(&mut self, id: &str) -> Result<EngineClient, String> {
        if id == LOCAL {
            return Ok(self.local.clone());
        }
        let node = self.nodes.get_mut(id).ok_or_else(|| format!("there is no target {id}"))?;
        if let Some(client) = node.client.as_ref().filter(|client| !client.contact().borrow().is_lost()) {
            return Ok(client.clone());
        }
        // A node of a cluster wants a certificate, which may be there from before.
        if node.token.is_none() && !id.starts_with("wss://") {
            return Err(format!("{id} wants its token: add it again"));
        }
        match open(id, node.token.as_deref(), &self.certificates).await {
            Ok((client, detail)) => {
                (node.client, node.state, node.detail) = (Some(client.clone()), TargetState::Ready, detail);
                Ok(client)
            }
            Err(problem) => {
                (node.client, node.state) = (None, TargetState::Unreachable);
                node.detail.clone_from(&problem);
                Err(problem)
            }
        }
    }

    /// The session that stands with a node; none is made.
    pub fn standing(&self, id: &str) -> Option<EngineClient> {
        let client = self.nodes.get(id)?.client.as_ref()?;
        (!client.contact().borrow().is_lost()).then(|| client.clone())
    }

    /// A run's contact with its target was lost.
    pub fn lost(&mut self, id: &str, why: &str) {
        if let Some(node) = self.nodes.get_mut(id) {
            (node.client, node.state) = (None, TargetState::Unreachable);
            why.clone_into(&mut node.detail);
        }
    }
}

async fn open(address: &str, token: Option<&str>, certificates: &Path) -> Result<(EngineClient, String), String> {
    let shown = credential(address, token, LABEL, certificates).await.map_err(|error| error.to_string())?;
    let client = connect_as(address, &shown, Transport::default()).await.map_err(|error| error.to_string())?;
    let about = client.describe().await.map_err(|error| error.to_string())?;
    let cores = if about.cores == 1 { "1 core".to_owned() } else { format!("{} cores", about.cores) };
    Ok((client, format!("{cores}, {}", about.version)))
}
