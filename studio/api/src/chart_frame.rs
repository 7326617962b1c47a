//! Points on their way to a chart: columns in little-endian bytes, made by the studio, read by the charts in the page.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, [`VERSION`] |
//! | 1 | flags: bit 0, the points replace what the chart holds ([`ChartFrame::replaces`]) |
//! | 4 | stream: a new number for each run, so that points of an older run are told apart |
//! | 8 | sequence: counts the frames of a stream |
//! | 8 | newest source stamp, microseconds since 1970, `i64::MIN` where there is none |
//! | 2 + | series: their number, then each name as 2 bytes of length and UTF-8 |
//! | 2 + | categories, in the same form: what the values of x stand for on an axis of names; none on other axes |
//! | 4 | number of points, n |
//! | 8 n | x: milliseconds since 1970 on a time axis, an index of `categories` on an axis of names, else the value |
//! | 8 n | y, NaN for NULL |
//! | 2 n | the series of each point, an index of `series` |
//!
//! Bytes are read as if written by an enemy: every length is held against its limit and against what is really there before memory is taken.

use std::fmt;

/// The format that this release writes; it reads no other.
pub const VERSION: u8 = 1;
/// Series of a frame.
pub const MAX_SERIES: usize = 64;
/// Categories of a frame.
pub const MAX_CATEGORIES: usize = 1024;
/// Bytes of the name of a series or category.
pub const MAX_NAME_BYTES: usize = 256;
/// Points of a frame; more take several frames.
pub const MAX_POINTS: usize = 65_536;

const REPLACES: u8 = 1;
const BYTES_PER_POINT: usize = 8 + 8 + 2;

/// Points to add to a chart. A later point of the same series and x takes the place of the earlier one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChartFrame {
    /// The points take the place of everything the chart holds.
    pub replaces: bool,
    pub stream: u32,
    pub sequence: u64,
    /// When the newest row in the frame left its source, microseconds since 1970: what the latency to paint is measured from.
    pub newest_stamp_us: Option<i64>,
    pub series: Vec<String>,
    pub categories: Vec<String>,
    /// The three columns are of one length.
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub series_of: Vec<u16>,
}

/// Why bytes are no frame, or a frame cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartFrameError {
    /// Written by another release.
    Version(u8),
    /// A flag that this release does not know.
    Flags(u8),
    /// Fewer bytes than the lengths in them promise.
    Short { needed: usize, there: usize },
    /// Bytes after the end.
    Trailing(usize),
    /// A number above its limit.
    Limit { what: &'static str, found: usize, limit: usize },
    /// A name that is not UTF-8.
    Utf8 { what: &'static str },
    /// A point of a series that the frame does not name.
    Series { point: usize, series: u16 },
    /// Columns of different lengths (writing only).
    Columns { x: usize, y: usize, series_of: usize },
}

impl fmt::Display for ChartFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => write!(f, "a chart frame of version {found}; this release reads {VERSION}: reload the page"),
            Self::Flags(flags) => write!(f, "a chart frame with unknown flags {flags:#010b}"),
            Self::Short { needed, there } => write!(f, "a chart frame is cut short: {needed} bytes needed, {there} there"),
            Self::Trailing(bytes) => write!(f, "a chart frame has {bytes} bytes after its end"),
            Self::Limit { what, found, limit } => write!(f, "a chart frame with {found} {what}; the limit is {limit}"),
            Self::Utf8 { what } => write!(f, "a chart frame with {what} that are not UTF-8"),
            Self::Series { point, series } => write!(f, "point {point} of a chart frame is of series {series}, which it does not name"),
            Self::Columns { x, y, series_of } => {
                write!(f, "a chart frame with columns of different lengths: {x} x, {y} y, {series_of} series")
            }
        }
    }
}

impl std::error::Error for ChartFrameError {}

impl ChartFrame {
    /// The frame as bytes.
    ///
    /// # Errors
    /// A limit is passed, the columns differ in length, or a point is of no series.
    pub fn encode(&self) -> Result<Vec<u8>, ChartFrameError> {
        let points = self.x.len();
        if self.y.len() != points || self.series_of.len() != points {
            return Err(ChartFrameError::Columns { x: points, y: self.y.len(), series_of: self.series_of.len() });
        }
        let points_u32 = u32::try_from(within("points", points, MAX_POINTS)?).unwrap_or(u32::MAX);
        check_series(&self.series_of, self.series.len())?;
        let names: usize = self.series.iter().chain(&self.categories).map(|name| 2 + name.len()).sum();
        let mut bytes = Vec::with_capacity(30 + names + points * BYTES_PER_POINT);
        bytes.push(VERSION);
        bytes.push(if self.replaces { REPLACES } else { 0 });
        bytes.extend_from_slice(&self.stream.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.newest_stamp_us.unwrap_or(i64::MIN).to_le_bytes());
        write_names(&mut bytes, "series", &self.series, MAX_SERIES)?;
        write_names(&mut bytes, "categories", &self.categories, MAX_CATEGORIES)?;
        bytes.extend_from_slice(&points_u32.to_le_bytes());
        self.x.iter().chain(&self.y).for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        self.series_of.iter().for_each(|series| bytes.extend_from_slice(&series.to_le_bytes()));
        Ok(bytes)
    }

    /// The frame that the bytes hold.
    ///
    /// # Errors
    /// The bytes are not exactly one frame of this version within the limits. Nothing is taken from such bytes.
    pub fn decode(bytes: &[u8]) -> Result<ChartFrame, ChartFrameError> {
        let mut reader = Reader { rest: bytes };
        let version = u8::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(ChartFrameError::Version(version));
        }
        let flags = u8::from_le_bytes(reader.array()?);
        if flags & !REPLACES != 0 {
            return Err(ChartFrameError::Flags(flags));
        }
        let stream = u32::from_le_bytes(reader.array()?);
        let sequence = u64::from_le_bytes(reader.array()?);
        let stamp = i64::from_le_bytes(reader.array()?);
        let series = reader.names("series", MAX_SERIES)?;
        let categories = reader.names("categories", MAX_CATEGORIES)?;
        let points = u32::from_le_bytes(reader.array()?);
        let points = within("points", usize::try_from(points).unwrap_or(usize::MAX), MAX_POINTS)?;
        // One look at what all three columns need, before any of them is made.
        let needed = points * BYTES_PER_POINT;
        match reader.rest.len() {
            there if there < needed => return Err(ChartFrameError::Short { needed, there }),
            there if there > needed => return Err(ChartFrameError::Trailing(there - needed)),
            _ => {}
        }
        let x = reader.floats(points)?;
        let y = reader.floats(points)?;
        let series_of: Vec<u16> = reader.rest.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        check_series(&series_of, series.len())?;
        let newest_stamp_us = (stamp != i64::MIN).then_some(stamp);
        Ok(ChartFrame { replaces: flags & REPLACES != 0, stream, sequence, newest_stamp_us, series, categories, x, y, series_of })
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<usize, ChartFrameError> {
    if found > limit { Err(ChartFrameError::Limit { what, found, limit }) } else { Ok(found) }
}

fn check_series(series_of: &[u16], series: usize) -> Result<(), ChartFrameError> {
    match series_of.iter().position(|index| usize::from(*index) >= series) {
        Some(point) => Err(ChartFrameError::Series { point, series: series_of.get(point).copied().unwrap_or_default() }),
        None => Ok(()),
    }
}

fn write_names(bytes: &mut Vec<u8>, what: &'static str, names: &[String], limit: usize) -> Result<(), ChartFrameError> {
    let count = u16::try_from(within(what, names.len(), limit)?).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
    for name in names {
        let length = u16::try_from(within("bytes in a name", name.len(), MAX_NAME_BYTES)?).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ChartFrameError> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(ChartFrameError::Short { needed: bytes, there: self.rest.len() })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChartFrameError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ChartFrameError::Short { needed: N, there: self.rest.len() })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn names(&mut self, what: &'static str, limit: usize) -> Result<Vec<String>, ChartFrameError> {
        let count = within(what, usize::from(u16::from_le_bytes(self.array()?)), limit)?;
        // Each name takes 2 bytes at least: more are not there, whatever the count says.
        if self.rest.len() < 2 * count {
            return Err(ChartFrameError::Short { needed: 2 * count, there: self.rest.len() });
        }
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            let length = within("bytes in a name", usize::from(u16::from_le_bytes(self.array()?)), MAX_NAME_BYTES)?;
            let name = str::from_utf8(self.take(length)?).map_err(|_| ChartFrameError::Utf8 { what })?;
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f64>, ChartFrameError> {
        Ok(self.take(8 * count)?.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }
}
