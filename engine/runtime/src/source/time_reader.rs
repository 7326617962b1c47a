//! Reads a column as times: microseconds since 1970, UTC.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, LocalResult, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use millrace_expr::time_text::parse_timestamp;
use millrace_model::field::{SourceFields, TimeUnit as NumberUnit};
use millrace_model::time::MICROS_PER_DAY;
use millrace_model::{Diagnostics, NodeDecl};
use millrace_plan::codes;
use millrace_plan::event_time::declared;
use polars::prelude::*;

use crate::error::{RunError, RunResult};

/// How one column reads as a time.
#[derive(Debug, Clone)]
pub struct TimeReader {
    pub column: String,
    /// The letters of `strftime`, read once.
    format: Option<Vec<Item<'static>>>,
    unit: Option<NumberUnit>,
    /// The zone of times that name none.
    zone: Option<Tz>,
}

impl TimeReader {
    /// The reader of the declared event time, if there is one.
    pub fn of_event_time(source: &SourceFields) -> RunResult<Option<TimeReader>> {
        let Some(time) = declared(source) else { return Ok(None) };
        let format = time.format.map(read_format).transpose()?;
        Ok(Some(TimeReader { column: time.column.to_owned(), format, unit: time.unit, zone: zone(source)? }))
    }

    /// What is wrong with a source's time zone and format, which no schema is needed to see.
    pub fn check(node: &NodeDecl, found: &mut Diagnostics) {
        if let Some(name) = node.source.time_zone.as_ref().filter(|_| zone(&node.source).is_err()) {
            let error = node.error(codes::TIME_ZONE, "time_zone", format!("`{}` is not a time zone", name.0));
            let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            found.push(error.expected("a name such as `America/New_York`").nearest_of(&name.0, names));
        }
        let format = declared(&node.source).and_then(|time| time.format);
        if let Some(format) = format.filter(|format| read_format(format).is_err()) {
            let error = node.error(codes::TIME_READING, "event_time.format", format!("`{format}` is not a time format"));
            found.push(error.expected("strftime's letters, such as `%Y-%m-%d %H:%M:%S`"));
        }
    }

    /// The reader of the column that paces a replay.
    pub fn of_replay(source: &SourceFields) -> RunResult<Option<TimeReader>> {
        let Some(replay) = &source.replay else { return Ok(None) };
        let event_time = TimeReader::of_event_time(source)?;
        Ok(match &replay.by {
            Some(by) if event_time.as_ref().is_none_or(|time| time.column != by.0) => {
                Some(TimeReader { column: by.0.clone(), format: None, unit: None, zone: zone(source)? })
            }
            _ => event_time,
        })
    }

    /// The column's own values, where they are the rows' times as they stand: microseconds UTC, none NULL, in one chunk.
    pub fn as_they_stand(&self, frame: &DataFrame) -> RunResult<Option<Series>> {
        let column = frame.column(&self.column).map_err(|error| RunError::bug(format!("event time: {error}")))?;
        let series = column.as_materialized_series();
        let is_micros = match series.dtype() {
            DataType::Datetime(TimeUnit::Microseconds, zone) => zone.is_some() || self.zone.is_none(),
            DataType::Int64 => matches!(self.number_scale(), Scale::Times(1)),
            _ => false,
        };
        let stands = is_micros && series.null_count() == 0 && series.n_chunks() == 1;
        Ok(stands.then(|| series.to_physical_repr().into_owned()))
    }

    /// The time of each row, or none where it is NULL or cannot be read.
    pub fn read(&self, frame: &DataFrame) -> RunResult<Vec<Option<i64>>> {
        let column = frame.column(&self.column).map_err(|error| RunError::bug(format!("event time: {error}")))?;
        let series = column.as_materialized_series();
        Ok(match series.dtype() {
            DataType::Datetime(unit, zone) => {
                let scale = unit_scale(*unit);
                let named = zone.is_some();
                let values = series.to_physical_repr();
                let values = values.i64()?.iter().map(|at| at.and_then(|at| scale.apply(at)));
                if named { values.collect() } else { values.map(|at| self.to_utc(at?)).collect() }
            }
            DataType::Date => {
                let days = series.to_physical_repr().cast(&DataType::Int64)?;
                days.i64()?.iter().map(|day| self.to_utc(day?.checked_mul(MICROS_PER_DAY)?)).collect()
            }
            DataType::String => series.str()?.iter().map(|text| self.read_text(text?)).collect(),
            DataType::Float32 | DataType::Float64 => {
                let values = series.cast(&DataType::Float64)?;
                let scale = self.number_scale();
                values.f64()?.iter().map(|value| scale.apply_float(value?)).collect()
            }
            dtype if dtype.is_integer() => {
                let values = series.cast(&DataType::Int64)?;
                let scale = self.number_scale();
                values.i64()?.iter().map(|value| scale.apply(value?)).collect()
            }
            _ => vec![None; frame.height()],
        })
    }

    /// Why a row has no time, in words.
    pub fn reason(&self, frame: &DataFrame, row: usize) -> String {
        let value = frame.column(&self.column).and_then(|column| column.get(row));
        match value {
            Ok(AnyValue::Null) => format!("the event time `{}` is NULL", self.column),
            Ok(value) => format!("the event time `{}` cannot be read: {}", self.column, short(&value.to_string())),
            Err(_) => format!("the event time `{}` is missing", self.column),
        }
    }

    fn read_text(&self, text: &str) -> Option<i64> {
        let Some(format) = &self.format else {
            let at = parse_timestamp(text)?;
            return if self.zone.is_some() && !names_zone(text) { self.to_utc(at) } else { Some(at) };
        };
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, format.iter()).ok()?;
        if let Ok(at) = parsed.to_datetime() {
            return Some(at.timestamp_micros());
        }
        let at = match parsed.to_naive_datetime_with_offset(0) {
            Ok(at) => at,
            Err(_) => NaiveDateTime::new(parsed.to_naive_date().ok()?, NaiveTime::MIN),
        };
        self.to_utc(at.and_utc().timestamp_micros())
    }

    /// A local time in UTC. Of a time that a clock change makes twice the first is meant; one that it leaves out is none.
    fn to_utc(&self, local: i64) -> Option<i64> {
        let Some(zone) = self.zone else { return Some(local) };
        let naive = DateTime::from_timestamp_micros(local)?.naive_utc();
        match zone.from_local_datetime(&naive) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_micros()),
            LocalResult::None => None,
        }
    }

    const fn number_scale(&self) -> Scale {
        match self.unit {
            Some(NumberUnit::S) => Scale::Times(1_000_000),
            Some(NumberUnit::Ms) => Scale::Times(1_000),
            Some(NumberUnit::Us) | None => Scale::Times(1),
            Some(NumberUnit::Ns) => Scale::Over(1_000),
        }
    }
}

fn zone(source: &SourceFields) -> RunResult<Option<Tz>> {
    let Some(name) = &source.time_zone else { return Ok(None) };
    name.0.parse().map(Some).map_err(|_| RunError::Limit { message: format!("`{}` is not a time zone; one is `America/New_York`", name.0) })
}

fn read_format(format: &str) -> RunResult<Vec<Item<'static>>> {
    StrftimeItems::new(format)
        .parse_to_owned()
        .map_err(|_| RunError::Limit { message: format!("`{format}` is not a time format; one is `%Y-%m-%d %H:%M:%S`") })
}

/// Whether a time's text says its own zone: after the date there is a `Z`, a sign or `UTC`.
fn names_zone(text: &str) -> bool {
    let text = text.trim();
    let time = text.find([' ', 'T', 't']).and_then(|at| text.get(at + 1..)).unwrap_or_default();
    time.contains(['Z', 'z', '+', '-']) || time.ends_with("UTC")
}

fn short(text: &str) -> String {
    let mut text = text.to_owned();
    crate::json::cut(&mut text, 60);
    text
}

#[derive(Clone, Copy)]
enum Scale {
    Times(i64),
    Over(i64),
}

const fn unit_scale(unit: TimeUnit) -> Scale {
    match unit {
        TimeUnit::Milliseconds => Scale::Times(1_000),
        TimeUnit::Microseconds => Scale::Times(1),
        TimeUnit::Nanoseconds => Scale::Over(1_000),
    }
}

impl Scale {
    fn apply(self, value: i64) -> Option<i64> {
        match self {
            Scale::Times(by) => value.checked_mul(by),
            Scale::Over(by) => Some(value.div_euclid(by)),
        }
    }

    fn apply_float(self, value: f64) -> Option<i64> {
        let micros = match self {
            Scale::Times(by) => value * by as f64,
            Scale::Over(by) => value / by as f64,
        };
        // Beyond 2^63 a cast would stop at the end of time; NaN would become 1970.
        (micros.abs() < 9.2e18).then(|| micros.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::field::{ColumnName, EventTime, EventTimeDetail, TimeZoneName};

    use super::*;

    fn reader(format: Option<&str>, unit: Option<NumberUnit>, zone: Option<&str>) -> TimeReader {
        let detail = EventTimeDetail { column: ColumnName("t".to_owned()), format: format.map(str::to_owned), unit };
        let source = SourceFields {
            event_time: Some(EventTime::Detailed(detail)),
            time_zone: zone.map(|zone| TimeZoneName(zone.to_owned())),
            ..SourceFields::default()
        };
        TimeReader::of_event_time(&source).unwrap().unwrap()
    }

    #[test]
    fn text_reads_as_iso_or_by_its_format_and_in_its_zone() {
        let frame = df! { "t" => [Some("2013-07-01 12:00:00"), Some("2013-07-01T12:00:00Z"), Some("noon"), None] }.unwrap();
        let utc = 1_372_680_000_000_000;
        assert_eq!(reader(None, None, None).read(&frame).unwrap(), [Some(utc), Some(utc), None, None]);
        let new_york = reader(None, None, Some("America/New_York"));
        assert_eq!(new_york.read(&frame).unwrap(), [Some(utc + 4 * 3_600_000_000), Some(utc), None, None]);
        assert!(new_york.reason(&frame, 2).contains("noon"));
        let frame = df! { "t" => ["01/07/2013 12:00", "01/07/2013"] }.unwrap();
        assert_eq!(reader(Some("%d/%m/%Y %H:%M"), None, None).read(&frame).unwrap(), [Some(utc), None]);
        assert_eq!(reader(Some("%d/%m/%Y"), None, None).read(&frame).unwrap(), [None, Some(utc - 12 * 3_600_000_000)]);
    }

    #[test]
    fn a_number_counts_its_unit_and_overflow_is_no_time() {
        let frame = df! { "t" => [1_372_680_000i64, i64::MAX] }.unwrap();
        assert_eq!(reader(None, Some(NumberUnit::S), None).read(&frame).unwrap(), [Some(1_372_680_000_000_000), None]);
        assert_eq!(reader(None, Some(NumberUnit::Ns), None).read(&frame).unwrap(), [Some(1_372_680), Some(i64::MAX / 1_000)]);
        let frame = df! { "t" => [1.5f64, f64::NAN] }.unwrap();
        assert_eq!(reader(None, Some(NumberUnit::Ms), None).read(&frame).unwrap(), [Some(1_500), None]);
    }

    #[test]
    fn a_local_time_that_the_clock_change_leaves_out_is_none_and_a_doubled_one_is_its_first() {
        let frame = df! { "t" => ["2013-03-10 02:30:00", "2013-11-03 01:30:00"] }.unwrap();
        let first = parse_timestamp("2013-11-03 05:30:00").unwrap();
        assert_eq!(reader(None, None, Some("America/New_York")).read(&frame).unwrap(), [None, Some(first)]);
    }
}
