//! The cluster at a target, as it was last told, and the task that asks.

mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_engine::cluster::{ClientError, Contact, EngineClient};
use millrace_engine::wire::cluster::Cluster as Told;
use tokio::sync::mpsc::WeakSender;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::session::SessionId;
use crate::studio::Command;

pub use view::{Mine, View};

/// How often a cluster is looked at while it is watched.
const EVERY: Duration = Duration::from_secs(1);

/// What the asking task finds.
#[derive(Debug)]
pub enum News {
    Look(Box<Told>),
    Contact(Contact),
    /// The node is of an earlier release.
    Unknown,
    /// Why a wish about one of its nodes was refused; none: it was not.
    Refused(Option<String>),
}

/// A target that screens watch.
pub struct Watched {
    pub view: View,
    pub screens: BTreeSet<SessionId>,
    /// None while the target is out of reach.
    asking: Option<Asking>,
    /// Whether there is anything to ask for: not of a node of an earlier release.
    tells: bool,
}

impl Watched {
    pub fn new(target: &str) -> Watched {
        Watched { view: View::new(target), screens: BTreeSet::new(), asking: None, tells: true }
    }

    /// Whether it is to be asked, and is not.
    pub const fn wants_asking(&self) -> bool {
        self.tells && self.asking.is_none()
    }

    /// Begins to ask. News come as commands.
    pub fn ask(&mut self, client: EngineClient, commands: WeakSender<Command>) {
        // It may be another process by now, which counts its revisions from the beginning.
        self.view.begin();
        let target = self.view.target().to_owned();
        let asking = tokio::spawn(async move {
            follow(client, &|news| send(&commands, &target, news)).await;
        });
        self.asking = Some(Asking(asking.abort_handle()));
    }

    /// Takes news in. A target that is lost, or tells nothing, is not asked any more.
    pub fn take(&mut self, news: News, now_ms: f64) {
        match &news {
            News::Unknown => (self.asking, self.tells) = (None, false),
            News::Contact(contact) if contact.is_lost() => self.asking = None,
            News::Contact(_) | News::Look(_) | News::Refused(_) => {}
        }
        self.view.take(news, now_ms);
    }
}

/// Ended with its watch.
struct Asking(AbortHandle);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(commands: &WeakSender<Command>, target: &str, news: News) {
    if let Some(commands) = commands.upgrade() {
        // A studio that has ended wants no news.
        let _ = commands.send(Command::Cluster { target: target.to_owned(), news }).await;
    }
}

/// Asks until contact is lost.
async fn follow<F: Future<Output = ()>>(client: EngineClient, told: &impl Fn(News) -> F) {
    let (mut contact, mut known) = (client.contact(), 0);
    contact.mark_changed();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = contact.changed() => {
                let now = contact.borrow_and_update().clone();
                let is_over = changed.is_err() || now.is_lost();
                told(News::Contact(now)).await;
                if is_over {
                    return;
                }
            }
            _ = ticks.tick() => {
                // Contact is followed while the answer is waited for: a question to a node that is out of reach has to wait.
                let looked = tokio::select! {
                    looked = client.cluster(known) => looked,
                    _ = contact.changed() => { contact.mark_changed(); continue }
                };
                match looked {
                    Ok(Some(cluster)) => {
                        known = cluster.timeline.as_ref().map_or(known, |timeline| timeline.revision);
                        told(News::Look(Box::new(cluster))).await;
                    }
                    Ok(None) => return told(News::Unknown).await,
                    // Contact tells of it.
                    Err(ClientError::ContactLost { .. }) => {}
                    Err(error) => tracing::warn!(%error, "the cluster could not be looked at"),
                }
            }
        }
    }
}
