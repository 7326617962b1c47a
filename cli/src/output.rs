//! What is said on standard output and standard error. Either may be closed or full, which is no reason to break down.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Says a line on standard output. Where nobody reads it any more (`| head`), it goes nowhere.
///
/// # Errors
/// If it cannot be written for another reason, such as a full disk.
pub fn say(line: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{line}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// Says a line on standard error, if that takes it.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
