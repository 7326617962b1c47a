//! The sessions that a node holds, to be taken up again by who began them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_wire::FrameKind;
use tokio::sync::mpsc;

use super::door::Approach;
use super::token::Token;
use crate::socket::Arrival;
use crate::trust::Name;

/// Peers that wait for one line to look at them.
const MAX_ARRIVALS: usize = 4;

/// Who began a session. Only who is the same may take it up, whatever else it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Somebody who showed the node's token: all who do are one.
    TokenHolder,
    /// Who holds the certificate of this name.
    Member(Name),
}

impl Peer {
    pub fn of(approach: &Approach) -> Peer {
        match approach {
            Approach::Plain(_) => Peer::TokenHolder,
            Approach::Member(who) => Peer::Member(who.name.clone()),
        }
    }
}

/// What a request to resume says: `ID KEY WANTS`.
#[derive(Debug)]
pub struct Claim {
    pub session: String,
    pub key: Token,
    pub wants: u64,
}

impl Claim {
    /// None: it is none.
    pub fn parse(text: &str) -> Option<Claim> {
        let mut words = text.split(' ');
        let (session, key, wants) = (words.next()?, words.next()?, words.next()?);
        // Digits and nothing else: parsing alone would take a sign.
        let is_number = !wants.is_empty() && wants.bytes().all(|digit| digit.is_ascii_digit());
        let wants = wants.parse().ok().filter(|_| is_number && words.next().is_none())?;
        Some(Claim { session: session.to_owned(), key: Token::parse(key)?, wants })
    }
}

/// Ways to the lines of one session's sockets.
#[derive(Debug)]
struct Held<S> {
    key: Token,
    peer: Peer,
    control: mpsc::Sender<Arrival<S>>,
    data: mpsc::Sender<Arrival<S>>,
}

#[derive(Debug)]
pub struct Sessions<S>(Arc<Mutex<BTreeMap<String, Held<S>>>>);

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Sessions(Arc::default())
    }
}

/// What arrives for a session, until it is forgotten when this is dropped.
#[derive(Debug)]
pub struct Holding<S> {
    id: String,
    sessions: Arc<Mutex<BTreeMap<String, Held<S>>>>,
}

impl<S> Drop for Holding<S> {
    fn drop(&mut self) {
        lock(&self.sessions).remove(&self.id);
    }
}

fn lock<S>(sessions: &Mutex<BTreeMap<String, Held<S>>>) -> MutexGuard<'_, BTreeMap<String, Held<S>>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two lines' ends of what a session is held with.
pub struct Arriving<S> {
    pub control: mpsc::Receiver<Arrival<S>>,
    pub data: mpsc::Receiver<Arrival<S>>,
}

impl<S> Sessions<S> {
    /// Holds a session for who has its key.
    pub fn hold(&self, id: String, key: Token, peer: Peer) -> (Holding<S>, Arriving<S>) {
        let ((control, controls), (data, datas)) = (mpsc::channel(MAX_ARRIVALS), mpsc::channel(MAX_ARRIVALS));
        lock(&self.0).insert(id.clone(), Held { key, peer, control, data });
        (Holding { id, sessions: self.0.clone() }, Arriving { control: controls, data: datas })
    }

    /// The way to a socket's line. None: there is no such session, or it is another's; which of the two is not told.
    pub fn find(&self, claim: &Claim, peer: &Peer, kind: FrameKind) -> Option<mpsc::Sender<Arrival<S>>> {
        let sessions = lock(&self.0);
        let held = sessions.get(&claim.session)?;
        let is_same = held.key.is_same(&claim.key) && held.peer == *peer;
        is_same.then(|| if kind == FrameKind::Data { held.data.clone() } else { held.control.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_key_alone_and_not_after_its_end() {
        let sessions = Sessions::<()>::default();
        let key = Token::random().unwrap();
        let claim = |key: &Token| Claim::parse(&format!("one {} 7", key.reveal())).unwrap();
        let (holding, _arriving) = sessions.hold("one".to_owned(), key.clone(), Peer::TokenHolder);
        assert!(sessions.find(&claim(&key), &Peer::TokenHolder, FrameKind::Control).is_some());
        assert!(sessions.find(&claim(&Token::random().unwrap()), &Peer::TokenHolder, FrameKind::Control).is_none());
        assert!(sessions.find(&claim(&key), &Peer::Member(Name::parse("other").unwrap()), FrameKind::Control).is_none());
        drop(holding);
        assert!(sessions.find(&claim(&key), &Peer::TokenHolder, FrameKind::Data).is_none());
    }

    #[test]
    fn a_claim_that_is_not_exactly_one_is_none() {
        let key = Token::random().unwrap().reveal();
        assert_eq!(Claim::parse(&format!("id {key} 12")).unwrap().wants, 12);
        let wrong =
            ["".to_owned(), "id".to_owned(), format!("id {key}"), format!("id {key} -1"), format!("id {key} +1"), format!("id {key} x")];
        let more = [format!("id {key} 1 2"), format!("id  {key} 1"), "id abc 1".to_owned(), format!("id {key} 99999999999999999999")];
        for wrong in wrong.iter().chain(&more) {
            assert!(Claim::parse(wrong).is_none(), "{wrong}");
        }
    }
}
