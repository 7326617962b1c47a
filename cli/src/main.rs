//! `millrace`: pipelines without a screen, and the studio for a browser. Parses, wires, runs.

mod arguments;
mod bench;
mod check;
mod cluster;
mod deploy;
mod drain;
mod exit;
mod interrupt;
mod node;
mod output;
mod progress;
mod reach;
mod run;
mod savepoint;
mod standing;
mod studio;
mod trust;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command};
use output::complain;

/// How long the process waits for what it lets go.
const LAST_WORK: std::time::Duration = std::time::Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // RUST_LOG asks for more; a run is quiet otherwise.
    // Raft warns of each question to a node that is away, ten times a second; what it means is told by the node itself.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,openraft=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    // Control only: the engine's data threads are its own.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("millrace-control").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("error: the runtime cannot start: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime.block_on(carry_out(arguments.command));
    // What tasks hold (a node's folders of runs) is let go; a read that blocks must not keep the process.
    runtime.shutdown_timeout(LAST_WORK);
    ExitCode::from(code)
}

async fn carry_out(command: Command) -> u8 {
    let outcome = match command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Validate(arguments) => check::validate(arguments).await,
        Command::Schema(arguments) => check::schema(&arguments),
        Command::Diff(arguments) => check::diff(&arguments),
        Command::Bench(arguments) => bench::bench(arguments).await,
        Command::Savepoint(arguments) => savepoint::savepoint(arguments).await,
        Command::Node(arguments) => node::serve(arguments).await,
        Command::Token(arguments) => trust::token(&arguments).await,
        Command::Revoke(arguments) => trust::revoke(&arguments).await,
        Command::Control(command) => trust::control(command).await,
        Command::Deploy(arguments) => deploy::deploy(arguments).await,
        Command::Deployments(arguments) => cluster::deployments(arguments).await,
        Command::Remove(arguments) => deploy::remove(arguments).await,
        Command::Ps(arguments) => cluster::ps(arguments).await,
        Command::Status(arguments) => cluster::status(arguments).await,
        Command::Logs(arguments) => cluster::logs(arguments).await,
        Command::Drain(arguments) => drain::drain(arguments).await,
        Command::Balance(arguments) => drain::balance(arguments).await,
        Command::Undrain(arguments) => drain::undrain(arguments).await,
        Command::Stop(arguments) => cluster::stop(arguments).await,
        Command::Scale(arguments) => cluster::scale(arguments).await,
        Command::Upgrade(arguments) => upgrade::upgrade(arguments).await,
        Command::Top(arguments) => cluster::top(arguments).await,
        Command::Studio(arguments) => studio::serve(arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        complain(format_args!("error: {error:#}"));
        exit::FAILED
    })
}
