/**
 * What the interface sees of the engine: stores to subscribe to, and things to do.
 *
 * Stores have Svelte's contract (`$store` works): `subscribe` calls at once with the value, and with each new one.
 * Values are immutable; an item that did not change is the same object, so keyed lists stay as they are.
 *
 * Things to do that return nothing cannot fail for the caller: they are shown at once, kept in IndexedDB, and sent
 * when there is a connection. Those that return a promise ask the server, and reject with a `Refusal`.
 */
import type {
  ConversationId,
  ErrorCode,
  MediaInfo,
  MediaReference,
  MediaVariant,
  MessageId,
  OwnUser,
  PersonState,
  Role,
  Seq,
  Session as Device,
  Suggestion,
  Time,
  User,
  UserId,
  Visibility,
} from "../protocol/types.ts";

export type {
  ConversationId,
  Device,
  ErrorCode,
  MediaInfo,
  MediaReference,
  MediaVariant,
  MessageId,
  OwnUser,
  PersonState,
  Role,
  Seq,
  Suggestion,
  Time,
  User,
  UserId,
  Visibility,
};

/** Svelte's store contract. */
export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void;
  /** The value now. */
  get(): T;
}

/** Something that happens, without a value in between. */
export interface Happenings<T> {
  listen(run: (happening: T) => void): () => void;
}

/** Why the server did not do it; thrown by everything that returns a promise. */
export interface Refusal extends Error {
  /** `offline`: it could not be asked. `cancelled`: the caller gave up. */
  readonly code: ErrorCode | "offline" | "cancelled";
  readonly retryAfterMs?: number;
  /** The part of a search that it is about, in UTF-16 code units. */
  readonly at?: readonly [number, number];
}

/** Everything. One for a tab; `openEngine()` of `engine.ts` makes it. */
export interface Engine {
  readonly session: SessionApi;
  readonly connection: ConnectionApi;
  readonly inbox: InboxApi;
  readonly people: PeopleApi;
  readonly groups: GroupsApi;
  readonly search: SearchApi;
  readonly media: MediaApi;
  readonly settings: SettingsApi;
  readonly notifications: NotificationsApi;

  /** Opens a conversation where `at` says; by default at the first unread message, else at the newest. */
  open(conversation: ConversationId, at?: Place): ConversationWindow;
  /** Opens a thread: its root and its replies. */
  openThread(conversation: ConversationId, root: Seq): ThreadWindow;
  /** The direct conversation with somebody; it exists once something is said in it. */
  directWith(user: UserId): ConversationId;

  /** Refusals that belong to no call: a reaction, pin or deletion that the server did not take. Show them and forget them. */
  readonly problems: Happenings<Problem>;
  /** Milliseconds since the epoch on the server's clock. */
  now(): number;
  /** Ends everything of this tab. Cached and unsent things stay. */
  close(): Promise<void>;
}

export interface Problem {
  readonly code: Refusal["code"];
  readonly conversation?: ConversationId;
  readonly what: "reaction" | "pin" | "delete" | "setting" | "storage";
}

// ---------------------------------------------------------------------------------------------- session

export type SessionState =
  | { readonly kind: "starting" }
  | { readonly kind: "signed-out" }
  | { readonly kind: "signed-in"; readonly me: Own; readonly device: string }
  /** The token is no longer good; what is cached and unsent stays for the next log-in of the same person. */
  | { readonly kind: "ended"; readonly reason: "revoked" | "expired"; readonly handle: string };

/** Oneself. Until the server was asked once, the visibilities are absent. */
export interface Own extends Person {
  readonly presence?: Visibility;
  readonly lastSeen?: Visibility;
  readonly readReceipts?: Visibility;
}

export interface SessionApi {
  readonly state: Readable<SessionState>;
  /** Makes the account and logs in. `code` of a refusal: `handle_taken`, `bad_frame` (what the fields are), .. */
  signUp(account: { handle: string; password: string; name?: string }): Promise<void>;
  logIn(credentials: { handle: string; password: string; deviceName?: string }): Promise<void>;
  /** How many messages are not sent yet; ask the person before logging out. */
  unsent(): Promise<number>;
  /** Logs out here, and deletes everything that is cached of the person, in all tabs. */
  logOut(): Promise<void>;
  devices(): Promise<readonly Device[]>;
  revoke(device: string): Promise<void>;
  /** Changes what is given. */
  changeOwn(change: { name?: string; avatar?: string; presence?: Visibility; lastSeen?: Visibility; readReceipts?: Visibility }): Promise<void>;
}

// ------------------------------------------------------------------------------------------- connection

export type ConnectionState =
  | { readonly kind: "online"; /** The catch-up is over. */ readonly synced: boolean }
  | { readonly kind: "connecting" }
  /** `nextTry`: milliseconds since the epoch on this device's clock; absent while the device has no network. */
  | { readonly kind: "offline"; readonly nextTry?: number; readonly since: number };

export interface ConnectionApi {
  readonly state: Readable<ConnectionState>;
  retryNow(): void;
  /** This tab holds the connection that all tabs use. */
  readonly leader: Readable<boolean>;
}

// ------------------------------------------------------------------------------------------------ inbox

export interface InboxRow {
  readonly id: ConversationId;
  readonly kind: "direct" | "group" | "notes";
  /** A group's title, or the name of the other; for notes to oneself, the own name. */
  readonly title: string;
  /** The other of a direct conversation (oneself for notes). */
  readonly with?: Person;
  /** Absent: no member any more; it can be read, and not written to. */
  readonly role?: Role;
  readonly memberCount: number;
  readonly last?: LastMessage;
  /** When something happened last, milliseconds since the epoch; rows are in this order, the pinned first. */
  readonly activity: number;
  readonly unread: number;
  readonly mentions: number;
  readonly muted: boolean;
  /** ISO; what `muted` follows from. */
  readonly mutedUntil?: Time;
  readonly pinned: boolean;
  readonly archived: boolean;
  /** Beginning of a draft, if there is one. */
  readonly draft?: string;
  /** Who is typing there; only of watched ones. */
  readonly typing: readonly Person[];
  /** Messages of one's own there that failed. */
  readonly failed: number;
}

export interface LastMessage {
  readonly seq?: Seq;
  /** Absent for what the server says by itself. */
  readonly sender?: Person;
  readonly mine: boolean;
  /** Up to 160 characters; empty when deleted or only media. */
  readonly text: string;
  readonly deleted: boolean;
  /** What kind of files, if there are. */
  readonly media: "image" | "audio" | "video" | "file" | undefined;
  readonly ts: number;
  /** Of one's own. */
  readonly mark?: Mark;
}

export interface InboxApi {
  /** All conversations that were not archived, then the archived ones: sorted, pinned first. At most 2,000. */
  readonly rows: Readable<readonly InboxRow[]>;
  row(conversation: ConversationId): Readable<InboxRow | undefined>;
  /** What the badge shows: of conversations that are neither muted nor archived; mentions of all. */
  readonly totals: Readable<{ readonly unread: number; readonly mentions: number }>;
  /** The inbox was read from the server at least once on this device. */
  readonly complete: Readable<boolean>;
  /** `null` unmutes. Shown at once; a refusal comes by `problems`. */
  mute(conversation: ConversationId, until: Date | null): void;
  pin(conversation: ConversationId, pinned: boolean): void;
  archive(conversation: ConversationId, archived: boolean): void;
  /** Everything up to its last message is read. */
  markRead(conversation: ConversationId): void;
  /** Messages that mention the person, newest first, of all conversations. */
  mentions(cursor?: string): Promise<Page<MentionHit>>;
}

export interface MentionHit {
  readonly conversation: ConversationId;
  readonly item: MessageItem;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string;
  /** A part could not be looked at now; ask again a moment later. */
  readonly partial?: boolean;
}

// --------------------------------------------------------------------------------------- conversation

export type Place =
  | { readonly kind: "newest" }
  | { readonly kind: "unread" }
  | { readonly kind: "message"; readonly seq: Seq }
  | { readonly kind: "date"; readonly date: Date };

/** How far a message of one's own has got. */
export type Mark =
  /** In the outbox; `failed` is refused and waits for the person. */
  | "pending"
  | "failed"
  | "sent"
  | "delivered"
  | "read";

export interface MessageItem {
  readonly kind: "message";
  /** For keyed lists: stays the same from pending to stored. */
  readonly key: string;
  /** Absent until it is stored. */
  readonly seq?: Seq;
  readonly id?: MessageId;
  readonly sender: Person;
  readonly mine: boolean;
  /** Milliseconds since the epoch. */
  readonly ts: number;
  readonly text: string;
  readonly deleted: boolean;
  /** Who deleted it, if not the author. */
  readonly deletedBy?: Person;
  /** When it was edited last. */
  readonly edited?: number;
  /** An edit or deletion of it is in the outbox. */
  readonly changing?: "edit" | "delete";
  /** An edit of it was refused: the words are kept here until they are sent again or discarded (`retry`, `discard` with its key). */
  readonly failedEdit?: { readonly key: string; readonly text: string; readonly code: Refusal["code"] };
  readonly reactions: readonly Reaction[];
  readonly pinned: boolean;
  /** What it answers. */
  readonly replyTo?: Quote;
  /** The root of its thread, if it is a reply in one. */
  readonly thread?: Seq;
  /** Replies, if it is a root. */
  readonly replies?: { readonly count: number; readonly last: Seq };
  /** Ids, or `all`. */
  readonly mentions: readonly string[];
  /** People by id of those mentioned, for the names. */
  readonly mentioned: readonly Person[];
  readonly mentionsMe: boolean;
  readonly media: readonly MediaReference[];
  /** Files that are still being uploaded, of a pending one. */
  readonly uploads: readonly Upload[];
  /** Of one's own; the others have none. */
  readonly mark?: Mark;
  /** Of one's own in groups: how many of the others have it, have read it. */
  readonly reach?: { readonly delivered: number; readonly read: number; readonly others: number };
  /** Why it failed. */
  readonly refusal?: { readonly code: Refusal["code"] };
  readonly may: { readonly edit: boolean; readonly delete: boolean; readonly pin: boolean; readonly react: boolean; readonly reply: boolean };
  readonly layout: Layout;
}

/** What happened to the group: who came, went, or changed it. */
export interface NoticeItem {
  readonly kind: "notice";
  readonly key: string;
  readonly seq: Seq;
  readonly ts: number;
  readonly by: Person;
  readonly notice:
    | { readonly kind: "created"; readonly title: string; readonly members: readonly Person[] }
    | { readonly kind: "title"; readonly title: string }
    | { readonly kind: "added" | "removed"; readonly user: Person }
    | { readonly kind: "left" }
    | { readonly kind: "role"; readonly user: Person; readonly role: Role }
    | { readonly kind: "history"; readonly history: "joined" | "all" }
    /** A kind of a later version. */
    | { readonly kind: "other"; readonly fallback?: string };
  readonly layout: Layout;
}

export type TimelineItem = MessageItem | NoticeItem;

/** Where it stands among its neighbours. */
export interface Layout {
  /** Local date, `2025-11-19`. */
  readonly day: string;
  /** It is the first of its day that is loaded: a separator belongs before it. */
  readonly firstOfDay: boolean;
  /** The line "new messages" belongs before it; fixed when the window was opened. */
  readonly firstUnread: boolean;
  /** It follows a message of the same person within five minutes: no avatar and name. */
  readonly continues: boolean;
}

export interface Reaction {
  readonly emoji: string;
  readonly count: number;
  readonly mine: boolean;
  /** Some of those who reacted, as far as this device knows. */
  readonly people: readonly Person[];
}

export interface Quote {
  readonly seq: Seq;
  /** Absent while it is being fetched, and if it cannot be seen. */
  readonly message?: { readonly sender: Person; readonly text: string; readonly deleted: boolean; readonly media: LastMessage["media"] };
}

export interface WindowState {
  /** Ascending; pending ones last. Some hundred at most. */
  readonly items: readonly TimelineItem[];
  readonly hasOlder: boolean;
  /** There are newer ones than the last item: `jumpTo({kind:"newest"})` is far away. */
  readonly hasNewer: boolean;
  readonly loading: "opening" | "older" | "newer" | undefined;
  /** Why older or newer ones could not be had; `loadOlder` and so on try again. */
  readonly failure: Refusal["code"] | undefined;
  /** The key of the item at which the view belongs after opening or a jump; changes its `turn` with each jump. */
  readonly anchor: { readonly key: string; readonly align: "start" | "center" | "end"; readonly turn: number } | undefined;
}

export interface ConversationWindow {
  readonly conversation: ConversationId;
  readonly row: Readable<InboxRow | undefined>;
  readonly state: Readable<WindowState>;
  /** Messages pinned here, newest first; `complete` is false while only those that this device knows of are there. */
  readonly pins: Readable<{ readonly items: readonly MessageItem[]; readonly complete: boolean }>;
  /** Looks for pins that this device does not know of. */
  loadPins(): Promise<void>;
  loadOlder(): Promise<void>;
  loadNewer(): Promise<void>;
  /** Moves the window; `state.anchor` says where to scroll. Resolves when it is there. */
  jumpTo(place: Place): Promise<void>;
  /**
   * The last item that the person has on screen, while the page is visible: they have read up to it, unless something is
   * missing between what they had read and what is shown, which they did not choose to pass over.
   */
  seen(seq: Seq): void;
  /**
   * Where the view is, and stays when messages come, or when all is read again: `seq` is the last on the screen;
   * `undefined`: it stays at the end.
   */
  stay(seq: Seq | undefined): void;
  /** Who is typing here. */
  readonly typing: Readable<readonly Person[]>;
  /** Members whose typing and presence are shown, and that can be mentioned; loaded when first subscribed. */
  readonly members: Readable<readonly MemberRow[]>;
  /** For completion of `@`: members by the beginning of a handle or of a word of the name; `all` in groups. */
  mentionables(prefix: string): readonly Mentionable[];
  readonly compose: Compose;
  toggleReaction(seq: Seq, emoji: string): void;
  /** Finds out who reacted to a message, where only their number is known; `Reaction.people` has them then. */
  nameReactors(seq: Seq): Promise<void>;
  setPinned(seq: Seq, pinned: boolean): void;
  delete(seq: Seq): void;
  /** Mentions are found in the text by `@handle` among the members. */
  edit(seq: Seq, text: string): void;
  /** Of a failed one (`MessageItem.key`, or `failedEdit.key`): sends it again. */
  retry(key: string): void;
  /** Of a failed or pending one: forgets it. False if it is too late: it was sent already. */
  discard(key: string): Promise<boolean>;
  /** Who has got and read a message of a group. */
  receipts(seq: Seq): Promise<ReceiptDetails>;
  /** The newest message of one's own that can be edited (arrow up). */
  lastEditable(): MessageItem | undefined;
  /** Ends the window; the stores stay as they are. */
  close(): void;
}

export interface ThreadWindow {
  readonly conversation: ConversationId;
  readonly root: Seq;
  /** The root first. */
  readonly state: Readable<WindowState>;
  readonly compose: Compose;
  loadOlder(): Promise<void>;
  close(): void;
}

/** What is being written in one place. */
export interface Compose {
  /** Restored from the last time; changes when another tab writes here. */
  readonly draft: Readable<Draft>;
  /** Keeps it; call with every change of the text. Also tells the others that the person is typing. */
  setText(text: string): void;
  setReply(seq: Seq | undefined): void;
  /** Begins or ends editing a message in the composer; the text written before comes back at the end. */
  setEditing(seq: Seq | undefined): void;
  /** Starts to upload a file, and puts it into the draft; `too_large` where that has 20 already. */
  attach(file: Attachment): Promise<void>;
  detach(upload: string): void;
  /** Why it cannot be sent as it is; undefined when it can. `unknown`: the server has not said yet whether one is a member. */
  readonly obstacle: Readable<"empty" | "too_large" | "not_a_member" | "unknown" | undefined>;
  /** Sends the draft, or the edit of what is being edited, and clears it. Shown at once. */
  send(): void;
}

export interface Draft {
  readonly text: string;
  readonly replyTo?: Quote;
  readonly editing?: Seq;
  readonly uploads: readonly Upload[];
  /** It came from the store or from another tab, not by `setText` of this one: the composer takes the text. */
  readonly turn: number;
}

export interface MemberRow {
  readonly person: Person;
  readonly role: Role;
  readonly presence: Readable<Presence>;
}

export type Mentionable = { readonly kind: "person"; readonly person: Person } | { readonly kind: "all"; readonly count: number };

export interface ReceiptDetails {
  readonly read: readonly { readonly person: Person; readonly at?: number }[];
  /** Delivered and not read. */
  readonly delivered: readonly { readonly person: Person; readonly at: number }[];
  /** Neither. Known in groups of up to 100 members. */
  readonly waiting: readonly Person[];
}

// ----------------------------------------------------------------------------------------------- people

export interface Person {
  readonly id: UserId;
  /** Empty while nothing is known. */
  readonly handle: string;
  /** The name to show, or the handle; `…` while it is asked for, and the beginning of the id if nobody knows more. */
  readonly name: string;
  /** A media id. */
  readonly avatar?: string;
}

export interface Presence {
  readonly state: PersonState | "unknown";
  /** Milliseconds since the epoch. */
  readonly lastSeen?: number;
}

export interface PeopleApi {
  person(id: UserId): Readable<Person>;
  /** Presence of somebody who is on screen: watched as long as somebody subscribes. */
  presence(id: UserId): Readable<Presence>;
  /** By the beginning of the handle, and by words of names and handles of those whom one talks with. */
  find(text: string): Promise<readonly Person[]>;
  /** Exactly this handle, without `@`. */
  byHandle(handle: string): Promise<Person | undefined>;
}

// ----------------------------------------------------------------------------------------------- groups

export interface GroupsApi {
  create(group: { title: string; members: readonly UserId[] }): Promise<ConversationId>;
  members(conversation: ConversationId): Promise<readonly { readonly person: Person; readonly role: Role }[]>;
  add(conversation: ConversationId, user: UserId, role?: Role): Promise<void>;
  remove(conversation: ConversationId, user: UserId): Promise<void>;
  setRole(conversation: ConversationId, user: UserId, role: Role): Promise<void>;
  setTitle(conversation: ConversationId, title: string): Promise<void>;
  /** What those see who are added from now on. */
  setHistory(conversation: ConversationId, history: "joined" | "all"): Promise<void>;
  leave(conversation: ConversationId): Promise<void>;
}

// ----------------------------------------------------------------------------------------------- search

export interface SearchHit {
  readonly conversation: ConversationId;
  /** Title of the conversation. */
  readonly title: string;
  readonly seq: Seq;
  readonly ts: number;
  readonly sender: Person;
  /** Pieces of text, those that were found marked. */
  readonly snippet: readonly { readonly text: string; readonly found: boolean }[];
  readonly cutBefore: boolean;
  readonly cutAfter: boolean;
}

export interface SearchApi {
  messages(query: string, options?: { sort?: "relevance" | "time"; cursor?: string; signal?: AbortSignal }): Promise<Page<SearchHit>>;
  /** `query` up to the caret. */
  suggestions(query: string, options?: { limit?: number; signal?: AbortSignal }): Promise<readonly Suggestion[]>;
  /** Of a hit: it and its neighbours. */
  context(conversation: ConversationId, seq: Seq): Promise<readonly TimelineItem[]>;
}

// ------------------------------------------------------------------------------------------------ media

/** A file that the person chose, dropped, pasted or recorded. */
export interface Attachment {
  readonly blob: Blob;
  readonly name: string;
  readonly type: string;
  readonly width?: number;
  readonly height?: number;
  readonly durationMs?: number;
  readonly alt?: string;
  /** Keep it bit for bit. */
  readonly original?: boolean;
}

export interface Upload {
  readonly key: string;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly width?: number;
  readonly height?: number;
  readonly durationMs?: number;
  /** What a picture shows, for those who cannot see it. */
  readonly alt?: string;
  readonly state: "waiting" | "uploading" | "paused" | "done" | "failed";
  /** Bytes. */
  readonly sent: number;
  readonly code?: Refusal["code"];
  /** The file itself, for a preview. */
  readonly blob?: Blob;
}

export interface MediaApi {
  upload(key: string): Readable<Upload | undefined>;
  pause(key: string): void;
  resume(key: string): void;
  /** Also takes it out of the draft or the pending message. */
  cancel(key: string): void;
  setAlt(key: string, alt: string): void;
  /** For `<img>`, `<audio>`, `<video>`; without a variant the file as sent. Fetched again before it expires. */
  url(id: string, variant?: MediaVariant): Promise<string>;
  /** Its addresses lead nowhere any more: the next `url` asks for new ones. */
  forget(id: string): void;
  /** There is a connection: what could not be had without one may be asked for again. */
  readonly reachable: Readable<boolean>;
  /** What is known of a file; asks the server until it is ready, when there is news. */
  info(id: string): Readable<MediaInfo | undefined>;
  /** Uploads a small file at once, as for an avatar; resolves with its media id. */
  store(file: Attachment): Promise<string>;
  /** The file, for `URL.createObjectURL` and downloads where signed addresses are not to be had. */
  fetch(id: string, variant?: MediaVariant): Promise<Blob>;
}

// -------------------------------------------------------------------------------- settings, notifications

export interface Settings {
  readonly theme: "system" | "light" | "dark";
  /** A language of the message files, or `system`. */
  readonly language: string;
  readonly notifications: { readonly enabled: boolean; readonly preview: boolean; readonly sound: boolean };
  /** Enter sends; otherwise Ctrl+Enter does. */
  readonly enterSends: boolean;
  /** Shown as not there. */
  readonly invisible: boolean;
}

/** Of this device; the same in all tabs. What the server keeps is in `session.changeOwn`. */
export interface SettingsApi {
  readonly values: Readable<Settings>;
  change(values: Partial<Settings>): void;
}

export interface Notification {
  readonly conversation: ConversationId;
  readonly title: string;
  readonly item: MessageItem;
  /** It mentions the person. */
  readonly mention: boolean;
}

export interface NotificationsApi {
  /** New messages of others, not muted, not on screen in any tab. In one tab only. */
  readonly arrivals: Happenings<Notification>;
}
