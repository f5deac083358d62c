//! The browser client, as files in the program: what `npm run build` left in `web/dist` when the
//! program was compiled, or a page that says how to build it when there was nothing.
//!
//! Reading order: [`File`]; `listing`, which the build script uses to find them.
//!
//! Invariant: building needs neither Node nor a network.
//! Invariant: a file under `/assets/` never changes under its name.
//! Deliberately absent: HTTP. What is told to browsers besides is in `gateway/src/http/web.rs`.

#[cfg(test)]
mod listing;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// A file of the client.
#[derive(Debug)]
pub struct File {
    /// The path of its URL, such as `/` or `/assets/main-1a2b3c4d.js`.
    pub route: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Hexadecimal digits of the SHA-256 of its content.
    pub hash: &'static str,
    /// Whether another version of it would have another route.
    pub immutable: bool,
    /// Its content.
    pub identity: &'static [u8],
    /// Its content in the encoding `br`, if that was made.
    pub brotli: Option<&'static [u8]>,
    /// Its content in the encoding `gzip`, if that was made.
    pub gzip: Option<&'static [u8]>,
}

/// All files, each route once; `/` is one of them.
pub fn files() -> &'static [File] {
    FILES
}

/// Whether the client was built before this program was: if not, `/` says how to do it.
pub const fn is_built() -> bool {
    BUILT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_and_nothing_in_it_is_inline() {
        let page = files().iter().find(|file| file.route == "/").expect("a page");
        let text = std::str::from_utf8(page.identity).expect("text");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(!text.contains("<style") && !text.contains("style=") && !text.contains("<script>"));
        assert_eq!(is_built(), !text.contains("npm run build"));
    }

    #[test]
    fn compressed_copies_are_smaller() {
        for file in files() {
            for copy in [file.brotli, file.gzip].into_iter().flatten() {
                assert!(copy.len() < file.identity.len(), "{}", file.route);
            }
        }
    }
}
