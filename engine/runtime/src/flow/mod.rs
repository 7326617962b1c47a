//! How data goes from task to task: elements in bounded channels, merged at a gate, split by an exchange.

pub mod channel;
pub mod combine;
pub mod element;
pub mod gate;
pub mod outlet;
pub mod partition;
pub mod watermark;

pub use channel::{Bounds, Sender, channel};
pub use combine::Combining;
pub use element::Element;
pub use gate::{Gate, GateEvent, InFlight};
pub use outlet::{Outlet, Route};
