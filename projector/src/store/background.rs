//! Where stores are compacted: on one thread of a lower priority, so that whoever asks for something
//! does not wait for what nobody waits for.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much less than others the thread counts for (the nice value that is added). Where both want
/// a core, it has about a quarter of it, which is enough to keep up with a replay.
const NICE: i32 = 5;
/// Threads that wait for files on its behalf.
const BLOCKING_THREADS_MAX: usize = 4;

/// A runtime for compactions; it ends with the last clone.
#[derive(Clone)]
pub(super) struct Background(Arc<Option<Ended>>);

/// Ends a runtime without waiting, which must not be done where others are served.
struct Ended(Option<Runtime>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Background {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("compaction")
            .on_thread_start(|| {
                // Linux keeps a priority for each thread.
                if let Err(error) = rustix::process::nice(NICE) {
                    tracing::debug!(%error, "compaction has the priority of everything else");
                }
            })
            .enable_all()
            .build();
        let runtime = runtime.inspect_err(|error| {
            tracing::warn!(%error, "stores are compacted beside what is asked");
        });
        Self(Arc::new(runtime.ok().map(|runtime| Ended(Some(runtime)))))
    }

    /// The runtime; that of the caller when there could be none.
    pub(super) fn handle(&self) -> Handle {
        let own = self.0.as_ref().as_ref().and_then(|ended| ended.0.as_ref());
        own.map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}
