//! Chart frames: what is written is read again, and bytes from an enemy are refused before they cost memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use millrace_studio_api::chart_frame::{ChartFrame, ChartFrameError, MAX_CATEGORIES, MAX_NAME_BYTES, MAX_POINTS, MAX_SERIES, VERSION};
use proptest::collection::vec;
use proptest::prelude::*;

/// Where the fields of a frame without names start.
const SERIES_COUNT: usize = 22;
const POINT_COUNT: usize = 26;

fn small() -> ChartFrame {
    ChartFrame {
        replaces: true,
        stream: 7,
        sequence: u64::MAX,
        newest_stamp_us: Some(-1),
        series: vec!["EWR".into(), "Zürich".into()],
        categories: vec![],
        x: vec![1.0, 2.5],
        y: vec![-0.0, 4.0],
        series_of: vec![1, 0],
    }
}

fn empty() -> Vec<u8> {
    ChartFrame::default().encode().unwrap()
}

#[test]
fn a_frame_on_the_wire_is_these_bytes() {
    let frame = ChartFrame {
        stream: 1,
        sequence: 2,
        series: vec!["a".into()],
        x: vec![1.0],
        y: vec![2.0],
        series_of: vec![0],
        ..ChartFrame::default()
    };
    let mut bytes = vec![VERSION, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 1, 0, b'a', 0, 0, 1, 0, 0, 0];
    bytes.extend([0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0]);
    assert_eq!(frame.encode().unwrap(), bytes);
    assert_eq!(ChartFrame::decode(&bytes).unwrap(), frame);
}

#[test]
fn a_missing_value_stays_missing() {
    let frame = ChartFrame { y: vec![f64::NAN, 1.0], ..small() };
    assert!(ChartFrame::decode(&frame.encode().unwrap()).unwrap().y[0].is_nan());
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    let bytes = small().encode().unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(ChartFrame::decode(&bytes[..length]), Err(ChartFrameError::Short { .. })), "cut at {length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(ChartFrame::decode(&longer), Err(ChartFrameError::Trailing(1)));
}

#[test]
fn an_unknown_version_or_flag_is_refused() {
    let mut bytes = empty();
    bytes[1] = 2;
    assert_eq!(ChartFrame::decode(&bytes), Err(ChartFrameError::Flags(2)));
    bytes[0] = VERSION + 1;
    assert_eq!(ChartFrame::decode(&bytes), Err(ChartFrameError::Version(VERSION + 1)));
}

#[test]
fn a_lying_length_is_refused_by_its_limit_or_by_what_is_there() {
    let mut points = empty();
    points[POINT_COUNT..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(ChartFrame::decode(&points), Err(ChartFrameError::Limit { what: "points", limit: MAX_POINTS, .. })));
    points[POINT_COUNT..].copy_from_slice(&u32::try_from(MAX_POINTS).unwrap().to_le_bytes());
    assert_eq!(ChartFrame::decode(&points), Err(ChartFrameError::Short { needed: MAX_POINTS * 18, there: 0 }));

    let mut series = empty();
    series[SERIES_COUNT..SERIES_COUNT + 2].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(ChartFrame::decode(&series), Err(ChartFrameError::Limit { what: "series", limit: MAX_SERIES, .. })));
    series[SERIES_COUNT..SERIES_COUNT + 2].copy_from_slice(&64u16.to_le_bytes());
    assert!(matches!(ChartFrame::decode(&series), Err(ChartFrameError::Short { .. })));

    let mut categories = empty();
    categories[SERIES_COUNT + 2..SERIES_COUNT + 4].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(ChartFrame::decode(&categories), Err(ChartFrameError::Limit { what: "categories", limit: MAX_CATEGORIES, .. })));
}

#[test]
fn a_name_that_is_not_text_or_a_series_that_is_not_named_is_refused() {
    let bytes = small().encode().unwrap();
    let mut not_text = bytes.clone();
    not_text[SERIES_COUNT + 4] = 0xff;
    assert_eq!(ChartFrame::decode(&not_text), Err(ChartFrameError::Utf8 { what: "series" }));
    let mut unnamed = bytes;
    let last = unnamed.len() - 2;
    unnamed[last] = 2;
    assert_eq!(ChartFrame::decode(&unnamed), Err(ChartFrameError::Series { point: 1, series: 2 }));
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let too_many = ChartFrame { series: vec![String::new(); MAX_SERIES + 1], ..ChartFrame::default() };
    assert!(matches!(too_many.encode(), Err(ChartFrameError::Limit { what: "series", .. })));
    let too_long = ChartFrame { series: vec!["x".repeat(MAX_NAME_BYTES + 1)], ..ChartFrame::default() };
    assert!(matches!(too_long.encode(), Err(ChartFrameError::Limit { what: "bytes in a name", .. })));
    let uneven = ChartFrame { y: vec![1.0], ..small() };
    assert!(matches!(uneven.encode(), Err(ChartFrameError::Columns { x: 2, y: 1, series_of: 2 })));
    let unnamed = ChartFrame { series: vec![], ..small() };
    assert!(matches!(unnamed.encode(), Err(ChartFrameError::Series { point: 0, series: 1 })));
}

prop_compose! {
    fn frames()(
        series in vec(".{0,12}", 1..8),
        categories in vec(".{0,6}", 0..5),
        points in vec((any::<f64>(), any::<f64>(), any::<u16>()), 0..200),
        replaces: bool, stream: u32, sequence: u64, newest_stamp_us in proptest::option::of(i64::MIN + 1..),
    ) -> ChartFrame {
        let count = u16::try_from(series.len()).unwrap();
        ChartFrame {
            replaces, stream, sequence, newest_stamp_us, series, categories,
            x: points.iter().map(|point| point.0).collect(),
            y: points.iter().map(|point| point.1).collect(),
            series_of: points.iter().map(|point| point.2 % count).collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_bit_for_bit(frame in frames()) {
        let bytes = frame.encode().unwrap();
        let read = ChartFrame::decode(&bytes).unwrap();
        prop_assert_eq!(read.encode().unwrap(), bytes);
        prop_assert_eq!((read.series, read.categories, read.series_of), (frame.series, frame.categories, frame.series_of));
    }

    #[test]
    fn damaged_bytes_are_a_frame_or_an_error_and_never_a_panic(
        frame in frames(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frame.encode().unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(read) = ChartFrame::decode(&bytes) {
            prop_assert_eq!(read.encode().unwrap().len(), bytes.len());
        }
        let _ = ChartFrame::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn noise_is_never_a_panic(noise in vec(any::<u8>(), 0..400)) {
        let _ = ChartFrame::decode(&noise);
    }
}
