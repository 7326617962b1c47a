//! The benchmark's events: the same wherever and in whatever pieces they are made, and of the shape that the benchmark's page says.

use std::collections::HashSet;
use std::sync::Arc;

use millrace_connectors::nexmark::Stream;
use millrace_connectors::nexmark::generator::{BASE_MS, FIRST_ID, Generator, schema};
use millrace_engine::model::field::Duration;
use millrace_engine::runtime::connector::{Read, Source};
use millrace_engine::runtime::files::Files;
use polars::prelude::*;
use serde_json::{Value, json};

use crate::support::{Project, bind, described_schema, node, source};

const STREAMS: [(Stream, &str); 3] = [(Stream::Person, "person"), (Stream::Auction, "auction"), (Stream::Bid, "bid")];

async fn open(spec: Value) -> Vec<Box<dyn Source>> {
    Project::new().open(&node("nexmark", spec)).await.unwrap().1
}

/// All rows of the partitions, by event number.
async fn rows(spec: Value, batch: usize) -> DataFrame {
    let mut all: Option<DataFrame> = None;
    for mut source in open(spec).await {
        while let Read::Rows(read) = source.read(batch).await.unwrap() {
            assert!(read.frame.height() <= batch && read.bad.is_empty() && read.positions.len() == read.frame.height());
            match &mut all {
                Some(all) => all.vstack_mut_owned(read.frame).map(|_| ()).unwrap(),
                None => all = Some(read.frame),
            }
        }
    }
    all.unwrap().sort(["event_number"], SortMultipleOptions::default()).unwrap()
}

fn integers(frame: &DataFrame, column: &str) -> Vec<i64> {
    frame.column(column).unwrap().cast(&DataType::Int64).unwrap().i64().unwrap().into_no_null_iter().collect()
}

fn bytes(frame: &DataFrame, column: &str) -> usize {
    frame.column(column).unwrap().str().unwrap().iter().map(|text| text.unwrap().len()).sum()
}

#[tokio::test]
async fn any_slice_in_any_partitions_order_and_batches_has_the_same_rows() {
    for (_, stream) in STREAMS {
        let whole = rows(json!({ "stream": stream, "events": 30_000, "partitions": 1 }), 8_192).await;
        assert_eq!(whole.height(), 30_000 * [1, 3, 46][["person", "auction", "bid"].iter().position(|name| *name == stream).unwrap()] / 50);
        for (partitions, disorder, batch) in [(3, 1, 100), (8, 700, 4_000), (1, 50, 77)] {
            let spec = json!({ "stream": stream, "events": 30_000, "partitions": partitions, "disorder": disorder });
            assert!(rows(spec, batch).await.equals(&whole), "{stream} in {partitions} by {disorder}");
        }
        let begin = rows(json!({ "stream": stream, "events": 12_345 }), 1_000).await;
        let end = rows(json!({ "stream": stream, "first_event": 12_345, "events": 30_000 - 12_345, "disorder": 10 }), 1_000).await;
        assert!(begin.vstack(&end).unwrap().equals(&whole), "{stream} in two slices");
        let other = rows(json!({ "stream": stream, "events": 30_000, "seed": 1 }), 8_192).await;
        assert!(!other.equals(&whole), "another seed, other events");
    }
}

#[tokio::test]
async fn a_partition_goes_on_from_any_place() {
    for (_, stream) in STREAMS {
        for disorder in [1, 300] {
            let spec = json!({ "stream": stream, "events": 40_000, "partitions": 2, "disorder": disorder });
            let mut whole = open(spec.clone()).await.remove(1);
            let mut numbers = Vec::new();
            let mut places = vec![(0, whole.position())];
            while let Read::Rows(read) = whole.read(171).await.unwrap() {
                numbers.extend(integers(&read.frame, "event_number"));
                places.push((numbers.len(), whole.position()));
            }
            let progress = whole.progress().unwrap();
            assert_eq!((progress.done, progress.total), (20_000, 20_000));
            for (given, place) in places {
                let mut resumed = open(spec.clone()).await.remove(1);
                resumed.seek(&place).unwrap();
                assert_eq!(resumed.position(), place);
                let mut rest = Vec::new();
                while let Read::Rows(read) = resumed.read(1_000).await.unwrap() {
                    rest.extend(integers(&read.frame, "event_number"));
                }
                assert_eq!(rest, numbers[given..], "{stream} by {disorder} from {place}");
            }
        }
    }
    let mut source = open(json!({ "stream": "bid", "events": 100 })).await.remove(0);
    for place in [json!(101), json!(-1), json!("x"), Value::Null] {
        assert_eq!(source.seek(&place).unwrap_err().code(), "MR0515", "{place}");
    }
}

#[tokio::test]
async fn disorder_changes_places_within_its_groups_and_no_further() {
    let mut source = open(json!({ "stream": "bid", "events": 100_000, "partitions": 1, "disorder": 1_000 })).await.remove(0);
    let Read::Rows(read) = source.read(50_000).await.unwrap() else { panic!() };
    let numbers = integers(&read.frame, "event_number");
    assert!(!numbers.is_sorted());
    let groups: Vec<i64> = numbers.iter().map(|number| number / 1_000).collect();
    assert!(groups.is_sorted());
    let newest = numbers.iter().scan(0, |newest, number| {
        *newest = *number.max(newest);
        Some(*newest - number)
    });
    assert!(newest.max().unwrap() > 900, "some come almost a group late");
}

#[tokio::test]
async fn rows_are_of_the_sizes_and_the_chances_that_the_benchmark_says() {
    let spec = |stream: &str| json!({ "stream": stream, "events": 200_000 });
    let person = rows(spec("person"), 8_192).await;
    let size = bytes(&person, "name")
        + bytes(&person, "email_address")
        + bytes(&person, "credit_card")
        + bytes(&person, "city")
        + bytes(&person, "state")
        + bytes(&person, "extra");
    let near = |size: usize, frame: &DataFrame, fixed: usize, wanted: f64| {
        let mean = size as f64 / frame.height() as f64 + fixed as f64;
        assert!((mean / wanted - 1.0).abs() < 0.2, "{mean} bytes, not {wanted}");
    };
    near(size, &person, 8, 200.0);
    let auction = rows(spec("auction"), 8_192).await;
    near(bytes(&auction, "item_name") + bytes(&auction, "description") + bytes(&auction, "extra"), &auction, 48, 500.0);
    let bid = rows(spec("bid"), 8_192).await;
    near(bytes(&bid, "extra"), &bid, 32, 100.0);

    let share = |count: usize| count as f64 / bid.height() as f64;
    let channels = bid.column("channel").unwrap().str().unwrap();
    let hot = channels.iter().flatten().filter(|name| ["Google", "Facebook", "Baidu", "Apple"].contains(name)).count();
    assert!((share(hot) - 0.5).abs() < 0.01, "half of the channels are hot");
    let names: HashSet<&str> = channels.iter().flatten().collect();
    assert!(names.len() > 9_900 && names.len() <= 10_004, "{}", names.len());
    let urls = bid.column("url").unwrap().str().unwrap();
    let with_id = urls.iter().flatten().filter(|url| url.contains("&channel_id=")).count();
    assert!((share(with_id) - 0.45).abs() < 0.01, "nine tenths of the other half name their channel");
    assert!(urls.iter().flatten().all(|url| url.starts_with("https://www.nexmark.com/") && url.contains("/item.htm?query=1")));
    let prices = integers(&bid, "price");
    assert!(prices.iter().all(|price| (100..=100_000_000).contains(price)));
    let below = prices.iter().filter(|price| **price < 10_000).count();
    assert!((share(below) - 1.0 / 3.0).abs() < 0.01, "a third is below 10^4: two of six powers of ten");
    let hot = integers(&bid, "auction").iter().filter(|id| (**id - FIRST_ID as i64) % 100 == 0).count();
    assert!((share(hot) - 0.5).abs() < 0.02, "half of the bids are for hot auctions");
    let hot = integers(&bid, "bidder").iter().filter(|id| (**id - FIRST_ID as i64) % 100 == 1).count();
    assert!((share(hot) - 0.75).abs() < 0.02, "three quarters come from hot bidders");
    let hot = integers(&auction, "seller").iter().filter(|id| (**id - FIRST_ID as i64) % 100 == 0).count();
    assert!((hot as f64 / auction.height() as f64 - 0.75).abs() < 0.02, "three quarters are of hot sellers");
}

#[tokio::test]
async fn ids_are_those_of_persons_and_auctions_that_there_are_or_are_about_to_be() {
    let spec = |stream: &str| json!({ "stream": stream, "events": 200_000, "first_event": 100_000 });
    let first = FIRST_ID as i64;
    let person = rows(spec("person"), 8_192).await;
    let auction = rows(spec("auction"), 8_192).await;
    let bid = rows(spec("bid"), 8_192).await;
    assert_eq!(integers(&person, "id"), (0..4_000).map(|n| first + 2_000 + n).collect::<Vec<_>>(), "one after the other");
    assert_eq!(integers(&auction, "id"), (0..12_000).map(|n| first + 6_000 + n).collect::<Vec<_>>());
    for (number, seller) in integers(&auction, "event_number").into_iter().zip(integers(&auction, "seller")) {
        let last = number / 50;
        assert!(seller >= first + last - 1_099 && seller <= first + last + 10, "{seller} sells at event {number}");
    }
    let bids = integers(&bid, "event_number").into_iter().zip(integers(&bid, "bidder")).zip(integers(&bid, "auction"));
    for ((number, bidder), auction) in bids {
        let (last_person, last_auction) = (number / 50, number / 50 * 3 + 2);
        assert!(bidder >= first + last_person - 1_099 && bidder <= first + last_person + 10, "{bidder} bids at event {number}");
        assert!(auction >= first + last_auction - 100 && auction <= first + last_auction + 10, "{auction} is bid on at event {number}");
    }
    assert!(integers(&auction, "category").iter().all(|category| (10..15).contains(category)));
    let times = integers(&bid, "date_time").into_iter().zip(integers(&bid, "event_number"));
    assert!(times.into_iter().all(|(time, number)| time == (BASE_MS + number / 10) * 1_000), "whole milliseconds, 10,000 events a second");
    let lengths: Vec<i64> =
        integers(&auction, "expires").into_iter().zip(integers(&auction, "date_time")).map(|(end, begin)| (end - begin) / 1_000).collect();
    let mean = lengths.iter().sum::<i64>() as f64 / lengths.len() as f64;
    assert!(lengths.iter().all(|length| *length >= 1) && (mean / 166.6 - 1.0).abs() < 0.05, "{mean} ms");
    let reserves = integers(&auction, "reserve").into_iter().zip(integers(&auction, "initial_bid"));
    assert!(reserves.into_iter().all(|(reserve, initial)| reserve >= initial + 100));
}

/// The first events of seed 0, as they were when the generator was written. They never change: results are compared by them.
#[test]
fn the_first_events_are_those_of_the_fixture() {
    let mut said = String::new();
    for (stream, name) in STREAMS {
        let numbers: Vec<u64> = (0..150).chain(1_000_000_000..1_000_000_050).filter(|number| Stream::of(*number) == stream).collect();
        let frame = Generator::new(0, 10_000).frame(stream, &numbers).unwrap();
        said.push_str(&format!("{name}: {}\n", described_schema(&schema(stream))));
        for row in (0..frame.height()).filter(|row| stream != Stream::Bid || row % 10 == 0) {
            let values: Vec<String> = frame.get_row(row).unwrap().0.iter().map(|value| value.str_value().into_owned()).collect();
            said.push_str(&values.join("|"));
            said.push('\n');
        }
    }
    let expected = include_str!("../fixtures/nexmark.txt");
    assert!(said == expected, "the generator makes other events than it did; they were:\n{expected}\nand are:\n{said}");
}

#[test]
fn event_time_and_delay_are_the_benchmarks_and_the_parts_bound_the_tasks() {
    let factory = source("nexmark");
    assert_eq!((factory.default_event_time(), factory.default_max_delay()), (Some("date_time"), Some(Duration::from_secs(4))));
    let folder = tempfile::tempdir().unwrap();
    let files = Files::for_folder(folder.path(), &[]).unwrap();
    for (spec, most) in [(json!({ "stream": "bid" }), 8), (json!({ "stream": "bid", "partitions": 3 }), 3)] {
        assert_eq!(factory.max_parallelism(&node("nexmark", spec), &files), Some(most));
    }
}

#[tokio::test]
async fn a_stream_without_events_has_no_end_and_tells_no_progress() {
    let mut source = open(json!({ "stream": "person", "first_event": 5_000_000_000_000u64 })).await.remove(3);
    assert!(source.progress().is_none());
    let Read::Rows(read) = source.read(10).await.unwrap() else { panic!() };
    assert_eq!(read.frame.height(), 10);
    let mut none = open(json!({ "stream": "bid", "events": 0 })).await.remove(0);
    assert!(matches!(none.read(10).await.unwrap(), Read::End));
    let mut sorted: Vec<Arc<str>> = open(json!({ "stream": "bid" })).await.iter().map(|part| part.name().into()).collect();
    sorted.dedup();
    assert_eq!((sorted.len(), sorted[1].as_ref()), (8, "bid events 2 of 8"), "each part has a name of its own");
}

#[test]
fn what_cannot_be_made_is_told_before_the_run() {
    for (field, value, words) in [
        ("disorder", json!(0), "no multiple of 953"),
        ("disorder", json!(1_906), "no multiple of 953"),
        ("partitions", json!(0), "1 to 1024"),
        ("rate", json!("0.5/s"), "whole number of times"),
        ("events", json!(u64::MAX), "2^53"),
        ("first_event", json!(1u64 << 53), "2^53"),
    ] {
        let mut spec = json!({ "stream": "bid" });
        spec[field] = value;
        let columns = Arc::new(schema(Stream::Bid));
        let Err(found) = bind(&node("nexmark", spec), &[], Some(&columns)) else { panic!("{field}") };
        let said = format!("{found:?}");
        assert!(said.contains(words) && said.contains(field) && said.contains("MR0508"), "{said}");
    }
}
