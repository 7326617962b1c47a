//! Targets as their keepers find them, and clusters that screens watch.

use millrace_studio_api::{ApiError, Event};

use super::{Command, Studio, api_error, now_ms};
use crate::cluster::{Mine, News, Watched};
use crate::session::SessionId;
use crate::targets::{Found, LOCAL};

impl Studio {
    /// Tells a screen the cluster at a target, and no other any more.
    pub(super) fn watch_cluster(&mut self, session: SessionId, target: Option<String>) {
        self.unwatch_clusters(session);
        // An engine in this process is no cluster.
        let Some(target) = target.filter(|target| target != LOCAL) else { return };
        let watched = self.clusters.entry(target.clone()).or_insert_with(|| Watched::new(&target));
        watched.screens.insert(session);
        self.ask_clusters();
        self.tell_cluster(&target);
    }

    /// What was found of a target: it is in reach again, or is not any more.
    pub(super) fn target_found(&mut self, target: &str, found: Found) {
        let is_reached = matches!(found, Found::Reached { .. });
        if !self.targets.found(target, found) {
            return;
        }
        if !is_reached {
            // What comes over the next session is followed anew.
            self.followed.remove(target);
        }
        let targets = self.targets.list();
        self.tell(Event::Targets(targets));
        self.ask_clusters();
    }

    /// A cluster that nobody watches is not asked about.
    pub(super) fn unwatch_clusters(&mut self, session: SessionId) {
        self.clusters.retain(|_, watched| {
            watched.screens.remove(&session);
            !watched.screens.is_empty()
        });
    }

    /// Asks those that are in reach, by the session that there is with them: a target is dialled when it is added or run at, not here.
    pub(super) fn ask_clusters(&mut self) {
        for (target, watched) in self.clusters.iter_mut().filter(|(_, watched)| watched.wants_asking()) {
            if let Some(client) = self.targets.standing(target) {
                watched.ask(client, self.commands.clone());
            }
        }
    }

    pub(super) fn cluster_news(&mut self, target: &str, news: News) {
        if let Some(watched) = self.clusters.get_mut(target) {
            watched.take(news, now_ms());
            self.tell_cluster(target);
        }
    }

    /// Empties a node of a cluster, or has it take part again. The answer is not waited for: the next looks tell, or why nothing came of it.
    pub(super) fn drain_node(&mut self, target: String, member: u32, on: bool) -> Result<(), ApiError> {
        let client = self.targets.standing(&target).ok_or_else(|| api_error("not_found", "there is no session with this node"))?;
        let commands = self.commands.clone();
        tokio::spawn(async move {
            // The node that leads is the one that is asked.
            let node = (member > 0).then(|| member.to_string());
            let why = client.drain(node.as_deref(), Some(on)).await.err().map(|error| error.to_string());
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Cluster { target, news: News::Refused(why) }).await;
            }
        });
        Ok(())
    }

    fn tell_cluster(&mut self, target: &str) {
        let mine: Mine = self.run.as_ref().filter(|run| run.target == target).and_then(|run| run.job);
        let Some(watched) = self.clusters.get(target) else { return };
        let event = Event::Cluster(watched.view.shown(mine));
        let screens: Vec<SessionId> = watched.screens.iter().copied().collect();
        for session in screens {
            self.tell_one(session, event.clone());
        }
    }
}
