//! Turns the charts' WebAssembly into what a page can import: an ES module, its types, and the module's code without what only a debugger reads.
//!
//! wasm-bindgen's command line does the same, but would have to be installed at exactly the library's version; here Cargo.lock sees to it.

use std::path::Path;

use anyhow::{Context as _, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, out] = arguments.as_slice() else { bail!("usage: millrace-charts-bundle CHARTS.wasm FOLDER") };
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len());
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("{wasm} could not be bundled into {out}"))?;
    let bundled = Path::new(out).join("millrace_charts_bg.wasm");
    let bytes = size(&bundled).with_context(|| format!("{} was not written", bundled.display()))?;
    println!("{}: {:.1} MB", bundled.display(), bytes as f64 / 1e6);
    Ok(())
}
