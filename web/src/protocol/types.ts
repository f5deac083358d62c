/** The names of the contract, as the documents say them; see contract.ts. */
import type { components } from "./contract.ts";

type Schemas = components["schemas"];

/** 20 characters of lower-case base32. */
export type UserId = string;
/** One session of one user. */
export type DeviceId = string;
/** `<x>.<y>` of two users, or `g.` and a group. */
export type ConversationId = string;
/** A UUID of version 7, lower case with hyphens. */
export type MessageId = string;
/** A place in a conversation; increasing, not dense. */
export type Seq = number;
/** RFC 3339 in UTC with milliseconds. */
export type Time = string;

export type Role = Schemas["Role"];
export type PersonState = Schemas["PersonState"];
export type Visibility = Schemas["Visibility"];
export type User = Schemas["User"];
export type OwnUser = Schemas["OwnUser"];
export type Session = Schemas["Session"];
export type Conversation = Schemas["Conversation"];
export type Member = Schemas["Member"];
export type EventFrame = Schemas["EventFrame"];
export type StoredEvent = Schemas["StoredEvent"];
export type Event = Schemas["Event"];
export type MessageEvent = Schemas["MessageEvent"];
export type MessageState = Schemas["MessageState"];
export type MessageList = Schemas["MessageList"];
export type EventList = Schemas["EventList"];
export type SearchList = Schemas["SearchList"];
export type Suggestion = Schemas["Suggestion"];
export type MemberReceipt = Schemas["MemberReceipt"];
export type ErrorBody = Schemas["Error"];
export type ErrorCode = Schemas["ErrorCode"];

export type Hello = Schemas["SocketHello"];
export type Send = Schemas["SocketSend"];
export type Watch = Schemas["SocketWatch"];
export type Receipt = Schemas["SocketReceipt"];
export type ClientFrame =
  | Hello
  | Send
  | Watch
  | Receipt
  | Schemas["SocketTyping"]
  | Schemas["SocketPresence"]
  | Schemas["SocketPing"];

export type Welcome = Schemas["SocketWelcome"];
export type Ack = Schemas["SocketAck"];
export type ErrorFrame = Schemas["SocketErrorFrame"];
export type ConversationFrame = Schemas["SocketConversationFrame"];
export type Gap = Schemas["SocketGap"];
export type Synced = Schemas["SocketSynced"];
export type ReceiptOfMember = Schemas["SocketReceiptOfMember"];
export type PresenceOfOthers = Schemas["SocketPresenceOfOthers"];
export type Drain = Schemas["SocketDrain"];
export type Reconnect = Schemas["Reconnect"];

/** Processing of an upload is done. */
export type MediaFrame = Schemas["SocketMediaOfMessage"];

export type ServerFrame =
  | Welcome
  | Ack
  | ErrorFrame
  | Schemas["SocketEventFrame"]
  | ConversationFrame
  | Schemas["SocketUserFrame"]
  | Gap
  | Synced
  | Schemas["SocketCursor"]
  | ReceiptOfMember
  | Schemas["SocketTypingOfOthers"]
  | PresenceOfOthers
  | Schemas["SocketPresencesOfOthers"]
  | Drain
  | Schemas["SocketOk"]
  | Schemas["SocketPong"]
  | MediaFrame;

/** What a message says of a file. */
export type MediaReference = {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  readonly width?: number;
  readonly height?: number;
  readonly duration_ms?: number;
  /** A ThumbHash in base64. */
  readonly placeholder?: string;
  readonly alt?: string;
};

export type MediaVariant = "thumb" | "preview";

export type MediaInfo = Schemas["MediaInfo"];
