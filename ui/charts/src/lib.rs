//! Millrace's charts: one canvas in the page that tiles them all, painted by egui and egui_plot in WebAssembly.
//!
//! A browser drops WebGL contexts past about sixteen, so the charts of a page share one. egui paints plot areas only: grid, tick labels, lines,
//! bars, crosshair. Titles, legends, buttons and tables are the page's own; it says by [`config`] how charts look and where they lie, pushes points
//! as they come off the wire, and is told what stands under the pointer.
//!
//! What comes in goes this way: [`chart`] takes a frame of points into its [`store`]; [`paint`] asks the [`view`] which stretch to show, reduces it
//! to the [`columns`] of pixels, puts ticks after [`scale`], and paints. All of that runs natively in tests; only `web` knows the browser.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod board;
pub mod chart;
pub mod columns;
pub mod config;
pub mod paint;
pub mod scale;
pub mod store;
pub mod view;
#[cfg(target_arch = "wasm32")]
mod web;
