//! Many files at once, and the memory of the service meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::machine::rss_bytes;
use super::copy::noise;
use super::{Args, Stage, mib};

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn run(args: &Args, stage: &Stage) -> anyhow::Result<Value> {
    let size = args.mib << 20;
    let file = Arc::new(noise(size)?);
    let pid = stage.service.process.pid();
    let idle = rss_bytes(pid)?;
    let total = mib((size * args.parallel) as u64);

    let started = Instant::now();
    let uploads = stage.people.iter().take(args.parallel).enumerate().map(|(number, person)| {
        let (wire, file) = (stage.wire(person), Arc::clone(&file));
        // Turned around at another place each, so no two are the same.
        let (end, beginning) = (number * (size / args.parallel), number * (size / args.parallel));
        async move {
            let id = wire.upload(&[&file[beginning..], &file[..end]]).await?;
            anyhow::Ok((wire, id))
        }
    });
    let (uploaded, peak_up) = watched(pid, try_join_all(uploads)).await?;
    let up = total / started.elapsed().as_secs_f64();

    let started = Instant::now();
    let downloads = uploaded.iter().map(|(wire, id)| wire.download(*id));
    let (_, peak_down) = watched(pid, try_join_all(downloads)).await?;
    let down = total / started.elapsed().as_secs_f64();
    Ok(json!({
        "files": args.parallel,
        "up_mib_per_s": up,
        "down_mib_per_s": down,
        "service_memory_mib_idle": mib(idle),
        "service_memory_mib_above_idle_up": mib(peak_up.saturating_sub(idle)),
        "service_memory_mib_above_idle_down": mib(peak_down.saturating_sub(idle)),
    }))
}

/// What comes of it, and the most memory that the process had meanwhile.
async fn watched<T>(
    pid: u32,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, u64)> {
    let over = CancellationToken::new();
    let look = async {
        let mut peak = 0;
        while !over.is_cancelled() {
            peak = rss_bytes(pid)?.max(peak);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(peak)
    };
    let work = async {
        let done = work.await;
        over.cancel();
        done
    };
    tokio::try_join!(work, look)
}
