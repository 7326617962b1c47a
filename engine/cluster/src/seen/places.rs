//! Which task of which run is at which node.

use std::collections::BTreeMap;

use millrace_model::NodeId;
use millrace_plan::{LEADER, Member, PhysicalPlan, Placement, Vertex};
use millrace_wire::message::JobId;

/// Of how much of its crowding a run is told that it would spread better: less is not worth a pause.
const BETTER: f64 = 0.95;

/// The runs that this node leads, each as its present attempt is spread.
#[derive(Debug, Default)]
pub struct Places {
    runs: BTreeMap<JobId, Run>,
}

#[derive(Debug)]
struct Run {
    name: String,
    plan: PhysicalPlan,
    placement: Placement,
    /// Of each vertex, whether its tasks are the leader's, whoever takes part; empty before the first attempt is spread.
    stays: Vec<bool>,
}

/// What a node has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    pub tasks: u32,
    /// The most tasks of one operator, of all runs together.
    pub slots: u32,
}

impl Run {
    fn vertices(&self) -> impl Iterator<Item = (usize, &Vertex)> {
        self.plan.vertices.iter().enumerate()
    }

    /// The numbers of a vertex's tasks at a member.
    fn tasks_at(&self, vertex: usize, of: &Vertex, member: Member) -> Vec<u32> {
        (0..of.parallelism).filter(|task| self.placement.member(vertex, *task) == member).collect()
    }
}

impl Places {
    /// A run is known. What its first attempt told already, since it began at once, stays.
    pub fn planned(&mut self, job: JobId, name: &str, plan: &PhysicalPlan) {
        let new = || Run { name: name.to_owned(), plan: plan.clone(), placement: Placement::alone(), stays: Vec::new() };
        self.runs.entry(job).or_insert_with(new);
    }

    /// An attempt begins: nobody takes part yet.
    pub fn gathers(&mut self, job: JobId) {
        if let Some(run) = self.runs.get_mut(&job) {
            (run.placement, run.stays) = (Placement::alone(), Vec::new());
        }
    }

    /// An attempt is spread like this.
    pub fn placed(&mut self, job: JobId, name: &str, plan: &PhysicalPlan, placement: &Placement, stays: &[bool]) {
        let (plan, placement, stays) = (plan.clone(), placement.clone(), stays.to_vec());
        self.runs.insert(job, Run { name: name.to_owned(), plan, placement, stays });
    }

    /// Whether a run would be spread better over these slots than it is.
    pub fn would_spread_better(&self, job: JobId, slots: &BTreeMap<Member, u32>) -> bool {
        let Some(run) = self.runs.get(&job).filter(|run| !run.stays.is_empty() && !slots.is_empty()) else { return false };
        let stays = |vertex: usize| run.stays.get(vertex).copied().unwrap_or(true);
        let of_head = |of: &Vertex| run.plan.vertices.iter().position(|vertex| vertex.nodes == of.nodes).is_none_or(stays);
        let anew = Placement::spread(&run.plan, slots, &of_head);
        let [now, then] = [&run.placement, &anew].map(|placement| placement.crowding(&run.plan, slots, &stays));
        then < now * BETTER
    }

    pub fn over(&mut self, job: JobId) {
        self.runs.remove(&job);
    }

    /// By node of the pipeline: the member that runs each of its tasks. Nodes that share a vertex share its tasks.
    pub fn of(&self, job: JobId) -> BTreeMap<NodeId, Vec<u32>> {
        let Some(run) = self.runs.get(&job) else { return BTreeMap::new() };
        let places = run.vertices().flat_map(|(vertex, of)| {
            let members: Vec<u32> = (0..of.parallelism).map(|task| run.placement.member(vertex, task).0).collect();
            of.nodes.iter().map(move |node| (node.clone(), members.clone()))
        });
        places.collect()
    }

    pub fn load(&self, member: Member) -> Load {
        let of_run = |run: &Run| {
            let counts = run.vertices().map(|(vertex, of)| run.tasks_at(vertex, of, member).len() as u32);
            counts.fold(Load::default(), |load, tasks| Load { tasks: load.tasks + tasks, slots: load.slots.max(tasks) })
        };
        self.runs
            .values()
            .map(of_run)
            .fold(Load::default(), |sum, load| Load { tasks: sum.tasks + load.tasks, slots: sum.slots + load.slots })
    }

    pub fn name(&self, job: JobId) -> Option<String> {
        self.runs.get(&job).map(|run| run.name.clone())
    }

    /// The runs with tasks at a member, each with those in words: `hourly (tasks 0, 2)`.
    pub fn at(&self, member: Member) -> Vec<(JobId, String)> {
        if member == LEADER {
            return Vec::new();
        }
        let of_run = |(job, run): (&JobId, &Run)| {
            let words: Vec<String> = run.vertices().filter_map(|(vertex, of)| words(of, &run.tasks_at(vertex, of, member))).collect();
            (!words.is_empty()).then(|| (*job, words.join(", ")))
        };
        self.runs.iter().filter_map(of_run).collect()
    }
}

fn words(vertex: &Vertex, tasks: &[u32]) -> Option<String> {
    let head = vertex.nodes.first()?;
    let numbers: Vec<String> = tasks.iter().map(u32::to_string).collect();
    match numbers.len() {
        0 => None,
        1 => Some(format!("{head} (task {})", numbers.join(", "))),
        _ => Some(format!("{head} (tasks {})", numbers.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(vertices: &[(&[&str], u32)]) -> PhysicalPlan {
        let vertex = |(nodes, parallelism): &(&[&str], u32)| Vertex {
            nodes: nodes.iter().map(|node| NodeId::new(*node)).collect(),
            parallelism: *parallelism,
            chained: Vec::new(),
        };
        PhysicalPlan { key_groups: 1024, vertices: vertices.iter().map(vertex).collect(), exchanges: Vec::new() }
    }

    fn spread() -> Places {
        let plan = plan(&[(&["flights", "flown"], 1), (&["hourly"], 3), (&["late"], 1)]);
        let slots = BTreeMap::from([(Member(1), 2), (Member(2), 1)]);
        let placement = Placement::spread(&plan, &slots, &|vertex| vertex.nodes[0].as_str() != "hourly");
        let mut places = Places::default();
        places.placed(JobId(7), "departures", &plan, &placement, &[true, false, true]);
        places.planned(JobId(7), "departures", &plan);
        places
    }

    #[test]
    fn each_task_is_told_with_its_node() {
        let places = spread();
        let of = places.of(JobId(7));
        assert_eq!((of[&NodeId::new("flown")].clone(), of[&NodeId::new("hourly")].clone()), (vec![0], vec![1, 1, 2]));
        assert_eq!(places.load(Member(1)), Load { tasks: 2, slots: 2 });
        assert_eq!(places.load(LEADER), Load { tasks: 2, slots: 1 });
        assert_eq!(places.at(Member(1)), [(JobId(7), "hourly (tasks 0, 1)".to_owned())]);
        assert_eq!(places.at(Member(2)), [(JobId(7), "hourly (task 2)".to_owned())]);
        assert_eq!(places.name(JobId(7)).as_deref(), Some("departures"));
        assert!(places.at(LEADER).is_empty() && places.at(Member(3)).is_empty());
    }

    #[test]
    fn a_run_would_spread_better_once_there_is_room_for_what_shares_a_slot() {
        let places = spread();
        let better = |slots: &[(u32, u32)]| {
            places.would_spread_better(JobId(7), &slots.iter().map(|(member, slots)| (Member(*member), *slots)).collect())
        };
        assert!(!better(&[(1, 2), (2, 1)]), "as it is");
        assert!(!better(&[(1, 2), (2, 1), (3, 1)]), "three tasks, three nodes, and no slot that two of them share");
        assert!(!better(&[]) && !places.would_spread_better(JobId(8), &BTreeMap::from([(Member(1), 1)])));
        let mut crowded = Places::default();
        let plan = plan(&[(&["flights"], 1), (&["hourly"], 4)]);
        let slots = BTreeMap::from([(Member(1), 2)]);
        let placement = Placement::spread(&plan, &slots, &|vertex| vertex.nodes[0].as_str() == "flights");
        crowded.placed(JobId(1), "x", &plan, &placement, &[true, false]);
        assert!(!crowded.would_spread_better(JobId(1), &slots));
        assert!(crowded.would_spread_better(JobId(1), &BTreeMap::from([(Member(1), 2), (Member(2), 1)])));
    }

    #[test]
    fn a_run_that_gathers_again_or_is_over_is_nowhere_else() {
        let mut places = spread();
        places.gathers(JobId(7));
        assert_eq!((places.load(Member(1)), places.of(JobId(7))[&NodeId::new("hourly")].clone()), (Load::default(), vec![0, 0, 0]));
        places.over(JobId(7));
        assert!(places.of(JobId(7)).is_empty() && places.load(LEADER) == Load::default());
    }
}
