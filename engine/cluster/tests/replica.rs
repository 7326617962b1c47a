//! Epochs of a run on the disks of several nodes of a control group, over real sessions.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::group::{Member, three};
use millrace_cluster::control::{Led, RunLedger};
use millrace_cluster::node::Token;
use millrace_cluster::replica::{Copying, FarReplica, Spread, bring_to_log};
use millrace_control::control::{Command, Desired, EpochId, Generation, Place, Source};
use millrace_model::NodeId;
use millrace_runtime::checkpoint::{StateHome, look_over};
use millrace_runtime::ledger::Ledger;
use millrace_state::checkpoint::{Manifest, PartEntry, Paths, RunId, TaskId};
use millrace_state::snapshot::TaskPartWriter;
use millrace_state::store::Store;
use millrace_wire::cluster::{DeploymentLook, DeploymentStanding};
use millrace_wire::figures::RunState;
use millrace_wire::message::ReplicaOpen;
use tokio::time::{Instant, sleep};

const RUN: RunId = RunId(7);

fn in_place(replicas: u32) -> Source {
    Source { text: "x".into(), place: Some(Place { replicas, ..Place::default() }), ..Source::default() }
}

/// A run that a member leads, with its own state.
struct Leading {
    ledger: Arc<RunLedger>,
    store: Arc<dyn Store>,
}

impl Leading {
    async fn at(member: &Member, replicas: u32, how: Led) -> Leading {
        let ledger = Arc::new(RunLedger::keep(&member.control, "p".into(), in_place(replicas), how).await.unwrap());
        let (at, generation) = (member.control.replicas().clone(), ledger.led_in());
        let store = tokio::task::spawn_blocking(move || at.leader("p", generation).unwrap()).await.unwrap();
        Leading { ledger, store }
    }

    /// Makes an epoch complete, as a run does: its state, its manifest, its entry.
    async fn complete(&self, epoch: u64) {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || write(&store, epoch)).await.unwrap();
        self.ledger.complete(RUN, epoch).await.unwrap();
    }
}

fn write(store: &Arc<dyn Store>, epoch: u64) {
    let home = StateHome::new(store.clone(), Duration::from_secs(1), false);
    // As if it had been claimed when it began.
    store.put(&Paths { run: RUN }.begun(), &[]).unwrap();
    let block = format!("window-0-{epoch}-0");
    store.put(&Paths { run: RUN }.block(&block), &vec![epoch as u8; 3 << 20]).unwrap();
    let (task, mut part) = (TaskId { node: NodeId::new("window"), task: 0 }, TaskPartWriter::default());
    part.watermark(epoch as i64);
    let part = home.write_part(RUN, epoch, task, part).unwrap();
    let part = PartEntry { blocks: vec![block], ..part };
    let (nodes, meanings, ready) = Default::default();
    let manifest = Manifest { run: RUN, epoch, taken_us: 0, ending: None, key_groups: 1024, nodes, meanings, parts: vec![part], ready };
    store.create(&Paths { run: RUN }.manifest(epoch), &manifest.encode().unwrap()).unwrap();
}

fn look(member: &Member) -> DeploymentLook {
    member.control.look().deployments.into_iter().find(|of| of.name == "p").unwrap_or_default()
}

/// Sees that a member has an epoch, each byte of it.
async fn assert_holds(member: &Member, epoch: u64) {
    let replicas = member.control.replicas().clone();
    let looked = tokio::task::spawn_blocking(move || look_over(replicas.reader("p").unwrap().as_ref(), (RUN, epoch)));
    looked.await.unwrap().unwrap();
}

async fn becomes(member: &Member, what: &str, is_so: impl Fn(&DeploymentLook) -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so(&look(member)) {
        assert!(Instant::now() < end, "{what}: {:#?}", look(member));
        sleep(Duration::from_millis(20)).await;
    }
}

fn tells(member: &Member, kind: &str) -> bool {
    let timeline = member.seen.look(&common::description(), 0).timeline.unwrap_or_default();
    timeline.incidents.iter().any(|incident| incident.root.kind == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_on_two_disks_before_it_counts_and_on_two_again_when_one_is_gone() {
    let token = Token::random().unwrap();
    let mut members = three(&token).await;
    let leading = Leading::at(&members[0], 2, Led::Anew { may_rewind: false, fresh: false }).await;
    leading.ledger.copy_epochs(members[0].seen.clone(), leading.store.clone(), 2);
    leading.complete(1).await;
    let holders = look(&members[0]).holders;
    assert!(holders.len() == 2 && holders.contains(&"a".to_owned()), "{holders:?}");
    let holder =
        members.iter().position(|member| member.control.name() != "a" && holders.contains(&member.control.name().to_owned())).unwrap();
    assert_holds(&members[holder], 1).await;
    leading.complete(2).await;
    leading.complete(3).await;
    leading.complete(4).await;
    // Only what a takeover may need is kept there, and what somebody has just read.
    let replicas = members[holder].control.replicas().clone();
    let names = tokio::task::spawn_blocking(move || replicas.reader("p").unwrap().list(&Paths { run: RUN }.run()).unwrap()).await.unwrap();
    let epochs: Vec<u64> = names.iter().filter_map(|name| Paths::epoch_of(name)).collect();
    assert_eq!(epochs, [1, 3, 4]);
    members[holder].kill().await;
    let other = 3 - holder;
    let name = members[other].control.name().to_owned();
    becomes(&members[0], "another one holds it", |of| of.holders == ["a".to_owned(), name.clone()]).await;
    assert_holds(&members[other], 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_few_are_there_an_epoch_counts_is_told_to_be_under_replicated_and_is_copied_when_somebody_comes() {
    let token = Token::random().unwrap();
    let mut members = three(&token).await;
    let leading = Leading::at(&members[0], 3, Led::Anew { may_rewind: false, fresh: false }).await;
    leading.ledger.copy_epochs(members[0].seen.clone(), leading.store.clone(), 3);
    leading.complete(1).await;
    assert_eq!(look(&members[0]).holders, ["a", "b", "c"]);
    members[2].kill().await;
    leading.complete(2).await;
    let now = look(&members[0]);
    assert!(now.epoch == Some(2) && now.holders == ["a", "b"] && now.is_under_replicated(), "{now:#?}");
    assert!(tells(&members[0], "under_replicated") && !tells(&members[0], "replicated"));
    let address = members[0].address.clone();
    let fourth = Member::start("d", &token, Some(&address)).await;
    becomes(&members[0], "the one that came holds it", |of| of.holders == ["a", "b", "d"]).await;
    assert_holds(&fourth, 2).await;
    assert!(tells(&members[0], "replicated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_run_over_takes_what_it_lacks_from_who_holds_it_and_goes_on_from_no_other_epoch() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let leading = Leading::at(&members[0], 2, Led::Anew { may_rewind: false, fresh: false }).await;
    leading.ledger.copy_epochs(members[0].seen.clone(), leading.store.clone(), 2);
    leading.complete(1).await;
    leading.complete(2).await;
    let holders = look(&members[0]).holders;
    let to = members.iter().position(|member| !holders.contains(&member.control.name().to_owned())).unwrap();
    let name = members[to].control.name().to_owned();
    let generation = Generation(leading.ledger.led_in());
    let hand = Command::Hand { name: "p".into(), generation, to: name, why: "a test".into() };
    assert!(members[0].control.group().write(hand).await.unwrap().is_done());
    becomes(&members[to], "it hears of it", |of| of.standing == DeploymentStanding::TakenOver).await;
    // An epoch that was never entered is none.
    let late = tokio::task::spawn_blocking({
        let store = leading.store.clone();
        move || write(&store, 3)
    });
    late.await.unwrap();
    assert!(leading.ledger.complete(RUN, 3).await.is_err(), "whoever led it is fenced");
    let next = Leading::at(&members[to], 2, Led::Handed { generation: generation.0 + 1 }).await;
    bring_to_log(&members[to].control, "p", &next.store).await.unwrap();
    assert_holds(&members[to], 2).await;
    let found = StateHome::new(next.store.clone(), Duration::from_secs(1), false).find(None).unwrap();
    assert_eq!(found.newest.map(|manifest| manifest.epoch), Some(2));
    // Nobody is said to hold a later one that there is not: nobody goes back further than that.
    let generation = Generation(next.ledger.led_in());
    let held =
        Command::Complete { name: "p".into(), generation, epoch: EpochId { run: 7, number: 9 }, holders: ["gone".to_owned()].into() };
    assert!(members[to].control.group().write(held).await.unwrap().is_done());
    becomes(&members[to], "it is entered", |of| of.epoch == Some(9)).await;
    let refused = bring_to_log(&members[to].control, "p", &next.store).await.unwrap_err();
    assert_eq!(refused.code, "MR0655", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_is_copied_and_not_entered_yet_stays_whatever_is_copied_after_it() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let leading = Leading::at(&members[0], 3, Led::Anew { may_rewind: false, fresh: false }).await;
    let (control, seen, store) = (members[0].control.clone(), members[0].seen.clone(), leading.store.clone());
    let spread = Spread::new(Copying { control, seen, deployment: "p".into(), store, replicas: 3, newest: None });
    for epoch in [1, 2, 3] {
        let store = leading.store.clone();
        tokio::task::spawn_blocking(move || write(&store, epoch)).await.unwrap();
    }
    let generation = leading.ledger.led_in();
    let holders = spread.copy((RUN, 1), generation).await;
    assert_eq!(holders.len(), 3);
    spread.entered((RUN, 1), &holders);
    assert_eq!(spread.copy((RUN, 2), generation).await.len(), 3);
    // Whether it was entered is not known: nothing before it is copied again, and nothing after it removes it.
    assert_eq!(spread.copy_missing(generation).await, None);
    let holders = spread.copy((RUN, 3), generation).await;
    for epoch in [1, 2, 3] {
        assert_holds(&members[1], epoch).await;
    }
    spread.entered((RUN, 3), &holders);
    assert_eq!(spread.copy_missing(generation).await, None, "enough hold it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_a_replica_but_who_leads_by_the_log() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let leading = Leading::at(&members[0], 3, Led::Anew { may_rewind: false, fresh: false }).await;
    let peer = members[2].control.peer("b").unwrap();
    let open = async |deployment, generation| {
        let opened = FarReplica::open(&members[2].control, &peer, deployment, ReplicaOpen::Write { generation }).await;
        opened.map(drop).unwrap_err()
    };
    let refused = open("p", u64::MAX).await;
    assert!(refused.contains("newest that was heard of"), "{refused}");
    let refused = open("nobody", 1).await;
    assert!(refused.contains("no such deployment"), "{refused}");
    let refused = open("p", 1).await;
    assert!(refused.contains("leads it no more"), "{refused}");
    assert_eq!(members[1].control.replicas().names(), Vec::<String>::new(), "nothing was made for any of them");
    // Who leads it is not kept out by what others asked for.
    leading.ledger.copy_epochs(members[0].seen.clone(), leading.store.clone(), 3);
    leading.complete(1).await;
    assert_eq!(look(&members[0]).holders, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_known_to_have_where_it_ran_before_anybody_could_begin_it_again() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let member = members.iter().find(|member| member.leader().is_some_and(|leader| leader != member.control.name())).unwrap();
    let leading = Leading::at(member, 2, Led::Anew { may_rewind: false, fresh: false }).await;
    let generation = leading.ledger.led_in();
    leading.ledger.ended(RunState::Stopped, None).await;
    assert_eq!(look(member).standing, DeploymentStanding::Stopped);
    drop(leading);
    let again = RunLedger::keep(&member.control, "p".into(), in_place(2), Led::Handed { generation }).await;
    assert!(again.err().unwrap().message.contains("it was stopped"));
    // One that was handed to a node, and fails there before it has come to anything, is another node's to try.
    let desire = Command::Desire { name: "p".into(), generation: Generation(generation), desired: Desired::Running };
    assert!(member.control.group().write(desire).await.unwrap().is_done());
    let leading = Leading::at(member, 2, Led::Handed { generation }).await;
    leading.ledger.ended(RunState::Failed, Some("its disk is full".into())).await;
    let declined = look(member);
    assert_eq!((declined.standing, declined.node), (DeploymentStanding::Waiting, None));
    assert!(declined.why.unwrap().contains("its disk is full"));
}
