//! Whatever is written, the answer is an expression or an error in its place, soon and without a panic.

use std::time::{Duration, Instant};

use millrace_expr::{ExprError, compile, parse_aggregate, parse_column, parse_predicate, parse_scalar, to_polars};
use millrace_model::{DataType, Field, Schema};
use polars::prelude::*;
use proptest::prelude::*;

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i", DataType::Integer),
        Field::new("f", DataType::Double),
        Field::new("s", DataType::Varchar),
        Field::new("ts", DataType::Timestamp),
        Field::new("d", DataType::Date),
        Field::new("b", DataType::Boolean),
        Field::required("id", DataType::BigInt),
    ])
}

fn empty_frame(rows: usize) -> DataFrame {
    let columns =
        schema().fields.iter().map(|field| Column::full_null(field.name.as_str().into(), rows, &to_polars(field.data_type))).collect();
    DataFrame::new(rows, columns).unwrap()
}

fn errors_of(text: &str) -> Vec<ExprError> {
    parse_scalar(text, &schema()).err().unwrap_or_default()
}

const WORDS: &[&str] = &[
    "i",
    "f",
    "s",
    "ts",
    "d",
    "b",
    "id",
    "1",
    "0",
    "-",
    "2.5",
    "1e3",
    "'x'",
    "'2013-01-01'",
    "''",
    "NULL",
    "TRUE",
    "+",
    "*",
    "/",
    "//",
    "%",
    "^",
    "||",
    "=",
    "<>",
    "<",
    ">=",
    "(",
    ")",
    "(",
    ")",
    ",",
    "AND",
    "OR",
    "NOT",
    "IS",
    "IN",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "ESCAPE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "AS",
    "INTEGER",
    "VARCHAR",
    "TIMESTAMP",
    "::",
    "INTERVAL",
    "'5 minutes'",
    "MINUTE",
    "EXTRACT",
    "FROM",
    "hour",
    "coalesce",
    "abs",
    "round",
    "substr",
    "TRIM",
    "BOTH",
    "POSITION",
    "count",
    "DISTINCT",
    "FILTER",
    "WHERE",
    "*",
    "concat",
    "date_trunc",
    "'day'",
    "regexp_matches",
    "'['",
    "if",
    "\"s\"",
    "\"",
    "'",
    ";",
    "--",
    "/*",
    "é",
    "[",
    "]",
    "{",
    "}",
    ".",
    "@",
    "$1",
    "\u{0}",
    "9223372036854775808",
    "99999999999999999999999999999999999999999",
    "\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn no_mix_of_words_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..24)) {
        settle(&words.join(" "));
        settle(&words.concat());
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        settle(&text);
    }
}

/// Everything that is done with a text; what is accepted must also run.
fn settle(text: &str) {
    let schema = schema();
    if let Err(errors) = parse_aggregate(text, &schema) {
        places_are_inside(text, &errors);
    }
    if let Err(errors) = parse_column(text, &schema) {
        places_are_inside(text, &errors);
    }
    match parse_scalar(text, &schema) {
        Err(errors) => places_are_inside(text, &errors),
        Ok(typed) => {
            for rows in [0, 1, 3] {
                let evaluated = compile(&typed).evaluate(&empty_frame(rows)).unwrap();
                assert_eq!(evaluated.column.len(), rows, "{text}");
                assert_eq!(*evaluated.column.dtype(), to_polars(typed.data_type), "{text}");
            }
        }
    }
}

fn places_are_inside(text: &str, errors: &[ExprError]) {
    assert!(!errors.is_empty(), "{text}: an error must be told");
    for error in errors {
        assert!(error.start <= error.end && error.end <= text.len(), "{text}: {error:?}");
        assert!(text.is_char_boundary(error.start) && text.is_char_boundary(error.end), "{text}: {error:?}");
    }
}

#[test]
fn what_would_explode_is_refused_or_done_at_once() {
    let chain = |operator: &str| vec!["i"; 4_000].join(operator);
    let between = (0..60).fold("i".to_owned(), |inner, _| format!("({inner}) BETWEEN 1 AND 2"));
    let cases = (0..60).fold("i".to_owned(), |inner, _| format!("CASE {inner} WHEN 1 THEN 2 ELSE 3 END"));
    let nullifs = (0..60).fold("i".to_owned(), |inner, _| format!("nullif({inner}, 1)"));
    let texts = [
        "(".repeat(16_000),
        "-".repeat(8_000) + "i",
        "NOT ".repeat(4_000),
        "i::INT".to_owned() + &"::INT".repeat(3_000),
        chain("+"),
        chain(" = "),
        chain("||"),
        chain("<i AND "),
        chain(" IS NULL OR "),
        "CASE WHEN ".repeat(1_500),
        "abs(".repeat(4_000),
        "[".repeat(16_000),
        "IF(".repeat(5_000),
        "CAST(".repeat(3_000),
        between,
        cases,
        nullifs,
        "i IN (".repeat(2_500),
        format!("i IN ({})", vec!["1"; 8_000].join(",")),
        format!("regexp_matches(s, '{}')", "(a{1000}){1000}"),
        format!("regexp_matches(s, '{}')", "(".repeat(5_000)),
        format!("s LIKE '{}'", "%_".repeat(4_000)),
        "x".repeat(20_000),
        "'".repeat(9_999),
    ];
    for text in texts {
        let started = Instant::now();
        settle(&text);
        let shown: String = text.chars().take(20).collect();
        assert!(started.elapsed() < Duration::from_secs(5), "{shown} took {:?}", started.elapsed());
    }
}

#[test]
fn errors_tell_the_place_and_the_nearest_name() {
    let table: &[(&str, &str, &str, Option<&str>)] = &[
        // text, code, the part that is wrong, the nearest name
        ("i + dealy", "MR0202", "dealy", None),
        ("i + idd", "MR0202", "idd", Some("id")),
        ("lenght(s)", "MR0203", "lenght", Some("length")),
        ("sum(i) > 1", "MR0203", "sum", None),
        ("s + 1", "MR0204", "s", None),
        ("i = s", "MR0204", "i = s", None),
        ("i > 'abc'", "MR0210", "'abc'", None),
        ("ts > '2013-13-01'", "MR0210", "'2013-13-01'", None),
        ("i >", "MR0201", "", None),
        ("i > > 1", "MR0201", ">", None),
        ("(i > 1", "MR0201", "", None),
        ("i = 1 2", "MR0201", "2", None),
        ("", "MR0201", "", None),
        ("'abc", "MR0201", "'abc", None),
        ("substr(s)", "MR0205", "substr(s)", None),
        ("CAST(i AS INTEGR)", "MR0204", "INTEGR", Some("INTEGER")),
        ("CAST(d AS INTEGER)", "MR0204", "CAST(d AS INTEGER)", None),
        ("ts - ts", "MR0206", "ts - ts", None),
        ("t.i", "MR0206", "t.i", None),
        ("date_trunc('huor', ts)", "MR0205", "'huor'", Some("hour")),
        ("regexp_matches(s, '(')", "MR0212", "'('", None),
        ("INTERVAL '5 minutes'", "MR0206", "INTERVAL '5 minutes'", None),
        ("ts + INTERVAL 'soon'", "MR0210", "INTERVAL 'soon'", None),
        ("CASE WHEN b THEN 1 ELSE 'x' END", "MR0210", "'x'", None),
        ("coalesce(i, s)", "MR0204", "coalesce(i, s)", None),
        ("when", "MR0201", "when", None),
        ("é + i", "MR0202", "é", None),
    ];
    for (text, code, part, nearest) in table {
        let errors = errors_of(text);
        let error = errors.first().unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!(error.code, *code, "{text}: {error:?}");
        assert_eq!(text.get(error.start..error.end), Some(*part), "{text}: {error:?}");
        assert_eq!(error.nearest.as_deref(), *nearest, "{text}: {error:?}");
    }
}

#[test]
fn all_type_errors_are_told_at_once() {
    let codes: Vec<&str> = errors_of("nope > 1 AND s + 1 > 2 OR lenght(s) = 3").iter().map(|error| error.code).collect();
    assert_eq!(codes, ["MR0202", "MR0204", "MR0203"]);
}

#[test]
fn a_condition_must_be_boolean_and_a_computed_column_must_have_a_name() {
    assert!(parse_predicate("i > 1", &schema()).is_ok());
    assert!(parse_predicate("NULL", &schema()).is_ok());
    assert_eq!(parse_predicate("i + 1", &schema()).unwrap_err()[0].code, "MR0207");
    assert_eq!(parse_column("i", &schema()).unwrap().0, "i");
    assert_eq!(parse_column("I AS n", &schema()).unwrap().0, "n");
    assert_eq!(parse_column("i * 60 AS \"delay s\"", &schema()).unwrap().0, "delay s");
    assert_eq!(parse_column("i * 60", &schema()).unwrap_err()[0].code, "MR0208");
    assert_eq!(parse_column("*", &schema()).unwrap_err()[0].code, "MR0206");
}

#[test]
fn a_reason_names_the_part_that_failed() {
    let typed = parse_scalar("CASE WHEN i > 0 THEN i + 2147483647 ELSE CAST(s AS INTEGER) END", &schema()).unwrap();
    let mut frame = empty_frame(3);
    frame.with_column(Series::new("i".into(), [Some(1), Some(0), Some(0)]).into_column()).unwrap();
    frame.with_column(Series::new("s".into(), ["x", "x", "7"]).into_column()).unwrap();
    let evaluated = compile(&typed).evaluate(&frame).unwrap();
    let failures = evaluated.failures.unwrap();
    assert_eq!(failures.reason(0), Some("overflow in `i + 2147483647`"));
    assert_eq!(failures.reason(1), Some("the VARCHAR is not a INTEGER in `CAST(s AS INTEGER)`"));
    assert_eq!(failures.reason(2), None);
    assert_eq!(evaluated.column.get(2).unwrap(), AnyValue::Int32(7));
}

#[test]
fn what_may_be_null_is_known_beforehand() {
    let nullable = |text: &str| parse_scalar(text, &schema()).unwrap().nullable;
    assert!(!nullable("id") && !nullable("id > 1") && !nullable("i IS NULL") && !nullable("coalesce(s, '')"));
    assert!(nullable("i") && nullable("id + 1") && nullable("id > i") && nullable("CASE WHEN b THEN 1 END"));
}

#[test]
fn every_function_has_an_example_that_a_person_can_learn_from() {
    let fields = [
        ("arr_delay", DataType::Integer),
        ("dep_delay", DataType::Integer),
        ("x", DataType::Double),
        ("distance", DataType::Integer),
        ("flight", DataType::Integer),
        ("tailnum", DataType::Varchar),
        ("air_time", DataType::Integer),
        ("origin", DataType::Varchar),
        ("dest", DataType::Varchar),
        ("carrier", DataType::Varchar),
        ("url", DataType::Varchar),
        ("scheduled", DataType::Timestamp),
        ("micros", DataType::BigInt),
    ];
    let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type)).to_vec());
    for function in millrace_expr::functions() {
        let text = function.example;
        if let Err(errors) = parse_scalar(text, &schema) {
            panic!("{text}: {errors:?}");
        }
    }
}
