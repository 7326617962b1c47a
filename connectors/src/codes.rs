//! The codes of the findings and failures that connectors make. A code never changes its meaning; a retired one is never used again.

/// There is no such file, or the glob matches none.
pub const NOT_FOUND: &str = "MR0501";
/// A file is there and may not be opened: outside the project, a folder, a device, no permission.
pub const CANNOT_OPEN: &str = "MR0502";
/// Neither `format` nor the path's extension names a format.
pub const NO_FORMAT: &str = "MR0503";
/// The file is not what its format says.
pub const BAD_FILE: &str = "MR0504";
/// `schema` names a column that the file does not have.
pub const SCHEMA_COLUMN: &str = "MR0505";
/// `schema` gives a column a type that does not exist, or that the file's own type cannot become.
pub const SCHEMA_TYPE: &str = "MR0506";
/// The file has a column of a type that a stream cannot carry.
pub const COLUMN_TYPE: &str = "MR0507";
/// An option of the format cannot be as it stands.
pub const BAD_OPTION: &str = "MR0508";
/// Reading failed in mid run.
pub const READ: &str = "MR0509";
/// A file's columns are not those that were found before the run.
pub const COLUMNS_CHANGED: &str = "MR0510";
/// Writing failed.
pub const WRITE: &str = "MR0511";
/// The sink's path cannot be written to.
pub const SINK_PATH: &str = "MR0512";
/// The machine's figures cannot be read.
pub const METRICS: &str = "MR0513";
/// An input is not what it was when the run began to read it: the run cannot go on from there.
pub const INPUT_CHANGED: &str = "MR0515";
/// Parts of a result that a resumed run had written before are missing.
pub const PARTS_MISSING: &str = "MR0516";
/// A database cannot be opened, or fails while it is written to.
pub const DATABASE: &str = "MR0521";
/// Another process has the database open.
pub const DATABASE_LOCKED: &str = "MR0522";
/// A table cannot be called so, or has other columns than the rows.
pub const SINK_TABLE: &str = "MR0523";
/// A table is another sink's, another run's, or nobody's and holds rows.
pub const TABLE_TAKEN: &str = "MR0524";
/// The key of a sink's table cannot be told, or is not the input's.
pub const SINK_KEY: &str = "MR0525";
/// A field names a column that the node's input does not have.
pub const NO_COLUMN: &str = "MR0530";
/// Whoever read standard output has stopped: an end, not a failure.
pub use millrace_engine::runtime::error::READER_GONE as STDOUT_CLOSED;
