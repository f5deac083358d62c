//! Object stores as they are met: an S3 service, one that is named wrongly, one that is careless.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use hansard_archive::{Archive, BindError, Objects, OpenObjectsError};
use hansard_model::{PartitionCount, Seq};
use hansard_nats::Deployment;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UpdateVersion,
};

use crate::rig::{DEADLINE, PARTITION, Rig, STREAM, eager, soon};
use crate::s3::S3;

async fn s3() -> S3 {
    tokio::task::spawn_blocking(S3::start).await.expect("an S3 server")
}

#[tokio::test]
async fn an_s3_service_holds_an_archive() {
    let s3 = s3().await;
    let rig = Rig::start().await;
    let objects = s3.objects("some/prefix");
    objects.bind(&rig.deployment).await.expect("nobody's");
    objects.bind(&rig.deployment).await.expect("its own");
    let other = Deployment { salt: "another".to_owned(), ..rig.deployment.clone() };
    let refused = objects.bind(&other).await;
    assert!(matches!(refused, Err(BindError::Other { .. })), "{refused:?}");
    let archive = Archive::open(objects.clone(), rig.archiving.connection(), &rig.deployment);
    rig.append(330).await;
    let expected = rig.stored().await;
    rig.archive_until(&archive, eager(), (Seq(330), Seq(331))).await;
    assert!(rig.whole_log(&archive).await == expected);
    let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!((verified.findings, verified.segments), (Vec::new(), 4));
    let first = archive.list(STREAM).await.expect("a list").remove(0);
    assert!(first.object.starts_with("some/prefix/archive/00/"), "{}", first.object);
    let path = Path::parse(&first.object).expect("a path");
    // What keeps two owners apart, of the service itself.
    let put = async |mode: PutMode| {
        let payload = PutPayload::from_static(b"another");
        objects.store.put_opts(&path, payload, PutOptions::from(mode)).await
    };
    let create = put(PutMode::Create).await;
    assert!(matches!(create, Err(Error::AlreadyExists { .. })), "{create:?}");
    let stale = UpdateVersion { e_tag: Some("\"0\"".to_owned()), version: None };
    let update = put(PutMode::Update(stale)).await;
    assert!(matches!(update, Err(Error::Precondition { .. })), "{update:?}");
    let file = objects.store.get(&path).await.expect("there").bytes().await.expect("bytes");
    assert_eq!(file.len() as u64, first.bytes);
    let mut damaged = file.to_vec();
    damaged[70] ^= 4;
    objects.store.put(&path, Bytes::from(damaged).into()).await.expect("put");
    let found = archive.verify(None, PARTITION).await.expect("verified");
    assert_eq!(found.findings[0].place, first.object);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_s3_service_is_told_at_once() {
    let s3 = s3().await;
    let reach = async |url: &str, change: (&str, &str)| {
        let mut variables = s3.variables();
        for (_, value) in variables.iter_mut().filter(|(name, _)| name == change.0) {
            *value = change.1.to_owned();
        }
        let url = url.parse().expect("a URL");
        soon(Objects::open_with(&url, variables).expect("opened").reach(DEADLINE)).await
    };
    let (place, nothing) = ("s3://hansard/some/prefix", ("", ""));
    assert_eq!(reach(place, nothing).await.expect("an answer"), None);
    let no_bucket = reach("s3://nowhere/some/prefix", nothing).await;
    assert!(matches!(no_bucket, Err(BindError::NoBucket)), "{no_bucket:?}");
    for (change, expected) in [
        (("AWS_ACCESS_KEY_ID", "AKIANOBODY"), "InvalidAccessKeyId"),
        (("AWS_SECRET_ACCESS_KEY", "guessed"), "SignatureDoesNotMatch"),
    ] {
        let refused = reach(place, change).await;
        let says = matches!(&refused, Err(BindError::Refused { code }) if code == expected);
        assert!(says, "{refused:?}");
    }
    let mut plain = s3.variables();
    plain.retain(|(name, _)| name != "AWS_ALLOW_HTTP");
    let plain = Objects::open_with(&place.parse().expect("a URL"), plain);
    assert!(matches!(plain, Err(OpenObjectsError::Plain { .. })), "{plain:?}");
}

/// Which condition of a write a store ignores.
#[derive(Clone, Copy, Debug)]
enum Ignored {
    Absence,
    Version,
}

/// A store that writes whatever the condition says.
#[derive(Debug)]
struct Careless {
    inner: InMemory,
    ignores: Ignored,
}

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "careless {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        match (&opts.mode, self.ignores) {
            (PutMode::Create, Ignored::Absence) | (PutMode::Update(_), Ignored::Version) => {
                opts.mode = PutMode::Overwrite;
            }
            _ => {}
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_refused() {
    let deployment =
        Deployment { partitions: PartitionCount::DEFAULT, epoch: 1, salt: "a".to_owned() };
    for (ignores, named) in [(Ignored::Absence, "If-None-Match"), (Ignored::Version, "If-Match")] {
        let objects = Objects::of(Arc::new(Careless { inner: InMemory::new(), ignores }));
        let refused = objects.bind(&deployment).await;
        let says = matches!(&refused, Err(BindError::Unconditional { header }) if *header == named);
        assert!(says, "{refused:?}");
    }
}
