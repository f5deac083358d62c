//! The documents as text: their examples, links, paths and tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A document.
pub(crate) struct Page {
    /// Relative to the root of the tree.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block<'a> {
    /// The language.
    pub(crate) language: &'a str,
    /// What follows the language.
    pub(crate) about: &'a str,
    /// Between the fences.
    pub(crate) text: String,
}

/// Tests run at the root of their tree; what they were built in may have been another one.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(".")
}

/// A file of the tree: read when the test runs, so that a document can be changed and tested without
/// building anything.
pub(crate) fn read(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every markdown document for readers of this tree.
pub(crate) fn pages() -> Vec<Page> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(PathBuf::from).to_vec();
    for folder in ["docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
        found.extend(names.filter(|name| name.extension().is_some_and(|ext| ext == "md")));
    }
    found
        .into_iter()
        .map(|name| Page {
            text: read(name.to_str().unwrap()),
            name: name.to_str().unwrap().to_owned(),
        })
        .collect()
}

/// One document.
pub(crate) fn page(name: &str) -> Page {
    pages().into_iter().find(|page| page.name == name).unwrap()
}

impl Page {
    /// The fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => blocks.push(block),
                (Some(info), None) => {
                    let (language, about) = info.split_once(' ').unwrap_or((info, ""));
                    open = Some(Block { language, about, text: String::new() });
                }
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.name);
        blocks
    }

    /// The text outside of fenced blocks.
    pub(crate) fn prose(&self) -> String {
        let mut fenced = false;
        let outside = |line: &&str| {
            let is_fence = line.starts_with("```");
            fenced ^= is_fence;
            !fenced && !is_fence
        };
        self.text.lines().filter(outside).collect::<Vec<_>>().join("\n")
    }

    /// What stands between backticks, outside of blocks.
    pub(crate) fn code_spans(&self) -> Vec<String> {
        let prose = self.prose();
        prose
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned))
            .collect()
    }

    /// The targets of links within the tree.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let mut rest = prose.as_str();
        let mut links = Vec::new();
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = rest[..end].split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                links.push(target.to_owned());
            }
        }
        links
    }

    /// The rows of all tables, by what is between the first backticks of their first cell.
    pub(crate) fn rows(&self) -> BTreeMap<String, Vec<Vec<String>>> {
        let mut rows: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for line in self.text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<String> =
                line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
            let key = cells[0].split('`').nth(1).unwrap_or_default().to_owned();
            rows.entry(key).or_default().push(cells);
        }
        rows
    }
}

/// The JSON values of a block, one after the other.
pub(crate) fn json_values(block: &Block<'_>) -> Result<Vec<Value>, serde_json::Error> {
    serde_json::Deserializer::from_str(&block.text).into_iter().collect()
}
