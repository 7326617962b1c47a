//! Expressions put together by chance.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

fn pick(of: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(of).prop_map(str::to_owned).boxed()
}

/// `{}` in a form stands for a part.
fn filled(forms: &'static [&'static str], part: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (prop::sample::select(forms), part.clone(), part.clone(), part)
        .prop_map(|(form, a, b, c)| {
            let mut parts = [a, b, c].into_iter();
            form.split("{}").enumerate().fold(String::new(), |text, (at, piece)| match at {
                0 => piece.to_owned(),
                _ => text + &parts.next().unwrap_or_default() + piece,
            })
        })
        .boxed()
}

pub fn number(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => pick(&["i1", "i1y", "i2", "i4", "i4y", "i8", "i8y", "u1", "u4", "f8", "f8y", "f4", "f4y"]),
        1 => pick(&["0", "1", "7", "-3", "300", "3000000000", "1.5e0", "-0e0", "2", "NULL"]),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let numbers = filled(
        &[
            "({} + {})",
            "({} - {})",
            "({} * {})",
            "({} // {})",
            "({} % {})",
            "({} / {})",
            "(-{})",
            "abs({})",
            "coalesce({}, {})",
            "greatest({}, {})",
            "least({}, {}, {})",
            "nullif({}, {})",
            "CAST({} AS DOUBLE)",
            "CAST({} AS FLOAT)",
            "sign({})",
            "ceil({})",
            "round({})",
            "TRY_CAST({} AS VARCHAR)::DOUBLE",
            "mod({}, {})",
            "{} + {} * {}",
            "({} - {} // {})",
        ],
        number(depth - 1),
    );
    let chosen =
        (truth(depth - 1), number(depth - 1), number(depth - 1)).prop_map(|(when, a, b)| format!("CASE WHEN {when} THEN {a} ELSE {b} END"));
    let measured = filled(&["length({})", "strpos({}, {})", "strlen({})"], text(depth - 1));
    prop_oneof![2 => leaf, 6 => numbers, 2 => chosen, 1 => measured].boxed()
}

pub fn truth(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return pick(&["b", "c", "TRUE", "i4 > 0", "s = 'a'", "f8 IS NULL", "NULL"]);
    }
    let of_numbers = filled(
        &[
            "({} = {})",
            "({} <> {})",
            "({} < {})",
            "({} <= {})",
            "({} > {})",
            "({} >= {})",
            "({} IS NULL)",
            "({} IS NOT NULL)",
            "({} BETWEEN {} AND {})",
            "({} NOT IN ({}, {}))",
            "({} IN ({}, 1, 7))",
            "({} IS DISTINCT FROM {})",
            "isfinite({})",
        ],
        number(depth - 1),
    );
    let of_texts = filled(
        &[
            "({} = {})",
            "({} < {})",
            "({} LIKE {})",
            "({} LIKE 'a%')",
            "({} NOT ILIKE '%B%')",
            "contains({}, {})",
            "({} IN ({}, 'abc'))",
            "starts_with({}, {})",
            "({} IS NULL)",
            "regexp_matches({}, '[a-c]+')",
        ],
        text(depth - 1),
    );
    let of_truths = filled(
        &[
            "({} AND {})",
            "({} OR {})",
            "(NOT {})",
            "({} IS TRUE)",
            "({} IS NOT FALSE)",
            "({} OR {} AND {})",
            "({} = {})",
            "coalesce({}, {})",
        ],
        truth(depth - 1),
    );
    let of_times = filled(&["({} < {})", "({} = {})", "({} BETWEEN {} AND {})", "(hour({}) > 9)"], time(depth - 1));
    prop_oneof![3 => of_numbers, 2 => of_texts, 3 => of_truths, 1 => of_times].boxed()
}

pub fn text(depth: u32) -> BoxedStrategy<String> {
    let leaf = pick(&["s", "sy", "'abc'", "''", "'日'", "nums"]);
    if depth == 0 {
        return leaf;
    }
    let of_texts = filled(
        &[
            "({} || {})",
            "upper({})",
            "lower({})",
            "trim({})",
            "substr({}, 2)",
            "substr({}, -2, 3)",
            "left({}, 2)",
            "right({}, -1)",
            "replace({}, 'a', {})",
            "concat({}, {})",
            "coalesce({}, {})",
            "reverse({})",
            "split_part({}, ',', 2)",
            "lpad({}, 4, 'xy')",
            "nullif({}, {})",
            "greatest({}, {})",
            "regexp_extract({}, '[a-z]+')",
        ],
        text(depth - 1),
    );
    let of_numbers = filled(&["CAST({} AS VARCHAR)", "concat({}, ' and ', {})"], number(depth - 1));
    let of_times = filled(&["CAST({} AS VARCHAR)"], time(depth - 1));
    let chosen = (truth(depth - 1), text(depth - 1)).prop_map(|(when, a)| format!("if({when}, {a}, 'none')"));
    prop_oneof![2 => leaf, 5 => of_texts, 1 => of_numbers, 1 => of_times, 1 => chosen].boxed()
}

pub fn time(depth: u32) -> BoxedStrategy<String> {
    let leaf = pick(&["ts", "tsy", "CAST(d AS TIMESTAMP)", "TIMESTAMP '2013-03-14 09:42:00'"]);
    if depth == 0 {
        return leaf;
    }
    let of_times = filled(
        &[
            "({} + INTERVAL '90 minutes')",
            "({} - INTERVAL 2 MONTHS)",
            "date_trunc('week', {})",
            "date_trunc('month', {})",
            "coalesce({}, {})",
            "least({}, {})",
            "greatest({}, {})",
        ],
        time(depth - 1),
    );
    let chosen =
        (truth(depth - 1), time(depth - 1), time(depth - 1)).prop_map(|(when, a, b)| format!("CASE WHEN {when} THEN {a} ELSE {b} END"));
    prop_oneof![1 => leaf, 4 => of_times, 1 => chosen].boxed()
}
