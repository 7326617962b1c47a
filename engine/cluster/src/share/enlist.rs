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

/// Enlists once.
pub async fn enlist(leader: &str, credential: &Credential, own: &Enlistment) -> Result<EngineClient, ClientError> {
    let client = connect_as(leader, credential, Transport::default()).await?;
    let token = own.token.as_ref().map(Token::reveal).unwrap_or_default();
    let request = Request::Enlist { address: own.address.clone(), token, slots: own.slots };
    client.done(request).await?;
    Ok(client)
}

/// Stays enlisted for as long as this is polled: whenever contact is lost, it calls again. `told` hears of each change.
/// `credential` gives what to show, which may be renewed meanwhile.
pub async fn stay_enlisted(leader: &str, credential: impl Fn() -> Credential, own: &Enlistment, told: impl Fn(Result<(), &ClientError>)) {
    let mut wait = FIRST_WAIT;
    loop {
        match enlist(leader, &credential(), own).await {
            Ok(client) => {
                told(Ok(()));
                wait = FIRST_WAIT;
                // An error says that the client is gone, and its contact with it.
                let _ = client.contact().wait_for(Contact::is_lost).await;
            }
            Err(error) => told(Err(&error)),
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
