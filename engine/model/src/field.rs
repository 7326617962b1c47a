//! Values that fields of the pipeline file hold, each with its unit and its JSON Schema `format`.
//!
//! A `Spec` is written with these types; the checker, the editor's form and completion read the formats:
//! `duration`, `window-size`, `size`, `expression`, `aggregates`, `column`, `path`, `rate`, `speed`, `time-zone`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time, in microseconds, written `250ms 5s 1m 6h 1d` with the unit always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration {
    pub micros: i64,
}

const DURATION_UNITS: [(&str, i64); 7] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000), ("w", 604_800_000_000)];

impl Duration {
    pub const fn from_micros(micros: i64) -> Self {
        Duration { micros }
    }

    pub const fn from_secs(seconds: i64) -> Self {
        Duration { micros: seconds * 1_000_000 }
    }

    /// Reads `90s`, `1.5h`. Says what is wrong in words fit for a message.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let text = text.trim();
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = unit.trim();
        let Some((_, scale)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            let units = "us, ms, s, m, h, d or w";
            return Err(if unit.is_empty() {
                format!("a duration needs a unit: {units}")
            } else {
                format!("unknown unit `{unit}`; known are {units}")
            });
        };
        let value: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        let micros = value * *scale as f64;
        if !(0.0..=9.0e18).contains(&micros) {
            return Err("the duration is too long".to_owned());
        }
        Ok(Duration { micros: micros.round() as i64 })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) =
            DURATION_UNITS.iter().rev().find(|(unit, scale)| *unit != "w" && self.micros % scale == 0).copied().unwrap_or(("us", 1));
        if self.micros == 0 { f.write_str("0s") } else { write!(f, "{}{unit}", self.micros / scale) }
    }
}

/// The length of a window: a span of time, or calendar months, written `1mo 3mo 1y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowSize {
    Fixed(Duration),
    Months(u32),
}

impl WindowSize {
    /// Reads `1mo`, `1y` and what [`Duration::parse`] reads.
    pub fn parse(text: &str) -> Result<WindowSize, String> {
        let text = text.trim();
        let months = |number: &str, each: u32| {
            let number = number.trim();
            let count: u32 = number.parse().map_err(|_| format!("`{number}` is not a whole number"))?;
            count.checked_mul(each).filter(|months| *months <= 12_000).map(WindowSize::Months).ok_or("the window is too long".to_owned())
        };
        match (text.strip_suffix("mo"), text.strip_suffix('y')) {
            (Some(number), _) => months(number, 1),
            (_, Some(number)) => months(number, 12),
            _ => Duration::parse(text).map(WindowSize::Fixed),
        }
    }
}

impl fmt::Display for WindowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WindowSize::Fixed(duration) => duration.fmt(f),
            WindowSize::Months(months) if *months > 0 && months.is_multiple_of(12) => write!(f, "{}y", months / 12),
            WindowSize::Months(months) => write!(f, "{months}mo"),
        }
    }
}

/// A size in bytes, written `64KiB 2MiB 1GB` with the unit always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize {
    pub bytes: u64,
}

const SIZE_UNITS: [(&str, u64); 7] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

impl ByteSize {
    pub fn parse(text: &str) -> Result<ByteSize, String> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let Some((_, scale)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim()) else {
            return Err("a size needs a unit: B, KiB, MiB, GiB, kB, MB or GB".to_owned());
        };
        let value: u64 = number.parse().map_err(|_| format!("`{number}` is not a whole number"))?;
        value.checked_mul(*scale).map(|bytes| ByteSize { bytes }).ok_or_else(|| "the size is too large".to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .into_iter()
            .find(|(_, scale)| self.bytes != 0 && self.bytes.is_multiple_of(*scale))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.bytes / scale)
    }
}

/// Rows per second, written `100/s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub rows_per_second: f64,
}

impl Rate {
    pub fn parse(text: &str) -> Result<Rate, String> {
        let number = text.trim().strip_suffix("/s").ok_or("a rate is written like `100/s`")?;
        match number.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(Rate { rows_per_second: value }),
            _ => Err(format!("`{number}` is not a number above 0")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.rows_per_second)
    }
}

/// How much faster than the clock a replay runs, written `86400x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    pub factor: f64,
}

impl Speed {
    pub fn parse(text: &str) -> Result<Speed, String> {
        let number = text.trim().strip_suffix('x').ok_or("a speed is written like `60x`")?;
        match number.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(Speed { factor: value }),
            _ => Err(format!("`{number}` is not a number above 0")),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.factor)
    }
}

/// A SQL scalar expression over the node's input columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ExprText(pub String);

/// A SQL aggregate call, perhaps with an expression in it: `avg(dep_delay)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AggregateText(pub String);

/// The name of a column of the node's input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ColumnName(pub String);

/// A path, relative to the pipeline file's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PathText(pub String);

/// An IANA time zone: `America/New_York`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TimeZoneName(pub String);

macro_rules! text_field {
    ($type:ident, $format:literal, $parse:expr, $write:expr, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$type) -> String = $write;
                serializer.serialize_str(&write(self))
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<$type, String> = $parse;
                parse(&text).map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "examples": [$example] })
            }
        }
    };
}

text_field!(Duration, "duration", Duration::parse, ToString::to_string, "5s");
text_field!(WindowSize, "window-size", WindowSize::parse, ToString::to_string, "1h");
text_field!(ByteSize, "size", ByteSize::parse, ToString::to_string, "64KiB");
text_field!(Rate, "rate", Rate::parse, ToString::to_string, "100/s");
text_field!(Speed, "speed", Speed::parse, ToString::to_string, "60x");
text_field!(ExprText, "expression", |t| Ok(ExprText(t.to_owned())), |v| v.0.clone(), "dep_delay IS NOT NULL");
text_field!(AggregateText, "aggregate", |t| Ok(AggregateText(t.to_owned())), |v| v.0.clone(), "avg(dep_delay)");
text_field!(ColumnName, "column", |t| Ok(ColumnName(t.to_owned())), |v| v.0.clone(), "origin");
text_field!(PathText, "path", |t| Ok(PathText(t.to_owned())), |v| v.0.clone(), "data/flights.parquet");
text_field!(TimeZoneName, "time-zone", |t| Ok(TimeZoneName(t.to_owned())), |v| v.0.clone(), "America/New_York");

/// What happens to a row whose value cannot be computed (overflow, division by zero, a failed cast).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The row leaves by the `quarantined` port with the reason.
    #[default]
    Quarantine,
    /// The value becomes NULL.
    Null,
    /// The pipeline fails.
    Fail,
}

/// What happens to rows that make a node fail again and again, whatever is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnPoison {
    /// The pipeline fails.
    #[default]
    Fail,
    /// After three tries they are found, and leave by their source's `quarantined` port with the reason.
    Quarantine,
}

/// The column that holds a source's event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventTime {
    /// A column of type TIMESTAMP or DATE, or text that reads as one.
    Column(ColumnName),
    Detailed(EventTimeDetail),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTimeDetail {
    pub column: ColumnName,
    /// How text reads as a time, in `strftime`'s letters: `%d/%m/%Y %H:%M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What a number counts since 1970-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
}

/// Plays a bounded source at the pace of a column's times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The column that paces the rows; the event time if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ColumnName>,
    /// How much faster than the clock: `86400x` plays a day in a second.
    pub speed: Speed,
}

/// The time fields that every source has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFields {
    /// The column that says when a row happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
    /// How far out of order rows may come: the watermark stays this far behind the newest row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Duration>,
    /// A row whose time is further ahead of the clock than this is quarantined. 1 day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ahead: Option<Duration>,
    /// After this long without a row the source no longer holds the watermark back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_after: Option<Duration>,
    /// Plays the rows at the pace of their times, in the studio and with `run --replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The zone of times that name none; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZoneName>,
}

/// The fields that every sink has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SinkFields {
    /// Takes no more rows than this in a second, for tests and samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// The fields that every node has, besides `kind` and `input`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommonFields {
    /// What happens to a row whose value cannot be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// How many tasks run this node; the pipeline's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallelism: Option<u32>,
    /// The node's earlier name, whose state it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
}
