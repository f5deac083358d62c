//! What the machine is, and what a process used of it: from `/proc`.

use std::path::Path;

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

/// Clock ticks per second in `/proc/PID/stat`: the value of every Linux of the last decades.
const TICKS_PER_S: f64 = 100.0;

/// User and system time of a process so far, in seconds.
pub(super) fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    let fields = stat(pid)?;
    // utime and stime are fields 14 and 15; the list begins with field 3.
    let ticks = |index: usize| -> anyhow::Result<f64> {
        Ok(fields.get(index).context("a short /proc/PID/stat")?.parse::<f64>()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// Time of all cores so far, in ticks: in all, and what the hypervisor gave to other machines while
/// this one had work to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreTime {
    all: u64,
    stolen: u64,
}

impl CoreTime {
    /// The eighth figure of the first line of `/proc/stat`, and the sum of the first eight.
    pub(super) fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("an empty /proc/stat")?;
        let ticks = line.split_whitespace().skip(1).take(8).map(str::parse);
        let ticks: Vec<u64> = ticks.collect::<Result<_, _>>()?;
        Ok(Self { all: ticks.iter().sum(), stolen: *ticks.get(7).context("no steal time")? })
    }

    /// The share that was stolen since then, 0 to 1.
    pub(super) fn stolen_since(self, before: Self) -> f64 {
        (self.stolen - before.stolen) as f64 / (self.all - before.all).max(1) as f64
    }
}

/// Resident memory of a process, in bytes.
pub(super) fn rss_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process has had, in bytes; pages of files that it maps included.
pub(super) fn peak_rss_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// Resident memory of a process that is no page of a file, in bytes.
pub(super) fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "RssAnon:")
}

/// A size of `/proc/PID/status`.
fn status_bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.with_context(|| format!("no {field}"))?.parse::<u64>()? * 1024)
}

/// The last core that this process may run on.
pub(super) fn last_core() -> anyhow::Result<usize> {
    let mine = sched_getaffinity(None)?;
    (0..CpuSet::MAX_CPU).rev().find(|core| mine.is_set(*core)).context("no core")
}

/// Runs something so that a process which it starts runs on one core alone.
pub(super) fn on_core<T>(core: Option<usize>, start: impl FnOnce() -> T) -> anyhow::Result<T> {
    let Some(core) = core else { return Ok(start()) };
    // Of this thread; what it starts meanwhile inherits it.
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).with_context(|| format!("core {core}"))?;
    let started = start();
    sched_setaffinity(None, &before)?;
    Ok(started)
}

/// What a process has had written to disks so far, in bytes: neither sockets nor pipes.
pub(super) fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("no write_bytes")?.parse()?)
}

/// Bytes of all files below a directory; 0 when there is none.
pub(super) fn directory_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        // Files come and go while a database runs.
        Err(_) => 0,
    });
    sizes.sum()
}

/// Makes the kernel forget what it has read of any file; `false` when this process may not.
pub(super) fn drop_page_cache() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

/// The child of a process that runs `program`.
pub(super) fn child_of(parent: u32, program: &str) -> Option<u32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let is_child = stat(pid).ok()?.get(1)?.parse() == Ok(parent);
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (is_child && name.trim() == program).then_some(pid)
    })
}

/// Fields of `/proc/PID/stat` from the third (state) on: the second is a name with anything in it.
fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid}"))?;
    let (_, rest) = text.rsplit_once(')').context("a strange /proc/PID/stat")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// The machine, for the report: figures of two machines are not to be compared.
pub(super) fn describe(data: &Path) -> serde_json::Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = kib.and_then(|kib| kib.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": model.map_or("unknown", |(_, model)| model),
        "memory_gib": kib as f64 / 1024.0 / 1024.0,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "filesystem": filesystem(data),
    })
}

/// The type of the file system that a path is on.
fn filesystem(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut best = (0, "unknown");
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        if let (Some(point), Some(kind)) = (fields.next(), fields.next())
            && path.starts_with(point)
            && point.len() >= best.0
        {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured() {
        let me = std::process::id();
        assert!(rss_bytes(me).expect("linux") > 100_000);
        assert!(cpu_s(me).expect("linux") >= 0.0);
        assert!(peak_rss_bytes(me).expect("linux") >= anonymous_bytes(me).expect("linux"));
        assert_eq!(child_of(me, "no-such-program"), None);
    }

    #[test]
    fn what_is_started_on_a_core_stays_there() {
        let core = last_core().expect("a core");
        let before = sched_getaffinity(None).expect("linux");
        let started = on_core(Some(core), || {
            std::process::Command::new("grep")
                .args(["Cpus_allowed_list", "/proc/self/status"])
                .output()
        });
        let said = String::from_utf8(started.expect("linux").expect("grep").stdout).expect("text");
        assert_eq!(said.split_whitespace().last(), Some(core.to_string().as_str()));
        assert_eq!(sched_getaffinity(None).expect("linux"), before);
    }

    #[test]
    fn stolen_time_is_a_share() {
        let before = CoreTime { all: 1_000, stolen: 10 };
        assert!((CoreTime { all: 1_200, stolen: 60 }.stolen_since(before) - 0.25).abs() < 1e-9);
        let now = CoreTime::read().expect("linux");
        assert!(now.all > now.stolen);
    }
}
