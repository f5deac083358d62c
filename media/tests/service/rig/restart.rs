//! The same deployment after something was done to the data of NATS.

use std::path::{Path, PathBuf};

use hansard_model::PartitionCount;
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::{Connection, Durability, ServiceRole};

use super::{Rig, endpoint, within};

impl Rig {
    /// Stops nats-server, does something to its streams, and starts it again where it was.
    pub(crate) async fn restart(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let port = self.server.address().port();
        self.server.stop().await;
        let user = |role: ServiceRole| ServerUser {
            name: role.as_str().to_owned(),
            password: "test".to_owned(),
            publish_deny: role.publish_deny(),
        };
        let options = ServerOptions {
            data_dir: self.data.path().join("nats"),
            durability: Durability::Os,
            port,
            users: ServiceRole::ALL.map(user).to_vec(),
            monitor: None,
            cluster: None,
        };
        let streams = streams(&options.data_dir);
        meanwhile(&streams);
        let server = Server::start(options).await.expect("nats-server");
        let endpoint = endpoint(server.address().to_string());
        let operator =
            Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
        let wanted = ProvisionOptions { partitions: PartitionCount::new(2), replicas: 1 };
        deployment::provision(&operator, wanted).await.expect("provisioned");
        let bucket = hansard_nats::media::MediaBucket::open(&operator);
        let secret = bucket.grant_secret().await.expect("a secret");
        let rig = Self { operator, bucket, secret, server, ..self };
        let keeping = rig.clock.clone().keep(rig.operator.clone(), Default::default());
        tokio::spawn(keeping);
        within("log time", async || rig.clock.now().ok()).await;
        rig
    }
}

/// Where the streams of the account are.
fn streams(data: &Path) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("KV_MEDIA").is_dir() {
            return folder;
        }
        let entries = std::fs::read_dir(&folder).expect("a directory");
        let entries = entries.map(|entry| entry.expect("an entry").path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("no stream of the bucket in {}", data.display());
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}
