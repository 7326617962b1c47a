//! The browser's side: what the page calls, and what it is called back with.
//!
//! The page never waits on a frame and a frame never waits on the page: calls change the board and ask for a repaint; what the user does is told
//! after the frame, from a microtask, so that a callback may call anything here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use eframe::wasm_bindgen::JsCast as _;
use millrace_studio_api::chart_frame::ChartFrame;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::HtmlCanvasElement;

use crate::board::{Board, Event};
use crate::chart::Chart;
use crate::config::{ChartConfig, Theme, Tile};
use crate::paint::{self, style};

/// What the handle, the app and the callbacks have in common.
#[derive(Default)]
struct Shared {
    board: RefCell<Board>,
    context: RefCell<Option<egui::Context>>,
    on_hover: RefCell<Option<js_sys::Function>>,
    on_view_change: RefCell<Option<js_sys::Function>>,
    /// Frames made; the cost of each is known when the next begins.
    made: Cell<bool>,
}

/// All charts of a page.
#[wasm_bindgen]
pub struct ChartsHandle {
    runner: RefCell<Option<eframe::WebRunner>>,
    shared: Rc<Shared>,
}

thread_local! {
    static ON_PANIC: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
impl ChartsHandle {
    /// No canvas yet; charts may be configured and fed all the same.
    #[wasm_bindgen(constructor)]
    pub fn new() -> ChartsHandle {
        install_panic_hook();
        ChartsHandle { runner: RefCell::new(None), shared: Rc::new(Shared::default()) }
    }

    /// Paints on this canvas from now on, in place of an earlier one. Resolves once it is set up; rejects where there is no WebGL.
    pub async fn start(&self, canvas: HtmlCanvasElement) -> Result<(), JsError> {
        self.stop();
        let options = eframe::WebOptions {
            // The page's own shortcuts go on working over the charts; the wheel zooms here and does not scroll there.
            should_stop_propagation: Box::new(|_| false),
            should_prevent_default: Box::new(|event| matches!(event, egui::Event::MouseWheel { .. } | egui::Event::Zoom(_))),
            dithering: false,
            ..eframe::WebOptions::default()
        };
        prepare_context(&canvas);
        let shared = Rc::clone(&self.shared);
        let runner = eframe::WebRunner::new();
        let app = Box::new(move |creation: &eframe::CreationContext<'_>| {
            creation.egui_ctx.set_fonts(style::fonts());
            *shared.context.borrow_mut() = Some(creation.egui_ctx.clone());
            Ok(Box::new(App { shared }) as Box<dyn eframe::App>)
        });
        runner
            .start(canvas.clone(), options, app)
            .await
            .map_err(|error| JsError::new(&format!("the charts cannot start: {}", words(&error))))?;
        // Charts take no keys. A canvas that can have the focus would hold it, with Tab going nowhere.
        let _ = canvas.remove_attribute("tabindex");
        self.runner.replace(Some(runner));
        Ok(())
    }

    /// Lets go of the canvas and its WebGL context. Charts and their points stay, for another `start`.
    pub fn stop(&self) {
        self.shared.context.replace(None);
        if let Some(runner) = self.runner.take() {
            runner.destroy();
        }
    }

    /// Colours and font size: `{"panel","line","ink","ink2","accent": "#RRGGBB", "series": ["#RRGGBB", …], "font_px": 11}`.
    pub fn set_theme(&self, tokens: &str) -> Result<(), JsError> {
        let theme = Theme::from_json(tokens).map_err(error)?;
        self.change(|board| board.theme = theme)
    }

    /// Where charts lie, `[{"id","x","y","w","h"}, …]` in CSS pixels on the canvas: each the plot with the labels of its axes. A chart that is
    /// not named is not painted, and goes on taking points.
    pub fn set_layout(&self, tiles: &str) -> Result<(), JsError> {
        let tiles: Vec<Tile> = serde_json::from_str(tiles).map_err(|wrong| error(format!("layout: {wrong}")))?;
        self.change(|board| board.set_layout(tiles))
    }

    /// How a chart looks: `{"mark":"line"|"bar", "x_kind":"time"|"number"|"category", "series":[{"name","visible"}], "span":60000}`.
    pub fn set_config(&self, id: &str, config: &str) -> Result<(), JsError> {
        let config: ChartConfig = serde_json::from_str(config).map_err(|wrong| error(format!("chart {id}: {wrong}")))?;
        self.chart(id, |chart| chart.set_config(config))
    }

    /// Takes a frame of points (`chart_frame` in studio/api) and says how many there were. A frame that is none is refused whole.
    pub fn push(&self, id: &str, bytes: &[u8]) -> Result<u32, JsError> {
        let began = now_ms();
        let frame = ChartFrame::decode(bytes).map_err(|wrong| error(format!("chart {id}: {wrong}")))?;
        let points = self.chart(id, |chart| chart.push(&frame))?;
        self.board(|board| board.costs.push(now_ms() - began))?;
        Ok(u32::try_from(points).unwrap_or(u32::MAX))
    }

    /// Forgets a chart's points.
    pub fn clear(&self, id: &str) -> Result<(), JsError> {
        self.chart(id, Chart::clear)
    }

    /// Forgets a chart.
    pub fn remove(&self, id: &str) -> Result<(), JsError> {
        self.change(|board| board.remove(id))
    }

    /// A paused chart shows what it had, at any zoom, and goes on taking points (the newest 200,000).
    pub fn set_paused(&self, id: &str, paused: bool) -> Result<(), JsError> {
        self.chart(id, |chart| chart.set_paused(paused))
    }

    /// Keeps the newest in view, or what is shown now.
    pub fn set_follow(&self, id: &str, follow: bool) -> Result<(), JsError> {
        self.chart(id, |chart| chart.set_follow(follow))
    }

    /// Shows the series named in the JSON array and hides the others.
    pub fn set_visible_series(&self, id: &str, names: &str) -> Result<(), JsError> {
        let names: Vec<String> = serde_json::from_str(names).map_err(|wrong| error(format!("chart {id}, series: {wrong}")))?;
        self.chart(id, |chart| chart.set_visible_series(&names))
    }

    /// Shows all there is, following the newest.
    pub fn reset_zoom(&self, id: &str) -> Result<(), JsError> {
        self.chart(id, |chart| chart.view.reset())
    }

    /// Shows x from here to there.
    pub fn set_range(&self, id: &str, x0: f64, x1: f64) -> Result<(), JsError> {
        self.chart(id, |chart| {
            let extent = chart.extent();
            chart.view.set(x0, x1, &extent);
        })
    }

    /// Zooms by a factor (above 1: nearer), as the wheel does over the middle: for buttons and keys.
    pub fn zoom_by(&self, id: &str, factor: f64) -> Result<(), JsError> {
        self.chart(id, |chart| {
            let (from, to) = chart.bounds();
            let extent = chart.extent();
            chart.view.zoom(factor, from + (to - from) / 2.0, &extent);
        })
    }

    /// Moves by a share of what is shown, to the right if positive: for buttons and keys.
    pub fn pan_by(&self, id: &str, share: f64) -> Result<(), JsError> {
        self.chart(id, |chart| {
            let extent = chart.extent();
            chart.view.pan(share, &extent);
        })
    }

    /// What stands nearest to the pointer: `{"x","x_text","values":[{"series","x","y","y_text"}]}`, `null` where the pointer is elsewhere.
    pub fn hover(&self, id: &str) -> Result<String, JsError> {
        self.board(|board| json(&board.known(id).and_then(|chart| chart.hover.clone())))?
    }

    /// What is shown: `{"x0","x1","x0_text","x1_text","zoomed","follow","paused","points","evicted","refused"}`; `null` for an unknown chart.
    pub fn visible_range(&self, id: &str) -> Result<String, JsError> {
        self.board(|board| json(&board.known(id).map(Chart::visible)))?
    }

    /// The rows behind what is shown, newest first: `[{"x","x_text","series","y","y_text"}, …]`.
    pub fn visible_rows(&self, id: &str, limit: u32) -> Result<String, JsError> {
        self.board(|board| json(&board.known(id).map_or_else(Vec::new, |chart| chart.visible_rows(limit as usize))))?
    }

    /// What is shown, as CSV.
    pub fn visible_csv(&self, id: &str) -> Result<String, JsError> {
        self.board(|board| board.known(id).map_or_else(String::new, Chart::visible_csv))
    }

    /// When the newest row on the screen left its source, microseconds since 1970. Read it in a `requestAnimationFrame`: the frame is painted then.
    pub fn newest_painted_stamp_us(&self, id: &str) -> Result<Option<f64>, JsError> {
        self.board(|board| board.known(id).and_then(Chart::painted_stamp_us).map(|stamp| stamp as f64))
    }

    /// The newest x of the painted frame (milliseconds since 1970 on a time axis), read as the stamp above.
    pub fn newest_painted_x(&self, id: &str) -> Result<Option<f64>, JsError> {
        self.board(|board| board.known(id).and_then(Chart::painted_newest_x))
    }

    /// What frames cost the main thread: `{"frames","mean_ms","p99_ms","max_ms","pushes","push_mean_ms"}` over the latest 600.
    pub fn stats(&self) -> Result<String, JsError> {
        self.board(|board| json(&board.costs.stats()))?
    }

    pub fn reset_stats(&self) -> Result<(), JsError> {
        self.board(|board| board.costs.reset())
    }

    /// Paints with the next animation frame. A `requestAnimationFrame` asked for after this finds the picture on the canvas, to be copied.
    pub fn request_repaint(&self) {
        if let Ok(context) = self.shared.context.try_borrow()
            && let Some(context) = context.as_ref()
        {
            context.request_repaint();
        }
    }

    /// Called with a chart's id and what `hover` gives, when that changes.
    pub fn on_hover(&self, callback: Option<js_sys::Function>) {
        self.shared.on_hover.replace(callback);
    }

    /// Called with a chart's id and what `visible_range` gives, when the user zoomed, moved or reset it.
    pub fn on_view_change(&self, callback: Option<js_sys::Function>) {
        self.shared.on_view_change.replace(callback);
    }

    /// Called with the message of a panic. The charts stand still from then on and every call throws; the page lives.
    pub fn on_panic(&self, callback: Option<js_sys::Function>) {
        ON_PANIC.with(|on_panic| on_panic.replace(callback));
    }

    /// The marker of the series in that place of the legend: `circle`, `triangle-up`, `square`, …
    pub fn marker_of(&self, series: u32) -> String {
        style::marker_name(series as usize).to_owned()
    }
}

impl ChartsHandle {
    fn board<T>(&self, work: impl FnOnce(&mut Board) -> T) -> Result<T, JsError> {
        // After a panic in a frame the board stays borrowed: that is an error for the page, not another panic.
        let mut board =
            self.shared.board.try_borrow_mut().map_err(|_| error("the charts have stopped after an error: reload the page".into()))?;
        Ok(work(&mut board))
    }

    fn change<T>(&self, work: impl FnOnce(&mut Board) -> T) -> Result<T, JsError> {
        let done = self.board(work)?;
        self.request_repaint();
        Ok(done)
    }

    fn chart<T>(&self, id: &str, work: impl FnOnce(&mut Chart) -> T) -> Result<T, JsError> {
        self.change(|board| board.chart(id).map(work))?.map_err(error)
    }
}

struct App {
    shared: Rc<Shared>,
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let Ok(mut board) = self.shared.board.try_borrow_mut() else { return };
        if self.shared.made.replace(true)
            && let Some(seconds) = frame.info().cpu_usage
        {
            board.costs.frame(seconds * 1e3);
        }
        paint::board(ui, &mut board);
        let events = board.take_events();
        drop(board);
        if !events.is_empty() {
            let shared = Rc::clone(&self.shared);
            wasm_bindgen_futures::spawn_local(async move { tell(&shared, events) });
        }
    }

    /// Nothing: the page's ground shows through.
    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        [0.0; 4]
    }
}

fn tell(shared: &Shared, events: Vec<Event>) {
    for event in events {
        let (callback, id, what) = match event {
            Event::Hover { id, hover } => (shared.on_hover.borrow().clone(), id, json(&hover)),
            Event::View { id, visible } => (shared.on_view_change.borrow().clone(), id, json(&visible)),
        };
        if let (Some(callback), Ok(what)) = (callback, what) {
            // An error thrown by the page's own callback is the page's: it is in its console already.
            let _ = callback.call2(&JsValue::NULL, &JsValue::from(id), &JsValue::from(what));
        }
    }
}

/// Makes the WebGL context before eframe asks for it, and is given this one. egui smooths edges by itself: multisampling, depth and stencil would
/// cost memory and, where WebGL runs in software, most of a frame.
fn prepare_context(canvas: &HtmlCanvasElement) {
    let options = js_sys::Object::new();
    for attribute in ["antialias", "depth", "stencil"] {
        let _ = js_sys::Reflect::set(&options, &JsValue::from(attribute), &JsValue::FALSE);
    }
    // What cannot be had is said by eframe's own attempt.
    let _ = canvas.get_context_with_context_options("webgl2", &options);
}

/// eframe's own hook prints to the console and stops the frames; this one tells the page.
fn install_panic_hook() {
    thread_local! {
        static INSTALLED: Cell<bool> = const { Cell::new(false) };
    }
    if INSTALLED.replace(true) {
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        let callback = ON_PANIC.with(|on_panic| on_panic.try_borrow().ok().and_then(|callback| callback.clone()));
        if let Some(callback) = callback {
            let _ = callback.call1(&JsValue::NULL, &JsValue::from(info.to_string()));
        }
    }));
}

fn now_ms() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |performance| performance.now())
}

fn json(value: &impl Serialize) -> Result<String, JsError> {
    serde_json::to_string(value).map_err(|wrong| error(wrong.to_string()))
}

fn error(message: String) -> JsError {
    JsError::new(&message)
}

fn words(value: &JsValue) -> String {
    value
        .as_string()
        .or_else(|| value.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message())))
        .unwrap_or_else(|| format!("{value:?}"))
}
