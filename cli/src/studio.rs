//! `millrace studio`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use millrace_engine::runtime::data_runtime::DataPriority;
use millrace_studio::{Server, StudioHandle, StudioOptions};

use crate::arguments::StudioArguments;
use crate::check::engine;
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};

/// How long pages have to hang up once the studio ends.
const LAST_PAGES: std::time::Duration = std::time::Duration::from_secs(1);

/// Serves the studio to a browser until Ctrl-C.
pub async fn serve(arguments: StudioArguments) -> anyhow::Result<u8> {
    let engine = engine(arguments.allow_path.clone(), DataPriority::BehindScreen, arguments.state_memory)?;
    let top = std::env::current_dir().context("the current folder cannot be used")?;
    let studio = StudioHandle::start(StudioOptions {
        engine: engine.session(),
        inspector: engine.inspector().clone(),
        data_dir: arguments.data_dir.clone().unwrap_or_else(|| data_dir(&top)),
        top,
        allowed: arguments.allow_path,
        notifier: None,
    });
    let server = match Server::bind(arguments.listen, studio.clone()).await {
        Ok(server) => server,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    if let Some((path, run)) = arguments.run.map(|path| (path, true)).or(arguments.file.map(|path| (path, false))) {
        if !path.is_file() {
            complain(format_args!("error: {} is not there", path.display()));
            return Ok(exit::INVALID);
        }
        studio.open(path, run).await;
    }
    say(format_args!("The studio is at {}", server.url()))?;
    say(format_args!("Ctrl-C ends it."))?;
    std::io::stdout().flush()?;
    let (stop, stopping) = tokio::sync::oneshot::channel();
    tokio::select! {
        served = server.run(async { drop(stopping.await) }) => served?,
        // A page that neither speaks nor hangs up does not keep the process.
        () = async {
            interrupted().await;
            let _ = stop.send(());
            tokio::time::sleep(LAST_PAGES).await;
        } => {}
    }
    Ok(exit::DONE)
}

/// The user's data folder by the XDG rules, else one in the current folder.
fn data_dir(top: &std::path::Path) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    base.map_or_else(|| top.join(".millrace"), |base| base.join("millrace"))
}
