//! The queries of Nexmark that the field's published figures are of: the examples, over bids at hand.

use super::workload::Column::{self, Text as Letters, Whole};
use super::workload::{Over, Text, Workload};

const BID: &[Column] = &[
    Whole("auction"),
    Whole("bidder"),
    Whole("price"),
    Letters("channel"),
    Letters("url"),
    Whole("date_time"),
    Letters("extra"),
    Whole("event_number"),
];

/// The published figures are of Flink 1.x at parallelism 8 with its state in RocksDB.
pub const NEXMARK: &[Workload] = &[
    Workload {
        name: "nexmark-q5",
        what: "the auctions with the most bids of the last 10 s, every 2 s",
        over: Over::Bids,
        text: Text::Example(include_str!("../../../examples/nexmark/q5.millrace.toml")),
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("auction"), Whole("num")],
        sql: "SELECT w * 2000000 AS window_start, w * 2000000 + 10000000 AS window_end, w * 2000000 + 9999999 AS window_time, auction, num
              FROM (SELECT pane - before AS w, auction, sum(c)::BIGINT AS num
                    FROM (SELECT epoch_us(date_time) // 2000000 AS pane, auction, count(*) AS c FROM bid GROUP BY ALL), range(5) AS windows(before)
                    GROUP BY ALL)
              QUALIFY rank() OVER (PARTITION BY w ORDER BY num DESC) = 1",
        key: &[],
        flink_per_core: Some(22_000.0),
    },
    Workload {
        name: "nexmark-q7",
        what: "the highest bids of each 10 s",
        over: Over::Bids,
        text: Text::Example(include_str!("../../../examples/nexmark/q7.millrace.toml")),
        columns: &[
            Whole("window_start"),
            Whole("window_end"),
            Whole("auction"),
            Whole("bidder"),
            Whole("price"),
            Whole("date_time"),
            Letters("extra"),
        ],
        sql: "SELECT w * 10000000 AS window_start, w * 10000000 + 10000000 AS window_end, auction, bidder, price, t AS date_time, extra
              FROM (SELECT epoch_us(date_time) AS t, t // 10000000 AS w, auction, bidder, price, extra FROM bid)
              QUALIFY rank() OVER (PARTITION BY w ORDER BY price DESC) = 1",
        key: &[],
        flink_per_core: Some(12_000.0),
    },
    Workload {
        name: "nexmark-q18",
        what: "each bidder's last bid for each auction",
        over: Over::Bids,
        text: Text::Example(include_str!("../../../examples/nexmark/q18.millrace.toml")),
        columns: BID,
        sql: "SELECT auction, bidder, price, channel, url, epoch_us(date_time) AS date_time, extra, event_number FROM bid
              QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY bid.date_time DESC, event_number DESC) = 1",
        key: &["bidder", "auction"],
        flink_per_core: Some(54_000.0),
    },
    Workload {
        name: "nexmark-q19",
        what: "the ten highest bids for each auction",
        over: Over::Bids,
        text: Text::Example(include_str!("../../../examples/nexmark/q19.millrace.toml")),
        columns: BID,
        sql: "SELECT auction, bidder, price, channel, url, epoch_us(date_time) AS date_time, extra, event_number FROM bid
              QUALIFY row_number() OVER (PARTITION BY auction ORDER BY price DESC, event_number) <= 10",
        key: &[],
        flink_per_core: Some(44_000.0),
    },
];
