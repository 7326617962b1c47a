//! Sessions between the nodes of a control group: one to each, dialled when it is first needed, and again when it is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millrace_control::{NoAnswer, Peer, Question, Told, Transport};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::EngineClient;
use crate::error::ClientError;
use crate::socket::{Credential, Transport as Speaking, connect_as};

/// How long a node is dialled. Raft does not wait for that: it asks again.
const DIALLING: Duration = Duration::from_secs(5);

/// What to show a node.
pub type Credentials = Arc<dyn Fn(&Peer) -> Credential + Send + Sync>;

/// What came of dialling a node; none while it is dialled.
type Dialled = watch::Receiver<Option<Result<EngineClient, String>>>;

/// The sessions of one node.
pub struct Ways {
    credentials: Credentials,
    /// By address.
    lines: Mutex<BTreeMap<String, Dialled>>,
    /// When each last answered, by address.
    heard: Mutex<BTreeMap<String, Instant>>,
}

impl Ways {
    pub fn new(credentials: Credentials) -> Ways {
        Ways { credentials, lines: Mutex::default(), heard: Mutex::default() }
    }

    /// The session with a node that can be spoken to now, or is being dialled.
    fn line(&self, peer: &Peer) -> Dialled {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&peer.address) {
            let serves = match &*line.borrow() {
                None => line.has_changed().is_ok(),
                Some(Ok(client)) => !client.contact().borrow().is_lost(),
                Some(Err(_)) => false,
            };
            if serves {
                return line.clone();
            }
        }
        let (told, dialled) = watch::channel(None);
        let (credential, address) = ((self.credentials)(peer), peer.address.clone());
        tokio::spawn(async move {
            let dialled = timeout(DIALLING, dial(&address, &credential)).await;
            let dialled = dialled.unwrap_or_else(|_| Err("it does not answer the call".to_owned()));
            // Nobody may want it any more.
            let _ = told.send(Some(dialled));
        });
        lines.insert(peer.address.clone(), dialled.clone());
        dialled
    }

    /// When the node at an address last answered; none if it never did.
    pub fn heard(&self, address: &str) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(address).copied()
    }

    /// A session with a node, which may have to be dialled first.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn client(&self, peer: &Peer) -> Result<EngineClient, String> {
        let mut line = self.line(peer);
        let dialled = line.wait_for(Option::is_some).await.map_err(|_| "it was not dialled".to_owned())?;
        dialled.clone().unwrap_or_else(|| Err("it was not dialled".to_owned()))
    }

    async fn asked(&self, peer: &Peer, question: &Question) -> Result<Told, String> {
        let client = self.client(peer).await?;
        if client.contact().borrow().is_resuming() {
            // What waits for the connection would come too late, and all at once.
            return Err("its connection is being made again".to_owned());
        }
        let question = serde_json::to_value(question).map_err(|error| error.to_string())?;
        let told = client.consensus(question).await.map_err(|error| error.to_string())?;
        serde_json::from_value(told).map_err(|error| format!("its answer cannot be read: {error}"))
    }
}

async fn dial(address: &str, credential: &Credential) -> Result<EngineClient, String> {
    let words = |error: ClientError| error.to_string();
    let client = connect_as(address, credential, Speaking::default()).await.map_err(words)?;
    if !client.describe().await.map_err(words)?.control {
        return Err("it is of no control group: start it with --control".to_owned());
    }
    Ok(client)
}

#[async_trait]
impl Transport for Ways {
    async fn ask(&self, peer: &Peer, question: Question, patience: Duration) -> Result<Told, NoAnswer> {
        let asked = timeout(patience, self.asked(peer, &question)).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("not within {patience:.0?}")));
        if asked.is_ok() {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.address.clone(), Instant::now());
        }
        asked.map_err(|why| NoAnswer { address: peer.address.clone(), why })
    }

    fn heard(&self, peer: &Peer) -> Option<Duration> {
        Ways::heard(self, &peer.address).map(|at| at.elapsed())
    }
}
