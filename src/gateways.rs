//! `hansard gateways`: the gateways that are running, and how many are connected to each.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;

use anyhow::Context;
use hansard_model::placement::Occupancy;
use hansard_nats::LogClock;
use hansard_nats::registry::{GatewayEntry, Registered};
use serde::Serialize;

use crate::settings::NatsArgs;

/// An answer that took long tells too little of the time; the next one may be quicker.
const COMPARISONS_MAX: usize = 5;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    nats: NatsArgs,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What a gateway does with those who want to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It takes them.
    Open,
    /// Others of its region come first.
    Busy,
    /// It is offered to nobody.
    Full,
    /// It is about to stop.
    Draining,
    /// Nothing was heard of it for seconds.
    Silent,
}

impl State {
    fn of(entry: &GatewayEntry, is_silent: bool) -> Self {
        match entry.occupancy {
            _ if is_silent => Self::Silent,
            _ if entry.draining => Self::Draining,
            Occupancy::Open => Self::Open,
            Occupancy::Busy => Self::Busy,
            Occupancy::Full => Self::Full,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Silent => "silent",
        }
    }
}

/// A gateway, as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    entry: &'a GatewayEntry,
    state: State,
    /// Milliseconds since it said so.
    age_ms: u64,
}

/// Sums over some gateways.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    gateways: u64,
    connections: u64,
    capacity: u64,
    devices: u64,
}

impl Sum {
    fn add(&mut self, entry: &GatewayEntry) {
        self.gateways += 1;
        self.connections += entry.connections;
        self.capacity += entry.capacity;
        self.devices += entry.devices;
    }
}

/// `hansard gateways`
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let connection = args.nats.connect_operator().await?;
    let clock = LogClock::new();
    let mut compared = clock.compare(&connection).await;
    for _ in 1..COMPARISONS_MAX {
        if compared.is_ok() {
            break;
        }
        compared = clock.compare(&connection).await;
    }
    compared.context("the log's time")?;
    let mut registered = connection.registered_gateways().await.context("the gateways")?;
    let now = clock.now()?;
    registered.sort_by(|a, b| {
        let key = |one: &Registered| (one.entry.region.clone(), one.entry.url.clone());
        key(a).cmp(&key(b)).then(a.entry.gateway.cmp(&b.entry.gateway))
    });
    let shown = registered.iter().map(|one| Shown {
        entry: &one.entry,
        state: State::of(&one.entry, one.is_silent(now)),
        age_ms: u64::try_from(now.since(one.ts).as_millis()).unwrap_or(u64::MAX),
    });
    if args.json {
        for gateway in shown {
            line(serde_json::to_string(&gateway)?)?;
        }
        return Ok(());
    }
    for text in table(&shown.collect::<Vec<_>>()) {
        line(text)?;
    }
    Ok(())
}

/// A line for each gateway, and one for each region.
fn table(shown: &[Shown<'_>]) -> Vec<String> {
    if shown.is_empty() {
        return vec!["no gateway is running".to_owned()];
    }
    let titles = ["GATEWAY", "REGION", "CONNECTIONS", "USERS", "DEVICES", "STATE", "URL"];
    let mut rows = vec![titles.map(str::to_owned)];
    let mut regions: BTreeMap<&str, Sum> = BTreeMap::new();
    for Shown { entry, state, .. } in shown {
        regions.entry(&entry.region).or_default().add(entry);
        rows.push([
            entry.gateway.to_string(),
            entry.region.clone(),
            format!("{}/{}", entry.connections, entry.capacity),
            entry.users.to_string(),
            entry.devices.to_string(),
            state.as_str().to_owned(),
            entry.url.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let padded = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let regions = regions.iter().map(|(region, sum)| {
        let Sum { gateways, connections, capacity, devices } = sum;
        format!("{region}: {connections} of {capacity} connections, {devices} devices, {gateways} gateways")
    });
    rows.iter().map(padded).chain(regions).collect()
}

/// A line on standard output.
fn line(text: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}

#[cfg(test)]
mod tests {
    use hansard_model::DeviceId;

    use super::*;

    fn entry(id: u8, region: &str, connections: u64) -> GatewayEntry {
        GatewayEntry {
            gateway: DeviceId::from_entropy([id; 20]),
            url: (id > 1).then(|| "http://a".to_owned()),
            region: region.to_owned(),
            connections,
            users: connections / 2,
            devices: connections,
            capacity: 100,
            occupancy: Occupancy::Open,
            draining: false,
        }
    }

    #[test]
    fn a_gateway_has_a_line_and_a_region_has_a_sum() {
        let entries = [entry(1, "eu", 7), entry(2, "eu", 12), entry(3, "us", 3)];
        let shown = entries.iter().map(|entry| Shown { entry, state: State::Open, age_ms: 5 });
        let lines = table(&shown.collect::<Vec<_>>());
        assert_eq!(lines.len(), 6, "{lines:#?}");
        let words = |line: &str| -> Vec<String> {
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(words(&lines[1]), ["eu", "7/100", "3", "7", "open", "-"]);
        assert_eq!(words(&lines[2]), ["eu", "12/100", "6", "12", "open", "http://a"]);
        assert_eq!(lines[4], "eu: 19 of 200 connections, 19 devices, 2 gateways");
        assert_eq!(table(&[]), ["no gateway is running"]);
    }

    #[test]
    fn what_is_worst_of_a_gateway_is_its_state() {
        let full = GatewayEntry { occupancy: Occupancy::Full, ..entry(1, "eu", 99) };
        let draining = GatewayEntry { draining: true, ..full.clone() };
        assert_eq!(State::of(&full, false), State::Full);
        assert_eq!(State::of(&draining, false), State::Draining);
        assert_eq!(State::of(&draining, true), State::Silent);
    }
}
