//! The nodes of a control group, each a process with a disk of its own that outlives it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_control::time::sleep;
use millrace_control::{ControlError, ControlGroup, GroupLook, Place, Settings};
use millrace_testkit::sim::{Faults, SimDisk, World};

use crate::net::{End, Host, Net, peer};
use crate::process::Process;

pub struct Fleet {
    pub world: World,
    /// Whoever is no node: clients, the judge, the network.
    pub outside: Arc<Process>,
    pub net: Arc<Net>,
    settings: Settings,
    disks: Vec<SimDisk>,
    /// Nodes that are being started.
    starting: Mutex<BTreeSet<usize>>,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What it wrote is there for the next one.
    Killed,
    /// What it did not sync may be gone.
    PowerGone,
}

/// From one try to start a node whose disk fails to the next.
const START_AGAIN: Duration = Duration::from_millis(200);

impl Fleet {
    /// So many nodes of one group, all of which vote.
    pub async fn found(world: &World, nodes: usize, settings: Settings, outside: &Arc<Process>) -> Result<Arc<Fleet>, String> {
        let net = Net::new(world, outside);
        let disks = (0..nodes).map(|_| SimDisk::of_process(world)).collect();
        let fleet = Arc::new(Fleet { world: world.clone(), outside: outside.clone(), net, settings, disks, starting: Mutex::default() });
        for number in 0..nodes {
            fleet.start(number, Faults::default()).await;
            let host = fleet.net.host(number).ok_or("a node does not start")?;
            let group = host.group.clone();
            let coming = host
                .process
                .run(async move { if number == 0 { group.found(peer(0)).await } else { group.join(&peer(0), peer(number)).await } });
            coming.await.map_err(|_| "a node is gone")?.map_err(|error| error.to_string())?;
            host.group.wait_for(Duration::from_secs(10), |look| look.leader.is_some()).await.map_err(|error| error.to_string())?;
        }
        for number in 0..nodes {
            let group = fleet.net.host(number).ok_or("a node is gone")?.group;
            let all_vote = |look: &GroupLook| look.voters() == nodes && look.survives == (nodes - 1) / 2;
            group.wait_for(Duration::from_secs(20), all_vote).await.map_err(|error| error.to_string())?;
        }
        Ok(fleet)
    }

    /// A node's disk, for whoever judges.
    pub fn disk(&self, number: usize) -> &SimDisk {
        &self.disks[number]
    }

    /// Calls of a node's disk that failed.
    pub fn failed_of(&self, number: usize) -> u64 {
        self.disks[number].failed_ever()
    }

    pub fn nodes(&self) -> usize {
        self.disks.len()
    }

    /// Starts a node with what it has on disk, and tries until that comes about.
    pub async fn start(self: &Arc<Self>, number: usize, faults: Faults) {
        let is_first = self.starting.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        if is_first {
            let mut faults = Some(faults);
            while !self.start_once(number, faults.take().unwrap_or_default()).await {
                sleep(START_AGAIN).await;
            }
            self.starting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
    }

    /// Starts those of the nodes that are not there, each after a while.
    pub fn start_missing(self: &Arc<Self>, faults: impl Fn() -> (Duration, Faults)) {
        for number in 0..self.nodes() {
            let is_starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner).contains(&number);
            if is_starting || self.net.host(number).is_some() {
                continue;
            }
            let (fleet, (after, faults)) = (self.clone(), faults());
            // What it gives is that it came about.
            drop(self.outside.run(async move {
                sleep(after).await;
                if fleet.net.host(number).is_none() {
                    fleet.start(number, faults).await;
                }
            }));
        }
    }

    async fn start_once(self: &Arc<Self>, number: usize, faults: Faults) -> bool {
        self.world.say(format_args!("n{number} starts: {faults:?}"));
        let process = Process::new(&self.world);
        let (fleet, ended) = (self.clone(), process.clone());
        let disk = self.disks[number].begin_process(faults, move || {
            fleet.net.remove(number);
            ended.end();
            fleet.disks[number].crash();
        });
        let end = Arc::new(End { own: number, process: process.clone(), net: self.net.clone() });
        let place = Place::new(disk.clone(), Path::new(&format!("/n{number}/control")));
        let settings = self.settings.clone();
        let opened = process.run(async move {
            let group = ControlGroup::open_on(place, end, settings).await?;
            group.is_in_group().await?;
            Ok::<_, ControlError>(group)
        });
        match opened.await {
            Ok(Ok(group)) => {
                self.net.judge.came_back(group.id(), group.look().term);
                self.net.put(number, Host { group, process, disk });
                return true;
            }
            Ok(Err(error)) => {
                self.world.say(format_args!("n{number} does not start: {error}"));
                if matches!(error, ControlError::Damaged { .. } | ControlError::InUse { .. }) {
                    self.net.judge.find(format!("n{number} does not start again: {error}"));
                }
            }
            // The power went.
            Err(_) => {}
        }
        process.end();
        self.disks[number].end_process();
        false
    }

    /// Ends a node, if it is there.
    pub fn end(&self, number: usize, ending: Ending) {
        let Some(host) = self.net.remove(number) else { return };
        self.world.say(format_args!("n{number} ends: {ending:?}"));
        host.process.end();
        self.disks[number].end_process();
        if ending == Ending::PowerGone {
            self.disks[number].crash();
        }
    }

    /// Ends nodes that have ended by themselves: their disks failed.
    pub async fn bury(&self) {
        for number in self.net.present() {
            let Some(host) = self.net.host(number) else { continue };
            let group = host.group.clone();
            if let Ok(Err(error)) = host.process.run(async move { group.is_in_group().await }).await {
                self.world.say(format_args!("n{number} has ended: {error}"));
                self.end(number, Ending::Killed);
            }
        }
    }

    /// From now on disks do as they are told.
    pub fn calm(&self) {
        self.disks.iter().for_each(SimDisk::calm);
    }

    /// Calls of all disks that failed.
    pub fn failed_calls(&self) -> u64 {
        self.disks.iter().map(SimDisk::failed_ever).sum()
    }

    /// Looks at all nodes for as long as the world goes on.
    pub async fn watch(self: Arc<Self>) {
        loop {
            for number in self.net.present() {
                if let Some(host) = self.net.host(number) {
                    self.net.judge.look(&host.group);
                }
            }
            sleep(Duration::from_millis(3)).await;
        }
    }
}
