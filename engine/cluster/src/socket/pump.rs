//! Carries what passes a link's end over two sockets: for each a line of connections, and loops that fill and empty what it carries. The
//! first of them to end ends the session.

use std::sync::Arc;
use std::time::Duration;

use millrace_wire::FrameKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

use super::ends::{Rows, Source, Target, deliver_control, deliver_data, fill_control, fill_data};
use super::exchange::Exchange;
use super::line::{Arrival, Line, Redial, Supply};
use super::over::Over;
use super::patience::Patience;
use crate::contact::Standing;
use crate::link::{AnswerReceiver, Answers, Asked, QueueEnd, WhyLost};

/// How long the control line may take to tell the peer why a session ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Which end of the link the sockets stand for, and that end's control side.
pub enum Side {
    /// At the asking side: requests go out, answers come in.
    Asking { out: mpsc::Receiver<Asked>, back: Answers },
    /// At the node: answers go out, requests come in.
    Node { out: AnswerReceiver, back: mpsc::Sender<Asked> },
}

/// What follows a connection that was dropped.
pub enum Resumption<S> {
    /// The session's end: the peer is of a release that knew nothing else.
    None,
    /// This side dials again.
    Dial(Arc<dyn Redial<S>>),
    /// The peer does.
    Arrivals { control: mpsc::Receiver<Arrival<S>>, data: mpsc::Receiver<Arrival<S>> },
}

/// Two sockets, and the end of a link that they stand for.
pub struct Pumps<S> {
    pub control: WebSocketStream<S>,
    pub data: WebSocketStream<S>,
    pub side: Side,
    /// What goes to the peer.
    pub data_out: QueueEnd,
    /// What comes from it.
    pub data_in: QueueEnd,
    pub patience: Patience,
    pub resumption: Resumption<S>,
    /// Told what becomes of the connections.
    pub standing: Standing,
}

/// Why a session ended, in words.
type Why = String;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Pumps<S> {
    /// Runs until the session ends, and says why. Dropping the future ends it.
    pub async fn run(self) -> Why {
        let told = WhyLost::default();
        self.run_and_tell(&told).await;
        told.why().unwrap_or_default()
    }

    /// The same; the reason is told before the link's end goes, so that whoever sees it gone finds why.
    pub async fn run_and_tell(self, told: &WhyLost) {
        let Pumps { control, data, side, data_out, data_in, patience, resumption, standing } = self;
        let is_resumable = !matches!(resumption, Resumption::None);
        let (control_supply, data_supply) = match resumption {
            Resumption::None => (Supply::None, Supply::None),
            Resumption::Dial(redial) => (Supply::Dial(redial.clone()), Supply::Dial(redial)),
            Resumption::Arrivals { control, data } => (Supply::Arrivals(control), Supply::Arrivals(data)),
        };
        let (source, target, rows) = match side {
            Side::Asking { out, back } => (Source::Requests(out), Target::Answers(back), Rows::Come),
            Side::Node { out, back } => (Source::Answers(out), Target::Requests(back), Rows::Go),
        };
        let controls = Arc::new(Exchange::new(FrameKind::Control, is_resumable));
        let datas = Arc::new(Exchange::new(FrameKind::Data, is_resumable));
        let mut control_line = Line::new(controls.clone(), control_supply, patience, standing.clone());
        control_line.other = Some(datas.clone());
        let data_line = Line::new(datas.clone(), data_supply, patience, standing);

        let mut control_line = tokio::spawn(control_line.run(control));
        let _ended_with_this = AbortOnDrop(control_line.abort_handle());
        let mut loops = JoinSet::new();
        loops.spawn(fill_control(source, controls.clone()));
        loops.spawn(deliver_control(controls.clone(), target));
        loops.spawn(data_line.run(data));
        loops.spawn(fill_data(data_out.0.clone(), datas.clone()));
        loops.spawn(deliver_data(datas, data_in.0.clone(), rows));
        let over = tokio::select! {
            over = &mut control_line => {
                told.tell(over.map_or_else(|panic| format!("the session failed: {panic}"), |over| over.why));
                return;
            }
            Some(over) = loops.join_next() => over,
        };
        let Over { why, close } = over.unwrap_or_else(|panic| Over::fault(format!("the session failed: {panic}")));
        told.tell(why);
        // The link's end goes now; the peer is told in a moment that nobody here waits for.
        drop((loops, data_out, data_in));
        if let Some(close) = close {
            controls.finish(close);
            let _ = timeout(LAST_WORDS, control_line).await;
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
