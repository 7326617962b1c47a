//! The studio in a window of its own: windows, dialogs, and a bridge to the studio. No logic, and no port.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod bridge;
mod dialogs;
mod notify;
mod window;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use millrace_engine::runtime::data_runtime::DataPriority;
use millrace_engine::{Engine, EngineOptions};
use millrace_studio::{StudioHandle, StudioOptions};
use tauri::Manager;
use tracing_subscriber::EnvFilter;

/// What the command line asks to be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Opening {
    path: Option<PathBuf>,
    run: bool,
}

impl Opening {
    /// `FILE` opens, `--run FILE` opens and runs. Paths are relative to `folder`. Anything else is the window system's.
    fn read(arguments: impl IntoIterator<Item = String>, folder: &Path) -> Opening {
        let mut opening = Opening::default();
        for argument in arguments.into_iter().skip(1) {
            match argument.as_str() {
                "--run" => opening.run = true,
                option if option.starts_with('-') => {}
                path => opening.path = Some(folder.join(path)),
            }
        }
        opening
    }
}

fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("millrace-control")
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    tauri::async_runtime::set(runtime.handle().clone());
    let folder = std::env::current_dir().unwrap_or_default();
    let opening = Opening::read(std::env::args(), &folder);
    tauri::Builder::default()
        .plugin(tauri_plugin_single_instance::init(|app, arguments, folder| {
            window::show(app);
            bridge::open(app, Opening::read(arguments, Path::new(&folder)));
        }))
        .plugin(tauri_plugin_window_state::Builder::default().build())
        .plugin(tauri_plugin_dialog::init())
        .invoke_handler(tauri::generate_handler![
            bridge::subscribe,
            bridge::request,
            dialogs::choose_open,
            dialogs::choose_save,
            dialogs::save_bytes
        ])
        .setup(move |app| {
            let data_dir = app.path().app_data_dir()?;
            let studio = tauri::async_runtime::block_on(async { start(data_dir) })?;
            app.manage(bridge::Bridge::new(studio));
            bridge::open(app.handle(), opening);
            window::open(app.handle())?;
            Ok(())
        })
        .run(tauri::generate_context!())
        .context("the window cannot be opened")
}

fn start(data_dir: PathBuf) -> anyhow::Result<StudioHandle> {
    let connectors = millrace_connectors::all();
    let engine = Engine::new(EngineOptions { connectors, data_priority: DataPriority::BehindScreen, ..EngineOptions::default() })
        .context("the engine cannot start")?;
    let home = std::env::var_os("HOME").map_or_else(|| data_dir.clone(), PathBuf::from);
    std::fs::create_dir_all(&data_dir).with_context(|| format!("{} cannot be made", data_dir.display()))?;
    Ok(StudioHandle::start(StudioOptions {
        engine: engine.session(),
        inspector: engine.inspector().clone(),
        data_dir,
        top: home,
        allowed: Vec::new(),
        notifier: Some(Arc::new(notify::Desktop::start().context("the thread for notifications cannot start")?)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Opening {
        Opening::read(arguments.iter().map(|argument| (*argument).to_owned()), Path::new("/home/x"))
    }

    #[test]
    fn the_command_line_names_a_file_to_open_or_to_run() {
        assert_eq!(read(&["millrace-desktop"]), Opening::default());
        assert_eq!(read(&["d", "a.toml"]), Opening { path: Some("/home/x/a.toml".into()), run: false });
        assert_eq!(read(&["d", "--run", "/b.toml", "--display=:1"]), Opening { path: Some("/b.toml".into()), run: true });
    }
}
