//! Puts libduckdb beside the binaries, where their rpath (`$ORIGIN:$ORIGIN/..`) looks for it wherever the target directory is. The packages
//! whose binaries need it share this script.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const NAMES: [&str; 3] = ["libduckdb.so", "libduckdb.dylib", "duckdb.dll"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    let Some(folder) = env::var_os("DUCKDB_LIB_DIR").map(PathBuf::from) else { return Ok(()) };
    // OUT_DIR is target/PROFILE/build/NAME/out.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let Some(profile) = out.ancestors().nth(3) else { return Ok(()) };
    for name in NAMES {
        let library = folder.join(name);
        if library.is_file() {
            println!("cargo:rerun-if-changed={}", library.display());
            put(&library, &profile.join(name))?;
            put(&library, &profile.join("deps").join(name))?;
        }
    }
    Ok(())
}

/// Copies by way of a rename: a test that is running may have the old file open.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let is_same = fs::metadata(to).is_ok_and(|there| fs::metadata(from).is_ok_and(|here| here.len() == there.len()));
    if is_same {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let partial = to.with_extension("partial");
    fs::copy(from, &partial)?;
    fs::rename(&partial, to)
}
