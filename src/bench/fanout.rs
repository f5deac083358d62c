//! `hansard bench fanout`: a large group in which everybody is connected.
//!
//! The group is written straight to the log. A few members send at a fixed rate; every message is
//! followed to the last of the other members and to its sender's own connection. The gateway's
//! counter tells how often a frame was encoded: once for each message, however many get it.

use hansard_model::draft::Draft;
use hansard_model::event::{Event, EventClass, GroupCreated};
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, GroupId, MessageId, Seq, UserId, envelope, limit};
use hansard_nats::log::Append;
use serde_json::json;
use std::time::Duration;

use super::clients::Load;
use super::crowd::Crowd;
use super::deployment::{Bench, CAUGHT_UP_WITHIN, Gateway, Plan};
use super::people::{self, Person, random};
use super::{Place, machine};

const FRAMES_ENCODED_TOTAL: &str = "hansard_gateway_frames_encoded_total";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Members of the group, all connected.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(2..=1001))]
    members: u16,
    /// Members who send.
    #[arg(long, default_value_t = 10)]
    senders: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// How long.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Bytes of the stored payload.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(168..=8192))]
    payload: u16,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let members = usize::from(args.members);
    let plan = Plan { gateways: 1, projectors: 1, group_limit: members, partitions: 16 };
    let bench = Bench::start(&args.place, plan).await?;
    let people = people::create(&bench, members).await?;
    let group = create_group(&bench, &people, "fanout").await?;
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let mut crowd = Crowd::start(&bench).await?;
    let Some(gateway) = bench.gateways.first() else { anyhow::bail!("no gateway") };
    crowd.connect(gateway.address, &people).await?;
    let load = Load {
        group: Some(group),
        senders: args.senders.clamp(1, members),
        rate: Some(args.rate),
        in_flight: 64 * members,
        seconds: 2.0,
        payload: usize::from(args.payload),
    };
    crowd.load(load.clone()).await?;
    let pid = gateway.process.pid();
    let (encoded, cpu) = (encoded_by(gateway).await?, machine::cpu_s(pid)?);
    let round = crowd.load(Load { seconds: args.seconds, ..load }).await?;
    let encoded = encoded_by(gateway).await? - encoded;
    let cpu = machine::cpu_s(pid)? - cpu;
    let deliveries = round.arrivals + round.own_arrivals;
    let due = round.arrivals_due + round.acked;
    let report = json!({
        "bench": "fanout",
        "on": bench.describe(),
        "members": members,
        "msgs_per_s": args.rate,
        "seconds": args.seconds,
        "payload_bytes": args.payload,
        "messages": round.acked,
        "deliveries": deliveries,
        "deliveries_due": due,
        "deliveries_missing": due.saturating_sub(deliveries),
        "deliveries_per_s": deliveries as f64 / round.seconds,
        "ack_to_last_member_p50_ms": round.ack_to_event.p50_us / 1e3,
        "ack_to_last_member_p99_ms": round.ack_to_event.p99_us / 1e3,
        "send_to_last_member_p50_ms": round.send_to_event.p50_us / 1e3,
        "send_to_last_member_p99_ms": round.send_to_event.p99_us / 1e3,
        "frames_encoded": encoded,
        "frames_encoded_per_message": encoded / round.acked.max(1) as f64,
        "gateway_cpu_s": cpu,
        "round": round,
    });
    crowd.stop().await?;
    bench.stop().await?;
    super::print(&report)?;
    if due != deliveries {
        anyhow::bail!("{} deliveries are missing", due.abs_diff(deliveries));
    }
    Ok(())
}

/// Writes a group of these people to the log; the first is the owner.
pub(super) async fn create_group(
    bench: &Bench,
    people: &[Person],
    title: &str,
) -> anyhow::Result<ConversationId> {
    let Some((owner, others)) = people.split_first() else { anyhow::bail!("nobody") };
    let conversation = ConversationId::Group(GroupId::from_entropy(random()?));
    let members: Vec<UserId> =
        others.iter().take(limit::CREATE_MEMBERS_MAX).map(|person| person.user).collect();
    let draft = Draft::of(Event::Create(GroupCreated { title: Some(title.to_owned()), members }));
    let now = bench.log.clock().now()?;
    let id = MessageId::new(now.as_millis(), random()?);
    let append = Append {
        key: EventKey { conversation, sender: owner.user, id },
        void: Vec::new(),
        class: EventClass::Meta,
        kind: "create",
        vouch_until: now.plus(Duration::from_secs(60)),
        expected: Some(Seq::ZERO),
        payload: envelope::encode(id, owner.user, owner.device, &draft).into(),
    };
    bench.log.append(append).await?.await?;
    Ok(conversation)
}

/// Frames that a gateway has encoded so far.
async fn encoded_by(gateway: &Gateway) -> anyhow::Result<f64> {
    Ok(Bench::metric(gateway.admin, FRAMES_ENCODED_TOTAL).await?.unwrap_or_default())
}
