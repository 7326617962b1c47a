//! From two looks at a run's counters to rates and shares of time.

use millrace_model::{NodeId, Timestamp};
use millrace_wire::figures::{EdgeFigures, NodeFigures};
use std::collections::BTreeMap;

use super::Graph;

/// Counters at one moment, in the graph's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    pub at_ns: u64,
    pub nodes: Vec<Counted>,
    /// Rows that passed each edge.
    pub edges: Vec<u64>,
}

/// One node, all its tasks together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counted {
    pub rows_in: u64,
    pub busy_ns: u64,
    pub blocked_ns: u64,
    pub idle_ns: u64,
    pub newest_event_time: Option<Timestamp>,
}

/// What went through a run between two looks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flow {
    pub nodes: Vec<Rate>,
    /// Rows a second.
    pub edges: Vec<f64>,
}

/// One node between two looks. Shares are of one task's time, summed over its tasks: two that never rest are 2 busy.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    pub rows_per_s: f64,
    pub busy: f64,
    pub blocked: f64,
    pub idle: f64,
    /// How far event time moved in a second, in seconds; none where it did not.
    pub event_seconds: Option<f64>,
}

impl Look {
    pub fn of(graph: &Graph, at_ns: u64, nodes: &BTreeMap<NodeId, NodeFigures>, edges: &[EdgeFigures]) -> Look {
        let counted = |figures: &NodeFigures| Counted {
            rows_in: figures.rows_in,
            busy_ns: figures.busy_ns,
            blocked_ns: figures.blocked_ns,
            idle_ns: figures.idle_ns,
            newest_event_time: figures.newest_event_time,
        };
        Look {
            at_ns,
            nodes: graph.nodes.iter().map(|node| nodes.get(&node.id).map_or_else(Counted::default, counted)).collect(),
            edges: edges.iter().map(|edge| edge.rows).collect(),
        }
    }

    /// Whether its counters could have come to `later` by counting: a run that went back to an epoch counts from there.
    pub fn may_become(&self, later: &Look) -> bool {
        let grew = |(before, now): (&Counted, &Counted)| now.rows_in >= before.rows_in;
        self.nodes.len() == later.nodes.len()
            && self.edges.len() == later.edges.len()
            && self.nodes.iter().zip(&later.nodes).all(grew)
            && self.edges.iter().zip(&later.edges).all(|(before, now)| now >= before)
    }
}

impl Flow {
    /// None if no time passed.
    pub fn between(before: &Look, now: &Look) -> Option<Flow> {
        let span_ns = now.at_ns.saturating_sub(before.at_ns);
        if span_ns == 0 {
            return None;
        }
        let span_ns = span_ns as f64;
        let seconds = span_ns / 1e9;
        let rate = |(before, now): (&Counted, &Counted)| {
            let share = |before: u64, now: u64| now.saturating_sub(before) as f64 / span_ns;
            let moved = before.newest_event_time.zip(now.newest_event_time).map(|(from, to)| to.micros().saturating_sub(from.micros()));
            Rate {
                rows_per_s: now.rows_in.saturating_sub(before.rows_in) as f64 / seconds,
                busy: share(before.busy_ns, now.busy_ns),
                blocked: share(before.blocked_ns, now.blocked_ns),
                idle: share(before.idle_ns, now.idle_ns),
                event_seconds: moved.filter(|moved| *moved > 0).map(|moved| moved as f64 / 1e6 / seconds),
            }
        };
        let edges = before.edges.iter().zip(&now.edges);
        Some(Flow {
            nodes: before.nodes.iter().zip(&now.nodes).map(rate).collect(),
            edges: edges.map(|(before, now)| now.saturating_sub(*before) as f64 / seconds).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn look(at_s: u64, rows_in: u64, busy_s: u64, event_s: i64) -> Look {
        let newest_event_time = Some(Timestamp(event_s * 1_000_000));
        let node = Counted { rows_in, busy_ns: busy_s * SECOND, newest_event_time, ..Counted::default() };
        Look { at_ns: at_s * SECOND, nodes: vec![node], edges: vec![rows_in] }
    }

    #[test]
    fn rates_and_shares_are_of_the_time_between_and_none_of_no_time() {
        let flow = Flow::between(&look(1, 100, 0, 0), &look(5, 500, 6, 40)).unwrap();
        assert_eq!(flow.edges, [100.0]);
        let Rate { rows_per_s, busy, event_seconds, .. } = flow.nodes[0];
        assert_eq!((rows_per_s, busy, event_seconds), (100.0, 1.5, Some(10.0)));
        assert_eq!(Flow::between(&look(1, 1, 0, 0), &look(1, 2, 0, 0)), None);
    }

    #[test]
    fn counters_that_went_back_are_those_of_another_attempt() {
        assert!(look(1, 100, 0, 0).may_become(&look(2, 100, 0, 0)));
        assert!(!look(1, 100, 0, 0).may_become(&look(2, 99, 0, 0)));
        assert!(!look(1, 100, 0, 0).may_become(&Look::default()));
    }
}
