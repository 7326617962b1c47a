//! What a node tells of the cluster that it leads.

mod common;

use common::*;
use millrace_cluster::client::Disk;
use millrace_cluster::link::{Answer, link};
use millrace_cluster::share::{Enlistment, enlist};
use millrace_cluster::socket::Credential;
use millrace_cluster::{EngineClient, Node, RunFiles};
use millrace_wire::change::Scale;
use millrace_wire::cluster::{Cluster, Standing, happenings};
use millrace_wire::figures::RunState;
use millrace_wire::message::*;

/// Has a node take part in what another leads.
async fn join(leader: &Node, member: &Node) -> EngineClient {
    join_with(leader, member, 2).await
}

async fn join_with(leader: &Node, member: &Node, slots: u32) -> EngineClient {
    let own =
        Enlistment { address: format!("ws://{}", member.address()), token: Some(member.token().clone()), slots, ..Enlistment::default() };
    let shown = Credential::Token(leader.token().reveal());
    enlist(&format!("ws://{}", leader.address()), &shown, &own).await.unwrap()
}

/// Looks until the cluster is as `check` wants it, and gives it.
async fn looks(client: &EngineClient, what: &str, check: impl Fn(&Cluster) -> bool) -> Cluster {
    let looking = async {
        loop {
            let cluster = client.cluster(0).await.unwrap().unwrap();
            if check(&cluster) {
                return cluster;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("the cluster never looks like that: {what}"))
}

fn kinds(cluster: &Cluster) -> Vec<&str> {
    cluster.timeline.iter().flat_map(|timeline| &timeline.incidents).map(|incident| incident.root.kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_is_seen_with_its_link_and_one_that_goes_is_lost_with_the_reason() {
    let (leader, _) = node().await;
    let (member, _) = node().await;
    let client = session(&leader).await;
    let alone = client.cluster(0).await.unwrap().unwrap();
    assert_eq!((alone.nodes.len(), alone.nodes[0].standing, alone.timeline), (1, Standing::Leads, None));

    let _enlisted = join(&leader, &member).await;
    let joined = looks(&client, "the member is asked about", |it| it.links.iter().any(|link| link.round_trip_us.is_some())).await;
    let seen = &joined.nodes[1];
    assert_eq!((seen.standing, seen.slots, seen.cores, seen.incarnation), (Standing::Joined, Some(2), 2, 1));
    assert_eq!(seen.address, Some(format!("ws://{}", member.address())));
    assert_eq!(kinds(&joined), [happenings::NODE_JOINED]);
    let known = joined.timeline.unwrap().revision;
    assert_eq!(client.cluster(known).await.unwrap().unwrap().timeline, None, "no news, no timeline");

    drop(member);
    let lost = looks(&client, "the member is lost", |it| it.nodes.iter().any(|node| node.standing == Standing::Lost)).await;
    assert_eq!((lost.nodes.len(), lost.links.len()), (2, 0));
    assert!(lost.nodes[1].why.is_some());
    assert_eq!(kinds(&lost).last(), Some(&happenings::NODE_LOST));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_again_from_one_address_is_one_node_and_another_member_only_if_something_of_it_is_new() {
    let (leader, _) = node().await;
    let (member, _) = node().await;
    let client = session(&leader).await;
    let _first = join(&leader, &member).await;
    for (slots, expected) in [(2, [(0, 1), (1, 1)]), (3, [(0, 1), (2, 2)])] {
        let _again = join_with(&leader, &member, slots).await;
        let cluster = client.cluster(0).await.unwrap().unwrap();
        assert_eq!(cluster.nodes.iter().map(|node| (node.member, node.incarnation)).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_listed_to_others_who_may_stop_and_change_it_and_nothing_else() {
    let (node, _) = node().await;
    let (owner, other) = (session(&node).await, session(&node).await);
    let (_folder, files) = project(10);
    let job = owner.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    let listed = other.cluster(0).await.unwrap().unwrap().jobs;
    assert_eq!(listed.iter().map(|seen| (seen.job, seen.name.as_str())).collect::<Vec<_>>(), [(job, "x")]);
    assert_eq!(other.kill(job).await.unwrap_err().code(), "MR0620");
    let to = |parallelism| Scale { parallelism, ..Scale::default() };
    assert_eq!(other.scale(job, to(Some(4))).await.unwrap().what, "rescaled from 1 to 4");
    assert_eq!(other.scale(job, to(None)).await.unwrap_err().code(), "MR0436");
    assert_eq!(other.savepoint(job, "monday").await.unwrap().name, "monday");
    assert_eq!(other.roll_back(job, false).await.unwrap_err().code(), "MR0436");
    other.stop(job, StopMode::Drain).await.unwrap();
    assert_eq!(owner.wait(job).await.unwrap().state, RunState::Stopped);
    owner.forget(job).await.unwrap();
    assert!(other.cluster(0).await.unwrap().unwrap().jobs.is_empty());
    assert_eq!(other.stop(job, StopMode::Drain).await.unwrap_err().code(), "MR0620");
}

#[tokio::test]
async fn a_peer_of_the_release_before_is_not_asked_what_it_would_not_understand() {
    let (client, mut host) = link();
    let client = EngineClient::new(client, Disk::Apart);
    let old = tokio::spawn(async move {
        let asked = host.requests.recv().await.unwrap();
        assert_eq!(asked.request, Request::Describe);
        // As that release tells it: without its health.
        let told = r#"{"version":"0","protocol":2,"cores":1,"memory_bytes":1}"#;
        let reply = Reply::Description(serde_json::from_str(told).unwrap());
        host.answers.send(Answer::Reply { id: asked.id, reply }).await;
        host.requests.recv().await.map(|asked| asked.request)
    });
    assert_eq!(client.cluster(0).await.unwrap(), None);
    assert_eq!(client.cluster(0).await.unwrap(), None);
    drop(client);
    assert_eq!(old.await.unwrap(), None, "it was asked nothing else");
}

#[tokio::test]
async fn a_peer_of_the_release_before_is_asked_to_change_no_run() {
    let (client, mut host) = link();
    let client = EngineClient::new(client, Disk::Apart);
    let old = tokio::spawn(async move {
        let asked = host.requests.recv().await.unwrap();
        let told = r#"{"version":"0","protocol":2,"cores":1,"memory_bytes":1,"health":{"started_us":1,"memory_bytes":1}}"#;
        let reply = Reply::Description(serde_json::from_str(told).unwrap());
        host.answers.send(Answer::Reply { id: asked.id, reply }).await;
        host.requests.recv().await.map(|asked| asked.request)
    });
    let error = client.scale(JobId(1), Scale { parallelism: Some(2), ..Scale::default() }).await.unwrap_err();
    assert!(error.code() == "MR0602" && error.to_string().contains("earlier release"), "{error}");
    drop(client);
    assert_eq!(old.await.unwrap(), None, "it was asked nothing else");
}
