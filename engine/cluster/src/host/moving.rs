//! Moves runs that this node leads: off nodes that are being emptied, and onto nodes that have come.
//!
//! As a run is rescaled: it goes over at an epoch that is taken for it, and its next attempt asks anew who takes part. A run that cannot be moved is told
//! of, and tried again for as long as its node drains: what kept it may pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millrace_plan::Member;
use millrace_runtime::checkpoint::codes::CHANGING;
use millrace_wire::cluster::Balanced;
use tokio::time::sleep;

use super::Shared;
use super::job::Job;

/// How long it is waited after a node has come, since more may come.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

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

/// Spreads the runs anew that would be spread better over the nodes that are there now.
pub async fn balance(host: &Shared) -> Vec<Balanced> {
    let slots = host.options.crew.slots();
    let nodes = if slots.len() == 1 { "one node".to_owned() } else { format!("{} nodes", slots.len()) };
    let due = host.under_way().into_iter().filter(|job| host.crew_seen().would_spread_better(job.id, &slots));
    let spread = due.map(|job| {
        let what = format!("spread anew over {nodes}");
        async move {
            let (change, why) = match job.spread_anew(what).await {
                Ok(change) => (Some(change), None),
                Err(refused) => (None, Some(refused.message)),
            };
            Balanced { job: job.id, name: job.file().to_owned(), change, why }
        }
    });
    join_all(spread).await
}

/// The same in a moment, since a node has come. More that come meanwhile are taken together.
pub async fn balance_soon(host: Arc<Shared>) {
    let Ok(_turn) = host.balancing.try_lock() else { return };
    sleep(SETTLED_AFTER).await;
    for Balanced { job, name, why, .. } in balance(&host).await {
        tracing::info!(job = job.0, name, why, "a run was to be spread anew, since a node has come");
    }
}
