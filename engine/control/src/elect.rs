//! When a node calls an election: by chance anew each time.
//!
//! Raft's cure for split votes is that each wait for an election is drawn. openraft draws once, when a node starts, and looks at its watch every
//! 150 ms: two nodes that come to call at once do so again (of 40 elections one took 4 s). So its own timer is off, and this one calls.

use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use openraft::raft::{AppendEntriesResponse, VoteResponse};

use crate::config::{NodeId, Settings};
use crate::group::Inner;
use crate::look::GroupLook;
use crate::time::{Moment, draw_part, sleep_until};

/// How soon a node looks again that has nothing to call for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// When a node last heard of somebody who leads, or whom it has given its vote.
#[derive(Debug)]
pub struct Heard(Mutex<Moment>);

impl Heard {
    pub fn now() -> Heard {
        Heard(Mutex::new(Moment::now()))
    }

    pub fn appended(&self, answer: &AppendEntriesResponse<NodeId>) {
        // Whoever is told of a higher vote does not lead.
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.again();
        }
    }

    pub fn voted(&self, answer: &VoteResponse<NodeId>) {
        if answer.vote_granted {
            self.again();
        }
    }

    pub fn again(&self) {
        *self.at() = Moment::now();
    }

    fn at(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls elections for as long as the node is there.
pub async fn call(group: Weak<Inner>, settings: Settings) {
    let mut patience = of_a_follower(&settings);
    let mut since = Moment::now();
    let mut next = since;
    loop {
        sleep_until(next).await;
        let Some(inner) = group.upgrade() else { return };
        let look = GroupLook::of(&inner.raft.metrics().borrow());
        if inner.waits_for_disk() {
            // What its leader says meanwhile has come, and is not heard yet. Elections that are called now would all be held once it is.
            inner.heard.again();
        }
        let heard = *inner.heard.at();
        if heard > since {
            (since, patience) = (heard, of_a_follower(&settings));
        }
        let votes = look.node(look.id).is_some_and(|node| node.votes);
        if !votes || look.leads() {
            (since, next) = (Moment::now(), Moment::now() + LOOK_EVERY);
            continue;
        }
        // Alone, it need not wait for anybody.
        let due = inner.quiet_until().map_or(since + patience, |quiet| quiet.max(since + patience));
        if look.voters() > 1 && Moment::now() < due {
            next = due;
            continue;
        }
        if inner.raft.trigger().elect().await.is_err() {
            // Raft has ended here.
            return;
        }
        (since, patience) = (Moment::now(), of_a_candidate(&settings));
        next = since + patience.min(LOOK_EVERY);
    }
}

/// The leader's lease, within which nobody gives another a vote, and some more.
fn of_a_follower(settings: &Settings) -> Duration {
    settings.election_max + drawn(Duration::ZERO, settings.election_min)
}

/// Until a candidate that was not elected tries again.
fn of_a_candidate(settings: &Settings) -> Duration {
    drawn(settings.election_min / 2, settings.election_max)
}

fn drawn(least: Duration, most: Duration) -> Duration {
    least + (most.saturating_sub(least)).mul_f64(draw_part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_lie_within_their_bounds_and_differ() {
        let settings = Settings::default();
        let (lease, spread) = (settings.election_max, settings.election_min);
        let waits: Vec<Duration> = (0..100).map(|_| of_a_follower(&settings)).collect();
        assert!(waits.iter().all(|wait| (lease..=lease + spread).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
        assert!((0..100).all(|_| (spread / 2..=lease).contains(&of_a_candidate(&settings))));
    }
}
