//! The tasks of a run: what reads, what computes, what writes.
//!
//! A task is a future on the data runtime. It yields after some rows, hears of a stop at every wait, and a panic or an error in it
//! ends its own run and no other.

pub mod alarms;
pub mod barrier;
pub mod boundary;
pub mod caution;
pub mod measured;
pub mod operator_task;
pub mod rate;
pub mod sink_task;
pub mod source_task;
pub mod stop;

pub use barrier::{Acknowledger, BarrierCommand, Barriers, Resumed};
pub use boundary::{Boundary, TaskReport};
pub use caution::{Caution, CautiousReading, Stretch, Trail};
pub use operator_task::OperatorTask;
pub use sink_task::SinkTask;
pub use source_task::SourceTask;
pub use stop::{StopReceiver, StopSignal, Stopping};

/// Rows after which a task lets others run.
const ROWS_PER_TURN: usize = 4096;

/// Elements after which a task lets others run.
const ELEMENTS_PER_TURN: usize = 64;

/// Yields once a turn's worth of work is done.
#[derive(Debug, Default)]
struct Turn {
    rows: usize,
    elements: usize,
}

impl Turn {
    async fn spend(&mut self, rows: usize) {
        self.rows += rows;
        self.elements += 1;
        if self.rows >= ROWS_PER_TURN || self.elements >= ELEMENTS_PER_TURN {
            *self = Turn::default();
            tokio::task::yield_now().await;
        }
    }
}
