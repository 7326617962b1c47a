//! Alerts as notifications of the desktop.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use millrace_studio::Notifier;
use millrace_studio_api::AlertTold;
use notify_rust::Notification;

/// Notifications that wait for a desktop that is slow; more are dropped, and stand in the studio.
const MOST_WAITING: usize = 16;

/// Tells alerts on the desktop, on a thread of its own: who shows them may take a while, or not be there.
pub struct Desktop(SyncSender<AlertTold>);

impl Desktop {
    /// # Errors
    /// If the thread cannot start.
    pub fn start() -> std::io::Result<Desktop> {
        let (sender, alerts) = sync_channel(MOST_WAITING);
        std::thread::Builder::new().name("millrace-notifications".to_owned()).spawn(move || tell_all(&alerts))?;
        Ok(Desktop(sender))
    }
}

impl Notifier for Desktop {
    fn notify(&self, alert: &AlertTold) {
        if self.0.try_send(alert.clone()).is_err() {
            tracing::warn!(alert = alert.name, "too many notifications wait for the desktop");
        }
    }
}

fn tell_all(alerts: &Receiver<AlertTold>) {
    while let Ok(alert) = alerts.recv() {
        let (title, text) = words(&alert);
        if let Err(error) = Notification::new().appname("Millrace").summary(&title).body(&text).show() {
            tracing::warn!(%error, alert = alert.name, "the desktop was not told of an alert");
        }
    }
}

/// The title and the text. Desktops read markup in the text: what is in it of the file are names of nodes, alerts and figures, which have none.
fn words(alert: &AlertTold) -> (String, String) {
    let title = if alert.pipeline.is_empty() { "Millrace".to_owned() } else { alert.pipeline.clone() };
    (title, format!("{}: {}", if alert.firing { "Alert" } else { "Over" }, alert.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_names_the_pipeline_and_says_whether_it_is_over() {
        let told = |firing| AlertTold {
            name: "lates".to_owned(),
            firing,
            message: "lates: late above 100: 1,203".to_owned(),
            pipeline: "departures".to_owned(),
            desktop: true,
        };
        assert_eq!(words(&told(true)), ("departures".to_owned(), "Alert: lates: late above 100: 1,203".to_owned()));
        assert!(words(&told(false)).1.starts_with("Over: "));
    }
}
