//! What is seen from outside of a run that is finished, and how it compares with a run without faults.

use std::collections::BTreeMap;

use millrace_model::NodeId;
use millrace_testkit::sim::{SimDisk, visible_rows};
use millrace_wire::figures::NodeSummary;

use crate::drawn::Fold;

#[derive(Debug, PartialEq)]
pub struct Answer {
    pub rows: BTreeMap<&'static str, Vec<String>>,
    pub counts: BTreeMap<NodeId, NodeSummary>,
}

pub const SINKS: [&str; 4] = ["out", "late", "all", "aside"];

impl Answer {
    /// # Errors
    /// The first rows that are missing, or not to be there.
    pub fn compare_rows(&self, found: &Answer) -> Result<(), String> {
        for (sink, rows) in &self.rows {
            let got = &found.rows[sink];
            if rows != got {
                let missing: Vec<_> = rows.iter().filter(|row| !got.contains(row)).take(3).collect();
                let strange: Vec<_> = got.iter().filter(|row| !rows.contains(row)).take(3).collect();
                let numbers = format!("{} rows of {}", got.len(), rows.len());
                return Err(format!("`{sink}` has {numbers}\nmissing: {missing:#?}\nnot to be there: {strange:#?}"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// Both counts.
    pub fn compare_counts(&self, found: &Answer) -> Result<(), String> {
        if self.counts == found.counts {
            return Ok(());
        }
        Err(format!("the counts differ\nexpected: {:#?}\n   found: {:#?}", self.counts, found.counts))
    }
}

pub fn answer(fold: &Fold, disk: &SimDisk, mut counts: BTreeMap<NodeId, NodeSummary>) -> Result<Answer, String> {
    let rows = |sink: &'static str| {
        let rows = visible_rows(disk, sink)?;
        let mut rows = if sink == "out" { folded(fold, rows)? } else { rows };
        rows.sort();
        Ok((sink, rows))
    };
    let rows = SINKS.into_iter().map(rows).collect::<Result<_, String>>()?;
    if *fold != Fold::Append {
        // How many changes there are hangs on how batches are cut.
        counts.remove(&NodeId::new("out"));
        counts.entry(NodeId::new("window")).and_modify(|window| window.rows_out = 0);
    }
    Ok(Answer { rows, counts })
}

/// What rows come to of which later ones take the place of earlier ones.
fn folded(fold: &Fold, rows: Vec<String>) -> Result<Vec<String>, String> {
    let mut there: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for row in rows {
        let (content, op) = match fold {
            Fold::Append => (row.as_str(), "+I"),
            Fold::Upsert(_) | Fold::Retract => row.rsplit_once(" | ").ok_or_else(|| format!("a row without what it does: {row}"))?,
        };
        let op = op.trim_matches('"');
        let columns: Vec<&str> = content.split(" | ").collect();
        let (key, is_upsert) = match fold {
            Fold::Upsert(key) => (key.iter().filter_map(|at| columns.get(*at).copied()).collect::<Vec<_>>().join(" | "), true),
            Fold::Append | Fold::Retract => (content.to_owned(), false),
        };
        let place = there.entry(key).or_default();
        let before = place.0;
        place.0 += if op.starts_with('-') { -1 } else { i64::from(!is_upsert || op == "+I") };
        content.clone_into(&mut place.1);
        if place.0 < 0 || is_upsert && (place.0 > 1 || place.0 == 0 && before == 0) {
            return Err(format!("{before} are there of what this row changes: {row}"));
        }
    }
    Ok(there.into_values().flat_map(|(count, row)| vec![row; usize::try_from(count).unwrap_or(0)]).collect())
}
