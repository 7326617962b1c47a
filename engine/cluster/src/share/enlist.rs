//! How a node comes to take part: it calls a leader, says where it listens, and is called back.

use std::time::Duration;

use millrace_wire::message::Request;
use tokio::time::sleep;

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

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Enlistment {
    /// Where it listens: `ws://127.0.0.1:7401`, `wss://HOST:7401`.
    pub address: String,
    /// What lets its leader in, where that is no certificate.
    pub token: Option<Token>,
    /// Of how many tasks of each operator it takes part.
    pub slots: u32,
}

impl Enlistment {
    /// Says so to a leader, who calls back unless it has this node in reach.
    async fn say(&self, leader: &EngineClient) -> Result<(), ClientError> {
        let token = self.token.as_ref().map(Token::reveal).unwrap_or_default();
        leader.done(Request::Enlist { address: self.address.clone(), token, slots: self.slots }).await
    }

    /// Says so again and again, until contact with the leader is lost. `told` hears of each change.
    async fn say_on(&self, leader: &EngineClient, told: &impl Fn(Result<(), &ClientError>)) {
        let (mut contact, mut is_in) = (leader.contact(), true);
        loop {
            tokio::select! {
                biased;
                // An error says that the client is gone, and its contact with it.
                _ = contact.wait_for(Contact::is_lost) => return,
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
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
