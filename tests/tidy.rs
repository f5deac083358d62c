//! What keeps the house in order and no compiler checks: who may depend on whom, sizes, names, and
//! that the documents know of everything that a user or an operator meets.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hansard_protocol::{ClientFrame, ErrorCode};
use toml::{Table, Value};

/// Which crates of the workspace each crate may use. Services never depend on each other.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("nats/model", &[]),
    ("gateway/protocol", &["hansard-model"]),
    ("client", &["hansard-model", "hansard-protocol"]),
    ("nats", &["hansard-model"]),
    ("presence", &["hansard-model"]),
    (
        "gateway",
        &[
            "hansard-model",
            "hansard-nats",
            "hansard-presence",
            "hansard-protocol",
            "hansard-search-language",
            "hansard-web",
        ],
    ),
    ("archive", &["hansard-model", "hansard-nats"]),
    ("projector", &["hansard-archive", "hansard-model", "hansard-nats"]),
    ("search/language", &["hansard-model"]),
    ("media/processing", &[]),
    (
        "media",
        &[
            "hansard-archive",
            "hansard-media-processing",
            "hansard-model",
            "hansard-nats",
            "hansard-protocol",
        ],
    ),
    ("web/embed", &[]),
    ("search", &["hansard-archive", "hansard-model", "hansard-nats", "hansard-search-language"]),
    (
        ".",
        &[
            "hansard-archive",
            "hansard-client",
            "hansard-gateway",
            "hansard-media",
            "hansard-model",
            "hansard-nats",
            "hansard-projector",
            "hansard-protocol",
            "hansard-search",
        ],
    ),
];

/// Where the types of a library stop.
const STOPS_AT: [(&str, &[&str]); 9] = [
    ("async-nats", &["nats"]),
    ("axum", &["gateway", "media", "."]),
    ("fastwebsockets", &["gateway"]),
    ("governor", &["gateway"]),
    ("rusqlite", &["client"]),
    ("object_store", &["archive", "projector", "search", "media"]),
    ("slatedb", &["projector", "media"]),
    ("tantivy", &["search"]),
    ("zstd", &["archive"]),
];

/// Pure crates do no I/O, know no clock and have no runtime.
const PURE: [&str; 4] = ["nats/model", "gateway/protocol", "presence", "search/language"];
const IMPURE: [&str; 6] = ["tokio", "tokio-util", "async-nats", "getrandom", "hyper", "tracing"];

/// A file that is longer is to be taken apart.
const LINES_MAX: usize = 600;

/// Words that say nothing about what a thing is.
const EMPTY_WORDS: [&str; 10] = [
    "common",
    "util",
    "utils",
    "helper",
    "helpers",
    "manager",
    "misc",
    "base",
    "processor",
    "wrapper",
];

/// What only a machine of a developer has.
const MACHINE_PATHS: [&str; 4] = ["/work/", "/root/", "/home/", "/Users/"];
/// How a package registry of somebody's own is named.
const REGISTRIES: [&str; 4] = ["index-url", "replace-with", "registry-url", "find-links"];

/// Tests run at the root of their tree; what they were built in may have been another one.
fn root() -> &'static Path {
    Path::new(".")
}

fn read(path: &str) -> String {
    let full = root().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files that git knows, by their paths from the root.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let files = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<String> = files.split_terminator('\0').map(str::to_owned).collect();
    // A file that is being removed is listed until the removal is committed.
    files.into_iter().filter(|path| root().join(path).is_file()).collect()
}

/// Source files of the product: those in a `src` folder.
fn sources() -> Vec<String> {
    let in_src = |path: &String| {
        path.ends_with(".rs") && (path.starts_with("src/") || path.contains("/src/"))
    };
    tracked().into_iter().filter(in_src).collect()
}

/// The manifests, by the folder of their crate.
fn manifests() -> BTreeMap<String, Table> {
    let of_root: Table = read("Cargo.toml").parse().unwrap();
    let members = of_root["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap().to_owned());
    let mut manifests: BTreeMap<String, Table> = members
        .map(|member| {
            let manifest = read(&format!("{member}/Cargo.toml")).parse().unwrap();
            (member, manifest)
        })
        .collect();
    manifests.insert(".".to_owned(), of_root);
    manifests
}

/// What the product itself depends on: not what its tests do.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut collect = |table: &Table| {
        for kind in ["dependencies", "build-dependencies"] {
            let table = table.get(kind).and_then(Value::as_table);
            names.extend(table.into_iter().flat_map(Table::keys).cloned());
        }
    };
    collect(manifest);
    let targets = manifest.get("target").and_then(Value::as_table);
    targets.into_iter().flat_map(Table::values).filter_map(Value::as_table).for_each(collect);
    names
}

#[test]
fn dependencies_point_one_way() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for (folder, manifest) in manifests() {
        let rule = rules.get(folder.as_str());
        let allowed = rule.unwrap_or_else(|| panic!("say in MAY_USE what {folder} may depend on"));
        let used = dependencies(&manifest);
        for name in used.iter().filter(|name| name.starts_with("hansard-")) {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn libraries_stop_where_the_design_says() {
    for (folder, manifest) in manifests() {
        for name in dependencies(&manifest) {
            let owners = STOPS_AT.iter().find(|(library, _)| *library == name);
            let may = owners.is_none_or(|(_, owners)| owners.contains(&folder.as_str()));
            assert!(may, "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let manifests = manifests();
    for folder in PURE {
        let used = dependencies(&manifests[folder]);
        for name in IMPURE {
            assert!(!used.contains(name), "{folder} must not depend on {name}");
        }
        for path in sources().iter().filter(|path| path.starts_with(&format!("{folder}/src"))) {
            for clock in ["SystemTime::now", "Instant::now", "now_utc"] {
                assert!(!read(path).contains(clock), "{path} reads a clock");
            }
        }
    }
}

#[test]
fn every_crate_takes_versions_and_lints_from_the_workspace() {
    for (folder, manifest) in manifests() {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints.and_then(Value::as_bool), Some(true), "lints of {folder}");
        for kind in ["dependencies", "dev-dependencies"] {
            let table = manifest.get(kind).and_then(Value::as_table);
            for (name, value) in table.into_iter().flatten() {
                let inherits = value.get("workspace").and_then(Value::as_bool);
                assert_eq!(inherits, Some(true), "{name} in {folder}");
            }
        }
    }
}

#[test]
fn no_source_file_is_too_long_to_be_read() {
    for path in sources() {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines: take it apart");
    }
}

/// The words of a name in snake or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '-' || c.is_ascii_uppercase() {
            words.push(String::new());
        }
        if c != '_' && c != '-' {
            words.last_mut().unwrap().push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_empty_name(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| EMPTY_WORDS.contains(&word.as_str()))
        || words.first().is_some_and(|word| word == "new")
}

#[test]
fn names_say_what_a_thing_is() {
    assert!(is_empty_name("FrameHelper") && is_empty_name("new_queue") && is_empty_name("utils"));
    assert!(!is_empty_name("Database") && !is_empty_name("renewal"));
    for path in sources() {
        let path_of = PathBuf::from(&path);
        assert_ne!(path_of.file_name().unwrap(), "mod.rs", "{path}: foo.rs and foo/ instead");
        for part in path_of.with_extension("").components() {
            let part = part.as_os_str().to_str().unwrap();
            assert!(!is_empty_name(part), "{part} of {path} says nothing");
        }
        for line in read(&path).lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let Some((keyword, rest)) = line.split_once(' ') else { continue };
            if ["struct", "enum", "trait", "type"].contains(&keyword) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                assert!(!is_empty_name(name), "{name} in {path} says nothing");
            }
        }
    }
}

#[test]
fn every_crate_says_what_it_is_for() {
    for folder in manifests().keys().filter(|folder| *folder != ".") {
        let lib = read(&format!("{folder}/src/lib.rs"));
        assert!(lib.starts_with("//! "), "{folder}/src/lib.rs");
        assert!(lib.contains("Invariant:"), "{folder}/src/lib.rs names no invariant");
    }
}

/// The first cells of the rows of all tables of a document, without their backticks.
fn rows(document: &str) -> BTreeSet<String> {
    let first = |line: &str| {
        let cell = line.trim().strip_prefix('|')?.split('|').next()?.trim();
        cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned)
    };
    read(document).lines().filter_map(first).collect()
}

#[test]
fn every_error_code_is_explained() {
    let rows = rows("docs/errors.md");
    for code in ErrorCode::ALL {
        assert!(rows.contains(code.as_str()), "{code} has no row in docs/errors.md");
    }
    for row in rows {
        let known = ErrorCode::ALL.iter().any(|code| code.as_str() == row);
        assert!(known, "docs/errors.md explains {row}, which is no error code");
    }
}

/// The names of all metrics: the string constants of the metrics modules.
fn metrics() -> BTreeSet<String> {
    let is_catalogue = |path: &&String| path.ends_with("/metrics.rs") || path.contains("/metrics/");
    let mut names = BTreeSet::new();
    for path in sources().iter().filter(is_catalogue) {
        let text = read(path);
        for declaration in text.split("const ").skip(1) {
            let Some((head, value)) = declaration.split_once('=') else { continue };
            if head.trim_end().ends_with(": &str") {
                names.extend(value.split('"').nth(1).map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn every_metric_is_explained() {
    let (metrics, rows) = (metrics(), rows("docs/operations.md"));
    assert!(metrics.len() > 10, "the catalogues were not found: {metrics:?}");
    for name in &metrics {
        assert!(rows.contains(name), "{name} has no row in docs/operations.md");
    }
}

#[test]
fn counters_and_units_show_in_the_names_of_metrics() {
    for name in metrics() {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        assert!(plain && name.contains('_'), "{name}: service_noun_unit_total");
        for unit in ["_ms", "_millis", "_micros", "_kb", "_secs"] {
            assert!(!name.ends_with(unit), "{name}: seconds and bytes are the units");
        }
    }
}

/// The variants of an enum, as serde writes them.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let (_, body) = text.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let is_variant = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(char::is_uppercase))
    };
    let variants = body.lines().filter(is_variant).map(|line| {
        let end = line.trim().find(|c: char| !c.is_alphanumeric());
        words(&line.trim()[..end.unwrap()]).join("_")
    });
    variants.collect()
}

#[test]
fn the_contract_names_every_frame_and_every_kind_of_event() {
    let document = read("docs/protocol.md");
    let frames = variants("gateway/protocol/src/server.rs", "ServerFrame");
    let events = variants("nats/model/src/event.rs", "Event");
    assert!(frames.len() > 10 && events.len() > 7, "{frames:?} {events:?}");
    let frames = frames.into_iter().filter(|frame| frame != "unknown");
    for name in frames.chain(ClientFrame::TYPES.map(str::to_owned)) {
        let mentioned = document.contains(&format!("\"type\":\"{name}\""))
            || document.contains(&format!("`{name}`"));
        assert!(mentioned, "docs/protocol.md does not tell of the frame {name}");
    }
    for name in events {
        let mentioned = document.contains(&format!("`{name} "))
            || document.contains(&format!("`{name}`"))
            || document.contains(&format!("\"kind\":\"{name}\""));
        assert!(mentioned, "docs/protocol.md does not tell of the event {name}");
    }
    for code in ErrorCode::ALL {
        assert!(document.contains(code.as_str()), "docs/protocol.md does not tell of {code}");
    }
}

#[test]
fn nothing_of_a_developers_machine_is_in_the_tree() {
    for path in tracked().iter().filter(|path| *path != "tests/tidy.rs") {
        // What is no text holds no path that anybody would follow.
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for needle in MACHINE_PATHS.iter().chain(&REGISTRIES) {
            let line = text.lines().find(|line| line.contains(needle));
            assert_eq!(line, None, "{path} has {needle}");
        }
    }
    for line in read("Cargo.lock").lines().filter(|line| line.starts_with("source = ")) {
        let expected = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;
        assert_eq!(line, expected, "Cargo.lock");
    }
}

#[test]
fn no_test_is_switched_off() {
    for path in tracked().iter().filter(|path| path.ends_with(".rs") && *path != "tests/tidy.rs") {
        assert!(!read(path).contains("#[ignore"), "{path}: a test that is not run tests nothing");
    }
}
