//! SQL scalar expressions and aggregate calls, meaning what DuckDB means by them.
//!
//! Text is cut into words by `sqlparser`, parsed with DuckDB's precedence, typed into an [`ir`] in which every cast is explicit, and evaluated on Polars columns ([`compile`]).
//! Polars' own kernels serve where they mean the same; where Polars wraps on overflow or differs from DuckDB the kernels here do the
//! work and tell, row by row, which values could not be computed.
//!
//! A pure room: no I/O, no clock.
//!
//! Known deviations from DuckDB, on purpose: decimal literals are DOUBLE (DuckDB makes them DECIMAL); division by zero is a value
//! error (DuckDB gives NULL or infinity); `sum` of integers is BIGINT with overflow a value error (DuckDB widens to HUGEINT).

pub mod aggregate;
pub mod compile;
pub mod error;
pub mod functions;
pub mod ir;
mod kernels;
pub mod order;
mod parse;
mod syntax;
pub mod time_text;
pub mod types;
mod typing;

pub use aggregate::{AggregateCall, AggregateFunction, MOST_LIST_BYTES, MOST_LIST_VALUES, Parameter, parse_aggregate};
pub use compile::{CompiledExpr, Evaluated, Failures, as_text, compile};
pub use error::ExprError;
pub use functions::{FunctionInfo, functions};
pub use ir::TypedExpr;
pub use order::{OrderTerm, parse_order};
pub use parse::{parse_column, parse_predicate, parse_scalar};
pub use types::{from_polars, stacked, to_polars};

/// Runs one level of a recursion over an expression, on a new piece of stack where little is left: how deep an expression may be does
/// not hang on how the thread was made.
fn deep<T>(level: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 << 10, 1 << 20, level)
}
