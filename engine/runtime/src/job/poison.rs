//! Finds rows that make a node fail again and again, so that they can be set aside and the rest goes on.
//!
//! Two failures from one place are answered as if they could pass by themselves. From the third on the run reads with caution: some rows,
//! an epoch, some rows more. What makes it fail is then among the rows since the last complete epoch. They become fewer with every failure,
//! until it is one. It counts for nothing that others saw of the run: what came after the last epoch never was. So the search lives in
//! memory alone; a process that goes on with the run searches anew, and finds the same.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Diagnostic, NodeId};
use millrace_state::snapshot::PartitionPart;

use crate::job::restart::wait_before;
use crate::task::{Stretch, Trail};

/// Failures from one place before it is searched for.
const TRIES: u32 = 3;

/// How many times fewer rows there are between two epochs after a failure.
const NARROWER: u64 = 16;

/// The most rows that are set aside in one process of a run. Where more of them fail, it is not the rows.
pub const MOST_SET_ASIDE: u64 = 100;

/// How an attempt reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Rows that a source's task reads between two epochs.
    pub rows: usize,
    /// Whether one task reads at a time.
    pub in_turn: bool,
    /// Rows read by all sources at the last failure. Once an epoch has more, the place is passed.
    pub until: u64,
}

/// Rows to set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Aside {
    pub stretch: Stretch,
    pub why: String,
}

impl Aside {
    /// Whether a source's partition stands before these rows.
    pub fn is_next(&self, source: &NodeId, at: &PartitionPart) -> bool {
        let from = &self.stretch.from;
        self.stretch.source == *source && (&from.name, &from.position, &from.given) == (&at.name, &at.position, &at.given)
    }
}

/// What an attempt does about rows that made others fail.
#[derive(Debug, Clone, Default)]
pub struct Precautions {
    pub look: Option<Look>,
    pub trail: Arc<Trail>,
    pub aside: Vec<Aside>,
}

/// A failure that may lie in the rows.
#[derive(Debug)]
pub struct Failed<'a> {
    /// Rows that sources had read when it happened, and at the epoch to go on from.
    pub reached: u64,
    pub base: u64,
    /// What was read since that epoch, where the attempt read with caution.
    pub since: Vec<Stretch>,
    pub failure: &'a Diagnostic,
}

/// What to do after it.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Try again, as always.
    Again,
    /// Try again with caution.
    Search(Look),
    /// Try again without these.
    Without(Vec<Stretch>),
    /// The failure stands; with what to say of it.
    Stands(String),
}

#[derive(Debug, Default)]
pub struct Search {
    tries: u32,
    reached: u64,
    look: Option<Look>,
    aside: Vec<Aside>,
    set_aside: u64,
}

impl Search {
    pub fn precautions(&self) -> Precautions {
        Precautions { look: self.look, trail: Arc::default(), aside: self.aside.clone() }
    }

    /// Before the next try, where that is as always.
    pub fn wait(&self) -> Duration {
        wait_before(self.tries)
    }

    pub fn failed(&mut self, failed: Failed<'_>) -> Next {
        if failed.base > self.reached {
            // The run has got past where it failed before.
            (self.tries, self.look) = (0, None);
        }
        self.reached = failed.reached;
        let Some(look) = self.look else {
            self.tries += 1;
            if self.tries < TRIES {
                return Next::Again;
            }
            let rows = failed.reached.saturating_sub(failed.base) / NARROWER;
            return self.search(rows, false);
        };
        match failed.since.as_slice() {
            [] => Next::Stands("`on_poison` sets nothing aside, since it fails with no row read".to_owned()),
            [one] if one.rows == 1 => self.without(failed.since, failed.failure),
            many if look.rows > 1 => {
                let rows = many.iter().map(|stretch| stretch.rows).max().unwrap_or(1).min(look.rows as u64);
                self.search(rows / NARROWER, false)
            }
            _ if !look.in_turn => self.search(1, true),
            // A source that gives more rows than it is asked for.
            _ => self.without(failed.since, failed.failure),
        }
    }

    fn search(&mut self, rows: u64, in_turn: bool) -> Next {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).max(1);
        let look = Look { rows, in_turn, until: self.reached };
        self.look = Some(look);
        Next::Search(look)
    }

    fn without(&mut self, stretches: Vec<Stretch>, failure: &Diagnostic) -> Next {
        let rows: u64 = stretches.iter().map(|stretch| stretch.rows).sum();
        if self.set_aside + rows > MOST_SET_ASIDE {
            return Next::Stands(format!(
                "`on_poison` has set {} rows aside, and it goes on failing: it will not be the rows",
                self.set_aside
            ));
        }
        (self.tries, self.look, self.set_aside) = (0, None, self.set_aside + rows);
        let node = failure.node.as_ref().map_or("the pipeline", |node| node.as_str());
        let why = format!("makes {node} fail, set aside after three tries: {}", failure.message);
        for stretch in &stretches {
            let before = self.aside.iter_mut().find(|it| it.is_next(&stretch.source, &stretch.from));
            match before {
                // These were next to those that are aside already.
                Some(aside) => aside.stretch.rows += stretch.rows,
                None => self.aside.push(Aside { stretch: stretch.clone(), why: why.clone() }),
            }
        }
        Next::Without(stretches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(source: &str, rows: u64) -> Stretch {
        let position = serde_json::Value::from(4_000);
        let from = PartitionPart { name: "p".to_owned(), position, newest_us: None, given: [0; 3], is_idle: false, has_ended: false };
        Stretch { source: NodeId::new(source), from, rows }
    }

    fn failed(search: &mut Search, base: u64, reached: u64, since: Vec<Stretch>) -> Next {
        let failure = Diagnostic::error("MR0404", "it blew up");
        search.failed(Failed { reached, base, since, failure: &failure })
    }

    #[test]
    fn the_third_failure_from_one_place_begins_a_search_that_ends_at_one_row() {
        let mut search = Search::default();
        assert_eq!(failed(&mut search, 0, 5_000, Vec::new()), Next::Again);
        assert_eq!(failed(&mut search, 0, 9_000, Vec::new()), Next::Again);
        let look = |rows, in_turn, until| Next::Search(Look { rows, in_turn, until });
        assert_eq!(failed(&mut search, 1_000, 8_000, Vec::new()), look(437, false, 8_000));
        assert_eq!(failed(&mut search, 4_000, 4_500, vec![stretch("a", 437), stretch("b", 63)]), look(27, false, 4_500));
        assert_eq!(failed(&mut search, 4_400, 4_420, vec![stretch("a", 20)]), look(1, false, 4_420));
        assert_eq!(failed(&mut search, 4_410, 4_412, vec![stretch("a", 1), stretch("b", 1)]), look(1, true, 4_412));
        assert_eq!(failed(&mut search, 4_410, 4_411, vec![stretch("b", 1)]), Next::Without(vec![stretch("b", 1)]));
        let precautions = search.precautions();
        assert_eq!((precautions.look, precautions.aside.len()), (None, 1));
        assert!(precautions.aside[0].is_next(&NodeId::new("b"), &stretch("b", 1).from));
        assert!(!precautions.aside[0].is_next(&NodeId::new("a"), &stretch("b", 1).from));
    }

    #[test]
    fn a_run_that_gets_further_has_its_tries_again() {
        let mut search = Search::default();
        assert_eq!(failed(&mut search, 0, 500, Vec::new()), Next::Again);
        assert_eq!(failed(&mut search, 501, 900, Vec::new()), Next::Again);
        assert_eq!(failed(&mut search, 600, 900, Vec::new()), Next::Again);
        assert!(matches!(failed(&mut search, 700, 900, Vec::new()), Next::Search(_)));
        assert_eq!(failed(&mut search, 901, 990, Vec::new()), Next::Again, "the place was passed with caution");
    }

    #[test]
    fn a_failure_with_no_row_read_stands_and_so_does_one_after_too_many_rows() {
        let mut search = Search::default();
        (0..3).for_each(|_| drop(failed(&mut search, 10, 10 + 1, Vec::new())));
        assert!(matches!(failed(&mut search, 10, 11, Vec::new()), Next::Stands(_)));
        let mut search = Search::default();
        for row in 0..=MOST_SET_ASIDE {
            (0..3).for_each(|_| drop(failed(&mut search, row, row + 1, Vec::new())));
            let next = failed(&mut search, row, row + 1, vec![stretch("a", 1)]);
            assert_eq!(matches!(next, Next::Stands(_)), row == MOST_SET_ASIDE);
        }
        assert_eq!(search.precautions().aside[0].stretch.rows, MOST_SET_ASIDE, "rows that follow each other are one stretch");
    }
}
