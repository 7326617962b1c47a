//! Copies of a run's epochs at other nodes: before each counts, and again where nodes have gone since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use millrace_control::control::{Generation, ranked};
use millrace_runtime::checkpoint::{EpochOf, copy_epoch};
use millrace_state::store::Store;
use millrace_wire::cluster::happenings::{REPLICATED, UNDER_REPLICATED};
use millrace_wire::message::ReplicaOpen;

use super::far::FarReplica;
use crate::control::{ControlNode, Peer};
use crate::seen::Seen;

/// How soon a node is asked again that did not take an epoch; twice as long after each time that it did not, since rows wait for it meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The longest that this becomes.
const AGAIN_AT_LAST: Duration = Duration::from_secs(32);

/// What a run is copied with.
pub struct Copying {
    pub control: ControlNode,
    /// Where what is missing is told.
    pub seen: Seen,
    pub deployment: String,
    /// This node's own state of it.
    pub store: Arc<dyn Store>,
    /// Of how many nodes each epoch is to be on the disks, this one among them.
    pub replicas: u32,
    /// The newest epoch of the log when the run began.
    pub newest: Option<EpochOf>,
}

/// The copies of one run's epochs. One epoch at a time is copied.
pub struct Spread {
    copying: Copying,
    /// Taken by whoever copies.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest epoch that was entered; what a takeover goes on from.
    newest: Option<EpochOf>,
    /// Epochs that are copied, and are not known to be entered: they may be already. Nobody removes them.
    pending: Vec<EpochOf>,
    /// The other nodes that hold the newest one, each with what it is reached by.
    holders: BTreeMap<String, Arc<FarReplica>>,
    /// The nodes that did not take an epoch.
    refused: BTreeMap<String, Refused>,
    /// Whether it was told that there are too few.
    is_told: bool,
}

/// That a node did not take an epoch.
struct Refused {
    at: Instant,
    times: u32,
    /// Its process: the next one is asked at once.
    incarnation: Option<Generation>,
}

impl Refused {
    fn patience(&self) -> Duration {
        AGAIN_AFTER.saturating_mul(1 << self.times.clamp(1, 16).saturating_sub(1)).min(AGAIN_AT_LAST)
    }
}

impl Spread {
    pub fn new(copying: Copying) -> Spread {
        let state = State { newest: copying.newest, ..State::default() };
        Spread { copying, turn: tokio::sync::Mutex::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the epoch is the newest of the log: its holders are known, and rows need not wait until there are as many as are wanted.
    pub fn is_entered(&self, epoch: EpochOf) -> bool {
        self.state().newest == Some(epoch)
    }

    /// This node and those that are known to hold the newest epoch.
    pub fn holders(&self) -> BTreeSet<String> {
        let mut state = self.state();
        state.holders.retain(|_, far| !far.is_lost());
        state.holders.keys().cloned().chain([self.copying.control.name().to_owned()]).collect()
    }

    /// How many are to hold an epoch: no more than there are nodes.
    fn wanted(&self) -> usize {
        let nodes = self.copying.control.group().read(|agreed| agreed.members().iter().count());
        (self.copying.replicas as usize).min(nodes.max(1))
    }

    /// Copies an epoch that is to be entered to as many nodes as are wanted, or as can be reached. Gives all that hold it.
    pub async fn copy(&self, epoch: EpochOf, generation: u64) -> BTreeSet<String> {
        let _turn = self.turn.lock().await;
        {
            let mut state = self.state();
            if !state.pending.contains(&epoch) {
                state.pending.push(epoch);
            }
        }
        self.copy_in_turn(epoch, generation).await
    }

    /// Copies the newest epoch to as many nodes as are wanted, if too few hold it. Gives it with all that do, if those are not the same as before.
    pub async fn copy_missing(&self, generation: u64) -> Option<(EpochOf, BTreeSet<String>)> {
        let _turn = self.turn.lock().await;
        // Another one may have been copied meanwhile, which is about to be the newest: who holds it is not told by who holds this one.
        if !self.state().pending.is_empty() {
            return None;
        }
        let epoch = self.lacks()?;
        let before = self.holders();
        let holders = self.copy_in_turn(epoch, generation).await;
        (holders != before).then_some((epoch, holders))
    }

    async fn copy_in_turn(&self, epoch: EpochOf, generation: u64) -> BTreeSet<String> {
        let own = self.copying.control.name();
        let members = self.copying.control.peers();
        let ranked = ranked(&self.copying.deployment, members.iter().map(|peer| peer.name.as_str()).filter(|name| *name != own));
        let peers = ranked.into_iter().filter_map(|name| members.iter().find(|peer| peer.name == name));
        let mut rest: Vec<&Peer> = peers.filter(|peer| !self.was_refused(&peer.name)).collect();
        rest.reverse();
        let mut holders = BTreeMap::new();
        loop {
            let missing = self.wanted().saturating_sub(1 + holders.len()).min(rest.len());
            if missing == 0 {
                break;
            }
            let asked = rest.split_off(rest.len() - missing);
            let copied =
                join_all(asked.into_iter().rev().map(|peer| async move { (peer, self.copy_to(peer, epoch, generation).await) })).await;
            for (peer, copied) in copied {
                match copied {
                    Ok(far) => {
                        self.state().refused.remove(&peer.name);
                        holders.insert(peer.name.clone(), far);
                    }
                    Err(why) => {
                        tracing::info!(
                            node = peer.name,
                            deployment = self.copying.deployment,
                            epoch = epoch.1,
                            why,
                            "an epoch was not copied"
                        );
                        self.refused_by(&peer.name);
                    }
                }
            }
        }
        self.state().holders = holders;
        self.holders()
    }

    fn incarnation(&self, node: &str) -> Option<Generation> {
        self.copying.control.group().read(|agreed| agreed.members().get(node).map(|member| member.generation))
    }

    fn refused_by(&self, node: &str) {
        let incarnation = self.incarnation(node);
        let mut state = self.state();
        let before = state.refused.get(node).filter(|before| before.incarnation == incarnation);
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        state.refused.insert(node.to_owned(), Refused { at: Instant::now(), times, incarnation });
    }

    fn was_refused(&self, node: &str) -> bool {
        let incarnation = self.incarnation(node);
        let state = self.state();
        state.refused.get(node).is_some_and(|refused| refused.incarnation == incarnation && refused.at.elapsed() < refused.patience())
    }

    async fn copy_to(&self, peer: &Peer, epoch: EpochOf, generation: u64) -> Result<Arc<FarReplica>, String> {
        let known = self.state().holders.get(&peer.name).filter(|far| !far.is_lost()).cloned();
        let far = match known {
            Some(far) => far,
            None => {
                let open = ReplicaOpen::Write { generation };
                Arc::new(FarReplica::open(&self.copying.control, peer, &self.copying.deployment, open).await?)
            }
        };
        let from = self.copying.store.clone();
        let live: Vec<EpochOf> = {
            let state = self.state();
            state.newest.into_iter().chain(state.pending.iter().copied()).collect()
        };
        let copied = far.with(move |to| copy_epoch(from.as_ref(), to.as_ref(), epoch, &live).map_err(|error| error.to_string()));
        copied.await.map(|()| far)
    }

    /// The epoch is in the log, with those that hold it.
    pub fn entered(&self, epoch: EpochOf, holders: &BTreeSet<String>) {
        {
            let mut state = self.state();
            state.newest = Some(epoch);
            state.pending.clear();
        }
        self.tell(epoch, holders);
    }

    /// Tells if too few hold an epoch, and once they are enough again.
    pub fn tell(&self, epoch: EpochOf, holders: &BTreeSet<String>) {
        let (wanted, own) = (self.wanted(), self.copying.control.name());
        let is_under = holders.len() < wanted;
        if std::mem::replace(&mut self.state().is_told, is_under) == is_under {
            return;
        }
        let held = holders.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let name = &self.copying.deployment;
        let (kind, message) = if is_under {
            (UNDER_REPLICATED, format!("epoch {} of {name} is on the disks of {} of {wanted} nodes: {held}", epoch.1, holders.len()))
        } else {
            (REPLICATED, format!("epoch {} of {name} is on the disks of {wanted} nodes again: {held}", epoch.1))
        };
        self.copying.seen.told(kind, own, &message);
    }

    /// The newest epoch, if fewer hold it than are wanted and are there.
    pub fn lacks(&self) -> Option<EpochOf> {
        let newest = self.state().newest?;
        let holders = self.holders().len();
        let is_there = |peer: &Peer| peer.name != self.copying.control.name() && !self.was_refused(&peer.name);
        let others = self.copying.control.peers().iter().filter(|peer| is_there(peer)).count();
        (holders < self.wanted() && others + 1 > holders).then_some(newest)
    }
}
