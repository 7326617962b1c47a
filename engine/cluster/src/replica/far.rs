//! A deployment's state at another node.

use std::sync::Arc;
use std::time::Duration;

use millrace_state::store::Store;
use millrace_wire::message::{ReplicaOpen, ShareId};
use tokio::time::{Instant, sleep, timeout};

use crate::client::EngineClient;
use crate::contact::Contact;
use crate::control::{ControlNode, Peer};
use crate::share::LinkStore;

/// How long a node may take to open what it holds.
const OPENING: Duration = Duration::from_secs(2);

/// How long its connection may be away before something else is done.
const AWAY: Duration = Duration::from_secs(1);

/// How long a call may wait without that anything comes or goes: a disk that hangs keeps its connection.
const STANDS_STILL: Duration = Duration::from_secs(20);

/// From one look at that to the next.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a node holds of a deployment, open until this is dropped.
pub struct FarReplica {
    client: EngineClient,
    share: ShareId,
    store: Arc<LinkStore>,
}

impl FarReplica {
    /// # Errors
    /// Why it is not to be had there, in words.
    pub async fn open(control: &ControlNode, node: &Peer, deployment: &str, open: ReplicaOpen) -> Result<FarReplica, String> {
        let opening = async {
            let client = control.ways().client(node).await?;
            let opened = client.replica(deployment, open).await;
            let (share, store) = opened.map_err(|error| error.to_string())?;
            Ok(FarReplica { client, share, store })
        };
        timeout(OPENING, opening).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Whether nothing can be asked of it any more.
    pub fn is_lost(&self) -> bool {
        self.store.is_over() || self.client.contact().borrow().is_lost()
    }

    /// Does something with the store on a thread that may block, and gives it up when its node is away.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn Store>) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        // However this ends, the calls under way end with it: a thread waits for them.
        let ends = EndsCalls(Some(self.store.clone()));
        let store = self.store();
        let working = tokio::task::spawn_blocking(move || work(store));
        tokio::select! {
            worked = working => {
                ends.forget();
                worked.map_err(|error| error.to_string())?
            }
            why = self.away() => Err(why),
            why = self.stands_still() => Err(why),
        }
    }

    /// Ends once calls have waited for long and nothing has moved.
    async fn stands_still(&self) -> String {
        let (mut moved, mut since) = (self.store.moved(), Instant::now());
        loop {
            sleep(LOOK_EVERY).await;
            let now = self.store.moved();
            if now != moved || !self.store.is_asked() {
                (moved, since) = (now, Instant::now());
            } else if since.elapsed() >= STANDS_STILL {
                return format!("it is there, and has not answered for {} s: its disk may hang", STANDS_STILL.as_secs());
            }
        }
    }

    async fn away(&self) -> String {
        let mut contact = self.client.contact();
        loop {
            let gone = |_| "its session ended".to_owned();
            if let Err(why) = contact.wait_for(|contact| *contact != Contact::Connected).await.map(drop).map_err(gone) {
                return why;
            }
            if contact.borrow().is_lost() {
                return "it is gone".to_owned();
            }
            tokio::select! {
                back = contact.wait_for(|contact| *contact == Contact::Connected) => if back.is_err() {
                    return "its session ended".to_owned();
                },
                () = sleep(AWAY) => return "its connection is away".to_owned(),
            }
        }
    }
}

impl Drop for FarReplica {
    fn drop(&mut self) {
        self.store.close();
        self.client.close_replica(self.share);
    }
}

/// Ends a store's calls when it is dropped.
struct EndsCalls(Option<Arc<LinkStore>>);

impl EndsCalls {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for EndsCalls {
    fn drop(&mut self) {
        if let Some(store) = &self.0 {
            store.close();
        }
    }
}
