//! Where a pipeline can run: this computer, and nodes that the user named. A node that was reached once is dialled again whenever it is lost; one of
//! a cluster whose certificate is kept is dialled when the studio starts.

mod keeper;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_engine::cluster::{ClientError, EngineClient};
use millrace_studio_api::{Target, TargetState};
use tokio::sync::mpsc::WeakSender;

use crate::home::write_whole;
use crate::studio::Command;

pub use keeper::{Dial, Found, Keeper};

/// The id of the engine in this process.
pub const LOCAL: &str = "local";

/// What an address begins with whose node shows a certificate and wants one.
const SECURED: &str = "wss://";

/// Addresses are kept between sessions, and certificates of clusters; tokens are not.
pub struct Targets {
    file: PathBuf,
    /// Where the certificates lie.
    certificates: PathBuf,
    local: EngineClient,
    nodes: BTreeMap<String, Node>,
    /// Keepers tell here.
    commands: WeakSender<Command>,
}

struct Node {
    token: Option<String>,
    client: Option<EngineClient>,
    state: TargetState,
    detail: String,
    keeper: Option<Keeper>,
}

impl Node {
    fn unasked() -> Node {
        let detail = "enter its token to connect".to_owned();
        Node { token: None, client: None, state: TargetState::Unreachable, detail, keeper: None }
    }

    fn is_reached(&mut self, client: EngineClient, detail: String) {
        (self.client, self.state, self.detail) = (Some(client), TargetState::Ready, detail);
    }

    fn is_not_reached(&mut self, error: &ClientError) {
        let is_refused = matches!(error, ClientError::Refused { .. } | ClientError::NotAdmitted { .. });
        (self.client, self.keeper) = (None, None);
        self.state = if is_refused { TargetState::Refused } else { TargetState::Unreachable };
        self.detail = error.to_string();
    }
}

impl Targets {
    /// Reads which nodes there are, and dials those that need no token. Runs on the caller's tokio runtime.
    pub fn load(data_dir: &Path, local: EngineClient, commands: WeakSender<Command>) -> Targets {
        let file = data_dir.join("targets.json");
        let addresses: Vec<String> = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let certificates = data_dir.join("clusters");
        let nodes = addresses.into_iter().map(|address| (address, Node::unasked())).collect();
        let mut targets = Targets { file, certificates, local, nodes, commands };
        let secured: Vec<String> = targets.nodes.keys().filter(|address| address.starts_with(SECURED)).cloned().collect();
        secured.iter().for_each(|address| targets.keep(address));
        targets
    }

    fn dial(&self, address: &str) -> Dial {
        let token = self.nodes.get(address).and_then(|node| node.token.clone());
        Dial { address: address.to_owned(), token, certificates: self.certificates.clone() }
    }

    /// Keeps the session that there is with a node; if there is none, dials until there is.
    fn keep(&mut self, address: &str) {
        let dial = self.dial(address);
        if let Some(node) = self.nodes.get_mut(address) {
            node.keeper = Some(Keeper::start(dial, node.client.clone(), self.commands.clone()));
        }
    }

    /// Takes in what a keeper found. False: it is of an earlier session than the one that stands.
    pub fn found(&mut self, address: &str, found: Found) -> bool {
        if self.standing(address).is_some() {
            return false;
        }
        let Some(node) = self.nodes.get_mut(address) else { return false };
        match found {
            Found::Reached { client, detail } => node.is_reached(client.0, detail),
            Found::Lost { why } => (node.client, node.state, node.detail) = (None, TargetState::Unreachable, why),
            Found::Refused { error } => node.is_not_reached(&error),
        }
        true
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
        let node = self.nodes.entry(address.clone()).or_insert_with(Node::unasked);
        node.token = Some(token.trim().to_owned());
        let outcome = self.reach(&address).await;
        let addresses: Vec<&String> = self.nodes.keys().collect();
        if let Ok(bytes) = serde_json::to_vec_pretty(&addresses)
            && let Err(error) = write_whole(&self.file, &bytes)
        {
            tracing::warn!(%error, "the list of targets could not be kept");
        }
        outcome.map(drop)
    }

    /// A session with a target; a node that was lost is dialled at once, whenever its keeper would.
    pub async fn client(&mut self, id: &str) -> Result<EngineClient, String> {
        if id == LOCAL {
            return Ok(self.local.clone());
        }
        if let Some(client) = self.standing(id) {
            return Ok(client);
        }
        let node = self.nodes.get(id).ok_or_else(|| format!("there is no target {id}"))?;
        // A node of a cluster wants a certificate, which may be there from before.
        if node.token.is_none() && !id.starts_with(SECURED) {
            return Err(format!("{id} wants its token: add it again"));
        }
        self.reach(id).await
    }

    async fn reach(&mut self, address: &str) -> Result<EngineClient, String> {
        let opened = self.dial(address).open().await;
        let node = self.nodes.get_mut(address).ok_or_else(|| format!("there is no target {address}"))?;
        match opened {
            Ok((client, detail)) => {
                node.is_reached(client.clone(), detail);
                self.keep(address);
                Ok(client)
            }
            Err(error) => {
                node.is_not_reached(&error);
                Err(error.to_string())
            }
        }
    }

    /// The session that stands with a node; none is made.
    pub fn standing(&self, id: &str) -> Option<EngineClient> {
        let client = self.nodes.get(id)?.client.as_ref()?;
        (!client.contact().borrow().is_lost()).then(|| client.clone())
    }
}
