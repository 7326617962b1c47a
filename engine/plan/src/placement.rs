//! Which process runs which task of a run that several share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::physical::{PhysicalPlan, Vertex};

/// A process that takes part in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Member(pub u32);

/// The process that leads a run: its sources and sinks are there, and its state.
pub const LEADER: Member = Member(0);

/// Tasks of one vertex that follow one another and run at one member. As `[vertex, first, end, member]` it travels to each member for all tasks of a
/// run, so that it is short, and there are as many as members and vertices, however many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(usize, u32, u32, Member)", from = "(usize, u32, u32, Member)")]
struct Stretch {
    vertex: usize,
    first: u32,
    /// The task behind the last one.
    end: u32,
    member: Member,
}

impl From<Stretch> for (usize, u32, u32, Member) {
    fn from(stretch: Stretch) -> Self {
        (stretch.vertex, stretch.first, stretch.end, stretch.member)
    }
}

impl From<(usize, u32, u32, Member)> for Stretch {
    fn from((vertex, first, end, member): (usize, u32, u32, Member)) -> Self {
        Stretch { vertex, first, end, member }
    }
}

/// Where each task runs. A task that is not named runs with the leader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// By vertex and task; none overlaps another.
    away: Vec<Stretch>,
}

impl Placement {
    /// Everything with the leader.
    pub fn alone() -> Placement {
        Placement::default()
    }

    /// Spreads operators' tasks over members, of which each takes `slots` of every operator's tasks at a time; what `stays` stays with the leader.
    ///
    /// Tasks of one number go to one member as far as vertices are equally wide, so that what goes from task i to task i does not travel.
    pub fn spread(plan: &PhysicalPlan, slots: &BTreeMap<Member, u32>, stays: &dyn Fn(&Vertex) -> bool) -> Placement {
        let seats: Vec<Member> = slots.iter().flat_map(|(member, slots)| std::iter::repeat_n(*member, *slots as usize)).collect();
        let mut placement = Placement::default();
        for (vertex, of) in plan.vertices.iter().enumerate().filter(|(_, of)| !stays(of)) {
            for task in 0..of.parallelism {
                let seat = task as usize * seats.len() / of.parallelism.max(1) as usize;
                if let Some(member) = seats.get(seat).filter(|member| **member != LEADER) {
                    placement.push(vertex, task, *member);
                }
            }
        }
        placement
    }

    /// Adds a task behind all that are named.
    fn push(&mut self, vertex: usize, task: u32, member: Member) {
        match self.away.last_mut() {
            Some(last) if (last.vertex, last.end, last.member) == (vertex, task, member) => last.end += 1,
            _ => self.away.push(Stretch { vertex, first: task, end: task + 1, member }),
        }
    }

    pub fn member(&self, vertex: usize, task: u32) -> Member {
        let behind = self.away.partition_point(|stretch| (stretch.vertex, stretch.first) <= (vertex, task));
        let found = behind.checked_sub(1).and_then(|at| self.away.get(at));
        found.filter(|stretch| stretch.vertex == vertex && task < stretch.end).map_or(LEADER, |stretch| stretch.member)
    }

    /// How crowded it is: for each operator whose tasks are spread, the most tasks of it that a member has for each of its slots, summed. Of two placements
    /// of one plan over the same slots, the one of less is spread better.
    pub fn crowding(&self, plan: &PhysicalPlan, slots: &BTreeMap<Member, u32>, stays: &dyn Fn(usize) -> bool) -> f64 {
        let of_vertex = |(vertex, of): (usize, &Vertex)| {
            let mut tasks: BTreeMap<Member, u32> = BTreeMap::new();
            (0..of.parallelism).for_each(|task| *tasks.entry(self.member(vertex, task)).or_default() += 1);
            let each = tasks.iter().map(|(member, tasks)| f64::from(*tasks) / f64::from(slots.get(member).copied().unwrap_or(1).max(1)));
            each.fold(0.0, f64::max)
        };
        plan.vertices.iter().enumerate().filter(|(vertex, _)| !stays(*vertex)).map(of_vertex).sum()
    }

    /// The members besides the leader that run anything.
    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.away.iter().map(|stretch| stretch.member).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    pub fn is_alone(&self) -> bool {
        self.away.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::NodeId;

    use super::*;

    fn plan(parallelisms: &[u32]) -> PhysicalPlan {
        let vertex = |(at, parallelism): (usize, &u32)| Vertex {
            nodes: vec![NodeId::new(format!("n{at}"))],
            parallelism: *parallelism,
            chained: Vec::new(),
        };
        PhysicalPlan { key_groups: 1024, vertices: parallelisms.iter().enumerate().map(vertex).collect(), exchanges: Vec::new() }
    }

    fn of(placement: &Placement, vertex: usize, tasks: u32) -> Vec<u32> {
        (0..tasks).map(|task| placement.member(vertex, task).0).collect()
    }

    #[test]
    fn tasks_are_spread_by_slots_and_those_of_one_number_stay_together() {
        let slots = BTreeMap::from([(Member(1), 2), (Member(2), 1)]);
        let placement = Placement::spread(&plan(&[3, 3, 6, 1]), &slots, &|_| false);
        assert_eq!(of(&placement, 0, 3), [1, 1, 2]);
        assert_eq!(of(&placement, 1, 3), [1, 1, 2]);
        assert_eq!(of(&placement, 2, 6), [1, 1, 1, 1, 2, 2]);
        assert_eq!(of(&placement, 3, 1), [1]);
        assert_eq!(placement.members(), [Member(1), Member(2)]);
    }

    #[test]
    fn tasks_that_are_over_more_slots_are_less_crowded_and_what_stays_does_not_count() {
        let plan = plan(&[4, 1]);
        let crowding = |placement: &Placement, slots: &BTreeMap<Member, u32>| placement.crowding(&plan, slots, &|vertex| vertex == 1);
        let (one, two) = (BTreeMap::from([(Member(1), 2)]), BTreeMap::from([(Member(1), 2), (Member(2), 2)]));
        let [alone, over_one, over_two] =
            [&BTreeMap::new(), &one, &two].map(|slots| Placement::spread(&plan, slots, &|vertex| vertex.nodes[0].as_str() == "n1"));
        assert_eq!([&alone, &over_one, &over_two].map(|placement| crowding(placement, &two)), [4.0, 2.0, 1.0]);
        assert_eq!(crowding(&over_one, &one), 2.0);
    }

    #[test]
    fn what_stays_and_what_finds_no_member_is_with_the_leader() {
        let slots = BTreeMap::from([(Member(1), 1)]);
        let placement = Placement::spread(&plan(&[2, 2]), &slots, &|vertex| vertex.nodes[0].as_str() == "n0");
        assert_eq!((of(&placement, 0, 2), of(&placement, 1, 2)), (vec![0, 0], vec![1, 1]));
        assert!(Placement::spread(&plan(&[2]), &BTreeMap::new(), &|_| false).is_alone());
    }

    #[test]
    fn where_tasks_run_is_told_by_stretches_and_comes_back_as_it_was() {
        let slots: BTreeMap<Member, u32> = (1..=4).map(|member| (Member(member), member)).collect();
        let placement = Placement::spread(&plan(&[10, 1000, 3]), &slots, &|vertex| vertex.nodes[0].as_str() == "n2");
        let json = serde_json::to_string(&placement).unwrap();
        assert!(json.len() < 250, "{json}");
        let back: Placement = serde_json::from_str(&json).unwrap();
        assert_eq!(back, placement);
        assert_eq!(of(&back, 1, 1000).iter().filter(|member| **member == 4).count(), 400);
        assert_eq!(of(&back, 2, 3), [0, 0, 0]);
        assert_eq!(back.member(1, 1000), LEADER);
    }
}
