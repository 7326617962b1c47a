//! Nodes that are emptied on purpose: they are asked for nothing new, say so themselves, and take part again.

mod common;

use std::sync::Arc;

use common::group::three;
use common::*;
use millrace_cluster::client::Disk;
use millrace_cluster::link::{Answer, link};
use millrace_cluster::node::Token;
use millrace_cluster::share::{Crew, Drains, Enlistment, stay_enlisted};
use millrace_cluster::{Credential, EngineClient, HostLimits, Node, NodeOptions, RunFiles, serve};
use millrace_wire::cluster::{Drain, happenings};
use millrace_wire::message::*;
use tokio::task::JoinHandle;

/// A node, and those that are enlisted with it.
async fn node_with_crew() -> (Node, Arc<Crew>) {
    let crew = Arc::<Crew>::default();
    let (host, _) = host_of(HostLimits::default(), crew.clone());
    (serve("127.0.0.1:0", host, NodeOptions::default()).await.unwrap(), crew)
}

/// Stays enlisted with a leader, as a node's process does.
fn joined(leader: &Node, member: &Node, drains: &Drains) -> JoinHandle<()> {
    let own = Enlistment {
        address: format!("ws://{}", member.address()),
        token: Some(member.token().clone()),
        slots: 2,
        drains: drains.clone(),
        ..Enlistment::default()
    };
    let (address, token) = (format!("ws://{}", leader.address()), leader.token().reveal());
    tokio::spawn(async move { stay_enlisted(&address, || Credential::Token(token.clone()), &own, |_| {}).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_drained_is_asked_for_nothing_new_until_it_takes_part_again() {
    let ((leader, crew), (member, own)) = (node_with_crew().await, node_with_crew().await);
    let _staying = joined(&leader, &member, own.drains());
    until("the node is there", || crew.hands() == 2).await;
    let client = session(&leader).await;
    let address = member.address().to_string();
    let look = client.drain(Some(&address), Some(true)).await.unwrap();
    assert_eq!((look.drain, look.shares, look.stays.len()), (Drain::Drained, 0, 0), "nothing runs there");
    assert!(own.drains().is_on() && crew.hands() == 0 && crew.in_reach().await.is_empty());
    let mut seen = client.cluster(0).await.unwrap().unwrap();
    while seen.nodes[1].drain != Drain::Drained {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        seen = client.cluster(0).await.unwrap().unwrap();
    }
    let kinds: Vec<String> = seen.timeline.unwrap().incidents.into_iter().map(|incident| incident.root.kind).collect();
    assert_eq!(kinds, [happenings::NODE_JOINED, happenings::NODE_DRAINS]);
    // By its number too.
    let look = client.drain(Some(&seen.nodes[1].member.to_string()), Some(false)).await.unwrap();
    assert_eq!((look.drain, crew.hands(), own.drains().is_on()), (Drain::No, 2, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_by_itself_says_so_to_its_leader_and_is_no_fault_when_it_goes() {
    let ((leader, crew), (member, own)) = (node_with_crew().await, node_with_crew().await);
    let staying = joined(&leader, &member, own.drains());
    until("the node is there", || crew.hands() == 2).await;
    let client = session(&leader).await;
    own.drains().set(true);
    until("its leader has heard of it", || crew.hands() == 0).await;
    let look = async || client.cluster(0).await.unwrap().unwrap();
    while look().await.nodes[1].drain != Drain::Drained {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    staying.abort();
    drop(member);
    let has_left = async {
        loop {
            let timeline = look().await.timeline.unwrap();
            if let Some(incident) = timeline.incidents.into_iter().find(|it| it.root.kind.starts_with("node_l")) {
                return incident.root.kind;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, has_left).await.unwrap(), happenings::NODE_LEFT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leads_and_is_the_last_or_is_unknown_is_not_drained_and_one_that_drains_takes_no_run() {
    let (leader, _crew) = node_with_crew().await;
    let client = session(&leader).await;
    let refused = client.drain(Some("127.0.0.1:1"), Some(true)).await.unwrap_err();
    assert!(refused.code() == "MR0658" && refused.to_string().contains("there is no node 127.0.0.1:1"), "{refused}");
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("forever"), files.clone(), RunFiles::default()).await.unwrap();
    let refused = client.drain(None, Some(true)).await.unwrap_err();
    assert!(refused.code() == "MR0658" && refused.to_string().contains("of no control group"), "{refused}");
    assert_eq!(client.drain(None, None).await.unwrap().drain, Drain::No, "it takes part as before");
    client.stop(job, StopMode::Drain).await.unwrap();
    client.wait(job).await.unwrap();
    assert_eq!(client.drain(None, Some(true)).await.unwrap().drain, Drain::Drained);
    let refused = client.deploy(deployment("forever"), files.clone(), RunFiles::default()).await.unwrap_err();
    assert!(refused.code() == "MR0657" && refused.to_string().contains("takes no new run"), "{refused}");
    client.drain(None, Some(false)).await.unwrap();
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    client.stop(job, StopMode::Abort).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_group_is_drained_by_its_name_from_another_and_a_member_learns_of_all_of_the_group() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    until("all have said where they are", || members[0].control.peers().len() == 3).await;
    let client = millrace_cluster::connect(&members[0].address, &token.reveal()).await.unwrap();
    let look = client.drain(Some("c"), Some(true)).await.unwrap();
    assert_eq!((look.node.as_str(), look.drain), ("c", Drain::Drained));
    let of_itself = millrace_cluster::connect(&members[2].address, &token.reveal()).await.unwrap();
    assert_eq!(of_itself.drain(None, None).await.unwrap().drain, Drain::Drained);
    let (worker, _crew) = node_with_crew().await;
    let own = Enlistment {
        address: format!("ws://{}", worker.address()),
        token: Some(worker.token().clone()),
        slots: 1,
        ..Enlistment::default()
    };
    let learned = own.learned.clone();
    let (address, shown) = (members[0].address.clone(), token.reveal());
    let staying = tokio::spawn(async move { stay_enlisted(&address, || Credential::Token(shown.clone()), &own, |_| {}).await });
    let mut follow = learned.follow();
    let told = tokio::time::timeout(PATIENCE, follow.wait_for(|control| control.len() == 3)).await.unwrap().unwrap().clone();
    assert_eq!(told.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(told[1].address, members[1].address);
    staying.abort();
}

#[tokio::test]
async fn a_peer_of_the_release_before_is_not_asked_to_drain_and_understands_who_enlists() {
    let (client, mut host) = link();
    let client = EngineClient::new(client, Disk::Apart);
    let old = tokio::spawn(async move {
        let asked = host.requests.recv().await.unwrap();
        let told = r#"{"version":"0","protocol":2,"cores":1,"memory_bytes":1,"health":{"started_us":1,"memory_bytes":1}}"#;
        let reply = Reply::Description(serde_json::from_str(told).unwrap());
        host.answers.send(Answer::Reply { id: asked.id, reply }).await;
        host.requests.recv().await.map(|asked| asked.request)
    });
    let error = client.drain(None, Some(true)).await.unwrap_err();
    assert!(error.code() == "MR0602" && error.to_string().contains("earlier release"), "{error}");
    drop(client);
    assert_eq!(old.await.unwrap(), None, "it was asked nothing else");
    // What such a node says when it enlists, and how it is said to one that takes no notice of what is new.
    let before = r#"{"ask":"enlist","address":"a","token":"t","slots":2}"#;
    let read: Request = serde_json::from_str(before).unwrap();
    let enlist = |drains, learns| Request::Enlist { address: "a".into(), token: "t".into(), slots: 2, drains, learns };
    assert_eq!(read, enlist(false, false));
    assert_eq!(serde_json::to_string(&read).unwrap(), before);
    let now = serde_json::to_value(enlist(true, true)).unwrap();
    assert_eq!((&now["drains"], &now["learns"], &now["slots"]), (&true.into(), &true.into(), &2.into()));
}
