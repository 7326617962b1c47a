//! What the checker says, as the terminal shows it.

mod common;

use common::{told, told_with};
use insta::assert_snapshot;

#[test]
fn a_table_header_that_is_not_closed() {
    let told = told(
        r##"millrace = 1
[node.a
kind = "file"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:2:8: error[MR0101]: this is not TOML: unclosed table
      2 | [node.a
        |        ^
      expected: `]`
      help: close it, or look for a quote or bracket that is missing before
    "#);
}

#[test]
fn two_slips_of_toml_are_told_together() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = file
path = "a.csv

[node.flown]
kind = "filter"
where =
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:4:8: error[MR0101]: this is not TOML: a text without quotes
      4 | kind = file
        |        ^^^^
      found: file
      help: a text stands in quotes: name = "text"

    p.millrace.toml:5:14: error[MR0101]: this is not TOML: invalid basic string
      5 | path = "a.csv
        |              ^
      expected: `"`
      help: close the text with the quote that opened it

    p.millrace.toml:9:8: error[MR0101]: this is not TOML: a value is missing
      9 | where =
        |        ^
      help: a field is written: name = value
    "#);
}

#[test]
fn a_node_that_is_given_twice() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flights]
kind = "stdout"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:7: error[MR0118]: `flights` is given twice
      7 | [node.flights]
        |       ^^^^^^^
      help: rename one of the two, or remove it
    "#);
}

#[test]
fn a_field_that_is_given_twice() {
    let told = told(
        r##"millrace = 1
[node.a]
kind = "file"
kind = "filter"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:4:1: error[MR0118]: `kind` is given twice
      4 | kind = "filter"
        | ^^^^
      help: rename one of the two, or remove it
    "#);
}

#[test]
fn a_version_that_is_missing() {
    let told = told(
        r##"[node.flights]
kind = "file"
path = "a.csv"

[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:1:1: error[MR0103]: the file does not say which format it has
      1 | [node.flights]
        | ^
      expected: millrace = 1
      help: make it the first line
    "#);
}

#[test]
fn a_version_that_is_newer() {
    let told = told(
        r##"millrace = 2
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:1:12: error[MR0104] millrace: this release does not read this format
      1 | millrace = 2
        |            ^
      expected: millrace = 1
      found: 2
      help: a newer release of Millrace wrote this file
    "#);
}

#[test]
fn a_version_that_is_a_text() {
    let told = told(
        r##"millrace = "1"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:1:12: error[MR0104] millrace: this release does not read this format
      1 | millrace = "1"
        |            ^^^
      expected: millrace = 1
      found: "1"
    "#);
}

#[test]
fn a_table_that_no_file_has() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[nodes.x]
kind = "file"

[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:2: error[MR0105]: `nodes` does not belong in a pipeline file
      7 | [nodes.x]
        |  ^^^^^
      expected: millrace, [pipeline], [node.NAME], [alert.NAME], [layout]
      did you mean `node`?
    "#);
}

#[test]
fn a_node_that_is_not_a_table() {
    let told = told(
        r##"millrace = 1
[node]
flights = "a.csv"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:3:11: error[MR0106]: node `flights` is not a table
      3 | flights = "a.csv"
        |           ^^^^^^^
      expected: [node.flights]
      found: "a.csv"

    p.millrace.toml: error[MR0107]: the pipeline has no nodes
      help: add a source: [node.NAME] with kind = "file"
    "#);
}

#[test]
fn a_pipeline_table_that_is_no_table() {
    let told = told(
        r##"millrace = 1
pipeline = 3
[node.a]
kind = "host_metrics"
[node.o]
kind = "stdout"
input = "a"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:2:12: error[MR0106]: `pipeline` is not a table
      2 | pipeline = 3
        |            ^
      expected: [pipeline]
      found: 3
    "#);
}

#[test]
fn a_pipeline_without_nodes() {
    let told = told(
        r##"millrace = 1
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml: error[MR0107]: the pipeline has no nodes
      help: add a source: [node.NAME] with kind = "file"
    "#);
}

#[test]
fn a_name_that_no_node_can_have() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node."Über All"]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:7: error[MR0108]: `Über All` cannot be a node's name
      7 | [node."Über All"]
        |       ^^^^^^^^^^
      expected: letters a-z, digits, _ and -, at most 64
    "#);
}

#[test]
fn a_node_without_a_kind() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:1: error[MR0109] flown: the node has no kind
      7 | [node.flown]
        | ^^^^^^^^^^^^
      expected: one of dashboard, file, file_sink, filter, host_metrics, select, stdout, top_n, tumbling_window, union, window_join
      help: set `kind`
    "#);
}

#[test]
fn a_kind_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filtre"
input = "flights"
where = "true"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:8:8: error[MR0110] flown.kind: there is no kind `filtre`
      8 | kind = "filtre"
        |        ^^^^^^^^
      expected: one of dashboard, file, file_sink, filter, host_metrics, select, stdout, top_n, tumbling_window, union, window_join
      did you mean `filter`?
    "#);
}

#[test]
fn a_kind_that_is_a_number() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = 7
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:3:1: warning[MR0126] flights: nobody reads what this node gives
      3 | [node.flights]
        | ^^^^^^^^^^^^^^
      help: connect it to a node or a sink, or remove it

    p.millrace.toml:8:8: error[MR0113] flown.kind: a kind is a text
      8 | kind = 7
        |        ^
      expected: one of dashboard, file, file_sink, filter, host_metrics, select, stdout, top_n, tumbling_window, union, window_join
      found: 7
    "#);
}

#[test]
fn a_field_that_the_kind_does_not_have() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"
where = "true"
paralellism = 3

[node.out]
kind = "stdout"
input = "flown"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:11:1: error[MR0111] flown.paralellism: there is no field `paralellism` here
      11 | paralellism = 3
         | ^^^^^^^^^^^
      expected: one of kind, input, where, on_error, parallelism, renamed_from
      did you mean `parallelism`?
    "#);
}

#[test]
fn a_time_field_on_a_node_that_is_no_source() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"
where = "true"
max_delay = "3h"

[node.out]
kind = "stdout"
input = "flown"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:11:1: error[MR0111] flown.max_delay: there is no field `max_delay` here
      11 | max_delay = "3h"
         | ^^^^^^^^^
      expected: one of kind, input, where, on_error, parallelism, renamed_from
    "#);
}

#[test]
fn a_field_that_is_missing() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"

[node.out]
kind = "stdout"
input = "flown"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:1: error[MR0112] flown.where: `where` is missing
      7 | [node.flown]
        | ^^^^^^^^^^^^
      expected: an expression such as "dep_delay IS NOT NULL"
    "#);
}

#[test]
fn a_number_where_a_duration_belongs() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
max_delay = 3

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:13: error[MR0113] flights.max_delay: a number does not fit here
      6 | max_delay = 3
        |             ^
      expected: a duration such as "5s"
      found: 3
    "#);
}

#[test]
fn a_duration_without_a_unit() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
max_delay = "3"

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:13: error[MR0114] flights.max_delay: a duration needs a unit: us, ms, s, m, h, d or w
      6 | max_delay = "3"
        |             ^^^
      expected: a duration such as "5s"
      found: "3"
    "#);
}

#[test]
fn a_duration_of_a_unit_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
idle_after = "3 fortnights"

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:14: error[MR0114] flights.idle_after: unknown unit `fortnights`; known are us, ms, s, m, h, d or w
      6 | idle_after = "3 fortnights"
        |              ^^^^^^^^^^^^^^
      expected: a duration such as "5s"
      found: "3 fortnights"
    "#);
}

#[test]
fn a_size_without_a_unit() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
block = "64"

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:9: error[MR0114] flights.block: a size needs a unit: B, KiB, MiB, GiB, kB, MB or GB
      6 | block = "64"
        |         ^^^^
      expected: a size such as "64KiB"
      found: "64"
    "#);
}

#[test]
fn a_speed_that_is_no_speed() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
replay = { speed = "fast" }

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:20: error[MR0114] flights.replay.speed: a speed is written like `60x`
      6 | replay = { speed = "fast" }
        |                    ^^^^^^
      expected: a speed such as "60x"
      found: "fast"
    "#);
}

#[test]
fn a_field_within_a_field_that_is_missing() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
replay = { by = "reported" }

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:10: error[MR0112] flights.replay.speed: `replay.speed` is missing
      6 | replay = { by = "reported" }
        |          ^^^^^^^^^^^^^^^^^^^
      expected: a speed such as "60x"
    "#);
}

#[test]
fn a_field_within_a_field_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
replay = { speed = "60x", sped = "1x" }

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:27: error[MR0111] flights.replay.sped: there is no field `sped` here
      6 | replay = { speed = "60x", sped = "1x" }
        |                           ^^^^
      expected: one of by, speed
      did you mean `speed`?
    "#);
}

#[test]
fn a_rate_that_is_none() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.o]
kind = "stdout"
input = "flights"
rate = "100"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:10:8: error[MR0114] o.rate: a rate is written like `100/s`
      10 | rate = "100"
         |        ^^^^^
      expected: a rate such as "100/s"
      found: "100"
    "#);
}

#[test]
fn a_word_that_is_not_one_of_the_words() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
format = "parqet"

[node.o]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:10: error[MR0114] flights.format: this is not one of the values that fit here
      6 | format = "parqet"
        |          ^^^^^^^^
      expected: one of "csv", "jsonl", "parquet"
      found: "parqet"
      did you mean `parquet`?
    "#);
}

#[test]
fn a_word_of_every_node_that_is_not_one_of_the_words() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.o]
kind = "stdout"
input = "flights"
on_error = "quarantin"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:10:12: error[MR0114] o.on_error: this is not one of the values that fit here
      10 | on_error = "quarantin"
         |            ^^^^^^^^^^^
      expected: "quarantine" or "null" or "fail"
      found: "quarantin"
      did you mean `quarantine`?
    "#);
}

#[test]
fn a_choice_of_a_word_and_a_table_that_is_neither() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.h]
kind = "tumbling_window"
input = "flights"
size = "1h"
aggregate = { n = "count(*)" }
emit = "on_clse"

[node.out]
kind = "stdout"
input = "h"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:12:8: error[MR0114] h.emit: this is not one of the values that fit here
      12 | emit = "on_clse"
         |        ^^^^^^^^^
      expected: "on_close" or "on_update" or a table with every
      found: "on_clse"
      did you mean `on_close`?
    "#);
}

#[test]
fn a_choice_of_a_word_and_a_table_that_is_meant_as_the_table() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.h]
kind = "tumbling_window"
input = "flights"
size = "1h"
aggregate = { n = "count(*)" }
emit = { every = 5 }

[node.out]
kind = "stdout"
input = "h"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:12:18: error[MR0113] h.emit.every: a number does not fit here
      12 | emit = { every = 5 }
         |                  ^
      expected: a duration such as "5s"
      found: 5
    "#);
}

#[test]
fn a_list_of_which_one_entry_is_wrong() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.h]
kind = "tumbling_window"
input = "flights"
size = "1h"
by = ["origin", 3]
aggregate = { n = "count(*)" }

[node.out]
kind = "stdout"
input = "h"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:11:17: error[MR0113] h.by.1: a number does not fit here
      11 | by = ["origin", 3]
         |                 ^
      expected: the name of a column such as "origin"
      found: 3
    "#);
}

#[test]
fn a_table_of_aggregates_of_which_one_is_wrong() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.h]
kind = "tumbling_window"
input = "flights"
size = "1h"

[node.h.aggregate]
n = "count(*)"
m = 3
e = " "

[node.out]
kind = "stdout"
input = "h"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:14:5: error[MR0113] h.aggregate.m: a number does not fit here
      14 | m = 3
         |     ^
      expected: an aggregate such as "avg(dep_delay)"
      found: 3

    p.millrace.toml:15:5: error[MR0114] h.aggregate.e: the text is empty
      15 | e = " "
         |     ^^^
      expected: an aggregate such as "avg(dep_delay)"
      found: " "
    "#);
}

#[test]
fn a_number_that_is_too_small() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.top]
kind = "top_n"
input = "flights"
n = 0
order = ["price"]

[node.out]
kind = "stdout"
input = "top"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:10:5: error[MR0115] top.n: the number is too small
      10 | n = 0
         |     ^
      expected: a whole number from 1 to 1000
      found: 0
    "#);
}

#[test]
fn a_number_that_is_too_large() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"
where = "true"
parallelism = 4096

[node.out]
kind = "stdout"
input = "flown"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:11:15: error[MR0115] flown.parallelism: the number is too large
      11 | parallelism = 4096
         |               ^^^^
      expected: a whole number from 1 to 1024
      found: 4096
    "#);
}

#[test]
fn a_number_that_is_not_whole() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.top]
kind = "top_n"
input = "flights"
n = 2.5
order = ["price"]

[node.out]
kind = "stdout"
input = "top"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:10:5: error[MR0113] top.n: a number does not fit here
      10 | n = 2.5
         |     ^^^
      expected: a whole number from 1 to 1000
      found: 2.5
    "#);
}

#[test]
fn a_number_that_is_none() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.top]
kind = "top_n"
input = "flights"
n = 3
order = ["price"]
share = nan

[node.out]
kind = "stdout"
input = "top"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:12:9: error[MR0113] top.share: a number does not fit here
      12 | share = nan
         |         ^^^
      expected: a number
      found: a number that is none, or is infinite
    "#);
}

#[test]
fn a_node_that_reads_nothing() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.o]
kind = "stdout"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:3:1: warning[MR0126] flights: nobody reads what this node gives
      3 | [node.flights]
        | ^^^^^^^^^^^^^^
      help: connect it to a node or a sink, or remove it

    p.millrace.toml:7:1: error[MR0120] o: this node reads nothing
      7 | [node.o]
        | ^^^^^^^^
      expected: the name of one node: input = "name"
      help: set `input`
    "#);
}

#[test]
fn a_source_that_is_given_an_input() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.b]
kind = "host_metrics"
input = "flights"

[node.out]
kind = "stdout"
input = "b"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:9:9: error[MR0121] b.input: `host_metrics` is a source and reads no other node
      9 | input = "flights"
        |         ^^^^^^^^^
    "#);
}

#[test]
fn an_input_of_the_wrong_shape() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.j]
kind = "window_join"
input = "flights"
on = ["id"]

[node.out]
kind = "stdout"
input = "j"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:9:9: error[MR0122] j.input: the input is not in the shape that this kind wants
      9 | input = "flights"
        |         ^^^^^^^^^
      expected: an input for each of left, right: input = { left = "..", right = ".." }
      found: "flights"
    "#);
}

#[test]
fn two_inputs_where_one_is_wanted() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"
where = "true"

[node.o]
kind = "stdout"
input = ["flights", "flown"]
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:14:9: error[MR0122] o.input: the input is not in the shape that this kind wants
      14 | input = ["flights", "flown"]
         |         ^^^^^^^^^^^^^^^^^^^^
      expected: the name of one node: input = "name"
      found: ["flights", "flown"]
    "#);
}

#[test]
fn an_input_that_is_missing_of_two() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.j]
kind = "window_join"
input = { left = "flights" }
on = ["id"]

[node.out]
kind = "stdout"
input = "j"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:9:9: error[MR0122] j.input: the input is not in the shape that this kind wants
      9 | input = { left = "flights" }
        |         ^^^^^^^^^^^^^^^^^^^^
      expected: an input for each of left, right: input = { left = "..", right = ".." }
      found: { left = "flights" }
    "#);
}

#[test]
fn an_input_from_a_node_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.o]
kind = "stdout"
input = "fligths"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:9:9: error[MR0123] o.input: there is no node `fligths`
      9 | input = "fligths"
        |         ^^^^^^^^^
      did you mean `flights`?
    "#);
}

#[test]
fn an_input_in_a_list_from_a_node_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.u]
kind = "union"
input = [
  "flights",
  "flown",
]

[node.out]
kind = "stdout"
input = "u"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:11:3: error[MR0123] u.input: there is no node `flown`
      11 |   "flown",
         |   ^^^^^^^
    "#);
}

#[test]
fn an_input_from_a_port_that_there_is_not() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"

[node.l]
kind = "stdout"
input = "flights.quarantine"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:14:9: error[MR0124] l.input: `flights` has no port `quarantine`
      14 | input = "flights.quarantine"
         |         ^^^^^^^^^^^^^^^^^^^^
      expected: one of flights, flights.quarantined
      did you mean `flights.quarantined`?
    "#);
}

#[test]
fn an_input_from_a_sink() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"

[node.o2]
kind = "stdout"
input = "out"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:14:9: error[MR0124] o2.input: `out` is a stdout and gives no rows on
      14 | input = "out"
         |         ^^^^^
    "#);
}

#[test]
fn rows_that_go_round_in_a_circle() {
    let told = told(
        r##"millrace = 1
[node.a]
kind = "filter"
input = "c"
where = "true"
[node.b]
kind = "filter"
input = "a"
where = "true"
[node.c]
kind = "filter"
input = "b"
where = "true"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:4:9: error[MR0125] a.input: rows would go round in a circle: a -> b -> c -> a
      4 | input = "c"
        |         ^^^
      help: take one of these inputs away
    "#);
}

#[test]
fn a_node_that_reads_itself() {
    let told = told(
        r##"millrace = 1
[node.a]
kind = "filter"
input = "a"
where = "true"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:4:9: error[MR0125] a.input: rows would go round in a circle: a -> a
      4 | input = "a"
        |         ^^^
      help: take one of these inputs away
    "#);
}

#[test]
fn an_output_that_nobody_reads() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"

[node.flown]
kind = "filter"
input = "flights"
where = "true"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:7:1: warning[MR0126] flown: nobody reads what this node gives
      7 | [node.flown]
        | ^^^^^^^^^^^^
      help: connect it to a node or a sink, or remove it
    "#);
}

#[test]
fn a_name_that_the_environment_lacks() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "${DATE}/a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:5:8: error[MR0130] flights.path: the environment has no `DATE`
      5 | path = "${DATE}/a.csv"
        |        ^^^^^^^^^^^^^^^
      help: set DATE, or give a default: ${DATE:-value}
    "#);
}

#[test]
fn a_reference_that_is_not_closed() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "${DATA/a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:5:8: error[MR0131] flights.path: a reference to the environment is not closed
      5 | path = "${DATA/a.csv"
        |        ^^^^^^^^^^^^^^
      expected: ${NAME} or ${NAME:-default}
      help: write $${ for the two characters themselves
    "#);
}

#[test]
fn a_reference_to_no_name() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "${1}/a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:5:8: error[MR0131] flights.path: `1` is not a name of the environment
      5 | path = "${1}/a.csv"
        |        ^^^^^^^^^^^^
      expected: letters, digits and _, not beginning with a digit
      help: write $${ for the two characters themselves
    "#);
}

#[test]
fn what_the_environment_gave_is_not_shown() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"
max_delay = "${SECRET}"
format = "${SECRET}"


[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:6:13: error[MR0114] flights.max_delay: unknown unit `${SECRET}`; known are us, ms, s, m, h, d or w
      6 | max_delay = "${SECRET}"
        |             ^^^^^^^^^^^
      expected: a duration such as "5s"
      found: "${SECRET}"

    p.millrace.toml:7:10: error[MR0114] flights.format: this is not one of the values that fit here
      7 | format = "${SECRET}"
        |          ^^^^^^^^^^^
      expected: one of "csv", "jsonl", "parquet"
      found: "${SECRET}"
    "#);
}

/// Nor a part of it: not its unit, not the node that it begins with, not what is left where a message is cut short.
#[test]
fn no_part_of_what_the_environment_gave_is_shown() {
    let fields = ["max_delay", "format", "time_zone", "on_error", "block", "follow", "replay", "schema", "kind", "parallelism"];
    let within = ["\"${LONG_SECRET}\"", "[\"${LONG_SECRET}\", 1]", "{ speed = \"${LONG_SECRET}\", by = 1 }"];
    for (field, value) in fields.iter().flat_map(|field| within.iter().map(move |value| (field, value))) {
        let kind = if *field == "kind" { "" } else { "kind = \"file\"\n" };
        let told = told(&format!(
            "millrace = 1\n[node.a]\n{kind}path = \"a.csv\"\n{field} = {value}\n[node.o]\nkind = \"stdout\"\ninput = \"a\"\n"
        ));
        assert!(!told.contains("swordfish"), "{told}");
    }
    for input in
        ["\"${LONG_SECRET}\"", "[\"${LONG_SECRET}\", \"b\"]", "{ left = \"${LONG_SECRET}\", other = \"a\" }", "\"a.${LONG_SECRET}\""]
    {
        for kind in ["filter", "union", "window_join", "file"] {
            let told = told(&format!("millrace = 1\n[node.a]\nkind = \"host_metrics\"\n[node.o]\nkind = \"{kind}\"\ninput = {input}\n"));
            assert!(!told.contains("swordfish"), "{told}");
        }
    }
}

#[test]
fn a_position_that_cannot_be_read() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"

[layout]
flights = [0, "a"]
out = 3
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:13:11: warning[MR0133] layout.flights: the position of `flights` cannot be read
      13 | flights = [0, "a"]
         |           ^^^^^^^^
      expected: two numbers: [x, y]
      found: [0, "a"]

    p.millrace.toml:14:7: warning[MR0133] layout.out: the position of `out` cannot be read
      14 | out = 3
         |       ^
      expected: two numbers: [x, y]
      found: 3
    "#);
}

#[test]
fn a_layout_that_is_no_table() {
    let told = told(
        r##"millrace = 1
layout = [1, 2]

[node.flights]
kind = "file"
path = "a.csv"

[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:2:10: warning[MR0133]: the layout is not a table; the nodes are placed anew
      2 | layout = [1, 2]
        |          ^^^^^^
      expected: [layout]
      found: [1, 2]
    "#);
}

#[test]
fn a_setting_of_the_pipeline_that_there_is_not() {
    let told = told(
        r##"millrace = 1
[pipeline]
nmae = "x"
parallelism = 0

[node.flights]
kind = "file"
path = "a.csv"

[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:3:1: error[MR0111] pipeline.nmae: there is no field `nmae` here
      3 | nmae = "x"
        | ^^^^
      expected: one of name, checkpoint_every, state, parallelism, unaligned_after, on_poison, replicas, max_state, autoscale
      did you mean `name`?

    p.millrace.toml:4:15: error[MR0115] pipeline.parallelism: the number is too small
      4 | parallelism = 0
        |               ^
      expected: a whole number from 1 to 1024
      found: 0
    "#);
}

#[test]
fn an_empty_path() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
path = ""


[node.out]
kind = "stdout"
input = "flights"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:5:8: error[MR0114] flights.path: the text is empty
      5 | path = ""
        |        ^^
      expected: a path such as "data/flights.parquet"
      found: ""
    "#);
}

#[test]
fn values_that_are_nested_too_deep() {
    let told = told(
        r##"millrace = 1
[node.a]
kind = "file"
path = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:4:40: error[MR0116]: values are nested too deep here
      4 | path = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
        |                                        ^
      expected: at most 32 levels
    "#);
}

#[test]
fn everything_at_once() {
    let told = told(
        r##"millrace = 1

[node.flights]
kind = "file"
pth = "a.csv"
max_delay = "3 hours"

[node.flown]
kind = "filter"
input = "flight"
where = 3

[node.out]
kind = "stdot"
input = "flown.late"
"##,
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml:3:1: error[MR0112] flights.path: `path` is missing
      3 | [node.flights]
        | ^^^^^^^^^^^^^^
      expected: a path such as "data/flights.parquet"

    p.millrace.toml:5:1: error[MR0111] flights.pth: there is no field `pth` here
      5 | pth = "a.csv"
        | ^^^
      expected: one of kind, path, format, schema, follow, block, event_time, max_delay, max_ahead, idle_after, replay, time_zone, on_error, parallelism, renamed_from
      did you mean `path`?

    p.millrace.toml:6:13: error[MR0114] flights.max_delay: unknown unit `hours`; known are us, ms, s, m, h, d or w
      6 | max_delay = "3 hours"
        |             ^^^^^^^^^
      expected: a duration such as "5s"
      found: "3 hours"

    p.millrace.toml:10:9: error[MR0123] flown.input: there is no node `flight`
      10 | input = "flight"
         |         ^^^^^^^^
      did you mean `flights`?

    p.millrace.toml:11:9: error[MR0113] flown.where: a number does not fit here
      11 | where = 3
         |         ^
      expected: an expression such as "dep_delay IS NOT NULL"
      found: 3

    p.millrace.toml:14:8: error[MR0110] out.kind: there is no kind `stdot`
      14 | kind = "stdot"
         |        ^^^^^^^
      expected: one of dashboard, file, file_sink, filter, host_metrics, select, stdout, top_n, tumbling_window, union, window_join
      did you mean `stdout`?

    p.millrace.toml:15:9: error[MR0124] out.input: `flown` has no port `late`
      15 | input = "flown.late"
         |         ^^^^^^^^^^^^
      expected: one of flown, flown.quarantined
    "#);
}

#[test]
fn a_set_that_names_no_node() {
    let told = told_with(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
        &[("flight.path".to_owned(), "b.csv".to_owned())],
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml: error[MR0132]: --set flight.path: there is no node `flight`
      did you mean `flights`?
    "#);
}

#[test]
fn a_set_that_names_no_field() {
    let told = told_with(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
        &[("flights.pth".to_owned(), "b.csv".to_owned())],
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml: error[MR0111] flights.pth: there is no field `pth` here
      expected: one of kind, path, format, schema, follow, block, event_time, max_delay, max_ahead, idle_after, replay, time_zone, on_error, parallelism, renamed_from
      did you mean `path`?
      help: --set gives `pth` this value
    "#);
}

#[test]
fn a_set_whose_value_does_not_fit() {
    let told = told_with(
        r##"millrace = 1

[node.flights]
kind = "file"
path = "a.csv"


[node.out]
kind = "stdout"
input = "flights"
"##,
        &[
            ("flights.max_delay".to_owned(), "3".to_owned()),
            ("pipeline.parallelism".to_owned(), "0".to_owned()),
            ("out".to_owned(), "x".to_owned()),
        ],
    );
    assert_snapshot!(told, @r#"
    p.millrace.toml: error[MR0132]: --set out: it names no field
      expected: node.field=value

    p.millrace.toml: error[MR0115] pipeline.parallelism: the number is too small
      expected: a whole number from 1 to 1024
      found: 0
      help: --set gives `parallelism` this value

    p.millrace.toml: error[MR0113] flights.max_delay: a number does not fit here
      expected: a duration such as "5s"
      found: 3
      help: --set gives `max_delay` this value
    "#);
}

#[test]
fn a_table_of_autoscaling_with_slips() {
    let file = |autoscale: &str| {
        let rest = "[node.flights]\nkind = \"file\"\npath = \"a.csv\"\n\n[node.out]\nkind = \"stdout\"\ninput = \"flights\"\n";
        told(&format!("millrace = 1\n[pipeline.autoscale]\n{autoscale}\n{rest}"))
    };
    let slips = file("mode = \"sometimes\"\ntarget_utilisation = 1.5\ncool_dwn = \"1m\"\n");
    for said in [
        "error[MR0114] pipeline.autoscale.mode: this is not one of the values that fit here",
        "error[MR0115] pipeline.autoscale.target_utilisation: the number is too large",
        "error[MR0111] pipeline.autoscale.cool_dwn: there is no field `cool_dwn` here",
        "did you mean `cool_down`?",
    ] {
        assert!(slips.contains(said), "{said}\n{slips}");
    }
    let bounds = file("min = 4\nmax = 2\n");
    assert!(bounds.contains("p.millrace.toml:3:7: error[MR0115] pipeline.autoscale.min: `min` is more than `max`"), "{bounds}");
    assert_eq!(file("mode = \"on\"\nmin = 2\nmax = 2\ntarget_utilisation = 0.7\ncool_down = \"90s\"\n"), "nothing");
}
