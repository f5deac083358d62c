//! What handlers take from a request; everything that fails here fails with a typed error.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::RequestExt as _;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use hansard_model::limit;
use hansard_model::{ConversationId, MessageId, Seq, UserId};
use hansard_protocol::ErrorCode;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::Failure;
use crate::Gateway;
use crate::accounts::Identity;
use crate::admission::Admitted;

/// Parameters a query string may have.
const PARAMS_MAX: usize = 256;
/// Bytes of a query string.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// Who asks: the bearer of a valid token, within the rate of requests.
pub(crate) struct Authorized(pub(crate) Identity);

/// The user of a request, noted for its log line once it is known.
#[derive(Clone, Default)]
pub(crate) struct Requester(pub(crate) Arc<OnceLock<UserId>>);

impl FromRequestParts<Arc<Gateway>> for Authorized {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Self::Rejection> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| Failure::new(ErrorCode::Unauthorized, "no bearer token"))?;
        let identity = gateway.directory.authenticate(token).await.map_err(|e| e.body())?;
        if let Some(admitted) = parts.extensions.get::<Arc<Admitted>>() {
            admitted.identified();
        }
        if let Some(requester) = parts.extensions.get::<Requester>() {
            // Set once per request: a second extractor finds the same user.
            let _ = requester.0.set(identity.user);
        }
        gateway.rates.request(identity.user).map_err(|e| e.body())?;
        Ok(Self(identity))
    }
}

/// The other side's address.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let admitted = parts.extensions.get::<Arc<Admitted>>();
        admitted
            .map(|admitted| Self(admitted.peer()))
            .ok_or_else(|| Failure::new(ErrorCode::Internal, "the connection has no peer"))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let too_large = || Failure::new(ErrorCode::TooLarge, "the body is too large");
        let declared = request.body().size_hint().lower();
        let request = request.with_limited_body();
        // Said by its head, before anything of it has come.
        if declared > request.body().size_hint().lower() {
            return Err(too_large());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large()
            } else {
                Failure::bad_request("the body did not arrive")
            }
        })?;
        // A list would be read as the fields in the order in which they happen to be declared.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::bad_request("the body is not an object"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| unreadable(&bytes, &error))
    }
}

/// Why a body could not be read: an `id` that is none has a code of its own.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> Failure {
    #[derive(serde::Deserialize)]
    struct Outline<'a> {
        #[serde(borrow)]
        id: Option<std::borrow::Cow<'a, str>>,
    }
    let outline: Option<Outline<'_>> = serde_json::from_slice(bytes).ok();
    match outline.and_then(|outline| outline.id) {
        Some(id) if id.parse::<MessageId>().is_err() => {
            Failure::new(ErrorCode::BadId, "an id is a lower-case UUID of version 7")
        }
        Some(_) | None => Failure::bad_request(format!("the body cannot be read: {error}")),
    }
}

/// The one id in the path.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: std::str::FromStr, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let bad_id = || Failure::new(ErrorCode::BadId, "the path does not hold a valid id");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| bad_id())?;
        params.iter().next().and_then(|(_, text)| text.parse().ok()).map(Self).ok_or_else(bad_id)
    }
}

/// The query string, as pairs.
#[derive(Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Failure::new(ErrorCode::TooLarge, "the query string is too large"));
        }
        let axum::extract::Query(pairs) =
            axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
                .map_err(|_| Failure::bad_request("the query string cannot be read"))?;
        if pairs.len() > PARAMS_MAX {
            return Err(Failure::new(ErrorCode::TooLarge, "too many parameters"));
        }
        Ok(Self(pairs))
    }
}

impl Params {
    /// The value of a parameter that may be given once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Failure::bad_request(format!("{name} is given more than once")));
        }
        Ok(first)
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is text of some type.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.one(name)?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| Failure::bad_request(format!("{name} cannot be read")))
    }

    /// A parameter that is a position.
    pub(crate) fn seq(&self, name: &str) -> Result<Option<Seq>, Failure> {
        Ok(self.parsed(name)?.map(Seq))
    }

    /// `limit`, within the bounds of a page.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        match self.parsed("limit")? {
            None => Ok(limit::PAGE_ITEMS_DEFAULT),
            Some(0) => Err(Failure::bad_request("limit is at least 1")),
            Some(wanted) => Ok(usize::min(wanted, limit::PAGE_ITEMS_MAX)),
        }
    }

    /// `cursor` and `limit` of a list in the order of user ids.
    pub(crate) fn by_user(&self) -> Result<ByUser, Failure> {
        Ok(ByUser { after: self.parsed("cursor")?, limit: self.limit()? })
    }

    /// Every `min_seq=<conversation>:<seq>`.
    pub(crate) fn min_seq(&self) -> Result<Vec<(ConversationId, Seq)>, Failure> {
        self.all("min_seq")
            .map(|text| {
                let (conversation, seq) = text.rsplit_once(':')?;
                Some((conversation.parse().ok()?, Seq(seq.parse().ok()?)))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::bad_request("min_seq is <conversation>:<seq>"))
    }
}

/// A page of a list in the order of user ids.
pub(crate) struct ByUser {
    after: Option<UserId>,
    limit: usize,
}

impl ByUser {
    /// What the page has of a whole list, and the cursor of the next.
    pub(crate) fn of<T>(
        &self,
        all: impl IntoIterator<Item = (UserId, T)>,
    ) -> (Vec<(UserId, T)>, Option<String>) {
        let rest = all.into_iter().filter(|(user, _)| self.after.is_none_or(|at| *user > at));
        let mut page: Vec<(UserId, T)> = rest.take(self.limit + 1).collect();
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let next = page.last().filter(|_| more).map(|(last, _)| last.to_string());
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let uri: http::Uri = format!("/x?{query}").parse().expect("a uri");
        axum::extract::Query::try_from_uri(&uri).map(|query| Params(query.0)).expect("a query")
    }

    #[test]
    fn min_seq_repeats_and_other_parameters_do_not() {
        let (a, b) = ("a".repeat(20), "b".repeat(20));
        let read = params(&format!("min_seq={a}.{b}:7&min_seq=g.{a}:9&limit=3&limit=4"));
        let positions: Vec<u64> =
            read.min_seq().expect("positions").iter().map(|(_, seq)| seq.0).collect();
        assert_eq!(positions, [7, 9]);
        assert!(read.limit().is_err());
        assert!(params("min_seq=7").min_seq().is_err());
    }

    #[test]
    fn a_limit_is_capped_and_never_zero() {
        assert_eq!(params("").limit().ok(), Some(50));
        assert_eq!(params("limit=9999").limit().ok(), Some(500));
        assert!(params("limit=0").limit().is_err());
        assert!(params("limit=-1").limit().is_err());
    }

    #[test]
    fn pages_by_user_meet_and_the_last_says_so() {
        let all: Vec<(UserId, u8)> =
            (1..=5).map(|of| (UserId::from_entropy([of; 20]), of)).collect();
        let page = |query: &str| {
            let page = params(query).by_user().expect("a page");
            let (items, next) = page.of(all.clone());
            (items.into_iter().map(|(_, of)| of).collect::<Vec<_>>(), next)
        };
        let (first, next) = page("limit=3");
        assert_eq!((first, next.as_deref()), (vec![1, 2, 3], Some(all[2].0.as_str())));
        assert_eq!(page(&format!("limit=2&cursor={}", all[2].0)), (vec![4, 5], None));
        assert!(params("cursor=x").by_user().is_err());
    }

    #[test]
    fn a_bad_id_in_a_body_has_its_own_code() {
        let code = |json: &str| {
            let error = serde_json::from_str::<hansard_protocol::http::CreateUser>(json)
                .err()
                .expect("unreadable");
            unreadable(json.as_bytes(), &error).body().code
        };
        assert_eq!(code(r#"{"id":"1","handle":"ana","password":"12345678"}"#), ErrorCode::BadId);
        let id = "019a9b1c-7b1a-7000-8000-00000000000a";
        assert_eq!(code(&format!(r#"{{"id":"{id}","handle":"A B"}}"#)), ErrorCode::BadFrame);
        assert_eq!(code("nonsense"), ErrorCode::BadFrame);
    }
}
