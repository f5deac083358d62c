//! Where a gateway is, as it tells clients: its URL and its region.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 256;
/// Longest name of a region, in bytes.
const REGION_BYTES_MAX: usize = 32;
/// Of a deployment that has one region.
const REGION_DEFAULT: &str = "default";

/// `http[s]://host[:port]`, under which clients reach this gateway and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedUrl(String);

/// The text is no URL of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUrlError {
    /// Another scheme, or none.
    #[error("the URL begins with http:// or https://")]
    Scheme,
    /// No host, or more than host and port.
    #[error("the URL is a scheme, a host and a port, such as http://chat-1.example.org:8080")]
    Shape,
    /// An address that nobody can connect to.
    #[error("nobody can connect to an unspecified address: name the host")]
    Unspecified,
    /// Too long.
    #[error("the URL is over {URL_BYTES_MAX} bytes")]
    TooLong,
}

impl AdvertisedUrl {
    /// With the port that the gateway listens on, where the URL has port 0.
    #[must_use]
    pub fn with_port(&self, port: u16) -> String {
        match self.0.strip_suffix(":0") {
            Some(rest) => format!("{rest}:{port}"),
            None => self.0.clone(),
        }
    }
}

impl FromStr for AdvertisedUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > URL_BYTES_MAX {
            return Err(ParseUrlError::TooLong);
        }
        let is_ours = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if !is_ours {
            return Err(ParseUrlError::Scheme);
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let uri: Uri = text.parse().map_err(|_| ParseUrlError::Shape)?;
        let authority = uri.authority().ok_or(ParseUrlError::Shape)?;
        let is_bare = text.split_once("://").map(|(_, rest)| rest) == Some(authority.as_str());
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if !is_bare || host.is_empty() || authority.as_str().contains('@') {
            return Err(ParseUrlError::Shape);
        }
        if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
            return Err(ParseUrlError::Unspecified);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AdvertisedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a region: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

/// The text is no name of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a region is 1 to {REGION_BYTES_MAX} of a-z, 0-9 and -")]
pub struct ParseRegionError;

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Region {
    fn default() -> Self {
        Self(REGION_DEFAULT.to_owned())
    }
}

impl FromStr for Region {
    type Err = ParseRegionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=REGION_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name);
        fits.then(|| Self(text.to_owned())).ok_or(ParseRegionError)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_a_scheme_a_host_and_a_port() {
        let read = |text: &str| text.parse::<AdvertisedUrl>().map(|url| url.to_string());
        for text in ["http://a.example:8080", "https://a.example", "http://[::1]:9"] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        assert_eq!(read("http://a.example/").as_deref(), Ok("http://a.example"));
        for (text, error) in [
            ("", ParseUrlError::Scheme),
            ("a.example:8080", ParseUrlError::Scheme),
            ("ws://a.example", ParseUrlError::Scheme),
            ("http://", ParseUrlError::Shape),
            ("http://:80", ParseUrlError::Shape),
            ("http://a b", ParseUrlError::Shape),
            ("http://me@a.example", ParseUrlError::Shape),
            ("http://a.example/v1", ParseUrlError::Shape),
            ("http://a.example?x=1", ParseUrlError::Shape),
            ("http://0.0.0.0:8080", ParseUrlError::Unspecified),
            ("http://[::]:8080", ParseUrlError::Unspecified),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let long = format!("http://{}.example", "a".repeat(URL_BYTES_MAX));
        assert_eq!(read(&long), Err(ParseUrlError::TooLong));
    }

    #[test]
    fn port_0_is_the_one_that_is_listened_on() {
        let url = |text: &str| text.parse::<AdvertisedUrl>().expect("a URL").with_port(4_321);
        assert_eq!(url("http://127.0.0.1:0"), "http://127.0.0.1:4321");
        assert_eq!(url("http://127.0.0.1:80"), "http://127.0.0.1:80");
        assert_eq!(url("https://a.example"), "https://a.example");
    }

    #[test]
    fn regions_have_plain_names() {
        assert!("eu-1".parse::<Region>().is_ok());
        for text in ["", "EU", "a b", "a_b", &"a".repeat(33)] {
            assert_eq!(text.parse::<Region>(), Err(ParseRegionError), "{text}");
        }
    }
}
