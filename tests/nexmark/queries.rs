//! What DuckDB says of each query. The streams are the views `person`, `auction` and `bid`.

/// How a query's result lies there.
pub enum Result {
    /// Rows in a file.
    Rows,
    /// Rows in folders of values.
    Folders,
    /// Changes in a file, of which the newest of a key counts.
    NewestByKey(&'static str),
    /// Changes in a file that take rows back.
    NetRows,
}

pub struct Query {
    pub name: &'static str,
    pub result: Result,
    /// What is compared of both sides.
    pub columns: &'static str,
    pub sql: &'static str,
    /// A column of floats that may be apart by 1e-9 of their size, and what names its rows.
    pub floats: Option<(&'static str, &'static str)>,
    /// Whether its windows go by the clock that the file hands in.
    pub is_by_the_clock: bool,
}

const fn rows(name: &'static str, sql: &'static str) -> Query {
    Query { name, result: Result::Rows, columns: "*", sql, floats: None, is_by_the_clock: false }
}

/// Counts of a day by what was bid.
macro_rules! by_rank {
    ($name:literal, $of:literal) => {
        concat!(
            "count(",
            $of,
            ") AS total_",
            $name,
            ", count(",
            $of,
            ") FILTER (WHERE price < 10000) AS rank1_",
            $name,
            ", count(",
            $of,
            ") FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_",
            $name,
            ", count(",
            $of,
            ") FILTER (WHERE price >= 1000000) AS rank3_",
            $name
        )
    };
}

macro_rules! day {
    () => {
        "date_trunc('day', date_time)::TIMESTAMP AS window_start, date_trunc('day', date_time)::TIMESTAMP + INTERVAL 1 DAY AS window_end,
         date_trunc('day', date_time)::TIMESTAMP + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND AS window_time"
    };
}

/// Windows of a length in microseconds, of a time in microseconds.
macro_rules! windows {
    ($time:literal, $size:literal) => {
        concat!(
            "make_timestamp(",
            $time,
            " // ",
            $size,
            " * ",
            $size,
            ") AS window_start,
             make_timestamp(",
            $time,
            " // ",
            $size,
            " * ",
            $size,
            " + ",
            $size,
            ") AS window_end,
             make_timestamp(",
            $time,
            " // ",
            $size,
            " * ",
            $size,
            " + ",
            $size,
            " - 1) AS window_time"
        )
    };
}

pub const QUERIES: &[Query] = &[
    rows("q0", "SELECT auction, bidder, price, date_time, extra FROM bid"),
    rows("q1", "SELECT auction, bidder, 0.908::DOUBLE * price AS price, date_time, extra FROM bid"),
    rows("q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0"),
    Query {
        columns: "window_start, window_end, auction, num",
        ..rows(
            "q5",
            "SELECT make_timestamp(ws) AS window_start, make_timestamp(ws + 10000000) AS window_end, auction, num FROM (
               SELECT ws, auction, count(*) AS num FROM (SELECT auction, epoch_us(date_time) AS t,
                 unnest(generate_series(t // 2000000 * 2000000 - 8000000, t, 2000000)) AS ws FROM bid) GROUP BY ALL)
             QUALIFY rank() OVER (PARTITION BY ws ORDER BY num DESC) = 1",
        )
    },
    rows(
        "q7",
        concat!(
            "SELECT * EXCLUDE (window_time) FROM (SELECT ", windows!("epoch_us(date_time)", "10000000"),
            ", auction, bidder, price, date_time, extra FROM bid) QUALIFY rank() OVER (PARTITION BY window_start ORDER BY price DESC) = 1"
        ),
    ),
    Query {
        result: Result::Folders,
        columns: "auction, bidder, price, date_time, extra, minute::TIMESTAMP AS minute",
        ..rows("q10", "SELECT auction, bidder, price, date_time, extra, date_trunc('minute', date_time) AS minute FROM bid")
    },
    Query {
        columns: "window_start, window_end, bidder, bid_count",
        ..rows(
            "q11",
            "WITH gaps AS (SELECT bidder, epoch_us(date_time) AS t, event_number,
                 coalesce(t - lag(t) OVER in_time >= 10000000, true)::INT AS opens FROM bid
                 WINDOW in_time AS (PARTITION BY bidder ORDER BY epoch_us(date_time), event_number)),
               islands AS (SELECT *, sum(opens) OVER (PARTITION BY bidder ORDER BY t, event_number ROWS UNBOUNDED PRECEDING) AS island FROM gaps)
             SELECT make_timestamp(min(t)) AS window_start, make_timestamp(max(t) + 10000000) AS window_end, bidder, count(*) AS bid_count
             FROM islands GROUP BY bidder, island",
        )
    },
    Query {
        is_by_the_clock: true,
        columns: "window_start, window_end, bidder, bid_count",
        ..rows(
            "q12",
            concat!("SELECT ", windows!("(event_number * 1000)", "10000000"), ", bidder, count(*) AS bid_count FROM bid GROUP BY ALL"),
        )
    },
    rows(
        "q14",
        "SELECT auction, bidder, 0.908::DOUBLE * price AS price,
           CASE WHEN hour(date_time) BETWEEN 8 AND 18 THEN 'dayTime'
                WHEN hour(date_time) <= 6 OR hour(date_time) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bid_time_type,
           date_time, extra, len(regexp_extract_all(extra, 'c')) AS c_counts
         FROM bid WHERE 0.908::DOUBLE * price > 1000000 AND 0.908::DOUBLE * price < 50000000",
    ),
    rows(
        "q15",
        concat!("SELECT ", day!(), ", ", by_rank!("bids", "*"), ", ", by_rank!("bidders", "DISTINCT bidder"), ", ",
            by_rank!("auctions", "DISTINCT auction"), " FROM bid GROUP BY ALL"),
    ),
    rows(
        "q16",
        concat!("SELECT ", day!(), ", channel, max(date_trunc('minute', date_time)) AS minute, ", by_rank!("bids", "*"), ", ",
            by_rank!("bidders", "DISTINCT bidder"), ", ", by_rank!("auctions", "DISTINCT auction"), " FROM bid GROUP BY ALL"),
    ),
    Query {
        columns: "* EXCLUDE (avg_price) REPLACE (sum_price::BIGINT AS sum_price)",
        floats: Some(("avg_price", "window_start, auction")),
        ..rows(
            "q17",
            concat!("SELECT ", day!(), ", auction, ", by_rank!("bids", "*"),
                ", min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price FROM bid GROUP BY ALL"),
        )
    },
    Query {
        result: Result::NewestByKey("bidder, auction"),
        columns: "auction, bidder, price, channel, url, date_time, extra, event_number",
        ..rows("q18", "FROM bid QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, event_number DESC) = 1")
    },
    Query {
        result: Result::NetRows,
        columns: "auction, bidder, price, channel, url, date_time, extra, event_number",
        ..rows("q19", "FROM bid QUALIFY row_number() OVER (PARTITION BY auction ORDER BY price DESC, event_number) <= 10")
    },
    rows(
        "q21",
        "SELECT auction, bidder, price, channel, CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1'
           WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3' ELSE regexp_extract(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id
         FROM bid WHERE lower(channel) IN ('apple', 'google', 'facebook', 'baidu') OR regexp_extract(url, '(&|^)channel_id=([^&]*)', 2) <> ''",
    ),
    rows(
        "q22",
        "SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2,
           split_part(url, '/', 6) AS dir3 FROM bid",
    ),
];
