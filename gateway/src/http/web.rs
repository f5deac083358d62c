//! The browser client: its files, with what browsers have to be told of them.
//!
//! Client routes are in the part of a URL behind `#`, which browsers do not send: every path that is
//! not a file is the typed 404 of the contract.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hansard_web::File;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::Gateway;

/// What the client may do in a browser: talk to this host, and nothing else. No script and no style
/// but its own files. Strings become HTML or the address of a script only by two policies: that of
/// Svelte, for the templates of components, and the client's own, for its service worker.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; \
    manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types svelte-trusted-html hansard";
/// Other origins have no handle on the client's window and none on its files; of the powers of a
/// browser it asks for the microphone.
const ISOLATION: [(HeaderName, &str); 3] = [
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "microphone=(self), camera=(), display-capture=(), geolocation=(), payment=(), usb=()",
    ),
];
/// A name with a hash in it never means anything else: a year.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Kept, and asked for each time whether it is still the one.
const ASK_AGAIN: &str = "no-cache";

/// A route for each file of the client.
pub(crate) fn client() -> Router<Arc<Gateway>> {
    hansard_web::files().iter().fold(Router::new(), |router, file| {
        router.route(file.route, get(async move |headers: HeaderMap| serve(file, &headers)))
    })
}

fn serve(file: &'static File, request: &HeaderMap) -> Response {
    // One tag for all encodings: weak, as they are not the same byte for byte.
    let tag = format!("W/\"{}\"", file.hash);
    let is_known = request.get(IF_NONE_MATCH).is_some_and(|known| names(known, &tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (encoding, content) = encoded(file, request);
        let mut response = Response::new(Body::from(Bytes::from_static(content)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    };
    let headers = response.headers_mut();
    let keeping = if file.immutable { FOR_EVER } else { ASK_AGAIN };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keeping));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.extend(HeaderValue::try_from(tag).map(|tag| (ETAG, tag)));
    for (name, value) in ISOLATION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether one of the tags of an `If-None-Match` is this one, by weak comparison.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

/// The smallest form of a file that the browser reads.
fn encoded(file: &'static File, request: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    let compressed = [("br", file.brotli), ("gzip", file.gzip)];
    let smallest = compressed.into_iter().find_map(|(encoding, content)| {
        content.filter(|_| accepts(request, encoding)).map(|content| (Some(encoding), content))
    });
    smallest.unwrap_or((None, file.identity))
}

/// Whether an `Accept-Encoding` names an encoding, with a weight above zero. A `*` is not taken for
/// it: what sends that alone is no browser.
fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAGE: File = File {
        route: "/",
        content_type: "text/html; charset=utf-8",
        hash: "1a2b",
        immutable: false,
        identity: b"identity",
        brotli: Some(b"br"),
        gzip: Some(b"gzip"),
    };
    static HASHED: File = File { route: "/assets/main-1a2b.js", immutable: true, ..PAGE };

    fn asked(file: &'static File, name: HeaderName, value: &str) -> Response {
        serve(file, &HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn the_smallest_encoding_that_the_browser_reads_is_sent() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip;q=1.0, br;q=0", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("identity", None),
            ("", None),
            ("*", None),
        ] {
            let response = asked(&PAGE, ACCEPT_ENCODING, accepted);
            let encoding = response.headers().get(CONTENT_ENCODING);
            assert_eq!(encoding.map(|it| it.to_str().unwrap()), expected, "{accepted:?}");
            assert_eq!(response.headers()[VARY], "accept-encoding");
        }
    }

    #[test]
    fn only_what_has_a_hash_in_its_name_is_kept_without_asking() {
        let none = HeaderMap::new();
        assert_eq!(serve(&PAGE, &none).headers()[CACHE_CONTROL], ASK_AGAIN);
        assert_eq!(serve(&HASHED, &none).headers()[CACHE_CONTROL], FOR_EVER);
    }

    #[test]
    fn a_browser_that_has_it_is_sent_nothing_but_the_headers() {
        for known in ["W/\"1a2b\"", "\"1a2b\"", "\"x\", W/\"1a2b\"", "*"] {
            let response = asked(&PAGE, IF_NONE_MATCH, known);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
        }
        assert_eq!(asked(&PAGE, IF_NONE_MATCH, "\"1a2\"").status(), StatusCode::OK);
    }

    #[test]
    fn nothing_unsafe_is_allowed() {
        assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'; "));
        assert!(!POLICY.contains("  "));
    }
}
