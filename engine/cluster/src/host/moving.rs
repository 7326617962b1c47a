//! Moves runs that this node leads: off nodes that are being emptied.
//!
//! As a run is rescaled: it goes over at an epoch that is taken for it, and its next attempt asks anew who takes part. A run that cannot be moved is told
//! of, and tried again for as long as its node drains: what kept it may pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millrace_plan::Member;
use millrace_runtime::checkpoint::codes::CHANGING;
use tokio::time::sleep;

use super::Shared;
use super::job::Job;

/// From one look to the next, once a run could not be moved, and while all go.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Moves runs until no node that drains has a task of any. One at a time: another one finds that there is one, and whoever drains says so again.
pub async fn move_off(host: Arc<Shared>) {
    let Ok(_turn) = host.moving.try_lock() else { return };
    loop {
        let due = due(&host);
        if due.is_empty() {
            return host.crew_seen().stays(&BTreeMap::new());
        }
        let moved = join_all(due.into_iter().map(|(job, from)| off(job, from))).await;
        let mut stays: BTreeMap<Member, Vec<String>> = BTreeMap::new();
        for (members, why) in moved.into_iter().flatten() {
            members.into_iter().for_each(|member| stays.entry(member).or_default().push(why.clone()));
        }
        let wait = if stays.is_empty() { LOOK_EVERY } else { AGAIN_AFTER };
        host.crew_seen().stays(&stays);
        sleep(wait).await;
    }
}

/// The runs with tasks at nodes that are being emptied, each with those.
fn due(host: &Shared) -> Vec<(Arc<Job>, BTreeMap<Member, String>)> {
    let draining = host.options.crew.draining();
    if draining.is_empty() {
        return Vec::new();
    }
    let of = |job: Arc<Job>| {
        let places = host.crew_seen().places(job.id);
        let has_tasks = |member: &Member| places.values().flatten().any(|at| at == &member.0);
        let from: BTreeMap<Member, String> =
            draining.iter().filter(|(member, _)| has_tasks(member)).map(|(member, address)| (*member, address.clone())).collect();
        (!from.is_empty()).then_some((job, from))
    };
    host.under_way().into_iter().filter_map(of).collect()
}

/// Moves one of them. Where that cannot be: those that it stays at, with why.
async fn off(job: Arc<Job>, from: BTreeMap<Member, String>) -> Option<(Vec<Member>, String)> {
    let nodes: Vec<String> = from.values().cloned().collect();
    match job.spread_anew(format!("moved off {}", nodes.join(", "))).await {
        Ok(_) => None,
        // It is about to be spread anew anyway.
        Err(refused) if refused.code == CHANGING => None,
        Err(refused) => Some((from.into_keys().collect(), format!("{} is not moved: {}", job.called(), refused.message))),
    }
}
