//! The codes of the findings that planning makes. A code never changes its meaning; a retired one is never used again.

/// A node gets a change mode that it cannot take.
pub const CHANGE_MODE: &str = "MR0301";
/// The event time's column is missing.
pub const TIME_COLUMN: &str = "MR0302";
/// The event time's column has a type that is no time.
pub const TIME_TYPE: &str = "MR0303";
/// `format` or `unit` does not fit the event time's column.
pub const TIME_READING: &str = "MR0304";
/// A time field that has no effect without `event_time`.
pub const TIME_UNUSED: &str = "MR0305";
/// The column that paces a replay is missing, or no time.
pub const REPLAY_COLUMN: &str = "MR0306";
/// The time zone is unknown.
pub const TIME_ZONE: &str = "MR0307";
/// A column's name begins with two underscores, which are the engine's.
pub const RESERVED_COLUMN: &str = "MR0308";
/// Two columns of one name.
pub const DOUBLE_COLUMN: &str = "MR0309";
/// A plot names a column that is missing, or of a type that cannot be drawn.
pub const PLOT_COLUMN: &str = "MR0310";
/// A node that works by event time gets rows without one.
pub const NO_EVENT_TIME: &str = "MR0320";
/// A window without a length.
pub const WINDOW_SIZE: &str = "MR0321";
/// A key names a column that is missing.
pub const UNKNOWN_KEY: &str = "MR0322";
/// A size or an offset that does not fit the days or months of a time zone.
pub const WINDOW_ZONE: &str = "MR0323";
/// A window that would be merged from too many panes.
pub const WINDOW_PANES: &str = "MR0324";
/// A step that does not divide its window's size.
pub const WINDOW_STEP: &str = "MR0325";
/// Rows of a count window, or between two, that make no sense.
pub const WINDOW_ROWS: &str = "MR0326";
/// A window's time zone is unknown.
pub const UNKNOWN_ZONE: &str = "MR0327";
/// An emission that makes no sense for its window.
pub const WINDOW_EMIT: &str = "MR0340";
/// A `close_after_idle` that makes no sense for its window.
pub const WINDOW_IDLE: &str = "MR0341";
/// An aggregate that cannot take back rows, over rows that change.
pub const NO_RETRACTION: &str = "MR0330";
/// A time to live that cannot be kept.
pub const TTL: &str = "MR0331";
/// Inputs of a union whose columns do not match.
pub const UNION_COLUMNS: &str = "MR0332";
/// Inputs of a union whose rows cannot stand side by side.
pub const UNION_INPUTS: &str = "MR0333";
/// A condition over rows that replace each other reads more than their key.
pub const KEY_ALONE: &str = "MR0334";
/// The key by which rows replace each other does not go on.
pub const KEY_DROPPED: &str = "MR0335";
/// A field that makes no sense without windows, or rows that carry none where they should.
pub const NO_WINDOW: &str = "MR0344";
/// `within` where there is nothing for it to bound.
pub const WITHIN: &str = "MR0345";
/// Rows that were to be known by nothing.
pub const NO_KEY: &str = "MR0346";
/// A source's columns could not be told, and nobody said why.
pub const NO_SCHEMA: &str = "MR0390";
