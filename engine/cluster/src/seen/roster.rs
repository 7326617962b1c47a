//! The nodes that have joined, each as it was last heard of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_plan::Member;
use millrace_wire::cluster::{ClusterLink, ClusterNode, Drain, Standing};
use millrace_wire::message::EngineDescription;

use super::places::Load;

/// Nodes that are lost and still shown; then the oldest go.
const MOST_LOST: usize = 32;

/// What has passed on a session's data side, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// One look at a member.
#[derive(Debug, Clone)]
pub struct Look {
    pub description: EngineDescription,
    pub round_trip: Duration,
    pub traffic: Traffic,
    pub resumes: u64,
    pub at: Instant,
}

#[derive(Debug, Default)]
pub struct Roster {
    members: BTreeMap<Member, Entry>,
    /// How often a node has joined, by address.
    joins: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct Entry {
    address: String,
    incarnation: u32,
    slots: u32,
    standing: Standing,
    since_us: i64,
    why: Option<String>,
    /// Whether it is being emptied, and what stays there although it is.
    drains: bool,
    stays: Vec<String>,
    description: Option<EngineDescription>,
    link: ClusterLink,
    looked: Option<(Instant, Traffic)>,
}

impl Entry {
    /// Others may have tasks there too, which it tells itself.
    fn drain(&self, load: Load) -> Drain {
        let is_empty = self.description.as_ref().is_some_and(|told| told.drain == Some(Drain::Drained));
        match (self.drains, is_empty && load.tasks == 0) {
            (false, _) => Drain::No,
            (true, false) => Drain::Draining,
            (true, true) => Drain::Drained,
        }
    }
}

impl Roster {
    /// Takes a node on. Gives how often one has joined from that address.
    pub fn joined(&mut self, member: Member, address: &str, slots: u32, now_us: i64) -> u32 {
        // What was there before has come back.
        self.members.retain(|_, entry| entry.address != address || entry.standing != Standing::Lost);
        let joins = self.joins.entry(address.to_owned()).or_default();
        *joins += 1;
        let incarnation = *joins;
        let link = ClusterLink {
            member: member.0,
            sent_bytes: 0,
            received_bytes: 0,
            sent_per_s: 0.0,
            received_per_s: 0.0,
            round_trip_us: None,
            resumes: 0,
        };
        let entry = Entry {
            address: address.to_owned(),
            incarnation,
            slots,
            standing: Standing::Joined,
            since_us: now_us,
            why: None,
            drains: false,
            stays: Vec::new(),
            description: None,
            link,
            looked: None,
        };
        self.members.insert(member, entry);
        incarnation
    }

    /// Has a member stand otherwise, and gives its address. None if it stands so already, or is lost: then it stays that.
    pub fn turn(&mut self, member: Member, standing: Standing, why: Option<&str>, now_us: i64) -> Option<String> {
        let entry = self.members.get_mut(&member)?;
        if entry.standing == standing || entry.standing == Standing::Lost {
            return None;
        }
        (entry.standing, entry.since_us, entry.why) = (standing, now_us, why.map(str::to_owned));
        let address = entry.address.clone();
        if standing == Standing::Lost {
            (entry.link.sent_per_s, entry.link.received_per_s) = (0.0, 0.0);
            self.forget_oldest_lost();
        }
        Some(address)
    }

    fn forget_oldest_lost(&mut self) {
        let lost = || self.members.iter().filter(|(_, entry)| entry.standing == Standing::Lost);
        if lost().count() > MOST_LOST
            && let Some(oldest) = lost().min_by_key(|(_, entry)| entry.since_us).map(|(member, _)| *member)
            && let Some(gone) = self.members.remove(&oldest)
        {
            self.joins.remove(&gone.address);
        }
    }

    pub fn address(&self, member: Member) -> Option<String> {
        self.members.get(&member).map(|entry| entry.address.clone())
    }

    /// A member is being emptied from now on, or takes part again. Gives its address, if that is news.
    pub fn drains(&mut self, member: Member, drains: bool) -> Option<String> {
        let entry = self.members.get_mut(&member).filter(|entry| entry.drains != drains)?;
        entry.drains = drains;
        entry.stays.clear();
        Some(entry.address.clone())
    }

    /// What stays at members that are being emptied.
    pub fn stays(&mut self, stays: &BTreeMap<Member, Vec<String>>) {
        for (member, entry) in &mut self.members {
            entry.stays = stays.get(member).cloned().unwrap_or_default();
        }
    }

    /// How far a member has come in being emptied, as it is known here.
    pub fn drain(&self, member: Member, load: Load) -> (Drain, Vec<String>) {
        self.members.get(&member).map_or((Drain::No, Vec::new()), |entry| (entry.drain(load), entry.stays.clone()))
    }

    pub fn looked(&mut self, member: Member, look: Look) {
        let Some(entry) = self.members.get_mut(&member) else { return };
        let Look { description, round_trip, traffic, resumes, at } = look;
        let link = &mut entry.link;
        if let Some((before, passed)) = entry.looked.replace((at, traffic)) {
            let seconds = at.saturating_duration_since(before).as_secs_f64().max(1e-3);
            link.sent_per_s = traffic.sent_bytes.saturating_sub(passed.sent_bytes) as f64 / seconds;
            link.received_per_s = traffic.received_bytes.saturating_sub(passed.received_bytes) as f64 / seconds;
        }
        (link.sent_bytes, link.received_bytes, link.resumes) = (traffic.sent_bytes, traffic.received_bytes, resumes);
        link.round_trip_us = u64::try_from(round_trip.as_micros()).ok();
        entry.description = Some(description);
    }

    pub fn nodes(&self, load: impl Fn(Member) -> Load) -> Vec<ClusterNode> {
        let node = |(member, entry): (&Member, &Entry)| {
            let of_it @ Load { tasks, slots } = load(*member);
            let told = entry.description.as_ref();
            ClusterNode {
                member: member.0,
                address: Some(entry.address.clone()),
                incarnation: entry.incarnation,
                standing: entry.standing,
                since_us: entry.since_us,
                why: entry.why.clone(),
                slots: Some(entry.slots),
                slots_used: slots,
                tasks,
                cores: told.map_or(0, |told| told.cores),
                memory_bytes: told.map_or(0, |told| told.memory_bytes),
                health: told.and_then(|told| told.health),
                drain: entry.drain(of_it),
                stays: entry.stays.clone(),
                version: told.map(|told| told.version.clone()),
            }
        };
        self.members.iter().map(node).collect()
    }

    pub fn links(&self) -> Vec<ClusterLink> {
        self.members.values().filter(|entry| entry.standing != Standing::Lost).map(|entry| entry.link.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: Instant, sent_bytes: u64) -> Look {
        Look {
            description: EngineDescription {
                version: "1".into(),
                protocol: 2,
                cores: 4,
                memory_bytes: 8,
                health: None,
                control: false,
                changes: false,
                shared: Vec::new(),
                admits: false,
                drain: None,
            },
            round_trip: Duration::from_micros(300),
            traffic: Traffic { sent_bytes, received_bytes: 0 },
            resumes: 1,
            at,
        }
    }

    #[test]
    fn rates_are_made_of_two_looks() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.joined(Member(1), "b", 2, 0);
        roster.looked(Member(1), look(now, 500));
        assert_eq!(roster.links()[0].sent_per_s, 0.0, "nothing is known of before the first");
        roster.looked(Member(1), look(now + Duration::from_secs(2), 2_500));
        let link = &roster.links()[0];
        assert_eq!((link.sent_per_s, link.sent_bytes, link.round_trip_us, link.resumes), (1_000.0, 2_500, Some(300), 1));
        assert_eq!(roster.nodes(|_| Load::default())[0].cores, 4);
    }

    #[test]
    fn a_lost_node_stays_lost_until_one_joins_at_its_address_again() {
        let mut roster = Roster::default();
        assert_eq!(roster.joined(Member(1), "b", 2, 0), 1);
        assert_eq!(roster.turn(Member(1), Standing::Lost, Some("gone"), 5).as_deref(), Some("b"));
        assert!(roster.turn(Member(1), Standing::Joined, None, 6).is_none());
        assert!(roster.links().is_empty());
        let nodes = roster.nodes(|_| Load::default());
        assert_eq!((nodes[0].standing, nodes[0].since_us, nodes[0].why.as_deref()), (Standing::Lost, 5, Some("gone")));
        assert_eq!(roster.joined(Member(2), "b", 2, 7), 2);
        let nodes = roster.nodes(|_| Load::default());
        assert_eq!(nodes.iter().map(|node| (node.member, node.standing)).collect::<Vec<_>>(), [(2, Standing::Joined)]);
    }

    #[test]
    fn of_the_lost_only_the_newest_are_kept() {
        let mut roster = Roster::default();
        for member in 0..40 {
            roster.joined(Member(member), &format!("n{member}"), 1, 0);
            roster.turn(Member(member), Standing::Lost, None, i64::from(member));
        }
        let nodes = roster.nodes(|_| Load::default());
        assert_eq!((nodes.len(), nodes[0].member), (MOST_LOST, 8));
    }
}
