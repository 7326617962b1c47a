//! How unevenly rows are spread over the tasks of a node.
//!
//! Of the last seconds, since totals would not do: after a restart or a change of parallelism the first task goes on from what all had counted.

use std::collections::{BTreeMap, VecDeque};

use millrace_model::NodeId;
use millrace_wire::figures::Skew;

use crate::telemetry::JobTelemetry;

const WINDOW_NS: u64 = 5_000_000_000;
const MOST_LOOKS: usize = 16;

/// Of fewer rows than so many to a task nothing can be said.
const LEAST_ROWS: u64 = 20;

type Rows = BTreeMap<NodeId, Vec<u64>>;

/// Rows in by node and task, from look to look.
#[derive(Debug, Default)]
pub struct SkewWatch {
    looks: VecDeque<(u64, Rows)>,
}

impl SkewWatch {
    /// The skew of every node of several tasks that enough rows came to.
    pub fn look(&mut self, telemetry: &JobTelemetry, now_ns: u64) -> BTreeMap<NodeId, Skew> {
        let several = telemetry.nodes.iter().filter(|(_, node)| node.tasks.len() > 1);
        self.take(now_ns, several.map(|(id, node)| (id.clone(), node.tasks.iter().map(|task| task.rows_in.get()).collect())).collect())
    }

    fn take(&mut self, now_ns: u64, rows: Rows) -> BTreeMap<NodeId, Skew> {
        let skews = match self.looks.front() {
            Some((_, before)) => rows.iter().filter_map(|(id, now)| Some((id.clone(), skew(before.get(id)?, now)?))).collect(),
            None => BTreeMap::new(),
        };
        self.looks.push_back((now_ns, rows));
        let is_old = |at_ns: u64| now_ns.saturating_sub(at_ns) >= WINDOW_NS;
        while self.looks.len() > MOST_LOOKS || self.looks.get(1).is_some_and(|(at_ns, _)| is_old(*at_ns)) {
            self.looks.pop_front();
        }
        skews
    }
}

/// None if the tasks are others now, began anew, or had few rows.
fn skew(before: &[u64], now: &[u64]) -> Option<Skew> {
    if before.len() != now.len() || now.iter().zip(before).any(|(now, before)| now < before) {
        return None;
    }
    let rows = now.iter().zip(before).map(|(now, before)| now - before);
    let (sum, tasks) = (rows.clone().sum::<u64>(), now.len() as u64);
    if tasks < 2 || sum < LEAST_ROWS * tasks {
        return None;
    }
    let (task, most) = rows.enumerate().max_by_key(|(at, rows)| (*rows, std::cmp::Reverse(*at)))?;
    Some(Skew { ratio: most as f64 * tasks as f64 / sum as f64, task: u32::try_from(task).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(tasks: &[u64]) -> Rows {
        BTreeMap::from([(NodeId::new("count"), tasks.to_vec())])
    }

    #[test]
    fn the_task_that_gets_most_is_told_with_how_many_times_the_mean_it_gets() {
        let mut watch = SkewWatch::default();
        assert!(watch.take(0, rows(&[1_000_000, 0, 0, 0])).is_empty(), "what was counted before says nothing");
        let skews = watch.take(500_000_000, rows(&[1_000_100, 100, 700, 100]));
        assert_eq!(skews[&NodeId::new("count")], Skew { ratio: 2.8, task: 2 });
    }

    #[test]
    fn it_is_of_the_last_seconds_and_of_enough_rows() {
        let mut watch = SkewWatch::default();
        for second in 0..10_u64 {
            let one = if second < 2 { 900 * second } else { 1_800 };
            watch.take(second * 1_000_000_000, rows(&[100 * second, one]));
        }
        let even = watch.take(10_000_000_000, rows(&[1_000, 1_900]));
        assert!(even[&NodeId::new("count")].ratio > 1.6, "of the last five seconds the first task got most: {even:?}");
        assert_eq!(skew(&[0, 0], &[30, 9]), None);
        assert_eq!(skew(&[0, 0], &[900, 100, 100]), None, "other tasks");
        assert_eq!(skew(&[500, 0], &[100, 900]), None, "a task began anew");
    }
}
