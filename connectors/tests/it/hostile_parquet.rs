//! Rows 12, 14 and 15 of the attacks: Parquet that lies. An error, never the end of the process, and never more memory than the caps allow.

use millrace_engine::model::Diagnostic;
use millrace_engine::runtime::RunResult;
use proptest::prelude::*;
use serde_json::json;

use crate::forge::{
    self, BYTE_ARRAY, DELTA_BINARY, DELTA_LENGTH, DELTA_PREFIX, FIXED, Forged, INT32, PLAIN, RLE_DICTIONARY, ZSTD, delta_run, header,
    varint,
};
use crate::support::{self, Project, Rows, node, peak_memory};

/// Small files of every kind of page.
fn samples() -> Vec<Vec<u8>> {
    let project = Project::new();
    let duckdb = project.duckdb();
    let table = "SELECT range AS a, 'text ' || (range % 5) AS b, 'prefix-' || lpad(range::VARCHAR, 9, '0') AS c, range::DOUBLE / 3 AS d,
                   range % 2 = 0 AS e, CASE WHEN range % 3 = 0 THEN NULL ELSE range::INTEGER END AS f FROM range(300)";
    let mut files = Vec::new();
    for (codec, version) in
        [("uncompressed", "v1"), ("uncompressed", "v2"), ("snappy", "v1"), ("zstd", "v2"), ("gzip", "v1"), ("lz4_raw", "v1")]
    {
        let path = project.path("x.parquet");
        let options = format!("FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048");
        duckdb.execute_batch(&format!("COPY ({table}) TO '{}' ({options})", path.display())).unwrap();
        files.push(std::fs::read(path).unwrap());
    }
    files
}

async fn read(bytes: &[u8]) -> Result<RunResult<Rows>, Diagnostic> {
    read_in(&Project::new(), bytes).await
}

async fn read_in(project: &Project, bytes: &[u8]) -> Result<RunResult<Rows>, Diagnostic> {
    project.write("x.parquet", bytes);
    let declared = node("file", json!({ "path": "x.parquet" }));
    project.discover(&declared).await?;
    Ok(project.try_read(&declared).await)
}

fn is_error(outcome: Result<RunResult<Rows>, Diagnostic>) -> bool {
    !matches!(outcome, Ok(Ok(_)))
}

#[tokio::test]
async fn a_file_cut_short_at_any_place_is_an_error() {
    let project = Project::new();
    for file in samples() {
        for length in (0..file.len()).step_by(file.len() / 60) {
            assert!(is_error(read_in(&project, &file[..length]).await), "{length} of {}", file.len());
        }
    }
}

#[test]
fn a_file_with_lies_in_it_is_read_or_refused_and_never_takes_the_process_down() {
    let (files, project) = (samples(), Project::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 1_500, failure_persistence: None, ..Default::default() });
    let place =
        prop_oneof![any::<prop::sample::Index>().prop_map(|at| (at, false)), any::<prop::sample::Index>().prop_map(|at| (at, true))];
    let flips = prop::collection::vec((place, any::<u8>()), 1..5);
    runner
        .run(&(0..files.len(), flips), |(file, flips)| {
            let mut bytes = files[file].clone();
            let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
            for ((at, in_footer), value) in flips {
                let begin = if in_footer { bytes.len() - footer - 8 } else { 0 };
                let at = begin + at.index(bytes.len() - begin);
                bytes[at] = value;
            }
            // Whatever it says, it returns.
            let _ = runtime.block_on(read_in(&project, &bytes));
            Ok(())
        })
        .unwrap();
}

fn with_footer(footer: &[u8]) -> Vec<u8> {
    let mut bytes = b"PAR1".to_vec();
    bytes.extend_from_slice(footer);
    bytes.extend_from_slice(&u32::try_from(footer.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(b"PAR1");
    bytes
}

#[tokio::test]
async fn a_footer_that_claims_more_than_there_is_is_refused_before_memory_is_taken() {
    // A list of 2^31 - 1 structs as the schema; the same as key-value metadata; structs in structs in structs; a footer longer than the file.
    let schema_of_billions = [0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
    let metadata_of_billions = [0x15, 0x02, 0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
    let nested = [0x1c; 100_000];
    let lists = [[0x19; 1].as_slice(), &[0x19; 100_000]].concat();
    for footer in [schema_of_billions.as_slice(), &metadata_of_billions, &nested, &lists, &[]] {
        let error = read(&with_footer(footer)).await.err().unwrap();
        assert!(error.to_string().contains("footer is broken"), "{error}");
    }
    let mut long = with_footer(&[0]);
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read(&long).await.err().unwrap().to_string().contains("its footer claims 4294967295 bytes"));
    long[at + 4..].copy_from_slice(b"PARE");
    assert!(read(&long).await.err().unwrap().to_string().contains("encrypted"));
}

#[tokio::test]
async fn a_tiny_file_that_unfolds_beyond_the_cap_is_refused() {
    let project = Project::new();
    let table = "SELECT repeat('x', 300000000) AS text";
    let path = project.path("bomb.parquet");
    project.duckdb().execute_batch(&format!("COPY ({table}) TO '{}' (FORMAT parquet, COMPRESSION zstd)", path.display())).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 1_000_000);
    let error = project.try_read(&node("file", json!({ "path": "bomb.parquet" }))).await.err().unwrap();
    assert!(error.to_string().contains("unfold"), "{error}");
}

/// A page of zeros that claims what `of_kind` says.
fn lying(kind: i64, unfolded: i64, stored: i64, of_kind: (u8, forge::Struct)) -> Vec<u8> {
    [header(kind, unfolded, stored, of_kind), vec![0; 100]].concat()
}

/// Each lie, and what is said of it.
fn lies() -> Vec<(Forged, &'static str)> {
    const MOST: i64 = i32::MAX as i64;
    let int = |rows, pages| Forged::of(INT32, rows, pages);
    let text = |rows, pages| Forged::of(BYTE_ARRAY, rows, pages);
    let dictionary = |forged| Forged { has_dictionary: true, ..forged };
    let zstd = |forged| Forged { codec: ZSTD, ..forged };
    let first = |unfolded, stored, values, encoding| lying(0, unfolded, stored, forge::data_header(values, encoding));
    let of_indexes = |indexes: &[u8]| [forge::zstd_dictionary(1, &[1, 0, 0, 0, b'a']), forge::data(10, RLE_DICTIONARY, indexes)].concat();
    let run = delta_run(1 << 28, 0);
    let prefixed = [delta_run(1_000, 1_000_000), delta_run(1_000, 0)].concat();
    vec![
        (zstd(int(10, first(MOST, 100, 10, PLAIN))), "claims to unfold to 2147483647 bytes"),
        (int(10, first(40, MOST, 10, PLAIN)), "a page goes beyond its column"),
        (int(10, first(-1, 100, 10, PLAIN)), "a page's size"),
        (int(10, first(100, -1, 10, PLAIN)), "a page's size"),
        (int(10, first(100, 100, -1, PLAIN)), "a page's counts"),
        (int(10, first(100, 100, 11, PLAIN)), "more values than the row group has"),
        (int(10, first(100, 100, 10, 77)), "an unknown encoding"),
        (int(10, lying(9, 100, 100, forge::data_header(10, PLAIN))), "an unknown page type"),
        (int(10, lying(3, 100, 100, forge::data_v2_header(10, 0, PLAIN, 101))), "levels are longer than the page"),
        (int(10, lying(3, 100, 100, forge::data_v2_header(10, 11, PLAIN, 0))), "more NULLs than values"),
        (dictionary(int(10, lying(2, 100, 100, forge::dictionary_header(MOST)))), "a dictionary of 2147483647 values"),
        (dictionary(int(10, lying(2, 100, 100, forge::dictionary_header(26)))), "fewer bytes than values"),
        (int(10, vec![0x15; 5_000]), "header"),
        (int(10, [vec![0x18], varint(1 << 32), vec![0; 5_000]].concat()), "a page's header does not end"),
        (Forged { codec: 3, ..int(10, first(100, 100, 10, PLAIN)) }, "which Millrace does not read"),
        (zstd(text(10, first(100, 100, 10, PLAIN))), "zstd"),
        // Lengths within a page: a text of 4 GiB, levels of 4 GiB, values that claim to be many, prefixes that unfold.
        (text(1, forge::data(1, PLAIN, &[0xff; 8])), "x.parquet"),
        (Forged { optional: true, ..int(10, forge::data(10, DELTA_BINARY, &[0xff; 8])) }, "a page ends within its levels"),
        (int(10, forge::data(10, DELTA_BINARY, &forge::delta_head(1 << 40, 0))), "more delta-encoded values than the page has"),
        (text(1 << 28, forge::data(1 << 28, DELTA_LENGTH, &run)), "more delta-encoded values than the page has, or may have"),
        (text(1_000, forge::data(1_000, DELTA_PREFIX, &prefixed)), "unfold to more than a page may hold"),
        (zstd(dictionary(text(10, of_indexes(&[255; 40])))), "x.parquet"),
        (zstd(dictionary(text(10, of_indexes(&[32, 20, 9, 9, 9, 9])))), "x.parquet"),
        // Room for 2^31 bytes per NULL.
        (Forged { type_length: MOST, optional: true, ..Forged::of(FIXED, 10, forge::data(10, PLAIN, &[2, 0, 0, 0, 20, 0])) }, "x.parquet"),
    ]
}

#[test]
fn a_length_that_lies_is_refused_before_memory_is_taken() {
    support::alone("hostile_parquet::a_length_that_lies_is_refused_before_memory_is_taken", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // What every reader needs, once.
        let honest = Forged::of(INT32, 10, forge::data(10, PLAIN, &[1; 40])).bytes();
        assert_eq!(runtime.block_on(read(&honest)).unwrap().unwrap().texts("x"), ["16843009"; 10]);
        let lies = lies();
        let before = peak_memory();
        for (number, (lie, words)) in lies.into_iter().enumerate() {
            let error = match runtime.block_on(read(&lie.bytes())) {
                Err(finding) => finding.to_string(),
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(rows)) => panic!("{number} ({words}) is read: {:?}", rows.frame),
            };
            assert!(error.contains(words), "{number}: {error} lacks {words:?}");
            assert!(error.len() < 400, "{number}: {error}");
        }
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 16 << 20, "{} KiB", grown >> 10);
    });
}

#[tokio::test]
async fn a_text_of_a_dictionary_that_is_too_long_costs_its_rows_no_copy() {
    const LENGTH: usize = 50_000_000;
    let body = [(LENGTH as u32).to_le_bytes().as_slice(), &vec![b'x'; LENGTH]].concat();
    let indexes = [vec![1], varint(3_000 << 1), vec![0]].concat();
    let pages = [
        forge::zstd_dictionary(1, &body),
        // In a column of zstd a page of the second version may still stand as it is.
        header(3, 4, 4, (8, forge::data_v2_header(3_000, 0, RLE_DICTIONARY, 0).1.uncompressed())),
        indexes,
    ]
    .concat();
    let bomb = Forged { codec: ZSTD, has_dictionary: true, ..Forged::of(BYTE_ARRAY, 3_000, pages) }.bytes();
    assert!(bomb.len() < 20_000);
    let rows = read(&bomb).await.unwrap().unwrap();
    assert_eq!((rows.frame.height(), rows.bad.len()), (0, 3_000));
    assert_eq!(rows.reasons()[2_999], "row 3000: column x: a text of 50000000 bytes, longer than 1048576");
    assert!(rows.bad.iter().all(|bad| bad.raw.len() <= 4 * 1024));
}
