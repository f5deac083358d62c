//! Reading files: their bytes, what is known of them, and URLs that need no token.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;
use hansard_model::media::{Allows, State as UploadState, Upload, Variant};
use hansard_model::{DeviceId, UploadId, UserId};
use hansard_protocol::ErrorCode;
use hansard_protocol::media::{MediaInfo, MediaUrl};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::{PATH, TUS_RESUMABLE, UPLOAD_OFFSET, not_yet};
use crate::Gateway;
use crate::admission::Admitted;
use crate::http::error::{Failure, json};
use crate::http::extract::{Authorized, Params, PathId, Requester};
use crate::media::{Passed, Purpose, Signed, variant_name};

/// `GET` and `HEAD /v1/media/{upload}`: the bytes.
pub(crate) async fn download(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Failure> {
    let (mut parts, _) = request.into_parts();
    let PathId(id) = PathId::<UploadId>::from_request_parts(&mut parts, &gateway).await?;
    let params = Params::from_request_parts(&mut parts, &gateway).await?;
    let variant = wanted(&params)?;
    let reader = match params.one("signature")? {
        Some(signature) => by_url(&gateway, &parts, &params, id, variant, signature).await?,
        None => Authorized::from_request_parts(&mut parts, &gateway).await?.0.user,
    };
    // Whoever signed it, and whenever: it is read by who may read it now.
    let upload = gateway.readable(reader, id, Purpose::Bytes).await?;
    check_variant(&upload, variant)?;
    let grant = gateway.media.grant(reader, Allows::Read(id, variant)).await?;
    let passed = Passed {
        method: parts.method,
        target: format!("{PATH}/{id}?variant={}", variant_name(variant)),
        headers: parts.headers,
        body: Body::empty(),
        upload: Some(id),
    };
    Ok(gateway.media.pass(passed, Some(&grant)).await?)
}

/// `GET /v1/media/{upload}/info`
pub(crate) async fn info(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(id): PathId<UploadId>,
) -> Result<Response, Failure> {
    let upload = gateway.readable(identity.user, id, Purpose::Info).await?;
    let offset = match upload.state {
        UploadState::Receiving => offset(&gateway, identity.user, id).await,
        UploadState::Finishing => Some(upload.length),
        UploadState::Processing | UploadState::Ready | UploadState::Dying => None,
    };
    json(StatusCode::OK, &MediaInfo::of(&upload, offset))
}

/// How many bytes of an upload are there; `None`: nobody says so now.
async fn offset(gateway: &Gateway, user: UserId, id: UploadId) -> Option<u64> {
    let grant = gateway.media.grant(user, Allows::Upload).await.ok()?;
    let passed = Passed {
        method: Method::HEAD,
        target: format!("{PATH}/{id}"),
        headers: HeaderMap::from_iter([(TUS_RESUMABLE, http::HeaderValue::from_static("1.0.0"))]),
        body: Body::empty(),
        upload: Some(id),
    };
    let answer = gateway.media.pass(passed, Some(&grant)).await.ok()?;
    answer.headers().get(UPLOAD_OFFSET)?.to_str().ok()?.parse().ok()
}

/// `GET /v1/media/{upload}/url`
pub(crate) async fn url(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(id): PathId<UploadId>,
    params: Params,
) -> Result<Response, Failure> {
    let variant = wanted(&params)?;
    let upload = gateway.readable(identity.user, id, Purpose::Bytes).await?;
    check_variant(&upload, variant)?;
    let lasts = gateway.config.media_url_ttl;
    let session = (identity.user, identity.device);
    let (url, expires_at) = gateway.media.url(session, id, variant, lasts).await?;
    json(StatusCode::OK, &MediaUrl { url, expires_at })
}

/// In whose name a signed URL asks. It ends with the session that it was made for.
async fn by_url(
    gateway: &Gateway,
    parts: &Parts,
    params: &Params,
    id: UploadId,
    variant: Variant,
    signature: &str,
) -> Result<UserId, Failure> {
    let missing = || Failure::bad_request("a signed URL has user, device, expires and signature");
    let user: UserId = params.parsed("user")?.ok_or_else(missing)?;
    let device: DeviceId = params.parsed("device")?.ok_or_else(missing)?;
    let expires_ms = params.parsed("expires")?.ok_or_else(missing)?;
    let signed = Signed { id, variant, user, device, expires_ms };
    gateway.media.check_url(&signed, signature).await?;
    if let Some(admitted) = parts.extensions.get::<Arc<Admitted>>() {
        admitted.identified();
    }
    if let Some(requester) = parts.extensions.get::<Requester>() {
        // Set once per request.
        let _ = requester.0.set(user);
    }
    gateway.rates.request(user).map_err(|error| error.body())?;
    if !gateway.directory.has_session(user, device).await.map_err(|error| error.body())? {
        return Err(Failure::new(ErrorCode::Unauthorized, "the session of the URL has ended"));
    }
    Ok(user)
}

/// `variant=`; without it the file itself.
fn wanted(params: &Params) -> Result<Variant, Failure> {
    let Some(name) = params.one("variant")? else { return Ok(Variant::File) };
    let variants = [Variant::File, Variant::Thumb, Variant::Preview];
    let found = variants.into_iter().find(|variant| variant_name(*variant) == name);
    found.ok_or_else(|| Failure::bad_request("variant is file, thumb or preview"))
}

/// Refuses a variant that a file has not.
fn check_variant(upload: &Upload, variant: Variant) -> Result<(), Failure> {
    if upload.contents.contains_key(&variant) {
        return Ok(());
    }
    // Pictures of a file come with its processing.
    let is_to_come = upload.state == UploadState::Processing;
    Err(if is_to_come { not_yet() } else { Failure::not_found("variant") })
}
