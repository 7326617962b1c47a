//! What the text formats share: cutting an input into records, telling types, filling columns.

pub mod blocks;
pub mod columns;
pub mod infer;
pub mod json;
pub mod reader;

pub use columns::Columns;
pub use infer::Guess;
pub use reader::{Frame, RecordFormat, TextReader};
