//! Nodes that take part in another's runs: two sessions each, which are made and lost apart.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::proxy::Proxy;
use common::*;
use millrace_cluster::node::Token;
use millrace_cluster::share::{Crew, Enlistment, enlist, stay_enlisted};
use millrace_cluster::{ClientError, Credential, HostLimits, Node, NodeOptions, serve};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

async fn leader() -> (Node, Arc<Crew>) {
    let crew = Arc::<Crew>::default();
    let (host, _) = host_of(HostLimits::default(), crew.clone());
    (serve("127.0.0.1:0", host, NodeOptions::default()).await.unwrap(), crew)
}

/// A node's door, with a token that outlives it.
async fn door(listen: &str, token: &Token) -> Node {
    serve(listen, host().0, NodeOptions { token: Some(token.clone()), ..NodeOptions::default() }).await.unwrap()
}

/// Stays enlisted beside the test, and tells how often it came to take part.
fn staying(leader: &Node, own: Enlistment) -> (JoinHandle<()>, watch::Receiver<u32>) {
    let (told, joined) = watch::channel(0);
    let (address, token) = (format!("ws://{}", leader.address()), leader.token().reveal());
    let staying = tokio::spawn(async move {
        let tell = |enlisted: Result<(), &ClientError>| told.send_modify(|joined| *joined += u32::from(enlisted.is_ok()));
        stay_enlisted(&address, || Credential::Token(token.clone()), &own, tell).await;
    });
    (staying, joined)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_its_leader_has_lost_is_called_back() {
    let ((leader, crew), token) = (leader().await, Token::random().unwrap());
    let node = door("127.0.0.1:0", &token).await;
    let address = node.address().to_string();
    let (_staying, joined) =
        staying(&leader, Enlistment { address: format!("ws://{address}"), token: Some(token.clone()), slots: 2, ..Enlistment::default() });
    until("the node is there", || crew.present().len() == 1).await;
    let first = crew.present();
    // The way from the leader to the node is gone for a moment; that from the node to its leader stands all the while.
    drop(node);
    until("the leader has lost the node", || crew.present().is_empty()).await;
    let _node = door(&address, &token).await;
    until("the node is back", || crew.present().len() == 1).await;
    assert_ne!(crew.present()[0].0, first[0].0, "it takes part as another member");
    assert!(*joined.borrow() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_again_that_it_takes_part_stays_the_member_that_it_is() {
    let ((leader, crew), token) = (leader().await, Token::random().unwrap());
    let node = door("127.0.0.1:0", &token).await;
    let own = Enlistment { address: format!("ws://{}", node.address()), token: Some(token), slots: 2, ..Enlistment::default() };
    let client = enlist(&format!("ws://{}", leader.address()), &Credential::Token(leader.token().reveal()), &own).await.unwrap();
    let first = crew.present();
    let other = Enlistment { slots: 3, ..own.clone() };
    let again = |own: Enlistment| {
        let (address, token) = (format!("ws://{}", leader.address()), leader.token().reveal());
        async move { enlist(&address, &Credential::Token(token), &own).await.unwrap() }
    };
    let _same = again(own).await;
    assert_eq!(crew.present(), first);
    let _changed = again(other).await;
    assert_eq!(crew.present().iter().map(|(_, _, slots)| *slots).collect::<Vec<_>>(), [3], "what it says anew counts");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_wait_for_a_node_whose_connection_does_not_come_back() {
    let ((leader, crew), token) = (leader().await, Token::random().unwrap());
    let node = door("127.0.0.1:0", &token).await;
    let way = Proxy::to(node.address()).await;
    let own = Enlistment { address: way.url(), token: Some(token), slots: 2, ..Enlistment::default() };
    let _session = enlist(&format!("ws://{}", leader.address()), &Credential::Token(leader.token().reveal()), &own).await.unwrap();
    assert_eq!(crew.in_reach().await.len(), 1);
    // Nobody is told that it is gone: whether it is becomes known ten seconds later.
    way.close(true);
    way.cut();
    let not_there = async { while !crew.in_reach().await.is_empty() {} };
    timeout(Duration::from_secs(5), not_there).await.expect("a run would begin without it");
    assert_eq!(crew.present().len(), 1, "it is not given up");
    way.close(false);
    let begun_again = async { while crew.in_reach().await.is_empty() {} };
    timeout(PATIENCE, begun_again).await.expect("it is in reach again");
}
