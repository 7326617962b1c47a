//! The network between the nodes of a control group: it loses, delays, turns round and doubles what travels, and is cut one way or both.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millrace_control::time::{sleep, timeout};
use millrace_control::{ControlGroup, NoAnswer, Peer, Question, Told, Transport};
use millrace_testkit::sim::{LifeDisk, World};
use tokio::sync::oneshot;

use crate::judge::Judge;
use crate::process::Process;

/// How it is at the moment.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// One way each.
    pub cut: BTreeSet<(usize, usize)>,
    /// Of what travels one in so many is lost; none if it is 0.
    pub loses: u64,
    /// What travels takes up to so much longer.
    pub slow: Duration,
    /// Questions of which one in so many comes twice; none if it is 0.
    pub doubles: u64,
}

/// A node that answers.
#[derive(Clone)]
pub struct Host {
    pub group: ControlGroup,
    pub process: Arc<Process>,
    /// Its disk, as this life of it sees it.
    pub disk: Arc<LifeDisk>,
}

pub struct Net {
    world: World,
    pub judge: Judge,
    /// What is under way goes on when its sender is gone.
    carrier: Arc<Process>,
    hosts: Mutex<BTreeMap<usize, Host>>,
    weather: Mutex<Weather>,
}

/// A node by where it listens.
pub fn peer(number: usize) -> Peer {
    Peer { name: format!("node-{number}"), address: format!("n{number}") }
}

fn number(peer: &Peer) -> Option<usize> {
    peer.address.strip_prefix('n')?.parse().ok()
}

impl Net {
    pub fn new(world: &World, carrier: &Arc<Process>) -> Arc<Net> {
        let (hosts, weather) = (Mutex::default(), Mutex::default());
        Arc::new(Net { world: world.clone(), judge: Judge::default(), carrier: carrier.clone(), hosts, weather })
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<usize, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, number: usize, host: Host) {
        self.hosts().insert(number, host);
    }

    /// From now on nobody listens there.
    pub fn remove(&self, number: usize) -> Option<Host> {
        self.hosts().remove(&number)
    }

    pub fn host(&self, number: usize) -> Option<Host> {
        self.hosts().get(&number).cloned()
    }

    pub fn present(&self) -> Vec<usize> {
        self.hosts().keys().copied().collect()
    }

    /// Changes how it is.
    pub fn turn(&self, change: impl FnOnce(&mut Weather)) {
        let mut weather = self.weather();
        change(&mut weather);
        self.world.say(format_args!("{weather:?}"));
    }

    pub fn say(&self, what: impl std::fmt::Display) {
        self.world.say(what);
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.weather().cut.contains(&(from, to))
    }

    /// How long a frame takes by a way that loses nothing: what is lost there is sent again.
    pub fn latency(&self) -> Duration {
        let Weather { loses, slow, .. } = self.weather().clone();
        let is_lost = loses > 0 && self.world.chance(|chance| chance.one_in(loses * 4));
        let micros = self.world.chance(|chance| chance.between(10, 200));
        let longer = u64::try_from(slow.as_micros() / 20).unwrap_or(u64::MAX);
        let longer = if longer > 0 { self.world.chance(|chance| chance.below(longer)) } else { 0 };
        Duration::from_micros(micros + longer + if is_lost { 30_000 } else { 0 })
    }

    /// Whether something that travels now arrives, and how long that takes.
    pub fn passes(&self, from: usize, to: usize) -> Option<Duration> {
        let weather = self.weather().clone();
        let is_lost = weather.cut.contains(&(from, to)) || weather.loses > 0 && self.world.chance(|chance| chance.one_in(weather.loses));
        let takes = self.world.chance(|chance| match chance.below(40) {
            0 => chance.between(5_000, 60_000),
            _ => chance.between(100, 2_000),
        });
        let longer = u64::try_from(weather.slow.as_micros()).unwrap_or(u64::MAX);
        let longer = if longer > 0 { self.world.chance(|chance| chance.below(longer)) } else { 0 };
        (!is_lost).then(|| Duration::from_micros(takes + longer))
    }

    fn comes_twice(&self) -> bool {
        let doubles = self.weather().doubles;
        doubles > 0 && self.world.chance(|chance| chance.one_in(doubles))
    }

    /// Carries a question there and its answer back. Without end, if either is lost.
    async fn carry(self: Arc<Self>, from: usize, to: usize, question: String) -> Result<Told, String> {
        let Some(takes) = self.passes(from, to) else { return pending().await };
        let twice = self.comes_twice();
        sleep(takes).await;
        let told = self.answered(to, question.clone())?;
        if twice {
            // Whoever asked hears the first answer alone.
            drop(self.answered(to, question)?);
        }
        let told = told.await.map_err(|_| "the connection is gone".to_owned())?;
        let Some(takes) = self.passes(to, from) else { return pending().await };
        sleep(takes).await;
        serde_json::from_str(&told).map_err(|error| error.to_string())
    }

    fn answered(&self, to: usize, question: String) -> Result<oneshot::Receiver<String>, String> {
        let Host { group, process, .. } = self.host(to).ok_or_else(|| "nobody listens".to_owned())?;
        let judge = self.judge.clone();
        Ok(process.run(async move {
            let question: Question = serde_json::from_str(&question).expect("it was written as it is read");
            let told = group.answer(question.clone()).await;
            judge.answered(group.id(), &question, &told);
            serde_json::to_string(&told).expect("an answer can be written")
        }))
    }
}

/// A node's end of the network.
pub struct End {
    pub own: usize,
    pub process: Arc<Process>,
    pub net: Arc<Net>,
}

#[async_trait]
impl Transport for End {
    async fn ask(&self, peer: &Peer, question: Question, patience: Duration) -> Result<Told, NoAnswer> {
        let no_answer = |why: String| NoAnswer { address: peer.address.clone(), why };
        let to = number(peer).ok_or_else(|| no_answer("there is no such address".to_owned()))?;
        if self.process.is_over() {
            return Err(no_answer("this process is over".to_owned()));
        }
        if let Some(host) = self.net.host(self.own) {
            self.net.judge.asked(host.group.id(), &question);
        }
        let text = serde_json::to_string(&question).expect("a question can be written");
        let told = self.net.carrier.run(self.net.clone().carry(self.own, to, text));
        let told = timeout(patience, told).await.map_err(|_| no_answer("too late".to_owned()))?;
        told.unwrap_or_else(|_| Err("the world ends".to_owned())).map_err(no_answer)
    }
}
