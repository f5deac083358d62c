//! Where a gateway listens.

use std::fmt;
use std::str::FromStr;

/// `http://host[:port]`: the address of a gateway, for HTTP and WebSocket alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    authority: String,
    port: u16,
    host: String,
}

/// The text is not the address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseGatewayError {
    /// TLS ends at a proxy; this client does not speak it.
    #[error("https is not spoken here: use the plain address of a gateway or of a local proxy")]
    Tls,
    /// Anything else.
    #[error("not an address such as http://127.0.0.1:8080")]
    Shape,
}

impl Gateway {
    /// `host:port` as in a `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What to connect to.
    pub(crate) fn endpoint(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for Gateway {
    type Err = ParseGatewayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("https://") || text.starts_with("wss://") {
            return Err(ParseGatewayError::Tls);
        }
        let rest = ["http://", "ws://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let authority: http::uri::Authority = rest
            .unwrap_or(text)
            .trim_end_matches('/')
            .parse()
            .map_err(|_| ParseGatewayError::Shape)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(ParseGatewayError::Shape);
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: authority.as_str().to_owned(), port, host })
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_scheme_and_port() {
        let read = |text: &str| {
            text.parse()
                .map(|gateway: Gateway| (gateway.to_string(), gateway.host.clone(), gateway.port))
        };
        let local = ("http://127.0.0.1:8080".to_owned(), "127.0.0.1".to_owned(), 8080);
        for text in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "ws://127.0.0.1:8080",
            "127.0.0.1:8080",
        ] {
            assert_eq!(read(text), Ok(local.clone()), "{text}");
        }
        assert_eq!(read("http://[::1]:9").expect("valid").1, "::1");
        assert_eq!(read("http://chat.test").expect("valid").2, 80);
        assert_eq!(read("https://chat.test"), Err(ParseGatewayError::Tls));
        for text in ["", "http://", "http://a b", "http://me@host"] {
            assert_eq!(read(text), Err(ParseGatewayError::Shape), "{text}");
        }
    }
}
