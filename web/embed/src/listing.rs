//! What there is to embed: the files of a folder, with what a browser has to be told of each. Used by
//! the build script, and tested with the crate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A file to embed.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Where browsers find it, such as `/assets/main-1a2b3c4d.js`.
    pub(crate) route: String,
    /// Where it is on the disk.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) content_type: &'static str,
    /// The beginning of its SHA-256, in hexadecimal digits: long enough that two versions differ.
    pub(crate) hash: String,
    /// Whether its name changes with its content.
    pub(crate) immutable: bool,
}

/// Hexadecimal digits of a hash that are kept.
const HASH_DIGITS: usize = 32;
/// The folder in which the build puts names that contain a hash.
const HASHED: &str = "/assets/";

/// The files of a folder and of those in it, but for hidden ones and compressed copies, by route.
pub(crate) fn list(root: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut folders = vec![(String::from("/"), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                return Err(io::Error::other(format!("{}: no name for a URL", path.display())));
            }
            if path.is_dir() {
                folders.push((format!("{prefix}{name}/"), path));
            } else if !matches!(extension(&path), "br" | "gz") {
                let route = format!("{prefix}{name}");
                listed.push(describe(route, path)?);
            }
        }
    }
    listed.sort_by(|one, other| one.route.cmp(&other.route));
    Ok(listed)
}

fn describe(route: String, path: PathBuf) -> io::Result<Listed> {
    let content_type = content_type(extension(&path)).ok_or_else(|| {
        io::Error::other(format!("{}: say in listing.rs of what type it is", path.display()))
    })?;
    let digest = Sha256::digest(fs::read(&path)?);
    let mut hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hash.truncate(HASH_DIGITS);
    let immutable = route.starts_with(HASHED);
    let route = if route == "/index.html" { String::from("/") } else { route };
    Ok(Listed { route, path, content_type, hash, immutable })
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// The media type for a file name extension; browsers are told not to guess.
fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// The list as the Rust source that `lib.rs` includes.
pub(crate) fn source(files: &[Listed], is_built: bool) -> String {
    let mut source = format!("const BUILT: bool = {is_built};\nstatic FILES: &[File] = &[\n");
    for file in files {
        let Listed { route, path, content_type, hash, immutable } = file;
        let compressed = |suffix: &str| {
            let copy = PathBuf::from(format!("{}.{suffix}", path.display()));
            copy.is_file().then(|| format!("Some(include_bytes!({copy:?}))"))
        };
        let none = || String::from("None");
        source.push_str(&format!(
            "File {{ route: {route:?}, content_type: {content_type:?}, hash: {hash:?}, \
             immutable: {immutable}, identity: include_bytes!({path:?}), \
             brotli: {}, gzip: {} }},\n",
            compressed("br").unwrap_or_else(none),
            compressed("gz").unwrap_or_else(none),
        ));
    }
    source.push_str("];\n");
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn every_file_has_a_route_and_the_page_is_at_the_root() {
        let root = folder(&[
            ("index.html", "<p>"),
            ("sw.js", "1"),
            ("assets/main-1a2b.js", "2"),
            (".gitkeep", ""),
        ]);
        let listed = list(root.path()).unwrap();
        let routes: Vec<(&str, bool)> =
            listed.iter().map(|file| (file.route.as_str(), file.immutable)).collect();
        assert_eq!(routes, [("/", false), ("/assets/main-1a2b.js", true), ("/sw.js", false)]);
        assert_ne!(listed[0].hash, listed[1].hash);
    }

    #[test]
    fn compressed_copies_belong_to_their_file() {
        let root = folder(&[("main.js", "1"), ("main.js.br", "2"), ("main.js.gz", "3")]);
        let listed = list(root.path()).unwrap();
        assert_eq!(listed.len(), 1);
        let source = source(&listed, true);
        assert!(source.contains("brotli: Some(") && source.contains("gzip: Some("), "{source}");
        assert!(source.contains("BUILT: bool = true"), "{source}");
    }

    #[test]
    fn what_browsers_would_have_to_guess_is_refused() {
        let odd = folder(&[("main.xyz", "")]);
        assert!(list(odd.path()).unwrap_err().to_string().contains("of what type"));
        let named = folder(&[("{id}.js", "")]);
        assert!(list(named.path()).unwrap_err().to_string().contains("no name for a URL"));
    }
}
