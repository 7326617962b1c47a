//! States of an input whose columns were widened since: those are read whose bytes are what the wider type's would be.
//!
//! Keys and extremes are words (see [`words`](crate::operators::aggregate::words)), sums and counts are of 64 or 128 bits: an integer's are
//! the same in every type that holds it but UBIGINT, a FLOAT's are those of the DOUBLE. Neither moves a key to another task.

use millrace_expr::AggregateFunction as Function;
use millrace_model::DataType as Type;

use super::states::{AggregateShape, PaneShape};
use crate::checkpoint::codes;
use crate::error::{RunError, RunResult};

/// Sees that states of the types `kept` (see [`PaneShape::types`]) can be read. Fewer than there are now are those before aggregates were
/// added at the end, where `may_extend`.
///
/// # Errors
/// That names what was changed otherwise than by widening it.
pub fn check(shape: &PaneShape, kept: &str, may_extend: bool) -> RunResult<()> {
    let now = shape.types();
    let kept: Vec<&str> = kept.split(", ").filter(|name| !name.is_empty()).collect();
    let parts = parts(shape);
    let count = now.split(", ").filter(|name| !name.is_empty()).count();
    if kept.len() > count || kept.len() < count && !may_extend {
        return Err(other_types(format!("its state is of columns of types {}, and now they are {now}", kept.join(", "))));
    }
    for (at, (kept, now)) in kept.iter().zip(now.split(", ")).enumerate() {
        let part = parts.get(at);
        let may_be_wider = part.is_some_and(|part| part.may_be_wider);
        let is_wider = Type::parse(kept).zip(Type::parse(now)).is_some_and(|(kept, now)| keeps_its_bytes(kept, now));
        if *kept != now && !(may_be_wider && is_wider) {
            let name = part.map_or("what stands beside its states", |part| part.name.as_str());
            return Err(other_types(format!("{name} was {kept}, and is {now} now: its state does not fit that")));
        }
    }
    Ok(())
}

/// The refusal of state of other types.
pub fn other_types(message: String) -> RunError {
    let help = "bring the type back as it was, by a cast or the source's `schema`; or run with --fresh to begin anew";
    RunError::State { code: codes::OTHER_PIPELINE, message, help, retryable: false }
}

struct Part {
    name: String,
    may_be_wider: bool,
}

/// What the types are of, in their order.
fn parts(shape: &PaneShape) -> Vec<Part> {
    let keys = shape.keys.iter().enumerate().map(|(at, _)| {
        let name = shape.key_names.get(at).map_or_else(|| format!("key {}", at + 1), |name| format!("key `{name}`"));
        Part { name, may_be_wider: true }
    });
    let aggregates = shape.aggregates.iter().enumerate().flat_map(|(at, aggregate)| {
        let argument = Part { name: format!("the argument of aggregate {}", at + 1), may_be_wider: is_of_words(aggregate) };
        let by = aggregate.by.map(|_| Part { name: format!("what aggregate {} sorts by", at + 1), may_be_wider: false });
        std::iter::once(argument).chain(by)
    });
    keys.chain(aggregates).collect()
}

/// Whether an aggregate's state says nothing of its argument's type.
const fn is_of_words(aggregate: &AggregateShape) -> bool {
    let is_plain =
        matches!(aggregate.function, Function::CountRows | Function::Count | Function::Sum | Function::Avg | Function::Min | Function::Max);
    is_plain && !aggregate.distinct
}

/// Whether every value of `narrow` is one of `wide`, by the same bytes.
fn keeps_its_bytes(narrow: Type, wide: Type) -> bool {
    match (range(narrow), range(wide)) {
        (Some((from, to)), Some((least, most))) => least <= from && to <= most,
        _ => matches!((narrow, wide), (Type::Float, Type::Double)),
    }
}

/// The integers of a type, if an i64 holds them all.
fn range(of: Type) -> Option<(i64, i64)> {
    Some(match of {
        Type::TinyInt => (i8::MIN.into(), i8::MAX.into()),
        Type::SmallInt => (i16::MIN.into(), i16::MAX.into()),
        Type::Integer => (i32::MIN.into(), i32::MAX.into()),
        Type::BigInt => (i64::MIN, i64::MAX),
        Type::UTinyInt => (0, u8::MAX.into()),
        Type::USmallInt => (0, u16::MAX.into()),
        Type::UInteger => (0, u32::MAX.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use millrace_expr::Parameter;

    use super::*;

    fn shape(key: Type, function: Function, argument: Type) -> PaneShape {
        let aggregate = AggregateShape { function, argument, by: None, parameter: Parameter::None, distinct: false };
        PaneShape { keys: vec![key], key_names: vec!["k".to_owned()], aggregates: vec![aggregate], beside: "" }
    }

    fn refused(now: &PaneShape, kept: &str, may_extend: bool) -> String {
        check(now, kept, may_extend).unwrap_err().to_string()
    }

    #[test]
    fn wider_integers_and_floats_are_read_and_all_else_is_refused_by_its_name() {
        let now = shape(Type::BigInt, Function::Sum, Type::BigInt);
        for kept in ["BIGINT, BIGINT", "INTEGER, SMALLINT", "UINTEGER, TINYINT"] {
            check(&now, kept, false).unwrap();
        }
        check(&shape(Type::Double, Function::Max, Type::Double), "FLOAT, FLOAT", false).unwrap();
        for (kept, words) in [
            ("UBIGINT, BIGINT", "key `k` was UBIGINT, and is BIGINT now"),
            ("VARCHAR, BIGINT", "key `k` was VARCHAR"),
            ("BIGINT, DOUBLE", "the argument of aggregate 1 was DOUBLE"),
        ] {
            assert!(refused(&now, kept, true).contains(words), "{kept}");
        }
        assert!(refused(&shape(Type::Integer, Function::Sum, Type::BigInt), "BIGINT, BIGINT", false).contains("key `k`"), "narrower");
        assert!(refused(&shape(Type::Timestamp, Function::Sum, Type::BigInt), "DATE, BIGINT", false).contains("key `k`"));
        assert!(refused(&shape(Type::Double, Function::Sum, Type::BigInt), "BIGINT, BIGINT", false).contains("key `k`"));
        assert!(refused(&shape(Type::BigInt, Function::Mode, Type::BigInt), "BIGINT, INTEGER", false).contains("aggregate 1"));
    }

    #[test]
    fn aggregates_at_the_end_may_be_new_where_that_is_so() {
        let now = shape(Type::BigInt, Function::Sum, Type::BigInt);
        check(&now, "INTEGER", true).unwrap();
        assert!(refused(&now, "INTEGER", false).contains("of columns of types INTEGER, and now they are BIGINT, BIGINT"));
        assert!(refused(&now, "BIGINT, BIGINT, BIGINT", true).contains("of columns of types"));
    }
}
