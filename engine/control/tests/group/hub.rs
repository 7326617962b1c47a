//! Nodes in one process, and a network between them that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use millrace_control::control::{Answer, Command, Generation};
use millrace_control::{ControlError, ControlGroup, GroupLook, NoAnswer, Peer, Question, Settings, Told, Transport};
use tokio::time::{Instant, sleep, timeout};

/// All nodes, by where they listen: `n0`, `n1`..
#[derive(Default)]
pub struct Hub {
    nodes: Mutex<BTreeMap<String, ControlGroup>>,
    /// One way each.
    cut: Mutex<BTreeSet<(String, String)>>,
}

struct End {
    own: String,
    hub: Weak<Hub>,
    /// When each last answered, by address.
    heard: Mutex<BTreeMap<String, Instant>>,
}

impl End {
    fn new(number: usize, hub: &Arc<Hub>) -> End {
        End { own: peer(number).address, hub: Arc::downgrade(hub), heard: Mutex::default() }
    }
}

impl Hub {
    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.cut.lock().unwrap().contains(&(from.to_owned(), to.to_owned()))
    }

    fn node(&self, address: &str) -> Option<ControlGroup> {
        self.nodes.lock().unwrap().get(address).cloned()
    }
}

#[async_trait]
impl Transport for End {
    async fn ask(&self, peer: &Peer, question: Question, patience: Duration) -> Result<Told, NoAnswer> {
        let no_answer = |why: &str| NoAnswer { address: peer.address.clone(), why: why.to_owned() };
        let hub = self.hub.upgrade().ok_or_else(|| no_answer("the test is over"))?;
        if hub.is_cut(&self.own, &peer.address) {
            return Err(no_answer("cut"));
        }
        let node = hub.node(&peer.address).ok_or_else(|| no_answer("nobody listens"))?;
        // As it would travel.
        let question = serde_json::from_str(&serde_json::to_string(&question).unwrap()).unwrap();
        let told = timeout(patience, node.answer(question)).await.map_err(|_| no_answer("too late"))?;
        if hub.is_cut(&peer.address, &self.own) {
            return Err(no_answer("cut"));
        }
        self.heard.lock().unwrap().insert(peer.address.clone(), Instant::now());
        Ok(serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap())
    }

    fn heard(&self, peer: &Peer) -> Option<Duration> {
        self.heard.lock().unwrap().get(&peer.address).map(Instant::elapsed)
    }
}

/// A group under test.
pub struct Cluster {
    pub hub: Arc<Hub>,
    folder: tempfile::TempDir,
    settings: Settings,
}

pub fn peer(number: usize) -> Peer {
    Peer { name: format!("node-{number}"), address: format!("n{number}") }
}

impl Cluster {
    /// So many nodes of one group, all of which have come to vote that may.
    pub async fn of(nodes: usize, settings: Settings) -> Cluster {
        let cluster = Cluster { hub: Arc::default(), folder: tempfile::tempdir().unwrap(), settings };
        let first = cluster.start(0).await;
        first.found(peer(0)).await.unwrap();
        first.wait_for(Duration::from_secs(5), GroupLook::leads).await.unwrap();
        for number in 1..nodes {
            cluster.start(number).await.join(&peer(0), peer(number)).await.unwrap();
        }
        let voters = if nodes.is_multiple_of(2) { nodes - 1 } else { nodes };
        for number in 0..nodes {
            let survives = (voters - 1) / 2;
            let is_whole = |look: &GroupLook| look.nodes.len() == nodes && look.survives == survives && look.leader.is_some();
            cluster.node(number).wait_for(Duration::from_secs(20), is_whole).await.unwrap();
        }
        cluster
    }

    pub fn folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}"))
    }

    /// Starts a node with what it has on disk.
    pub async fn start(&self, number: usize) -> ControlGroup {
        let end = End::new(number, &self.hub);
        let mut opened = ControlGroup::open(&self.folder(number), Arc::new(end), self.settings.clone()).await;
        // The process before lets its folder go with its last task.
        while let Err(ControlError::InUse { .. }) = opened {
            sleep(Duration::from_millis(5)).await;
            let end = End::new(number, &self.hub);
            opened = ControlGroup::open(&self.folder(number), Arc::new(end), self.settings.clone()).await;
        }
        let group = opened.unwrap();
        self.hub.nodes.lock().unwrap().insert(peer(number).address, group.clone());
        group
    }

    /// Ends a node: from now on nobody hears of it.
    pub async fn kill(&self, number: usize) {
        let node = self.hub.nodes.lock().unwrap().remove(&peer(number).address).unwrap();
        node.shut_down().await;
    }

    pub fn node(&self, number: usize) -> ControlGroup {
        self.hub.node(&peer(number).address).unwrap()
    }

    pub fn get(&self, number: usize) -> Option<ControlGroup> {
        self.hub.node(&peer(number).address)
    }

    pub fn alive(&self) -> Vec<usize> {
        self.hub.nodes.lock().unwrap().keys().map(|address| address[1..].parse().unwrap()).collect()
    }

    /// The number of the node that one of those alive takes for the leader and that takes itself for it.
    pub fn leader(&self) -> Option<usize> {
        self.alive().into_iter().find(|number| self.get(*number).is_some_and(|node| node.look().leads()))
    }

    pub async fn led(&self) -> usize {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(leader) = self.leader() {
                return leader;
            }
            assert!(
                Instant::now() < until,
                "nobody leads: {:?}",
                self.alive().iter().map(|node| self.node(*node).look()).collect::<Vec<_>>()
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&self, number: usize) {
        let own = peer(number).address;
        let mut cut = self.hub.cut.lock().unwrap();
        for other in (0..8).map(|number| peer(number).address).filter(|other| *other != own) {
            cut.insert((own.clone(), other.clone()));
            cut.insert((other, own.clone()));
        }
    }

    pub fn cut(&self, from: usize, to: usize) {
        self.hub.cut.lock().unwrap().insert((peer(from).address, peer(to).address));
    }

    pub fn heal(&self) {
        self.hub.cut.lock().unwrap().clear();
    }
}

/// Something that is easily told from all else: a member of this number.
pub fn member(number: u64) -> Command {
    Command::Join { name: format!("m{number}"), generation: Generation(1), address: "ws://127.0.0.1:1".into(), slots: 1, is_control: false }
}

pub fn has(group: &ControlGroup, number: u64) -> bool {
    group.read(|control| control.members().get(&format!("m{number}")).is_some())
}

/// Waits until a node has heard of a member.
pub async fn heard(group: &ControlGroup, number: u64) {
    let until = Instant::now() + Duration::from_secs(10);
    while !has(group, number) {
        assert!(Instant::now() < until, "m{number} does not come: {:?}", group.look());
        sleep(Duration::from_millis(5)).await;
    }
}

pub const fn done(generation: u64) -> Answer {
    Answer::Done { generation: Generation(generation) }
}
