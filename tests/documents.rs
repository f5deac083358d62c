//! Holds the documents to the code: what one says and the other does not do fails here.
//!
//! Both ways: everything that the code writes must be named in the contract documents, down to the
//! last field, and everything that they name must be written by the code (`samples`), every example
//! must be readable by the code, every route, flag, limit and error must have its place.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "documents/prose.rs"]
mod prose;
#[path = "documents/samples.rs"]
mod samples;
#[path = "documents/schema.rs"]
mod schema;
#[path = "documents/types.rs"]
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use hansard_model::limit;
use hansard_protocol::{ClientFrame, ErrorCode};
use serde_json::Value;

use prose::{page, pages, read, root};
use samples::Sample;
use schema::Documents;

/// The commands whose flags are in the table of the operations manual.
const COMMANDS: [&str; 7] = ["serve", "gateway", "projector", "search", "nats", "check", "cluster"];

fn all_samples() -> Vec<Sample> {
    let mut all = samples::events();
    all.extend(samples::bodies());
    let frames = samples::client_frames();
    all.extend(frames.iter().map(|(name, frame)| (*name, serde_json::to_value(frame).unwrap())));
    let frames = samples::server_frames();
    all.extend(frames.iter().map(|(name, frame)| (*name, serde_json::to_value(frame).unwrap())));
    all
}

#[test]
fn what_the_code_writes_is_what_the_schemas_say_and_nothing_more() {
    let documents = Documents::read();
    let mut visited = BTreeSet::new();
    for (name, value) in all_samples() {
        let fits = documents.check(&documents.schema(name), &value);
        visited.extend(fits.unwrap_or_else(|why| panic!("{name}: {why}\n{value}")));
    }
    for document in ["openapi.yaml", "asyncapi.yaml"] {
        for (name, place) in documents.schemas(document) {
            for property in documents.properties_of(&place) {
                // The code reads the ref of a frame that it cannot read, so also of `hello`, which
                // has no such field in its own type.
                let apart = name == "Hello" && property.ends_with("ref");
                assert!(apart || visited.contains(&property), "no code writes {property:?}");
            }
        }
    }
}

#[test]
fn every_example_of_the_schemas_fits_them_and_is_read_by_the_code() {
    let documents = Documents::read();
    let mut count = 0;
    for document in ["openapi.yaml", "asyncapi.yaml"] {
        for (name, place) in documents.schemas(document) {
            for example in documents.get(&place)["examples"].as_array().into_iter().flatten() {
                let fits = documents.check(&place, example);
                fits.unwrap_or_else(|why| panic!("{name}: {why}\n{example}"));
                assert_read(&name, example);
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count} examples");
}

/// The code reads the example, and no field of it is lost on the way.
fn assert_read(schema: &str, example: &Value) {
    let again = types::read_and_write(schema, example.clone());
    let again = again.unwrap_or_else(|error| panic!("{schema}: {error}\n{example}"));
    assert!(is_within(example, &again), "{schema}: read as {again}\nwritten as {example}");
}

/// Whether all that is in one value is in the other too.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .filter(|(name, value)| !is_spliced(name, value))
            .all(|(name, value)| whole.get(name).is_some_and(|found| is_within(value, found))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| is_within(a, b))
        }
        _ => part == whole,
    }
}

/// The type of an event in a list: the gateway writes it around the stored bytes, the type of the
/// code has no field for it.
fn is_spliced(name: &str, value: &Value) -> bool {
    name == "type" && value == "event"
}

#[test]
fn every_schema_with_a_type_in_the_code_has_an_example_and_no_reference_dangles() {
    let documents = Documents::read();
    for document in ["openapi.yaml", "asyncapi.yaml"] {
        assert_eq!(documents.dangling(document), Vec::<String>::new());
    }
    for (name, place) in documents.schemas("asyncapi.yaml") {
        assert!(name == "Ref" || documents.get(&place)["examples"].is_array(), "{name}");
    }
}

#[test]
fn the_frames_of_the_asyncapi_document_are_those_of_the_code() {
    let documents = Documents::read();
    let asyncapi = documents.document("asyncapi.yaml");
    let types = |operation: &str| -> BTreeSet<String> {
        let messages = asyncapi["operations"][operation]["messages"].as_array().unwrap();
        let follow = |reference: &Value| {
            let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            asyncapi.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"))
        };
        let type_of = |message: &Value| {
            let schema = follow(&follow(follow(message))["payload"]);
            let own = if schema["allOf"].is_array() { &schema["allOf"][0] } else { schema };
            own["properties"]["type"]["const"].as_str().unwrap().to_owned()
        };
        messages.iter().map(type_of).collect()
    };
    let sent: BTreeSet<String> = ClientFrame::TYPES.map(str::to_owned).into();
    assert_eq!(types("sendFrames"), sent);
    let received: BTreeSet<String> = samples::server_frames()
        .iter()
        .map(|(_, frame)| serde_json::to_value(frame).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types("receiveFrames"), received);
    let sampled: BTreeSet<String> = samples::client_frames()
        .iter()
        .map(|(_, frame)| serde_json::to_value(frame).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sampled, sent);
}

/// `METHOD /path` of every route in the router.
fn routes() -> BTreeSet<String> {
    let source = read("gateway/src/http.rs");
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        // The rest of the router's chain begins with the next closed call.
        let methods = route.split(".fallback(").next().unwrap();
        let mut found = 0;
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            let call = format!("{method}(");
            let starts = methods.match_indices(&call).map(|(at, _)| methods.as_bytes()[at - 1]);
            if starts.into_iter().any(|before| !before.is_ascii_alphanumeric() && before != b'_') {
                routes.insert(format!("{} {path}", method.to_uppercase()));
                found += 1;
            }
        }
        assert!(found > 0, "no method of {path} was recognised");
    }
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

#[test]
fn the_routes_of_the_openapi_document_and_of_the_protocol_are_those_of_the_code() {
    let documents = Documents::read();
    let paths = documents.document("openapi.yaml")["paths"].as_object().unwrap();
    let documented: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(documented, routes());
    let protocol = page("docs/protocol.md");
    for route in documented {
        assert!(protocol.text.contains(&format!("`{route}`")), "docs/protocol.md lacks `{route}`");
    }
}

#[test]
fn the_errors_of_the_documents_are_those_of_the_code() {
    let documents = Documents::read();
    let openapi = documents.document("openapi.yaml");
    let known: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(openapi["components"]["schemas"]["ErrorCode"]["enum"], serde_json::json!(known));
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let errors = operation["x-errors"].as_array();
            let errors = errors.unwrap_or_else(|| panic!("{method} {path} names no errors"));
            for error in errors {
                assert!(known.contains(&error.as_str().unwrap()), "{method} {path}: {error}");
            }
        }
    }
    let rows = page("docs/errors.md").rows();
    assert_eq!(rows.keys().map(String::as_str).collect::<Vec<_>>(), known);
    for code in ErrorCode::ALL {
        let word = |value: Value| format!("`{}`", value.as_str().unwrap());
        let wanted = [
            code.status().to_string(),
            word(serde_json::to_value(code.stored()).unwrap()),
            word(serde_json::to_value(code.retry()).unwrap()),
        ];
        assert_eq!(rows[code.as_str()][0][1..4], wanted, "docs/errors.md, {code}");
    }
}

#[test]
fn the_examples_of_the_prose_fit_the_schemas_and_are_read_by_the_code() {
    let documents = Documents::read();
    let mut shown = BTreeSet::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "json") {
            let values = prose::json_values(block);
            let values =
                values.unwrap_or_else(|why| panic!("{}: {why}\n{}", page.name, block.text));
            for value in values.iter().filter(|_| !block.about.is_empty()) {
                let fits = documents.check(&documents.schema(block.about), value);
                fits.unwrap_or_else(|why| panic!("{}: {why}\n{value}", page.name));
                assert_read(block.about, value);
                shown.insert(block.about.to_owned());
            }
        }
    }
    for (name, _) in documents.schemas("asyncapi.yaml").iter().filter(|(name, _)| name != "Ref") {
        assert!(shown.contains(name), "docs/protocol.md shows no {name}");
    }
    for (name, _) in samples::events() {
        assert!(shown.contains(name), "docs/protocol.md shows no {name}");
    }
}

/// A flag of a command: its environment variable and its default.
type Flags = BTreeMap<String, (Option<String>, Option<String>)>;

fn flags(command: &str) -> Flags {
    let program = env!("CARGO_BIN_EXE_hansard");
    let output = Command::new(program).args([command, "--help"]).output().unwrap();
    assert!(output.status.success(), "{command} --help");
    let help = String::from_utf8(output.stdout).unwrap();
    let bracketed = |text: &str, name: &str| {
        let start = text.find(&format!("[{name}: "))? + name.len() + 3;
        let value = text[start..].split(']').next()?;
        Some(value.trim_end_matches('=').to_owned())
    };
    let mut flags = Flags::new();
    let options = help.split("Options:").nth(1).unwrap();
    let mut sections = Vec::<String>::new();
    for line in options.lines() {
        if line.trim_start().starts_with('-') && line.len() - line.trim_start().len() <= 6 {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(line);
            section.push(' ');
        }
    }
    for section in sections {
        let flag = section.split_whitespace().find(|word| word.starts_with("--")).unwrap();
        if flag != "--help" {
            let described = (bracketed(&section, "env"), bracketed(&section, "default"));
            flags.insert(flag.to_owned(), described);
        }
    }
    assert!(!flags.is_empty(), "{help}");
    flags
}

#[test]
fn every_flag_is_in_the_operations_manual_with_its_variable_and_its_default() {
    let rows = page("docs/operations.md").rows();
    let mut known = BTreeSet::new();
    for command in COMMANDS {
        for (flag, (variable, default)) in flags(command) {
            let row = rows.get(&flag).unwrap_or_else(|| panic!("no row for {command} {flag}"));
            let has = |wanted: &Option<String>| {
                wanted.as_ref().is_none_or(|wanted| {
                    row.iter().any(|cells| cells.iter().any(|c| c.contains(&format!("`{wanted}`"))))
                })
            };
            assert!(has(&variable), "{command} {flag}: the row lacks {variable:?}");
            assert!(has(&default), "{command} {flag}: the row lacks {default:?}");
            known.insert(flag);
        }
    }
    for flag in rows.keys().filter(|key| key.starts_with("--")) {
        assert!(known.contains(flag), "no command has {flag}");
    }
}

#[test]
fn every_limit_is_in_the_operations_manual_with_its_value() {
    macro_rules! limits {
        ($($name:ident),+ $(,)?) => { [$((stringify!($name), limit::$name.to_string())),+] };
    }
    let mut limits = BTreeMap::from(limits![
        TEXT_BYTES_MAX,
        TITLE_BYTES_MAX,
        EMOJI_BYTES_MAX,
        REACTIONS_PER_USER_MAX,
        MENTIONS_MAX,
        MEDIA_MAX,
        DATA_BYTES_MAX,
        EVENT_BYTES_MAX,
        EVENT_DEPTH_MAX,
        GROUP_MEMBERS_DEFAULT,
        CREATE_MEMBERS_MAX,
        HANDLE_BYTES_MAX,
        HANDLE_BYTES_MIN,
        NAME_BYTES_MAX,
        DEVICES_PER_USER_MAX,
        DEDUPLICATION_WINDOW_MS,
        CLIENT_CLOCK_TOLERANCE_MS,
        LOG_TIME_ERROR_MS,
        MEMBERSHIP_LEASE_MS,
        MEMBERSHIP_COMPARE_AFTER_MS,
        LIVE_ORDER_ITEMS_MAX,
        LIVE_ORDER_BYTES_MAX,
        PAGE_ITEMS_DEFAULT,
        PAGE_ITEMS_MAX,
        PAGE_BYTES_MAX,
        CATCH_UP_DEFAULT,
        CATCH_UP_MAX,
        FIRST_LOAD_CONVERSATIONS,
        RECEIPTS_TOLD_MEMBERS_MAX,
        PRESENCE_TOLD_MEMBERS_MAX,
        WATCHED_USERS_MAX,
        PRESENCE_BATCH_MAX,
        WATCHED_CONVERSATIONS_MAX,
    ]);
    let (shortest, longest) = limit::PASSWORD_BYTES.into_inner();
    limits.insert("PASSWORD_BYTES", format!("{shortest} to {longest}"));
    let rows = page("docs/operations.md").rows();
    for (name, value) in &limits {
        let row = rows.get(*name).unwrap_or_else(|| panic!("no row for {name}"));
        assert_eq!(row[0][1].replace(',', ""), *value, "{name}");
    }
    let source = read("nats/model/src/limit.rs");
    for line in source.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap();
        assert!(limits.contains_key(name), "{name} is in no table");
    }
}

#[test]
fn links_and_paths_in_the_documents_lead_somewhere() {
    for page in pages() {
        let folder = root().join(&page.name);
        let folder = folder.parent().unwrap();
        for link in page.links() {
            assert!(folder.join(&link).exists(), "{}: {link}", page.name);
        }
        for path in page.code_spans().iter().filter(|span| is_path(span)) {
            assert!(root().join(path).exists(), "{}: {path}", page.name);
        }
    }
}

/// Whether a code span names a file or folder of this tree.
fn is_path(span: &str) -> bool {
    const FOLDERS: [&str; 10] = [
        "nats/",
        "gateway/",
        "projector/",
        "client/",
        "src/",
        "tests/",
        "docs/",
        "web/",
        ".ci/",
        ".config/",
    ];
    FOLDERS.iter().any(|folder| span.starts_with(folder))
        && span.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}

#[test]
fn sentences_have_lines_of_their_own() {
    for page in pages() {
        for line in page.prose().lines().filter(|line| !line.starts_with('|')) {
            let ends = line.match_indices(". ").filter(|(at, _)| {
                let (before, after) = (&line[..*at], &line[at + 2..]);
                let is_word = before.chars().last().is_some_and(char::is_lowercase);
                is_word && after.starts_with(char::is_uppercase)
            });
            let is_listed = line.starts_with(['-', ' ', '>']) || line.starts_with(char::is_numeric);
            assert!(is_listed || ends.count() == 0, "{}: {line}", page.name);
        }
    }
}
