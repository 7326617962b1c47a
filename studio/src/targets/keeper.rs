//! Keeps a session with a node: waits until it is lost, and dials again until the node answers.

use std::path::PathBuf;
use std::time::Duration;

use millrace_engine::cluster::socket::{Transport, connect_as};
use millrace_engine::cluster::trust::credential;
use millrace_engine::cluster::{ClientError, Contact, EngineClient};
use tokio::sync::mpsc::WeakSender;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::run::EngineClientBox;
use crate::studio::Command;

/// What a studio calls itself where it joins a cluster.
const LABEL: &str = "studio";

/// The first wait before a node that is lost is dialled again, and the longest. A session has by then tried for half a minute to go on.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How a node is dialled.
#[derive(Debug, Clone)]
pub struct Dial {
    pub address: String,
    pub token: Option<String>,
    /// Where the certificates lie.
    pub certificates: PathBuf,
}

impl Dial {
    /// A session, and what is to be known of the node.
    pub async fn open(&self) -> Result<(EngineClient, String), ClientError> {
        let shown = credential(&self.address, self.token.as_deref(), LABEL, &self.certificates).await?;
        let client = connect_as(&self.address, &shown, Transport::default()).await?;
        let about = client.describe().await?;
        let cores = if about.cores == 1 { "1 core".to_owned() } else { format!("{} cores", about.cores) };
        Ok((client, format!("{cores}, {}", about.version)))
    }
}

/// What a keeper finds.
#[derive(Debug)]
pub enum Found {
    Reached {
        client: EngineClientBox,
        detail: String,
    },
    /// It is dialled again.
    Lost {
        why: String,
    },
    /// It is not: only the user can help.
    Refused {
        error: ClientError,
    },
}

/// Ended with what it keeps.
pub struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Keeper {
    /// Keeps `held`, or dials if there is none. What is found comes as commands. Runs on the caller's tokio runtime.
    pub fn start(dial: Dial, held: Option<EngineClient>, commands: WeakSender<Command>) -> Keeper {
        let keeping = tokio::spawn(async move {
            let address = dial.address.clone();
            keep(&dial, held, &|found| send(&commands, &address, found)).await;
        });
        Keeper(keeping.abort_handle())
    }
}

async fn send(commands: &WeakSender<Command>, target: &str, found: Found) {
    if let Some(commands) = commands.upgrade() {
        // A studio that has ended wants to know nothing.
        let _ = commands.send(Command::Target { target: target.to_owned(), found }).await;
    }
}

async fn keep<F: Future<Output = ()>>(dial: &Dial, mut held: Option<EngineClient>, told: &impl Fn(Found) -> F) {
    loop {
        let client = match held.take() {
            Some(client) => client,
            None => match reached(dial).await {
                Ok((client, detail)) => {
                    told(Found::Reached { client: EngineClientBox(client.clone()), detail }).await;
                    client
                }
                Err(error) => return told(Found::Refused { error }).await,
            },
        };
        let why = lost(&client).await;
        drop(client);
        told(Found::Lost { why }).await;
    }
}

/// Dials until the node answers, or says that it will not.
async fn reached(dial: &Dial) -> Result<(EngineClient, String), ClientError> {
    let mut wait = FIRST_WAIT;
    loop {
        match dial.open().await {
            Err(error) if error.is_retryable() => tracing::debug!(%error, address = dial.address, "a target does not answer"),
            opened => return opened,
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Waits until a session is lost. Gives why.
async fn lost(client: &EngineClient) -> String {
    let mut contact = client.contact();
    match contact.wait_for(Contact::is_lost).await.as_deref() {
        Ok(Contact::Lost { why, .. }) => why.clone(),
        _ => "the session is over".to_owned(),
    }
}
