//! Column types and schemas, under DuckDB's names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A column's type. Names in files, messages and JSON are DuckDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataType {
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    UTinyInt,
    USmallInt,
    UInteger,
    UBigInt,
    Float,
    Double,
    Varchar,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z. Always UTC.
    Timestamp,
}

impl DataType {
    /// Every type, in the order of the enum.
    pub const ALL: [DataType; 14] = [
        DataType::Boolean,
        DataType::TinyInt,
        DataType::SmallInt,
        DataType::Integer,
        DataType::BigInt,
        DataType::UTinyInt,
        DataType::USmallInt,
        DataType::UInteger,
        DataType::UBigInt,
        DataType::Float,
        DataType::Double,
        DataType::Varchar,
        DataType::Date,
        DataType::Timestamp,
    ];

    /// DuckDB's name of the type: `BIGINT`, `VARCHAR`.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::Boolean => "BOOLEAN",
            DataType::TinyInt => "TINYINT",
            DataType::SmallInt => "SMALLINT",
            DataType::Integer => "INTEGER",
            DataType::BigInt => "BIGINT",
            DataType::UTinyInt => "UTINYINT",
            DataType::USmallInt => "USMALLINT",
            DataType::UInteger => "UINTEGER",
            DataType::UBigInt => "UBIGINT",
            DataType::Float => "FLOAT",
            DataType::Double => "DOUBLE",
            DataType::Varchar => "VARCHAR",
            DataType::Date => "DATE",
            DataType::Timestamp => "TIMESTAMP",
        }
    }

    /// Reads DuckDB's name, or one of its usual aliases, in any case.
    pub fn parse(name: &str) -> Option<DataType> {
        let upper = name.trim().to_ascii_uppercase();
        Some(match upper.as_str() {
            "BOOLEAN" | "BOOL" | "LOGICAL" => DataType::Boolean,
            "TINYINT" | "INT1" => DataType::TinyInt,
            "SMALLINT" | "INT2" | "SHORT" => DataType::SmallInt,
            "INTEGER" | "INT" | "INT4" | "SIGNED" => DataType::Integer,
            "BIGINT" | "INT8" | "LONG" => DataType::BigInt,
            "UTINYINT" => DataType::UTinyInt,
            "USMALLINT" => DataType::USmallInt,
            "UINTEGER" => DataType::UInteger,
            "UBIGINT" => DataType::UBigInt,
            "FLOAT" | "REAL" | "FLOAT4" => DataType::Float,
            "DOUBLE" | "FLOAT8" | "DOUBLE PRECISION" => DataType::Double,
            "VARCHAR" | "TEXT" | "STRING" | "CHAR" | "BPCHAR" => DataType::Varchar,
            "DATE" => DataType::Date,
            "TIMESTAMP" | "DATETIME" | "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => DataType::Timestamp,
            _ => return None,
        })
    }

    pub const fn is_integer(self) -> bool {
        matches!(
            self,
            DataType::TinyInt
                | DataType::SmallInt
                | DataType::Integer
                | DataType::BigInt
                | DataType::UTinyInt
                | DataType::USmallInt
                | DataType::UInteger
                | DataType::UBigInt
        )
    }

    pub const fn is_float(self) -> bool {
        matches!(self, DataType::Float | DataType::Double)
    }

    pub const fn is_numeric(self) -> bool {
        self.is_integer() || self.is_float()
    }

    pub const fn is_temporal(self) -> bool {
        matches!(self, DataType::Date | DataType::Timestamp)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named, typed column. Every column may hold NULL unless `nullable` is false.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub data_type: DataType,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub nullable: bool,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl Field {
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Field { name: name.into(), data_type, nullable: true }
    }

    pub fn required(name: impl Into<String>, data_type: DataType) -> Self {
        Field { name: name.into(), data_type, nullable: false }
    }
}

/// The columns of an edge, in order. Hidden engine columns (`__time`, `__watermark`) are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    pub fields: Vec<Field>,
}

pub type SchemaRef = Arc<Schema>;

impl Schema {
    pub fn new(fields: Vec<Field>) -> Self {
        Schema { fields }
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }
}

/// The last column of every edge that is not append-only: what each row does, in the words of [`RowOp`].
pub const OP_COLUMN: &str = "__op";

/// What the rows of an edge mean, after Flink's changelog modes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum ChangeMode {
    /// Every row is new and final.
    Append,
    /// A row replaces the earlier one of the same key: `__op` is `+I`, `+U` or `-D`, and a `-D` row tells the key alone for certain.
    Upsert { key: Vec<String> },
    /// Every change tells what it takes back: `__op` is `+I`, `-U`, `+U` or `-D`, and `-U` and `-D` rows are as they were given.
    Retract,
}

impl ChangeMode {
    /// Whether rows carry `__op`.
    pub const fn has_op(&self) -> bool {
        !matches!(self, ChangeMode::Append)
    }

    /// The mode in one word.
    pub const fn word(&self) -> &'static str {
        match self {
            ChangeMode::Append => "append",
            ChangeMode::Upsert { .. } => "upsert",
            ChangeMode::Retract => "retract",
        }
    }
}

/// What a row of a changelog does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowOp {
    /// A row that was not there.
    Insert,
    /// A row as it was before an update; it counts no more.
    UpdateBefore,
    /// A row as it is after an update.
    UpdateAfter,
    /// A row that is there no more.
    Delete,
}

impl RowOp {
    pub const fn word(self) -> &'static str {
        match self {
            RowOp::Insert => "+I",
            RowOp::UpdateBefore => "-U",
            RowOp::UpdateAfter => "+U",
            RowOp::Delete => "-D",
        }
    }

    pub fn from_word(word: &str) -> Option<RowOp> {
        [RowOp::Insert, RowOp::UpdateBefore, RowOp::UpdateAfter, RowOp::Delete].into_iter().find(|op| op.word() == word)
    }

    /// Whether the row counts from now on, or no more.
    pub const fn adds(self) -> bool {
        matches!(self, RowOp::Insert | RowOp::UpdateAfter)
    }
}
