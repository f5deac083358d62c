//! Lists the built client, or the page that says how to build it, for `lib.rs` to include.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where it is in variables"
)]

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/listing.rs"]
mod listing;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not run by cargo")?);
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("not run by cargo")?);
    let (built, missing) = (crate_dir.join("../dist"), crate_dir.join("missing"));
    let is_built = built.join("index.html").is_file();
    let files = listing::list(if is_built { &built } else { &missing })?;
    fs::write(out_dir.join("files.rs"), listing::source(&files, is_built))?;
    // A clone has the folder, empty: of a path that is not there cargo believes that it changed, and
    // would compile everything that depends on this crate at every build.
    for path in [built.as_path(), &missing, Path::new("build.rs"), Path::new("src/listing.rs")] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}
