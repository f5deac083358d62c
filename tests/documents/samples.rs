//! Values of every type of the wire, with every field filled, as the code writes them.

use hansard_model::event::{
    Event, GroupCreated, HistoryVisibility, MemberChanged, MemberOp, Mention, MessageDeleted,
    MessageEdited, MessageSent, PinChanged, ReactionChanged, SettingsChanged, TitleChanged, Toggle,
};
use hansard_model::media::{Sha256, Variant};
use hansard_model::presence::{PersonState, Visibility};
use hansard_model::query::{Deleted, Edited, MessageState, ReactionCount, ThreadCount};
use hansard_model::{ConversationId, DeviceId, LogTime, MessageId, Role, Seq, UploadId, UserId};
use hansard_protocol::client::{Hello, Presence, Receipt, Send, Watch};
use hansard_protocol::error::{ErrorBody, ErrorCode, Retry, Stored};
use hansard_protocol::http::{
    Conversation, ConversationKind, CreateConversation, CreateUser, ErrorResponse, EventList,
    Explanation, Gateway, List, Member, MemberReceipt, MessageList, OpenSession, OpenedSession,
    OwnUser, PatchConversation, PatchUser, PinList, PostReceipt, PresenceList, Reaction,
    ReceiptList, SearchHit, SearchList, SendMessage, SentMessage, Session, SessionConnection,
    SessionList, Snippet, Suggested, Suggestion, SuggestionList, SyncResponse, User,
};
use hansard_protocol::media::{MediaInfo, MediaState, MediaUrl, MediaVariant};
use hansard_protocol::server::{
    Ack, EventFrame, Limits, MediaFrame, PresenceFrame, ReceiptFrame, Reconnect, Synced, Welcome,
};
use hansard_protocol::{ClientFrame, FrameRef, ServerFrame};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The name of a schema and a value that it must allow.
pub(crate) type Sample = (&'static str, Value);

const TIME: LogTime = LogTime::from_millis(1_763_538_926_402);
const RECONNECT: Reconnect = Reconnect { base_ms: 250, cap_ms: 30_000 };

fn user() -> UserId {
    UserId::from_entropy([1; 20])
}

fn device() -> DeviceId {
    DeviceId::from_entropy([2; 20])
}

fn conversation() -> ConversationId {
    ConversationId::direct(user(), UserId::from_entropy([3; 20]))
}

fn id() -> MessageId {
    MessageId::new(TIME.as_millis(), [4; 10])
}

fn reference() -> Option<FrameRef> {
    Some(FrameRef::Text("r".to_owned()))
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

/// Every event that a client can send or receive, with the name of its schema.
pub(crate) fn events() -> Vec<Sample> {
    let media = vec![json!({"id": "m"}).as_object().unwrap().clone()];
    let mentions = vec![Mention::All, Mention::User(user())];
    let (target, target_sender) = (Seq(7), Some(user()));
    let events = [
        Event::Message(MessageSent {
            text: "hi".to_owned(),
            reply_to: Some(target),
            thread: Some(target),
            mentions: mentions.clone(),
            media: media.clone(),
        }),
        Event::Edit(MessageEdited {
            target,
            text: "hi!".to_owned(),
            mentions,
            media,
            target_sender,
        }),
        Event::Delete(MessageDeleted { target, target_sender }),
        Event::Reaction(ReactionChanged { target, emoji: "👍".to_owned(), op: Toggle::Add }),
        Event::Pin(PinChanged { target, op: Toggle::Remove }),
        Event::Create(GroupCreated { title: Some("t".to_owned()), members: vec![user()] }),
        Event::Member(MemberChanged { user: user(), op: MemberOp::Role, role: Some(Role::Admin) }),
        Event::Title(TitleChanged { title: "t".to_owned() }),
        Event::Settings(SettingsChanged { history: Some(HistoryVisibility::All) }),
    ];
    events
        .into_iter()
        .map(|event| {
            let mut fields = value(&event);
            fields["data"] = json!({"of": {"the": ["application"]}});
            (event_schema(&event), fields)
        })
        .collect()
}

/// A new kind of event does not compile until it has a schema.
fn event_schema(event: &Event) -> &'static str {
    match event {
        Event::Message(_) => "MessageEvent",
        Event::Edit(_) => "EditEvent",
        Event::Delete(_) => "DeleteEvent",
        Event::Reaction(_) => "ReactionEvent",
        Event::Pin(_) => "PinEvent",
        Event::Create(_) => "CreateEvent",
        Event::Member(_) => "MemberEvent",
        Event::Title(_) => "TitleEvent",
        Event::Settings(_) => "SettingsEvent",
    }
}

/// What is stored around an event.
fn body(event: &Value) -> Box<RawValue> {
    raw(&json!({"v": 1, "id": id(), "sender": user(), "device": device(), "event": event}))
}

fn event_frame(event: &Value) -> EventFrame {
    EventFrame {
        conversation: conversation(),
        seq: Seq(9),
        prev: Seq(7),
        n: 3,
        ts: TIME,
        body: body(event),
        state: Some(MessageState {
            edited: Some(Edited { seq: Seq(8), ts: TIME }),
            deleted: Some(Deleted { seq: Seq(9), ts: TIME, by: user() }),
            reactions: vec![ReactionCount { emoji: "👍".to_owned(), count: 2, me: true }],
            thread: Some(ThreadCount { count: 2, last: Seq(9) }),
            pinned: true,
        }),
    }
}

/// Every frame that a client sends.
pub(crate) fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let send = |event: &Value| {
        ClientFrame::Send(Send {
            reference: reference(),
            conversation: conversation(),
            id: id(),
            event: raw(event),
        })
    };
    let mut frames: Vec<ClientFrame> = events().iter().map(|(_, event)| send(event)).collect();
    frames.extend([
        ClientFrame::Hello(Hello {
            token: "t".to_owned(),
            cursor: Some("c".to_owned()),
            seen: [(conversation(), Seq(7))].into(),
            catch_up: Some(5),
            background: true,
            presence: Some(Presence::Invisible),
        }),
        ClientFrame::Receipt(Receipt {
            reference: reference(),
            conversation: conversation(),
            delivered: Some(Seq(9)),
            read: Some(Seq(7)),
            private: true,
        }),
        ClientFrame::Typing { conversation: conversation() },
        ClientFrame::Watch(Watch {
            users: vec![user()],
            conversations: vec![conversation()],
            batch: true,
        }),
        ClientFrame::Presence { state: Presence::Away },
        ClientFrame::Ping { reference: reference() },
        ClientFrame::Ping { reference: Some(FrameRef::Number(3)) },
    ]);
    frames.into_iter().map(|frame| (client_schema(&frame), frame)).collect()
}

fn client_schema(frame: &ClientFrame) -> &'static str {
    match frame {
        ClientFrame::Hello(_) => "Hello",
        ClientFrame::Send(_) => "Send",
        ClientFrame::Receipt(_) => "Receipt",
        ClientFrame::Typing { .. } => "Typing",
        ClientFrame::Watch(_) => "Watch",
        ClientFrame::Presence { .. } => "Presence",
        ClientFrame::Ping { .. } => "Ping",
    }
}

/// Every frame that a client receives.
pub(crate) fn server_frames() -> Vec<(&'static str, ServerFrame)> {
    let stored = events().into_iter().map(|(_, event)| event).chain([
        json!({"kind": "message", "deleted": true}),
        json!({"kind": "edit", "target": 7, "deleted": true}),
        json!({"kind": "unreadable"}),
    ]);
    let mut frames: Vec<ServerFrame> =
        stored.map(|event| ServerFrame::Event(event_frame(&event))).collect();
    let (url, cursor) = (Some("u".to_owned()), "c".to_owned());
    frames.extend([
        ServerFrame::Welcome(welcome()),
        ServerFrame::Ack(Ack {
            reference: reference(),
            conversation: conversation(),
            id: id(),
            seq: Seq(9),
            duplicate: true,
        }),
        ServerFrame::Error(error(ErrorCode::ClockAhead)),
        ServerFrame::Conversation(shown(ConversationKind::Direct)),
        ServerFrame::User(person()),
        ServerFrame::Gap { conversation: conversation(), from: Seq(1), to: Seq(2) },
        ServerFrame::Synced(Synced { cursor: cursor.clone(), complete: true, reset: false }),
        ServerFrame::Cursor { cursor: cursor.clone() },
        ServerFrame::Receipt(ReceiptFrame {
            conversation: conversation(),
            user: user(),
            delivered: Seq(9),
            delivered_ts: TIME,
            read: Seq(7),
            read_ts: Some(TIME),
            read_n: Some(3),
        }),
        ServerFrame::Typing { conversation: conversation(), user: user() },
        ServerFrame::Presence(presence()),
        ServerFrame::Presences { people: vec![presence()] },
        ServerFrame::Media(MediaFrame {
            conversation: conversation(),
            seq: Seq(9),
            media: media_info(),
        }),
        ServerFrame::Drain { after_ms: 5, url, reconnect: Some(RECONNECT) },
        ServerFrame::Ok { reference: reference() },
        ServerFrame::Pong { reference: reference(), cursor: Some(cursor) },
    ]);
    frames.into_iter().map(|frame| (server_schema(&frame), frame)).collect()
}

fn server_schema(frame: &ServerFrame) -> &'static str {
    match frame {
        ServerFrame::Welcome(_) => "Welcome",
        ServerFrame::Ack(_) => "Ack",
        ServerFrame::Error(_) => "ErrorFrame",
        ServerFrame::Event(_) => "EventFrame",
        ServerFrame::Conversation(_) => "ConversationFrame",
        ServerFrame::User(_) => "UserFrame",
        ServerFrame::Gap { .. } => "Gap",
        ServerFrame::Synced(_) => "Synced",
        ServerFrame::Cursor { .. } => "Cursor",
        ServerFrame::Receipt(_) => "ReceiptOfMember",
        ServerFrame::Typing { .. } => "TypingOfOthers",
        ServerFrame::Presence(_) => "PresenceOfOthers",
        ServerFrame::Presences { .. } => "PresencesOfOthers",
        ServerFrame::Media(_) => "MediaOfMessage",
        ServerFrame::Drain { .. } => "Drain",
        ServerFrame::Ok { .. } => "Ok",
        ServerFrame::Pong { .. } => "Pong",
        ServerFrame::Unknown => panic!("no server sends it"),
    }
}

fn media_info() -> MediaInfo {
    let (media_type, width, height) = ("image/webp".to_owned(), Some(2), Some(1));
    let variant = MediaVariant { media_type, size: 3, width, height };
    MediaInfo {
        id: UploadId::from_entropy([5; 20]),
        state: MediaState::Ready,
        name: Some("plan.png".to_owned()),
        media_type: "image/png".to_owned(),
        size: 9,
        sha256: Some(Sha256([6; 32])),
        width: Some(1_200),
        height: Some(800),
        duration_ms: Some(7),
        waveform: Some(vec![0, 255]),
        placeholder: Some("t".to_owned()),
        pages: Some(1),
        stripped: true,
        original: true,
        opaque: true,
        variants: [(Variant::Thumb, variant.clone()), (Variant::Preview, variant)].into(),
        reason: Some("r".to_owned()),
        offset: Some(3),
        length: Some(9),
    }
}

fn presence() -> PresenceFrame {
    PresenceFrame { user: user(), state: PersonState::Offline, last_seen: Some(TIME) }
}

fn welcome() -> Welcome {
    Welcome {
        user: user(),
        device: device(),
        server_time: TIME,
        heartbeat_s: 30,
        durability: "fsync".to_owned(),
        limits: Limits {
            text_bytes: 1,
            frame_bytes: 1,
            group: 1,
            catch_up: 1,
            page: 1,
            in_flight: 1,
        },
        features: vec!["typing".to_owned()],
        reconnect: Some(RECONNECT),
    }
}

fn error(code: ErrorCode) -> ErrorBody {
    ErrorBody {
        reference: reference(),
        code,
        message: "m".to_owned(),
        stored: Stored::No,
        retry: Retry::NewId,
        retry_after_ms: Some(5),
        server_time: Some(TIME),
        at: Some([1, 2]),
        reconnect: Some(Box::new(RECONNECT)),
    }
}

fn person() -> User {
    User {
        user: user(),
        handle: "ana".parse().unwrap(),
        name: "Ana".to_owned(),
        avatar: Some("m".to_owned()),
    }
}

fn shown(kind: ConversationKind) -> Conversation {
    Conversation {
        conversation: conversation(),
        kind,
        title: Some("t".to_owned()),
        with: Some(user()),
        role: Some(Role::Owner),
        member_count: 2,
        view_from: Seq(1),
        last: Some(event_frame(&json!({"kind": "message", "text": "hi"}))),
        read: Seq(7),
        unread: 1,
        mentions: 1,
        muted_until: Some(TIME),
        pinned: true,
        archived: true,
        as_of: Seq(9),
    }
}

fn reaction() -> Reaction {
    Reaction { user: user(), emoji: "x".to_owned(), seq: Seq(8) }
}

fn gateway() -> Gateway {
    Gateway { url: "http://a.example".to_owned(), region: "eu".to_owned(), load: 0.5 }
}

fn list<T>(items: Vec<T>) -> List<T> {
    List { items, next: Some("n".to_owned()) }
}

/// Every body of the HTTP interface.
pub(crate) fn bodies() -> Vec<Sample> {
    let mut bodies = account_bodies();
    bodies.extend(conversation_bodies());
    bodies.extend(
        ErrorCode::ALL.map(|code| ("ErrorResponse", value(ErrorResponse { error: error(code) }))),
    );
    bodies
}

fn account_bodies() -> Vec<Sample> {
    let connection = SessionConnection {
        gateway: device(),
        since: TIME,
        network: "203.0.113.0/24".to_owned(),
        background: true,
    };
    let session = Session {
        device: device(),
        name: "laptop".to_owned(),
        since: TIME,
        expires_at: TIME,
        current: true,
        connections: vec![connection.clone()],
    };
    let (presence, last_seen) = (Visibility::Shared, Visibility::Nobody);
    let (name, password) = (Some("Ana".to_owned()), "p".to_owned());
    let handle = person().handle;
    let create = CreateUser {
        id: id(),
        handle: handle.clone(),
        password: password.clone(),
        name: name.clone(),
    };
    let open = OpenSession { handle, password, device_name: Some("laptop".to_owned()) };
    let opened =
        OpenedSession { token: "t".to_owned(), expires_at: TIME, user: user(), device: device() };
    vec![
        ("User", value(person())),
        ("UserList", value(list(vec![person()]))),
        ("CreateUser", value(create)),
        (
            "OwnUser",
            value(OwnUser { user: person(), presence, last_seen, read_receipts: last_seen }),
        ),
        (
            "PatchUser",
            value(PatchUser {
                name,
                avatar: Some("m".to_owned()),
                presence: Some(presence),
                last_seen: Some(last_seen),
                read_receipts: Some(last_seen),
            }),
        ),
        ("Session", value(&session)),
        ("SessionConnection", value(&connection)),
        ("SessionList", value(SessionList { items: vec![session], partial: true })),
        ("OpenSession", value(open)),
        ("OpenedSession", value(opened)),
    ]
}

fn conversation_bodies() -> Vec<Sample> {
    let frame = || event_frame(&json!({"kind": "message", "text": "hi"}));
    let member = Member { user: user(), role: Role::Member, joined: Seq(1) };
    let messages =
        MessageList { items: vec![frame()], as_of: Seq(9), more_before: true, more_after: false };
    let (delivered, read) = (Some(Seq(9)), Some(Seq(7)));
    let post_receipt = PostReceipt { delivered, read, private: true };
    let of_member = MemberReceipt {
        user: user(),
        delivered: Seq(9),
        delivered_ts: TIME,
        read: Seq(7),
        read_ts: Some(TIME),
    };
    let receipts = ReceiptList {
        items: vec![of_member.clone()],
        delivered_count: 1,
        read_count: 0,
        next: Some("n".to_owned()),
    };
    let pins = PinList { items: vec![frame()], as_of: Seq(9), next: Some("n".to_owned()) };
    let synced = SyncResponse { frames: vec![raw(&json!({"type": "synced", "cursor": "c"}))] };
    let group =
        CreateConversation::Group { id: id(), title: "t".to_owned(), members: vec![user()] };
    let change = |until| PatchConversation {
        muted_until: Some(until),
        pinned: Some(true),
        archived: Some(false),
    };
    vec![
        ("Conversation", value(shown(ConversationKind::Group))),
        ("ConversationList", value(list(vec![shown(ConversationKind::Direct)]))),
        ("CreateConversation", value(group)),
        ("CreateConversation", value(CreateConversation::Direct { with: user() })),
        ("PatchConversation", value(change(Some(TIME)))),
        ("PatchConversation", value(change(None))),
        ("Member", value(&member)),
        ("MemberList", value(list(vec![member]))),
        ("SendMessage", value(SendMessage { id: id(), event: raw(&events()[0].1) })),
        ("SentMessage", value(SentMessage { seq: Seq(9), duplicate: false })),
        ("EventList", value(EventList { items: vec![frame()], more: true })),
        ("MessageList", value(messages)),
        ("PinList", value(pins)),
        ("Reaction", value(reaction())),
        ("ReactionList", value(list(vec![reaction()]))),
        ("MentionList", value(list(vec![frame()]))),
        ("SearchList", value(search_list())),
        ("SuggestionList", value(SuggestionList { items: suggestions() })),
        ("GatewayList", value(list(vec![gateway()]))),
        ("Explanation", value(explanation())),
        ("PostReceipt", value(post_receipt)),
        ("MemberReceipt", value(&of_member)),
        ("ReceiptList", value(receipts)),
        ("PresenceItem", value(presence())),
        (
            "PresenceList",
            value(PresenceList { items: vec![presence()], next: Some("n".to_owned()) }),
        ),
        ("SyncResponse", value(synced)),
        ("MediaInfo", value(media_info())),
        ("MediaUrl", value(MediaUrl { url: "/v1/media/m".to_owned(), expires_at: TIME })),
    ]
}

fn search_list() -> SearchList {
    let snippet =
        Snippet { text: "t".to_owned(), starts_at: 3, goes_on: true, highlights: vec![[0, 1]] };
    let hit =
        SearchHit { conversation: conversation(), seq: Seq(9), ts: TIME, sender: user(), snippet };
    SearchList { items: vec![hit], next: Some("n".to_owned()), partial: true }
}

fn suggestions() -> Vec<Suggestion> {
    let title = "t".to_owned();
    let about = [
        Suggested::Person { user: person() },
        Suggested::Group { conversation: conversation(), title },
        Suggested::Direct { conversation: conversation(), user: person() },
    ];
    let suggestion = |about| Suggestion { about, replaces: [0, 1], text: "from:ana".to_owned() };
    about.map(suggestion).into()
}

fn explanation() -> Explanation {
    Explanation {
        conversation: conversation(),
        read: Seq(7),
        read_n: 3,
        n: 5,
        unread: 2,
        unread_events: vec![Seq(8), Seq(9)],
        mentions: vec![Seq(9)],
        joined: Seq(1),
        view_from: Seq(1),
        view_to: Some(Seq(9)),
        last: Seq(9),
        as_of: Seq(9),
        inbox_as_of: Seq(9),
    }
}
