//! The page at `/`: what is here, and what is not yet.

use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};

const PAGE: &str = include_str!("landing.html");
const STYLE: &str = include_str!("landing.css");
/// Where the address goes in the page.
const PLACE: &str = "HOST:PORT";

/// `GET /`
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| plain(host));
    let page = host.map_or_else(|| PAGE.to_owned(), |host| PAGE.replace(PLACE, host));
    Html(page).into_response()
}

/// `GET /landing.css`
pub(crate) async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
    ];
    (headers, STYLE).into_response()
}

/// Whether a host may be written into a page as it is.
fn plain(host: &str) -> bool {
    host.len() <= 255
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_markup_is_not_written_into_the_page() {
        assert!(plain("chat.example.org:8080"));
        assert!(plain("[::1]:8080"));
        assert!(!plain("<script>"));
        assert!(!plain("a\"b"));
    }

    #[test]
    fn the_page_needs_no_inline_style_or_script() {
        assert!(PAGE.contains(PLACE));
        assert!(!PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains("<script"));
    }
}
