//! Whether the other end is in reach, and how often it had to be reached again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millrace_wire::FrameKind;
use tokio::sync::watch;

/// Whether the engine is in reach. Once lost, a session stays lost: connect again for a new one.
#[derive(Debug, Clone, PartialEq)]
pub enum Contact {
    Connected,
    /// A connection was dropped, and is being made again. Jobs run on; what is asked meanwhile waits and is carried out after.
    Resuming {
        since: Instant,
        why: String,
    },
    Lost {
        since: Instant,
        why: String,
    },
}

impl Contact {
    pub const fn is_lost(&self) -> bool {
        matches!(self, Contact::Lost { .. })
    }

    pub const fn is_resuming(&self) -> bool {
        matches!(self, Contact::Resuming { .. })
    }
}

/// What is known of a session's contact: its sockets tell, and whoever follows it is told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    contact: watch::Sender<Contact>,
    resumes: AtomicU64,
    cuts: Mutex<Cuts>,
}

/// Which socket's connection is down, since when and why.
#[derive(Debug, Default)]
struct Cuts {
    control: Option<(Instant, String)>,
    data: Option<(Instant, String)>,
}

impl Default for Standing {
    fn default() -> Self {
        let contact = watch::Sender::new(Contact::Connected);
        Standing(Arc::new(Inner { contact, resumes: AtomicU64::new(0), cuts: Mutex::default() }))
    }
}

impl Standing {
    fn cuts(&self) -> MutexGuard<'_, Cuts> {
        self.0.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of a socket was dropped.
    pub fn cut(&self, kind: FrameKind, why: &str) {
        self.note(kind, Some((Instant::now(), why.to_owned())));
    }

    /// It was made again.
    pub fn resumed(&self, kind: FrameKind) {
        self.0.resumes.fetch_add(1, Ordering::Relaxed);
        self.note(kind, None);
    }

    fn note(&self, kind: FrameKind, cut: Option<(Instant, String)>) {
        let mut cuts = self.cuts();
        if kind == FrameKind::Data {
            cuts.data = cut;
        } else {
            cuts.control = cut;
        }
        let longest = [&cuts.control, &cuts.data].into_iter().flatten().min_by_key(|(since, _)| *since).cloned();
        // Told within the lock, so that two sockets' news keep their order.
        self.tell(longest.map_or(Contact::Connected, |(since, why)| Contact::Resuming { since, why }));
    }

    /// The session is over. Nothing is told after that.
    pub fn lose(&self, why: String) {
        self.tell(Contact::Lost { since: Instant::now(), why });
    }

    fn tell(&self, contact: Contact) {
        self.0.contact.send_if_modified(|told| {
            let is_news = !told.is_lost() && *told != contact;
            if is_news {
                *told = contact;
            }
            is_news
        });
    }

    pub fn contact(&self) -> Contact {
        self.0.contact.borrow().clone()
    }

    pub fn follow(&self) -> watch::Receiver<Contact> {
        self.0.contact.subscribe()
    }

    /// How many connections were made again.
    pub fn resumes(&self) -> u64 {
        self.0.resumes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_is_resuming_until_both_sockets_are_back_and_lost_for_good() {
        let standing = Standing::default();
        standing.cut(FrameKind::Data, "the cable");
        standing.cut(FrameKind::Control, "the other cable");
        standing.resumed(FrameKind::Control);
        assert!(matches!(standing.contact(), Contact::Resuming { why, .. } if why == "the cable"));
        standing.resumed(FrameKind::Data);
        assert_eq!((standing.contact(), standing.resumes()), (Contact::Connected, 2));
        standing.lose("gone".to_owned());
        standing.cut(FrameKind::Data, "late");
        assert!(standing.contact().is_lost());
    }
}
