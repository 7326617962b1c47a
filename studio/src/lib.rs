//! The studio: one open project, its runs, and any number of screens that show them.
//!
//! A [`studio::StudioHandle`] is the way in, for the browser's server ([`server`]) as for the desktop's window: a screen joins, sends
//! requests and is told events. One task owns all state, so that nothing here is locked; the engine's rows and figures come to it over
//! queues of their own, so that no flood of data keeps a Stop waiting.

pub mod catalog;
mod cluster;
pub mod document;
pub mod home;
pub mod run;
pub mod server;
pub mod session;
pub mod studio;
pub mod targets;

pub use server::{ServeError, Server};
pub use session::{Outgoing, Session};
pub use studio::{Notifier, StudioHandle, StudioOptions};
