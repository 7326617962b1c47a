//! Carries out what the alerts of a run say: looks for them, and tells whoever is to be told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace_wire::alerts::{AlertFigures, WebhookFigures};
use millrace_wire::message::{Notice, NoticeSeverity};

use crate::alerts::{AlertWatch, Herald, Look, News, NodeLook};
use crate::job::JobProgress;
use crate::telemetry::NoticeBoard;
use crate::telemetry::figures::Role;

pub struct Alarm {
    progress: Arc<JobProgress>,
    notices: Arc<NoticeBoard>,
    herald: Option<Arc<dyn Herald>>,
    watch: AlertWatch,
    /// By alert and webhook: how many of its messages came to nothing, as it was last said.
    not_told: BTreeMap<(String, usize), u64>,
}

impl Alarm {
    pub fn new(progress: Arc<JobProgress>, notices: Arc<NoticeBoard>, herald: Option<Arc<dyn Herald>>) -> Alarm {
        let watch = AlertWatch::new(progress.start_ns);
        Alarm { progress, notices, herald, watch, not_told: BTreeMap::new() }
    }

    /// Twice a second.
    pub fn look(&mut self) {
        let (rules, at_us) = (self.progress.alert_rules(), self.progress.clock.wall_us());
        if self.watch.is_idle(&rules) {
            return;
        }
        let over = self.watch.become_these(&rules, at_us);
        let told = self.watch.look(self.now(), at_us);
        self.tell(over.into_iter().chain(told));
        self.show();
    }

    /// The run is over.
    pub fn end(&mut self) {
        let (rules, at_us) = (self.progress.alert_rules(), self.progress.clock.wall_us());
        if self.watch.is_idle(&rules) {
            return;
        }
        let over = self.watch.become_these(&rules, at_us);
        // What came since the last look counts, too.
        let told = self.watch.look(self.now(), at_us);
        let ended = self.watch.end(self.now(), at_us);
        self.tell(over.into_iter().chain(told).chain(ended));
        self.show();
    }

    fn now(&self) -> Look {
        let progress = &self.progress;
        let at_ns = progress.now_ns();
        let telemetry = progress.telemetry();
        let queued = telemetry.edge_figures(at_ns).into_iter().fold(BTreeMap::new(), |mut queued, edge| {
            *queued.entry(edge.to).or_insert(0) += edge.queued_rows;
            queued
        });
        let nodes = progress.node_figures(at_ns).into_iter().map(|(id, figures)| {
            let role = telemetry.nodes.get(&id).map_or(Role::Operator, |node| node.role);
            let queued_rows = queued.get(&id).copied().unwrap_or(0);
            (id, NodeLook { role, figures, queued_rows })
        });
        Look {
            at_ns,
            state: *progress.state.borrow(),
            nodes: nodes.collect(),
            restarts: progress.restarts.load(Ordering::Relaxed),
            epochs: progress.epochs().figures(),
            is_kept: progress.is_kept,
            complete_ns: progress.start_ns,
        }
    }

    fn tell(&self, news: impl Iterator<Item = News>) {
        for news in news {
            let (severity, kind) =
                if news.firing { (NoticeSeverity::Warning, "alert_firing") } else { (NoticeSeverity::Info, "alert_resolved") };
            self.notices.pass_on(Notice {
                at_us: news.at_us,
                severity,
                node: news.alert.node.clone(),
                alert: Some(news.alert.name.clone()),
                kind: kind.to_owned(),
                message: news.in_words(),
                count: 1,
            });
            if let Some(herald) = self.herald.as_ref().filter(|_| !news.alert.webhooks.is_empty()) {
                herald.tell(news);
            }
        }
    }

    /// Puts the figures where they are looked at, and says of webhooks what came to nothing.
    fn show(&mut self) {
        let mut figures = self.watch.figures();
        if let Some(herald) = self.herald.clone() {
            for (shown, alert) in figures.iter_mut().zip(self.watch.alerts()) {
                shown.webhooks = herald.figures(alert);
            }
            figures.iter().for_each(|alert| self.say_not_told(alert));
        }
        self.progress.set_alert_figures(figures);
    }

    fn say_not_told(&mut self, alert: &AlertFigures) {
        for (at, WebhookFigures { to, failed, dropped, problem, .. }) in alert.webhooks.iter().enumerate() {
            let lost = failed + dropped;
            let before = self.not_told.insert((alert.name.clone(), at), lost).unwrap_or(0);
            if lost > before {
                let why = problem.clone().unwrap_or_else(|| "too many messages wait for it".to_owned());
                let name = &alert.name;
                let message = || format!("{name}: {to} could not be told: {why}");
                self.notices.say(alert.node.as_ref(), NoticeSeverity::Warning, "alert_not_told", lost - before, message);
            }
        }
    }
}
