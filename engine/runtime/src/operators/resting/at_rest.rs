//! State that was written down and dropped from memory, and what is known of it without reading it.

use std::sync::Arc;

use millrace_model::Timestamp;
use millrace_state::block::{self, Piece};
use millrace_state::snapshot::{Apart, Reader, SnapshotWriter, Writer};

use crate::error::{RunError, RunResult};
use crate::operator::{Operator, Outlook, StateSize};

/// Of what stands beside a piece in a snapshot.
const VERSION: u8 = 1;

/// What no key owns, of each task that wrote of it.
pub type SharedState = Arc<[Vec<u8>]>;

/// The state of a slice on disk.
#[derive(Debug)]
pub struct AtRest {
    pub shared: SharedState,
    /// With their key groups.
    pub pieces: Vec<(u16, Piece)>,
    pub summary: Summary,
}

impl AtRest {
    /// Nothing yet, of what a snapshot or a division says.
    pub const fn empty(shared: SharedState) -> AtRest {
        AtRest { shared, pieces: Vec::new(), summary: Summary::NOTHING }
    }

    /// On disk, in bytes.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, piece)| piece.bytes()).sum()
    }

    /// Reads all pieces. Blocks the thread.
    pub fn read(&self) -> RunResult<Apart> {
        let mut apart = Apart::new("a piece of state on disk", self.shared.clone());
        for (group, piece) in &self.pieces {
            apart.add(*group, block::read(piece)?)?;
        }
        Ok(apart)
    }

    /// Names the pieces in a snapshot. What is summed stands with the first of them, since they may go to several tasks.
    pub fn refer(&self, writer: &mut SnapshotWriter) {
        let mut summary = self.summary;
        for (group, piece) in &self.pieces {
            writer.spilled(*group, piece, |out| summary.write(out));
            summary = summary.without_sums();
        }
    }
}

/// What is known of a slice at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub outlook: Outlook,
    rows: u64,
    open_windows: u64,
    next_window_end: Option<Timestamp>,
}

impl Summary {
    pub const NOTHING: Summary = Summary { outlook: Outlook::NOTHING_DUE, rows: 0, open_windows: 0, next_window_end: None };

    pub fn of(operator: &dyn Operator) -> Summary {
        let StateSize { rows, open_windows, next_window_end, .. } = operator.state_size();
        Summary { outlook: operator.outlook(), rows, open_windows, next_window_end }
    }

    const fn without_sums(self) -> Summary {
        Summary { outlook: Outlook { waiting_rows: 0, ..self.outlook }, rows: 0, open_windows: 0, next_window_end: self.next_window_end }
    }

    /// Of both together.
    #[must_use]
    pub fn and(self, other: Summary) -> Summary {
        let (one, two) = (self.outlook, other.outlook);
        Summary {
            outlook: Outlook {
                due: least(one.due, two.due),
                last_close: one.last_close.max(two.last_close),
                waiting_rows: one.waiting_rows.saturating_add(two.waiting_rows),
            },
            rows: self.rows.saturating_add(other.rows),
            open_windows: self.open_windows.saturating_add(other.open_windows),
            next_window_end: least(self.next_window_end, other.next_window_end),
        }
    }

    /// As what is held, none of it in memory.
    pub const fn size(&self) -> StateSize {
        StateSize { rows: self.rows, bytes: 0, open_windows: self.open_windows, next_window_end: self.next_window_end }
    }

    fn write(&self, out: &mut Writer) {
        out.u8(VERSION);
        for at in [self.outlook.due, self.outlook.last_close, self.next_window_end] {
            out.optional_i64(at.map(Timestamp::micros));
        }
        [self.outlook.waiting_rows, self.rows, self.open_windows].iter().for_each(|sum| out.u64(*sum));
    }

    /// Reads what [`AtRest::refer`] said of a piece.
    pub fn read(from: &mut Reader<'_>) -> RunResult<Summary> {
        match from.u8()? {
            VERSION => {}
            other => return Err(RunError::from(from.damaged(format!("what stands beside a piece is of version {other}")))),
        }
        let mut time = || Ok::<_, RunError>(from.optional_i64()?.map(Timestamp));
        let (due, last_close, next_window_end) = (time()?, time()?, time()?);
        let outlook = Outlook { due, last_close, waiting_rows: from.u64()? };
        let summary = Summary { outlook, rows: from.u64()?, open_windows: from.u64()?, next_window_end };
        from.finish()?;
        Ok(summary)
    }
}

/// The lesser of two times that are there.
pub fn least(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
