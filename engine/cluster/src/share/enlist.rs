//! How a node comes to take part: it calls a leader, says where it listens, and is called back.

use std::sync::Arc;
use std::time::Duration;

use millrace_control::time::draw_part;
use millrace_wire::message::ControlPeer;
use tokio::sync::watch;
use tokio::time::sleep;

use super::drains::Drains;
use crate::client::EngineClient;
use crate::contact::Contact;
use crate::error::ClientError;
use crate::node::Token;
use crate::socket::{Credential, Transport, connect_as};

/// From one try to the next, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a node says again that it takes part. Its leader may have lost it, and it not its leader: the two sessions are made and lost apart.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The nodes of the control group, as the leaders of a node tell them: any of them may lead runs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Learned(Arc<watch::Sender<Vec<ControlPeer>>>);

impl Default for Learned {
    fn default() -> Self {
        Learned::of(Vec::new())
    }
}

impl Learned {
    /// As they were known before.
    pub fn of(mut control: Vec<ControlPeer>) -> Learned {
        control.sort_unstable();
        Learned(Arc::new(watch::Sender::new(control)))
    }

    /// What one leader knows. One of no group, or that has only begun to be of one, tells of nobody, which says nothing.
    fn take(&self, mut control: Vec<ControlPeer>) {
        control.sort_unstable();
        self.0.send_if_modified(|before| {
            let is_news = !control.is_empty() && *before != control;
            if is_news {
                *before = control;
            }
            is_news
        });
    }

    pub fn follow(&self) -> watch::Receiver<Vec<ControlPeer>> {
        self.0.subscribe()
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Default)]
pub struct Enlistment {
    /// Where it listens: `ws://127.0.0.1:7401`, `wss://HOST:7401`.
    pub address: String,
    /// What lets its leader in, where that is no certificate.
    pub token: Option<Token>,
    /// Of how many tasks of each operator it takes part.
    pub slots: u32,
    /// Whether it is being emptied, which is said at once.
    pub drains: Drains,
    /// Takes whom its leaders tell of.
    pub learned: Learned,
}

impl Enlistment {
    /// Says so to a leader, who calls back unless it has this node in reach.
    async fn say(&self, leader: &EngineClient) -> Result<(), ClientError> {
        let token = self.token.as_ref().map(Token::reveal).unwrap_or_default();
        let control = leader.enlist(self.address.clone(), token, self.slots, self.drains.is_on()).await?;
        self.learned.take(control);
        Ok(())
    }

    /// Says so again and again, until contact with the leader is lost. `told` hears of each change.
    async fn say_on(&self, leader: &EngineClient, told: &impl Fn(Result<(), &ClientError>)) {
        let (mut contact, mut is_in, mut drains) = (leader.contact(), true, self.drains.follow());
        // What it was when it was said first may not be what it is now.
        drains.mark_changed();
        loop {
            tokio::select! {
                biased;
                // An error says that the client is gone, and its contact with it.
                _ = contact.wait_for(Contact::is_lost) => return,
                Ok(()) = drains.changed() => {}
                () = sleep(SAID_AGAIN_AFTER) => {}
            }
            let said = self.say(leader).await;
            if said.is_ok() != is_in && !contact.borrow().is_lost() {
                is_in = said.is_ok();
                told(said.as_ref().copied());
            }
        }
    }
}

/// Enlists once.
pub async fn enlist(leader: &str, credential: &Credential, own: &Enlistment) -> Result<EngineClient, ClientError> {
    let client = connect_as(leader, credential, Transport::default()).await?;
    own.say(&client).await?;
    Ok(client)
}

/// Stays enlisted for as long as this is polled: it calls again whenever contact is lost, and lets its leader find out that it lost this node.
/// `told` hears of each change; `credential` gives what to show, which may be renewed meanwhile.
pub async fn stay_enlisted(leader: &str, credential: impl Fn() -> Credential, own: &Enlistment, told: impl Fn(Result<(), &ClientError>)) {
    let mut wait = FIRST_WAIT;
    loop {
        match enlist(leader, &credential(), own).await {
            Ok(client) => {
                told(Ok(()));
                wait = FIRST_WAIT;
                own.say_on(&client, &told).await;
            }
            Err(error) => told(Err(&error)),
        }
        // From the upper half: nodes that lost a leader together do not all come back at once.
        sleep(wait.mul_f64(0.5 + draw_part() / 2.0)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
