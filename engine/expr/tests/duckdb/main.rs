//! Every expression means what DuckDB means by it: type, values, NULLs, and the rows that fail.

mod cases;
mod frame;
mod random;

use duckdb::Connection;
use duckdb::types::Value;
use frame::{ROWS, Table};
use millrace_expr::{compile, parse_scalar};
use millrace_model::DataType;
use polars::prelude::*;

/// What a row came to, on either side.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Failed,
}

impl Outcome {
    /// Floats may differ in the last digits where a function is not exact.
    fn agrees(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Float(a), Outcome::Float(b)) => (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-14 * a.abs().max(b.abs()),
            // Which of two equal zeros greatest() and its like take is not said.
            (Outcome::Text(a), Outcome::Text(b)) => a.replace("-0.0", "0.0") == b.replace("-0.0", "0.0"),
            _ => self == other,
        }
    }
}

fn outcome_of(value: Value) -> Outcome {
    match value {
        Value::Null => Outcome::Null,
        Value::Boolean(flag) => Outcome::Boolean(flag),
        Value::TinyInt(number) => Outcome::Integer(number.into()),
        Value::SmallInt(number) => Outcome::Integer(number.into()),
        Value::Int(number) => Outcome::Integer(number.into()),
        Value::BigInt(number) => Outcome::Integer(number.into()),
        Value::UTinyInt(number) => Outcome::Integer(number.into()),
        Value::USmallInt(number) => Outcome::Integer(number.into()),
        Value::UInt(number) => Outcome::Integer(number.into()),
        Value::UBigInt(number) => Outcome::Integer(number.into()),
        Value::Float(number) => Outcome::Float(number.into()),
        Value::Double(number) => Outcome::Float(number),
        Value::Text(text) => Outcome::Text(text),
        Value::Date32(days) => Outcome::Integer(days.into()),
        Value::Timestamp(_, micros) => Outcome::Integer(micros.into()),
        other => panic!("DuckDB gave {other:?}"),
    }
}

/// DuckDB's type and outcomes; an error where it does not take the expression at all.
fn duckdb(connection: &Connection, text: &str) -> Result<(String, Vec<Outcome>), String> {
    let said = |error: duckdb::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let mut described = connection.prepare(&format!("DESCRIBE SELECT ({text}) AS x FROM t")).map_err(said)?;
    let data_type: String = described.query_row([], |row| row.get(1)).map_err(said)?;
    let all = values(connection, &format!("SELECT ({text}) AS x FROM t ORDER BY id"));
    if let Ok(all) = all {
        return Ok((data_type, all));
    }
    let rows = (0..ROWS).map(|row| {
        // Through a list, so that the row alone decides and nothing is evaluated ahead for the others.
        let one = values(connection, &format!("SELECT ({text}) AS x FROM (SELECT * FROM t WHERE id = {row})"));
        one.ok().and_then(|mut one| one.pop()).unwrap_or(Outcome::Failed)
    });
    Ok((data_type, rows.collect()))
}

fn values(connection: &Connection, query: &str) -> Result<Vec<Outcome>, duckdb::Error> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get::<_, Value>(0))?;
    rows.map(|value| value.map(outcome_of)).collect()
}

fn ours(table: &Table, text: &str) -> Result<(DataType, Vec<Outcome>), String> {
    let typed = parse_scalar(text, &table.schema).map_err(|errors| format!("{errors:?}"))?;
    let evaluated = compile(&typed).evaluate(&table.frame).map_err(|error| format!("evaluate: {error}"))?;
    assert_eq!(evaluated.column.len(), ROWS, "{text}: rows");
    assert_eq!(*evaluated.column.dtype(), millrace_expr::to_polars(typed.data_type), "{text}: type");
    let outcomes = (0..ROWS).map(|row| {
        let value = evaluated.column.get(row).unwrap();
        if evaluated.failures.as_ref().is_some_and(|failures| failures.reason(row).is_some()) {
            assert_eq!(value, AnyValue::Null, "{text}: a row that failed is NULL");
            return Outcome::Failed;
        }
        match value {
            AnyValue::Null => Outcome::Null,
            AnyValue::Boolean(flag) => Outcome::Boolean(flag),
            AnyValue::String(text) => Outcome::Text(text.to_owned()),
            AnyValue::Float32(number) => Outcome::Float(number.into()),
            AnyValue::Float64(number) => Outcome::Float(number),
            AnyValue::Date(days) => Outcome::Integer(days.into()),
            AnyValue::Datetime(micros, ..) => Outcome::Integer(micros.into()),
            other => Outcome::Integer(other.extract::<i128>().unwrap_or_else(|| panic!("{text}: {other:?}"))),
        }
    });
    Ok((typed.data_type, outcomes.collect()))
}

/// Where the answers may be different, on purpose: a zero divisor fails with us (DuckDB gives NULL, infinity or NaN, and goes on with
/// it), and AND and OR do not look at what follows where the answer is known.
fn may_differ(ours: &Outcome, theirs: &Outcome, text: &str) -> bool {
    let divides = text.contains('/') || text.contains('%') || text.contains("mod(");
    let stops_early = text.contains(" AND ") || text.contains(" OR ") || text.contains("BETWEEN");
    divides && *ours == Outcome::Failed || stops_early && *theirs == Outcome::Failed
}

fn difference(table: &Table, connection: &Connection, text: &str) -> Option<String> {
    let (theirs_type, theirs) = match duckdb(connection, text) {
        Ok(theirs) => theirs,
        Err(error) => return Some(format!("{text}\n    DuckDB does not take it: {error}")),
    };
    let (ours_type, ours) = match ours(table, text) {
        Ok(ours) => ours,
        Err(error) => return Some(format!("{text}\n    not taken: {error}")),
    };
    // The word NULL alone has a type of its own there.
    if ours_type.name() != theirs_type && theirs_type != "\"NULL\"" {
        return Some(format!("{text}\n    type {ours_type}, DuckDB {theirs_type}"));
    }
    let rows: Vec<usize> =
        (0..ROWS).filter(|row| !ours[*row].agrees(&theirs[*row]) && !may_differ(&ours[*row], &theirs[*row], text)).collect();
    let first = *rows.first()?;
    let inputs: Vec<String> = table
        .frame
        .columns()
        .iter()
        .filter(|column| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == column.name().as_str()))
        .map(|column| format!("{} = {}", column.name(), column.get(first).unwrap()))
        .collect();
    Some(format!("{text}\n    {} rows differ; where {}: {:?}, DuckDB {:?}", rows.len(), inputs.join(", "), ours[first], theirs[first]))
}

fn connect() -> (Connection, Table) {
    let connection = Connection::open_in_memory().unwrap();
    // What is written is evaluated as it is written: the optimizer would turn `x + 1 > 2` into `x > 1`, which cannot overflow.
    connection.execute_batch("SET timezone = 'UTC'; PRAGMA disable_optimizer").unwrap();
    let table = frame::table(&connection);
    (connection, table)
}

fn hold(groups: &[&[&str]]) {
    let (connection, table) = connect();
    let wrong: Vec<String> =
        groups.iter().flat_map(|group| group.iter()).filter_map(|text| difference(&table, &connection, text)).collect();
    assert!(wrong.is_empty(), "{} expressions differ from DuckDB:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn arithmetic_means_what_duckdb_means() {
    hold(&[cases::ARITHMETIC, cases::NUMBERS]);
}

#[test]
fn comparisons_and_logic_mean_what_duckdb_means() {
    hold(&[cases::COMPARISONS, cases::LOGIC, cases::CONDITIONS]);
}

#[test]
fn casts_mean_what_duckdb_means() {
    hold(&[cases::CASTS]);
}

#[test]
fn texts_mean_what_duckdb_means() {
    hold(&[cases::TEXTS, cases::PATTERNS]);
}

#[test]
fn times_mean_what_duckdb_means() {
    hold(&[cases::TIMES]);
}

#[test]
fn operators_bind_as_they_do_in_duckdb() {
    hold(&[cases::PRECEDENCE]);
}

#[test]
fn expressions_put_together_by_chance_mean_what_duckdb_means() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let (connection, table) = connect();
    let any = prop_oneof![random::number(3), random::truth(3), random::text(3), random::time(3)];
    // The same three hundred each time; other ones, as many as wanted, with the variable.
    let wanted = std::env::var("MILLRACE_RANDOM_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config { cases: wanted.unwrap_or(300), failure_persistence: None, ..Config::default() };
    let mut runner = match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let compared = std::cell::Cell::new(0);
    let told = runner.run(&any, |text| {
        // What either does not take (a HUGEINT, a mix of types) is not compared here.
        if ours(&table, &text).is_err() || duckdb(&connection, &text).is_err() {
            return Ok(());
        }
        compared.set(compared.get() + 1);
        match difference(&table, &connection, &text) {
            Some(difference) => Err(TestCaseError::fail(difference)),
            None => Ok(()),
        }
    });
    told.unwrap();
    assert!(compared.get() * 2 > wanted.unwrap_or(300), "only {} were compared", compared.get());
}

/// One row a character; the surrogates are none.
#[test]
fn every_letter_has_duckdbs_capital_and_small_letter() {
    let connection = Connection::open_in_memory().unwrap();
    let letters: Vec<String> = ('\u{1}'..='\u{2ffff}').map(String::from).collect();
    connection.execute_batch("CREATE TABLE t (id INTEGER, s VARCHAR)").unwrap();
    let mut appender = connection.appender("t").unwrap();
    letters.iter().enumerate().for_each(|(id, letter)| appender.append_row(duckdb::params![id as i32, letter]).unwrap());
    drop(appender);
    let schema = millrace_model::Schema::new(vec![millrace_model::Field::new("s", DataType::Varchar)]);
    let frame = DataFrame::new(letters.len(), vec![Series::new("s".into(), &letters).into_column()]).unwrap();
    for text in ["upper(s)", "lower(s)", "length(s)", "trim(s)"] {
        let theirs = values(&connection, &format!("SELECT {text} FROM t ORDER BY id")).unwrap();
        let typed = parse_scalar(text, &schema).unwrap();
        let ours = compile(&typed).evaluate(&frame).unwrap().column;
        let ours = millrace_expr::as_text(&ours).unwrap();
        let wrong: Vec<String> = theirs
            .iter()
            .zip(ours.iter())
            .zip(&letters)
            .filter_map(|((theirs, ours), letter)| {
                let theirs = match theirs {
                    Outcome::Text(text) => text.clone(),
                    Outcome::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                };
                let code = u32::from(letter.chars().next().unwrap());
                // DuckDB's Unicode is a few years behind: letters that it does not know keep their form there.
                (Some(theirs.as_str()) != ours && theirs != *letter).then(|| format!("U+{code:04X} {letter}: {ours:?}, DuckDB {theirs:?}"))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{text}: {} letters differ:\n{}",
            wrong.len(),
            wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
        );
    }
}
