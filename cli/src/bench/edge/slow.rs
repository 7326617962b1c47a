//! A slow network between the two processes: a proxy that lets only so many bytes a second through, each way.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::LOOPBACK;

/// About what a network of one gigabit carries.
pub const SLOW_BYTES_PER_SECOND: u32 = 100_000_000;
/// What passes at once: short against what is under way, so that the proxy adds little delay.
const PIECE_BYTES: usize = 64 << 10;

/// Ends with this.
pub struct SlowWay {
    pub address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for SlowWay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl SlowWay {
    /// Between whoever connects and `to`.
    pub async fn to(to: String) -> anyhow::Result<SlowWay> {
        let listener = TcpListener::bind(LOOPBACK).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&to).await else { return };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out));
                tokio::spawn(carry(far_in, near_out));
            }
        });
        Ok(SlowWay { address, accepting: accepting.abort_handle() })
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (mut piece, mut free_at) = (vec![0; PIECE_BYTES], Instant::now());
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let Some(read) = piece.get(..length) else { return };
        if to.write_all(read).await.is_err() {
            return;
        }
        // Time that nothing passed in is not made up for.
        free_at = free_at.max(Instant::now()) + Duration::from_secs_f64(length as f64 / f64::from(SLOW_BYTES_PER_SECOND));
        sleep_until(free_at).await;
    }
}
