//! One table of edge values, as a Polars frame and as a table in DuckDB.

use duckdb::Connection;
use millrace_expr::to_polars;
use millrace_model::{DataType, Field, Schema};
use polars::prelude::*;

/// As many rows as bring the lists below together in many ways: their lengths differ, the second column of a type runs backwards.
pub const ROWS: usize = 97;

pub struct Table {
    pub schema: Schema,
    pub frame: DataFrame,
}

struct Builder {
    fields: Vec<Field>,
    columns: Vec<Column>,
    /// SQL literals by column, then row.
    literals: Vec<Vec<String>>,
}

impl Builder {
    fn add<T: Clone>(
        &mut self,
        name: &str,
        data_type: DataType,
        values: &[Option<T>],
        series: impl Fn(&[Option<T>]) -> Series,
        sql: impl Fn(&T) -> String,
    ) {
        let step = if name.ends_with('y') { values.len() - 1 } else { 1 };
        let rows: Vec<Option<T>> =
            (0..ROWS).map(|row| values[(row * step + usize::from(step > 1) * (row / values.len())) % values.len()].clone()).collect();
        let series = series(&rows).cast(&to_polars(data_type)).unwrap().with_name(name.into());
        self.literals.push(rows.iter().map(|value| value.as_ref().map_or("NULL".to_owned(), &sql)).collect());
        self.fields.push(Field::new(name, data_type));
        self.columns.push(series.into_column());
    }

    fn integers(&mut self, name: &str, data_type: DataType, values: &[i64]) {
        let values: Vec<Option<i64>> = std::iter::once(None).chain(values.iter().copied().map(Some)).collect();
        self.add(name, data_type, &values, |rows| Series::new("".into(), rows), i64::to_string);
    }

    fn floats(&mut self, name: &str, data_type: DataType, values: &[f64]) {
        let values: Vec<Option<f64>> = std::iter::once(None).chain(values.iter().copied().map(Some)).collect();
        self.add(name, data_type, &values, |rows| Series::new("".into(), rows), |value| format!("'{value:?}'"));
    }

    fn texts(&mut self, name: &str, values: &[&str]) {
        let values: Vec<Option<&str>> = std::iter::once(None).chain(values.iter().copied().map(Some)).collect();
        self.add(name, DataType::Varchar, &values, |rows| Series::new("".into(), rows), |value| format!("'{}'", value.replace('\'', "''")));
    }
}

const F8: &[f64] = &[
    0.0,
    -0.0,
    1.5,
    -1.5,
    2.5,
    3.5,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e300,
    -1e300,
    1e-300,
    0.1,
    1e15,
    1e16,
    123456.789,
    9007199254740993.0,
    0.49999999999999994,
    -0.5,
    9223372036854775807.0,
    100.0,
    1e-5,
    4.0,
];
const F4: &[f64] =
    &[0.0, -0.0, 1.5, -1.5, 2.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38, 1e-30, 0.1, 16777216.0, 1e10, 1e20, 0.285];
const TEXTS: &[&str] = &[
    "",
    "a",
    "abc",
    "ABC",
    "a,b,c",
    "  pad  ",
    "héllo",
    "日本語",
    "straße",
    "İstanbul",
    "%",
    "a%b",
    "a_b",
    "a\\b",
    "true",
    "42",
    "👩\u{200d}🚀x",
    "e\u{301}a",
    "line\nbreak",
    "xyx",
    "aaa",
    "\tt\u{a0}",
    "ΑΣ",
    "ǆ",
    "it's",
];
const NUMBERS: &[&str] = &[
    "42",
    " 42 ",
    "-7",
    "+5",
    "1e3",
    "4.5",
    "5.5",
    "-4.5",
    "4.49999999999999999999",
    "1_000",
    "0x1F",
    "0b11",
    "5.",
    ".5",
    ".",
    "",
    "-",
    "1e",
    "1.5e1",
    "1e-1",
    "15e-1",
    "25e-1",
    "-0",
    "256",
    "007",
    "1 000",
    "true",
    "\t42\n",
    "9223372036854775807",
    "9223372036854775808",
    "9223372036854775807.5",
    "1e18",
    "1e19",
    "inf",
    "Infinity",
    "-INF",
    "nan",
    "-nan",
    "1e400",
    "1e-400",
    "1.5f",
    "abc",
    "--5",
    "1__0",
    "_1",
    "1_",
    "18446744073709551615",
    "-9223372036854775808",
    "99999999999999999999999999999999999999999",
    "٣",
    "1.7976931348623157e308",
    "0.1",
    "1e40",
    "2147483647.5",
    "-128.5",
];
const TIMES: &[&str] = &[
    "2020-01-02",
    "2020-1-2",
    "2020/01/02",
    "2020-01/02",
    "20200102",
    "  2020-01-02",
    "2020-01-02 03:04:05",
    "2020-01-02T03:04:05",
    "2020-02-30",
    "2020-13-01",
    "2020-01",
    "2020-001-02",
    "20-01-02",
    "-20-01-02",
    "+2020-01-02",
    "12020-01-02",
    "today",
    "0044-03-15 (BC)",
    "",
    "2020-01-02 03:04",
    "2020-01-02 03",
    "2020-01-02T03:04:05Z",
    "2020-01-02 03:04:05.123456",
    "2020-01-02 03:04:05.1234569",
    "2020-01-02 03:04:05.",
    "2020-01-02 03:04:05,5",
    "2020-01-02 03:04:05 UTC",
    "2020-01-02 03:04:05 ",
    "2020-01-02  03:04:05",
    "2020-01-02 3:4:5",
    "2020-01-02 24:00:00",
    "2020-01-02 24:00:01",
    "2020-01-02 23:59:60",
    "2020-01-02 03:04:05x",
    "2020-01-02T",
    "2020-01-02Z",
    "03:04:05",
    "1969-12-31 23:59:59.5",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "2000-02-29",
    "1900-02-29",
    "abc",
    "2020 01 02",
    "2020-01-02 003:04:05",
];
const BOOLS: &[&str] = &["true", "TRUE", "t", "yes", "y", "1", "false", "f", "no", "N", "0", "on", " true ", "", "2"];

pub fn table(connection: &Connection) -> Table {
    let mut builder = Builder { fields: Vec::new(), columns: Vec::new(), literals: Vec::new() };
    builder.integers("i1", DataType::TinyInt, &[0, 1, -1, 127, -128, 5]);
    builder.integers("i1y", DataType::TinyInt, &[0, 1, -1, 127, -128, 3]);
    builder.integers("i2", DataType::SmallInt, &[0, 1, -1, 32767, -32768, 300]);
    builder.integers("i4", DataType::Integer, &[0, 1, -1, 2147483647, -2147483648, 7, -7, 1000, 3]);
    builder.integers("i4y", DataType::Integer, &[0, 1, -1, 2147483647, -2147483648, 2, -3]);
    builder.integers("i8", DataType::BigInt, &[0, 1, -1, i64::MAX, i64::MIN, 7, -7, 3_000_000_000, 9007199254740993]);
    builder.integers("i8y", DataType::BigInt, &[0, 1, -1, i64::MAX, i64::MIN, 2, -3]);
    builder.integers("u1", DataType::UTinyInt, &[0, 1, 255, 7]);
    builder.integers("u2", DataType::USmallInt, &[0, 1, 65535]);
    builder.integers("u4", DataType::UInteger, &[0, 1, 4294967295, 12]);
    builder.integers("u8", DataType::UBigInt, &[0, 1, i64::MAX, 12]);
    builder.floats("f8", DataType::Double, F8);
    builder.floats("f8y", DataType::Double, &[0.0, 1.0, -2.5, f64::NAN, f64::INFINITY, 1e300, 3.0, 0.1]);
    builder.floats("f4", DataType::Float, F4);
    builder.floats("f4y", DataType::Float, &[0.0, 1.0, -2.5, f64::NAN, f64::INFINITY, 3e38]);
    builder.texts("s", TEXTS);
    builder.texts("sy", &["", "a", "b", "ABC", "%", "héllo", "日", "x", "a,b,c"]);
    builder.texts("nums", NUMBERS);
    builder.texts("times", TIMES);
    builder.texts("bools", BOOLS);
    let bools = [None, Some(true), Some(false)];
    for name in ["b", "c"] {
        let values: Vec<Option<bool>> = if name == "b" { bools.to_vec() } else { bools.iter().cycle().take(4).copied().collect() };
        builder.add(name, DataType::Boolean, &values, |rows| Series::new("".into(), rows), bool::to_string);
    }
    let days = [None, Some(0), Some(-1), Some(11016), Some(-719162), Some(2932896), Some(15778), Some(-735234)];
    for name in ["d", "dy"] {
        builder.add(name, DataType::Date, &days, |rows| Series::new("".into(), rows), |days: &i32| format!("DATE '1970-01-01' + {days}"));
    }
    let micros = [
        None,
        Some(0),
        Some(-1),
        Some(951_827_696_789_012),
        Some(1_363_254_120_000_000),
        Some(253_402_300_799_999_999),
        Some(-62_135_596_800_000_000),
        Some(-2_203_891_200_000_001),
        Some(1_577_836_799_999_999),
        Some(1_580_428_800_000_000),
        Some(-63_549_358_245_500_000),
    ];
    for name in ["ts", "tsy"] {
        builder.add(
            name,
            DataType::Timestamp,
            &micros,
            |rows| Series::new("".into(), rows),
            |micros: &i64| format!("make_timestamp({micros})"),
        );
    }
    load(connection, &builder);
    Table { schema: Schema::new(builder.fields), frame: DataFrame::new(ROWS, builder.columns).unwrap() }
}

fn load(connection: &Connection, builder: &Builder) {
    let columns: Vec<String> = builder.fields.iter().map(|field| format!("{} {}", field.name, field.data_type)).collect();
    connection.execute_batch(&format!("CREATE TABLE t (id INTEGER, {})", columns.join(", "))).unwrap();
    let rows: Vec<String> = (0..ROWS)
        .map(|row| {
            let values: Vec<&str> = builder.literals.iter().map(|column| column[row].as_str()).collect();
            format!("({row}, {})", values.join(", "))
        })
        .collect();
    connection.execute_batch(&format!("INSERT INTO t VALUES {}", rows.join(", "))).unwrap();
}
