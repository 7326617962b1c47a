//! Windows over event time: which rows belong together, which are late, and when a window's results go out.
//!
//! # When a row is late
//!
//! By itself, never by when it happened to arrive: a row counts for those of its windows whose end plus `allowed_lateness` is after the
//! row's own watermark, the `__watermark` it carries from its source; it is late if there is none. So the same rows are late, and the same
//! rows are in each window, at any batch size and parallelism. Rows that a window made carry none and are never late.
//!
//! # When a window closes
//!
//! When the merged watermark W reaches its end plus `allowed_lateness`. W never overtakes a row's own watermark, except after an input
//! was idle; a row that finds its window closed for that reason leaves by `late` too, and is counted apart.
//!
//! # What the output watermark may say
//!
//! W less `allowed_lateness`. A result's event time is `window_time`, the end less 1 us. After W all windows with end + lateness <= W are
//! out, so every later result has end > W - lateness, and its time is at or after W - lateness: nothing behind the output watermark
//! follows. A window downstream that closes by it has therefore seen all its rows, in any batches, and loses none.
//!
//! # Results before and after the end
//!
//! `emit` may ask for results besides the last: [`changing_operator`] for windows over event time and the global one. They form a changelog of
//! upserts (`__op` is `+I`, then `+U`), or, with `mode = "discarding"`, rows that add up. What is told last of a key is what `on_close` would
//! have told: tests hold every kind to it.
//!
//! # When nothing comes any more
//!
//! The last windows of a stream gone quiet have no later row to close them. With `close_after_idle` they close once neither a row nor a
//! watermark has come to the window for so long by the clock of its task, as if a watermark had passed them all: what comes for them later
//! leaves by `late`, counted as `late_after_idle`, and event time downstream goes on as far. This hangs on the machine's clock as no other
//! lateness does; a row's own watermark still says what is late of the rest.
//!
//! # State
//!
//! A [`pane::Pane`] is a table of keys beside typed accumulator columns. Windows over time hold panes of gcd(size, slide), each in line for
//! the window that takes it next ([`operator::PaneOperator`]): a row touches one pane, a window is merged from its panes when it fires, and
//! a pane is freed as one after its last window. Rows that came after some of their windows had closed are in a pane of their own, since
//! they count for fewer windows. Beyond the process' budget panes go to disk ([`spill`]), other
//! windows by slices of their keys ([`super::resting`]). Sessions have a slot each ([`sessions::Sessions`]) in the same typed columns.

pub(super) mod assign;
pub(super) mod bind;
mod calendar;
mod changes;
mod changing_operator;
mod changing_session_operator;
mod changing_sessions;
mod combine;
mod copy;
mod count;
mod count_operator;
mod cumulate;
mod due;
mod emission;
mod global;
mod hopping;
pub(super) mod inputs;
pub(super) mod intake;
mod open_window;
mod operator;
mod pane;
pub(super) mod rows;
mod saved;
mod session;
mod session_operator;
mod sessions;
pub(super) mod shape;
pub(super) mod spec;
mod spill;
pub(super) mod states;
mod timed;
mod tumbling;
pub(super) mod widened;
mod zoned;

pub use count::{CountWindow, CountWindowSpec};
pub use cumulate::{CumulateWindow, CumulateWindowSpec};
pub use global::{GlobalWindow, GlobalWindowSpec};
pub use hopping::{HoppingWindow, HoppingWindowSpec};
pub use session::{SessionWindow, SessionWindowSpec};
pub use spec::{Aggregates, Early, Emit, EmitMode, When};
pub use tumbling::{TumblingWindow, TumblingWindowSpec};

#[cfg(test)]
mod tests;
