//! A leader's end of a share.

use std::sync::Arc;

use bytes::Bytes;
use millrace_runtime::share::MemberReport;
use millrace_wire::message::DataHeader;
use tokio::sync::mpsc;

use super::edges::LinkEdges;
use super::store::ServedStore;

/// A share that a member of this session has taken.
pub struct Leading {
    pub edges: Arc<LinkEdges>,
    /// Where the run's state lies; none if the run is not kept, or members reach it by themselves.
    pub store: Option<Arc<ServedStore>>,
    /// None once the member is through. Its last elements may still be on their way then: they travel on another socket.
    pub reports: Option<mpsc::Sender<MemberReport>>,
}

impl Leading {
    /// Something has come on the data side. False if it is nothing that a member sends.
    pub fn came(&self, header: DataHeader, bytes: Bytes) -> bool {
        match (header, &self.store) {
            (DataHeader::Edge { edge, raw, .. }, _) => return self.edges.came(edge, bytes, raw).is_ok(),
            (DataHeader::Credit { edge, bytes, hungry, .. }, _) => self.edges.granted(edge, bytes, hungry),
            (DataHeader::StoreCall { call, ask, last, .. }, Some(store)) => return store.called(call, ask, &bytes, last),
            _ => return false,
        }
        true
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.edges.close();
    }
}
