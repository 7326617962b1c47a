//! What the screens are told.

use std::sync::Arc;

use bytes::Bytes;
use millrace_studio_api::frame::{chart_frame, rows_frame};
use millrace_studio_api::{AlertTold, Conflict, Document, DocumentCause, Event, Notice, RowsFrame, RowsSubject, ServerMessage, Severity};

use super::Studio;
use crate::document::{Change, text_diff};
use crate::run::{Edge, rows};
use crate::session::SessionId;

impl Studio {
    pub(super) fn tell(&mut self, event: Event) {
        let message = Arc::new(ServerMessage::Event { event: Box::new(event) });
        for outbox in self.sessions.values_mut() {
            outbox.message(message.clone());
        }
    }

    pub(super) fn tell_one(&mut self, session: SessionId, event: Event) {
        if let Some(outbox) = self.sessions.get_mut(&session) {
            outbox.message(Arc::new(ServerMessage::Event { event: Box::new(event) }));
        }
    }

    pub(super) fn toast(&mut self, severity: Severity, message: String) {
        self.tell(Event::Toast { severity, message });
    }

    /// An alert has begun to fire, or is over: on the screens, and on the desktop if its file says so. Where a program of the desktop tells it, pages need not.
    pub(super) fn alert(&mut self, told: AlertTold) {
        let desktop = match self.options.notifier.as_ref().filter(|_| told.desktop) {
            Some(notifier) => {
                notifier.notify(&told);
                false
            }
            None => told.desktop,
        };
        self.tell(Event::Alert(AlertTold { desktop, ..told }));
    }

    /// The document as the screens see it.
    fn document_event(&self, change: &Change) -> Option<Document> {
        let document = self.document.as_ref()?;
        let graph = self.look.graph.clone().unwrap_or_default();
        let named = graph.settings.get("name").and_then(|name| name.as_str()).filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Document {
            path: document.path.as_ref().map(|path| path.display().to_string()),
            name: named.unwrap_or_else(|| document.file_stem()),
            root: self.folder().display().to_string(),
            dirty: document.is_dirty(),
            revision: document.revision(),
            text: document.text().to_owned(),
            graph,
            broken: self.look.broken.clone(),
            findings: self.look.findings.clone(),
            can_undo: document.can_undo(),
            can_redo: document.can_redo(),
            changed_lines: change.changed_lines.clone(),
            cause: change.cause.unwrap_or(DocumentCause::Checked),
            new_nodes: change.new_nodes.clone(),
        })
    }

    pub(super) fn tell_document(&mut self, change: &Change) {
        match self.document_event(change) {
            Some(document) => self.tell(Event::Document(document)),
            None => self.tell(Event::Closed),
        }
        self.tell_run();
    }

    pub(super) fn tell_run(&mut self) {
        let text = self.document.as_ref().map(|document| document.text().to_owned()).unwrap_or_default();
        let info = self.run.as_ref().map(|run| run.info(&text));
        self.tell(Event::Run(info));
    }

    pub(super) fn tell_charts(&mut self) {
        let charts = self.run.as_ref().map(|run| run.chart_infos()).unwrap_or_default();
        self.tell(Event::Charts(charts));
    }

    pub(super) fn conflict_event(&self) -> Option<Conflict> {
        let document = self.document.as_ref()?;
        let on_disk = self.conflict.as_ref()?;
        let path = document.path.as_ref()?.display().to_string();
        Some(Conflict { path, diff: text_diff(on_disk, document.text(), ("on disk", "in the studio")) })
    }

    /// Everything that a screen needs that has just joined.
    pub(super) fn tell_all(&mut self, session: SessionId) {
        let mut events = vec![match self.document_event(&Change { cause: Some(DocumentCause::Opened), ..Change::default() }) {
            Some(document) => Event::Document(document),
            None => Event::Closed,
        }];
        let text = self.document.as_ref().map(|document| document.text().to_owned()).unwrap_or_default();
        events.push(Event::Run(self.run.as_ref().map(|run| run.info(&text))));
        events.push(Event::Charts(self.run.as_ref().map(|run| run.chart_infos()).unwrap_or_default()));
        events.extend(self.run.as_ref().and_then(|run| run.figures.clone()).map(Event::Figures));
        events.push(Event::Notices { reset: true, notices: self.notices.clone() });
        events.push(Event::Conflict(self.conflict_event()));
        for event in events {
            self.tell_one(session, event);
        }
    }

    /// A line of the Events screen. One of the same kind and node as the last is counted in it.
    pub(super) fn notice(&mut self, at_ms: f64, severity: Severity, node: Option<String>, kind: &str, message: String, count: u64) {
        let same = |notice: &&mut Notice| notice.kind == kind && notice.node == node && notice.message == message;
        let notice = match self.notices.last_mut().filter(same) {
            Some(last) => {
                last.count += count as f64;
                last.at_ms = at_ms;
                last.clone()
            }
            None => {
                let notice = Notice { id: self.next_notice, at_ms, severity, node, kind: kind.to_owned(), message, count: count as f64 };
                self.next_notice += 1;
                if self.notices.len() >= super::MAX_NOTICES {
                    self.notices.remove(0);
                }
                self.notices.push(notice.clone());
                notice
            }
        };
        self.tell(Event::Notices { reset: false, notices: vec![notice] });
    }

    /// Sends each watcher of each chart what it does not have yet, as far as it keeps up.
    pub(super) fn send_charts(&mut self) {
        self.charts_due = false;
        let Some(run) = &mut self.run else { return };
        for ((session, node), come_to) in &mut self.watched {
            let (Some(outbox), Some(chart)) = (self.sessions.get_mut(session), run.charts.get_mut(node)) else { continue };
            while outbox.has_room() {
                let Some((frame, end)) = chart.frame_from(*come_to) else { break };
                let bytes = frame.encode().ok().and_then(|bytes| chart_frame(node, &bytes));
                let Some(bytes) = bytes else {
                    tracing::error!(%node, "a chart's frame could not be written");
                    break;
                };
                outbox.frame(Bytes::from(bytes));
                *come_to = Some(end);
            }
            self.charts_due |= come_to.is_none_or(|end| end < chart.end());
        }
    }

    /// Rows of an edge, to those who sample it. Who does not keep up misses one sample.
    pub(super) fn send_tap(&mut self, edge: &Edge, frame: &polars::prelude::DataFrame) {
        let Some(watchers) = self.taps.get(edge).filter(|watchers| !watchers.is_empty()) else { return };
        let subject = RowsSubject::Edge { from: edge.from.node.to_string(), port: edge.from.port.clone(), to: edge.to.to_string() };
        let Ok(bytes) = rows_frame(&RowsFrame { subject, page: rows::page(frame) }) else { return };
        let bytes = Bytes::from(bytes);
        for session in watchers {
            if let Some(outbox) = self.sessions.get_mut(session) {
                outbox.frame(bytes.clone());
            }
        }
    }
}
