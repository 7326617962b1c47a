//! Looks at one member about once a second, and follows its contact.

use std::time::{Duration, Instant};

use millrace_plan::Member;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{Look, Seen};
use crate::client::EngineClient;
use crate::contact::Contact;

const EVERY: Duration = Duration::from_secs(1);

/// A member is looked at until this is dropped: it holds a client, and with it the session.
#[derive(Debug)]
pub struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watching {
    /// Looks at a member that has joined. Runs on the caller's tokio runtime.
    pub fn start(seen: Seen, member: Member, client: EngineClient) -> Watching {
        let watching = tokio::spawn(async move {
            let contact = client.contact();
            tokio::select! {
                () = follow(&seen, member, contact) => {}
                () = look(&seen, member, &client) => {}
            }
        });
        Watching(watching.abort_handle())
    }
}

/// Until contact is lost.
async fn follow(seen: &Seen, member: Member, mut contact: watch::Receiver<Contact>) {
    loop {
        let now = contact.borrow_and_update().clone();
        match now {
            Contact::Connected => seen.resumed(member),
            Contact::Resuming { why, .. } => seen.suspected(member, &why),
            Contact::Lost { why, .. } => return seen.lost(member, &why),
        }
        if contact.changed().await.is_err() {
            return seen.lost(member, "the session ended");
        }
    }
}

/// The answer to a question is the look, and how long it takes the round trip. Never ends: a question to a lost member waits for [`follow`].
async fn look(seen: &Seen, member: Member, client: &EngineClient) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let Ok(description) = client.describe().await else { continue };
        let (round_trip, traffic, resumes) = (asked.elapsed(), client.traffic(), client.resumes());
        seen.looked(member, Look { description, round_trip, traffic, resumes, at: Instant::now() });
    }
}
