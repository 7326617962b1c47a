//! How fast one session's data side is. Prints, and judges nothing: run it on a quiet machine with
//! `cargo test --workspace --test throughput -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_cluster::data::{DataItem, DataPayload};
use millrace_cluster::link::link;
use millrace_cluster::socket::{Patience, Pumps, Resumption, Side, data_config};
use millrace_wire::message::{DataHeader, JobId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

const PART_BYTES: usize = 1 << 20;
const PARTS: u64 = 4096;

async fn pair() -> (WebSocketStream<TcpStream>, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialled, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap().0);
    dialled.set_nodelay(true).unwrap();
    accepted.set_nodelay(true).unwrap();
    let asking = WebSocketStream::from_raw_socket(dialled, Role::Client, Some(data_config())).await;
    (asking, WebSocketStream::from_raw_socket(accepted, Role::Server, Some(data_config())).await)
}

type Arrivals = Resumption<TcpStream>;

fn arrivals() -> Arrivals {
    Resumption::Arrivals { control: mpsc::channel(1).1, data: mpsc::channel(1).1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_many_megabytes_a_second_a_session_carries() {
    carry("acknowledged", arrivals).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_many_megabytes_a_second_a_session_of_protocol_1_carries() {
    carry("protocol 1", || Resumption::None).await;
}

async fn carry(what: &str, resumption: impl Fn() -> Arrivals) {
    let ((control, far_control), (data, far_data)) = (pair().await, pair().await);
    let (client, end) = link();
    let side = Side::Asking { out: end.requests, back: end.answers };
    let (data_out, data_in, standing) = (end.data_in, end.data_out, client.standing.clone());
    let asking = Pumps { control, data, side, data_out, data_in, patience: Patience::ASKING, resumption: resumption(), standing };
    let (far_end, host) = link();
    let side = Side::Node { out: far_end.answers, back: far_end.requests };
    let (data_out, data_in, standing) = (far_end.data_in, far_end.data_out, far_end.standing.clone());
    let (patience, resumption) = (Patience::NODE, resumption());
    let node = Pumps { control: far_control, data: far_data, side, data_out, data_in, patience, resumption, standing };
    tokio::spawn(asking.run());
    tokio::spawn(node.run());
    for round in 0..4 {
        let begun = Instant::now();
        let queue = client.data_out.0.clone();
        tokio::spawn(async move {
            let part = Bytes::from(vec![7; PART_BYTES]);
            for n in 0..PARTS {
                let header = DataHeader::InputFile { job: JobId(1), path: "x".into(), offset: n * PART_BYTES as u64, last: false };
                assert!(queue.send(DataItem { header, payload: DataPayload::Bytes(part.clone()) }).await);
            }
        });
        for _ in 0..PARTS {
            let item = tokio::time::timeout(Duration::from_secs(60), host.data_in.0.take()).await.unwrap().unwrap();
            assert_eq!(item.payload.bytes(), PART_BYTES);
        }
        let mb_s = (PARTS as f64 * PART_BYTES as f64) / begun.elapsed().as_secs_f64() / 1e6;
        println!("{what}, round {round}: {mb_s:.0} MB/s");
    }
}
