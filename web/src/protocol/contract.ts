// Made by `npm run generate` from docs/openapi.yaml and docs/asyncapi.yaml. Not to be edited.

export interface paths {
    readonly "/v1/conversations": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The inbox, last active first */
        readonly get: operations["listConversations"];
        readonly put?: never;
        /**
         * Make a group, or look at a direct conversation
         * @description A group is stored; `id` makes the request repeatable for ever. The creator is its owner and a member whether listed or not.
         *     A direct conversation exists once for two people and needs no creation: the answer is 201 until somebody has said something in it.
         */
        readonly post: operations["createConversation"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A conversation as the caller sees it */
        readonly get: operations["showConversation"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/events": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * The chain, every kind
         * @description With `after`, the oldest after it (and before `before`, if that is given too); otherwise the newest, before `before` if given.
         *     Both are exclusive, items ascend by `seq`, and `more` says whether there is more in the direction asked for.
         *     This is what a client repairs a broken `prev` chain with.
         */
        readonly get: operations["listEvents"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/explain": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * The events behind the counts
         * @description Names the events that make up `unread` and `mentions` of a conversation, the read mark, and the reader's view of it.
         *     For finding out why an inbox shows what it shows.
         */
        readonly get: operations["explainConversation"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/me": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        /**
         * Mute, pin or archive a conversation for oneself
         * @description An absent field stays as it is; `"muted_until":null` unmutes. The caller's other devices get a `conversation` frame.
         */
        readonly patch: operations["changeOwnConversation"];
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/members": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The members, in the order of their ids */
        readonly get: operations["listMembers"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/messages": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * A page of messages, with edits, deletions, reactions and pins folded in
         * @description At most one of `before`, `after`, `around` and `at`; without any, the newest. `before` and `after` are exclusive.
         *     Items ascend by `seq`. Apply only live events after `as_of`.
         */
        readonly get: operations["listMessages"];
        readonly put?: never;
        /**
         * Store an event
         * @description The same meaning as a `send` frame: the answer comes when the log has stored the event, at this `seq`, for ever.
         *     The same `id` with an equal event gives the same `seq` again with `"duplicate":true`.
         */
        readonly post: operations["sendMessage"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/pins": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * The pinned messages of a conversation, newest first
         * @description As in `listMessages`, with edits and reactions folded in. A page may hold fewer than `limit` items and still have a `next`.
         *     Apply only live events after `as_of`. Empty for a direct conversation in which nothing was said yet.
         */
        readonly get: operations["listPins"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/presence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Who of a conversation is there
         * @description The members other than the caller, in the order of their ids. In groups above 100 members this is the only way to know.
         *     Empty for a direct conversation in which nothing was said yet.
         */
        readonly get: operations["listPresence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/reactions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Who reacted to a message
         * @description The reactions that it has now, in the order in which they were made; `not_found` when the reader sees no message there.
         */
        readonly get: operations["listReactions"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/receipt": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Say how far the caller has got
         * @description The same meaning as a `receipt` frame: the answer comes when the marks are stored. At least one of `delivered` and `read`.
         *     Of everything that was ever sent by any device the furthest counts; a position beyond the last event counts as that event.
         */
        readonly post: operations["sendReceipt"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/conversations/{conversation}/receipts": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Who has got how far
         * @description The members other than the caller who have the event at `seq`, in the order of their ids; without `seq`, those who have anything.
         *     Both counts are of all of them, on every page.
         */
        readonly get: operations["listReceipts"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/gateways": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Where to connect, best first
         * @description Ranked by region, by how much room there is, and by the reader: the same order from every gateway. Full and draining ones are left out.
         *     Empty where the deployment names none: stay with the address that you have.
         */
        readonly get: operations["listGateways"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/media": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Begin an upload, or make a small file in one request
         * @description With `Tus-Resumable` this is the creation of tus 1.0 (https://tus.io/protocols/resumable-upload), with the extensions creation, creation-with-upload, checksum (sha256), expiration and termination: `Upload-Length`, and in `Upload-Metadata` perhaps `filename`, `filetype`, `original` and `opaque`.
         *     Without it the body is the file, at most 16 MiB, its `Content-Type` what is said of it; the answer is its MediaInfo.
         *     `OPTIONS /v1/media` says without a token what uploads can be.
         */
        readonly post: operations["createUpload"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/media/{upload}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * The bytes of a file
         * @description With a token, or with the query of a URL that `/url` made. Single ranges, `If-Range`, `If-None-Match` and `If-Match` by `ETag`, the SHA-256 in quotes.
         *     What a browser may not show it saves (`Content-Disposition`).
         */
        readonly get: operations["download"];
        readonly put?: never;
        readonly post?: never;
        /** Remove an own upload that was not sent */
        readonly delete: operations["endUpload"];
        readonly options?: never;
        /**
         * How far an upload is, or what a download would be
         * @description With `Tus-Resumable` it answers the uploader with `Upload-Offset` and `Upload-Length`. Without it, it is `GET` without the bytes.
         */
        readonly head: operations["showUpload"];
        /**
         * Go on with an upload
         * @description Of tus. What has come when the connection ends is kept. With all bytes there the file is made and can be sent.
         */
        readonly patch: operations["appendToUpload"];
        readonly trace?: never;
    };
    readonly "/v1/media/{upload}/info": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What is known of a file */
        readonly get: operations["showMedia"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/media/{upload}/url": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * A URL of the bytes that needs no token
         * @description For pictures in pages and for players. It is in the caller's name; once they may not read the file any more, the URL does not work either.
         */
        readonly get: operations["signMediaUrl"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/mentions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Messages that mention the reader, newest first
         * @description Of all conversations that the reader may read, by name or by `all` in a group. Text is as now; deleted messages are left out.
         *     A page may hold fewer than `limit` items and still have a `next`. Mentions that come between two pages are on neither.
         */
        readonly get: operations["listMentions"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/search": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Messages that answer a query
         * @description Of all conversations that the reader may read now, from where on they see them; the query language is that of docs/search.md. Text is as now; deleted messages are not found.
         *     A page may hold fewer than `limit` items and still have a `next`, and holds no message of a page before it. By relevance at most 500 messages are listed, by time all.
         *     What was said is found about a second later; with `min_seq`, and for what this device has sent, at once.
         */
        readonly get: operations["search"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/search/suggestions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Whom and what a search may mean that is being typed
         * @description People by handle and name, groups by title, direct conversations by the other: those of which a word begins with what was typed last. The caller's own come first, the last active ones before the others; then people as `GET /v1/users?q=` has them.
         *     Behind an unfinished filter there is only what fits it. With nothing typed, the last active conversations and the people in them. Titles and names may be two seconds old, except what this device itself changed or `min_seq` names.
         */
        readonly get: operations["suggest"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/sessions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * One's own devices, newest first, each with its open connections
         * @description Every gateway is asked; one that does not answer within a second makes the list `partial`.
         */
        readonly get: operations["listSessions"];
        readonly put?: never;
        /**
         * Log a device in
         * @description Every login makes a new device with a token of its own. A wrong password and an unknown handle are both `unauthorized` and take as long.
         *     A user has at most 50 devices: the one logged in longest ago makes room.
         */
        readonly post: operations["openSession"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/sessions/{device}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        readonly post?: never;
        /**
         * Log one of one's own devices out
         * @description Its sockets close with 4003 within two seconds, on every gateway.
         */
        readonly delete: operations["revokeSession"];
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/sessions/refresh": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * A new token for the same device
         * @description Open sockets stay. The old token lasts one minute longer, for a client that never heard the answer.
         */
        readonly post: operations["refreshSession"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/sync": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Long poll, for clients without WebSocket
         * @description Answers at once with what was missed; otherwise waits up to `timeout_s` for something new. The last frame is `synced`: give its `cursor` next time.
         *     A poll counts as one of the eight connections of a device and is a `background` one.
         */
        readonly get: operations["sync"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/users": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Find people by ids, by handle, or by the beginning of a handle
         * @description Exactly one of `ids`, `handle` and `q`. Unknown ids are left out; the others come in the order asked.
         */
        readonly get: operations["findUsers"];
        readonly put?: never;
        /**
         * Make an account
         * @description `id` makes the request repeatable for ever: the same `id` with the same handle and password answers 200 with the user of the first time.
         *     With other content it is `id_reused`. `name` defaults to the handle.
         */
        readonly post: operations["createUser"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/users/{user}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A person */
        readonly get: operations["showUser"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/users/me": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Who the token is of */
        readonly get: operations["showOwnUser"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        /**
         * Change one's own name, avatar, or what others may know of one's presence and reading
         * @description An absent field stays as it is. People who share a conversation with the caller get a `user` frame when the name or the avatar changes.
         */
        readonly patch: operations["changeOwnUser"];
        readonly trace?: never;
    };
    readonly "/v1/ws": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Upgrade to WebSocket
         * @description Subprotocol `hansard.v1`, version 13; the frames are in `asyncapi.yaml`. The token goes into the first frame, not into a header.
         *     A browser's `Origin` must be the host of the request or be allowed by the operator.
         */
        readonly get: operations["connect"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description What is stored, as it is stored. */
        readonly Body: {
            readonly device?: components["schemas"]["DeviceId"];
            readonly event: components["schemas"]["StoredEvent"];
            readonly id?: components["schemas"]["MessageId"];
            readonly sender?: components["schemas"]["UserId"];
            /**
             * @description The rule set; 1 in `hansard.v1`.
             * @constant
             */
            readonly v: 1;
        };
        /**
         * @description A conversation as one member sees it.
         * @example {
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "kind": "group",
         *       "title": "the new house",
         *       "role": "owner",
         *       "member_count": 3,
         *       "view_from": 11,
         *       "read": 42,
         *       "unread": 1,
         *       "mentions": 0,
         *       "pinned": false,
         *       "archived": false,
         *       "as_of": 57
         *     }
         */
        readonly Conversation: {
            readonly archived: boolean;
            /** @description All up to this event is in these figures. */
            readonly as_of: components["schemas"]["Seq"];
            readonly conversation: components["schemas"]["ConversationId"];
            /** @enum {string} */
            readonly kind: "direct" | "group";
            /** @description The last message, its text cut to 160 characters. */
            readonly last?: components["schemas"]["EventFrame"];
            readonly member_count: number;
            /** @description Of these, how many mention the reader. */
            readonly mentions: number;
            readonly muted_until?: components["schemas"]["Time"];
            readonly pinned: boolean;
            /** @description Read up to here; one's own last message counts. */
            readonly read: components["schemas"]["Seq"];
            /** @description The reader's role; absent once they are no member. */
            readonly role?: components["schemas"]["Role"];
            /** @description A group's. */
            readonly title?: string;
            /** @description Messages of others after `read`. */
            readonly unread: number;
            /** @description The first event the reader sees; do not check its `prev`. */
            readonly view_from: components["schemas"]["Seq"];
            /** @description The other person of a direct conversation; oneself for notes to self. */
            readonly with?: components["schemas"]["UserId"];
        };
        /**
         * @description The two user ids of a direct conversation in byte order with a dot between, or `g.` and the group.
         * @example d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy
         * @example g.m3vz7qk2wd5xr4nb6hty
         */
        readonly ConversationId: string;
        readonly ConversationList: {
            readonly items: readonly components["schemas"]["Conversation"][];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @example {
         *       "kind": "group",
         *       "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *       "title": "the new house",
         *       "members": [
         *         "kx7bw4ph2qnv6ztm3rcy"
         *       ]
         *     }
         * @example {
         *       "kind": "direct",
         *       "with": "kx7bw4ph2qnv6ztm3rcy"
         *     }
         */
        readonly CreateConversation: {
            readonly id: components["schemas"]["MessageId"];
            /** @constant */
            readonly kind: "group";
            /** @description Members besides the caller, at most 1,000 here; more are added one by one. */
            readonly members?: readonly components["schemas"]["UserId"][];
            /** @description 1 to 256 bytes, not blank. */
            readonly title: string;
        } | {
            /** @constant */
            readonly kind: "direct";
            readonly with: components["schemas"]["UserId"];
        };
        /**
         * @description The first event of a group. Received only; groups are made over HTTP.
         * @example {
         *       "kind": "create",
         *       "title": "the new house",
         *       "members": [
         *         "kx7bw4ph2qnv6ztm3rcy"
         *       ]
         *     }
         */
        readonly CreateEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "create";
            readonly members: readonly components["schemas"]["UserId"][];
            readonly title?: string;
        };
        /**
         * @example {
         *       "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *       "handle": "ana",
         *       "password": "correct horse",
         *       "name": "Ana"
         *     }
         */
        readonly CreateUser: {
            readonly handle: components["schemas"]["Handle"];
            readonly id: components["schemas"]["MessageId"];
            /** @description The display name; the handle if absent. */
            readonly name?: string;
            /** @description 8 to 256 bytes. */
            readonly password: string;
        };
        /** @description The application's own, for ever; at most 4 KiB of JSON, in any kind of event. */
        readonly Data: {
            readonly [key: string]: unknown;
        };
        /** @description What is left of an edit of a deleted message. */
        readonly DeletedEdit: {
            /** @constant */
            readonly deleted: true;
            /** @constant */
            readonly kind: "edit";
            readonly target: components["schemas"]["Seq"];
        };
        /** @description What is left of a message after its deletion. */
        readonly DeletedMessage: {
            /** @constant */
            readonly deleted: true;
            /** @constant */
            readonly kind: "message";
        };
        /**
         * @example {
         *       "kind": "delete",
         *       "target": 57
         *     }
         */
        readonly DeleteEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "delete";
            readonly target: components["schemas"]["Seq"];
            /** @description Written by the server. */
            readonly target_sender?: components["schemas"]["UserId"];
        };
        /**
         * @description One session of one user; 20 characters of lower-case base32.
         * @example q6nt3xw7zk2vb5mr4hpd
         */
        readonly DeviceId: string;
        /**
         * @example {
         *       "kind": "edit",
         *       "target": 57,
         *       "text": "The lease is signed!"
         *     }
         */
        readonly EditEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "edit";
            readonly media?: components["schemas"]["Media"];
            readonly mentions?: components["schemas"]["Mentions"];
            readonly target: components["schemas"]["Seq"];
            /** @description Written by the server. */
            readonly target_sender?: components["schemas"]["UserId"];
            readonly text: string;
        };
        readonly Error: {
            /** @description What part of a search it is about; where that begins and ends, in UTF-16 code units. */
            readonly at?: readonly number[];
            readonly code: components["schemas"]["ErrorCode"];
            /** @description For a developer; not for people, not to be parsed. */
            readonly message: string;
            /** @description Where the connection ends with it. */
            readonly reconnect?: components["schemas"]["Reconnect"];
            /** @description In frames only, of the frame it answers. */
            readonly ref?: components["schemas"]["Ref"];
            /**
             * @description Nothing; the same again with the same id; or with a new id, if this one was never sent before.
             * @enum {string}
             */
            readonly retry: "never" | "same_id" | "new_id";
            /** @description Not before this many milliseconds. */
            readonly retry_after_ms?: number;
            /** @description Where the client's clock is the matter. */
            readonly server_time?: components["schemas"]["Time"];
            /**
             * @description Whether the log may hold the event all the same.
             * @enum {string}
             */
            readonly stored: "no" | "unknown";
        };
        /**
         * @description Added to, never reused.
         * @enum {string}
         */
        readonly ErrorCode: "bad_frame" | "bad_id" | "checksum_mismatch" | "clock_ahead" | "conflict" | "empty" | "forbidden" | "group_full" | "handle_taken" | "id_reused" | "internal" | "not_a_member" | "not_found" | "overloaded" | "quota_exceeded" | "rate_limited" | "too_large" | "unauthorized" | "unavailable" | "unsupported";
        /**
         * @example {
         *       "error": {
         *         "code": "rate_limited",
         *         "message": "too many sends",
         *         "stored": "no",
         *         "retry": "same_id",
         *         "retry_after_ms": 20
         *       }
         *     }
         */
        readonly ErrorResponse: {
            readonly error: components["schemas"]["Error"];
        };
        /**
         * @description An event as a client sends it. Unknown fields are stored as sent, but a later version may give them a meaning: only `data` is the application's for ever.
         *     `deleted`, `target_sender`, `state` and `fallback` are the server's and are refused in a send.
         */
        readonly Event: components["schemas"]["MessageEvent"] | components["schemas"]["EditEvent"] | components["schemas"]["DeleteEvent"] | components["schemas"]["ReactionEvent"] | components["schemas"]["PinEvent"] | components["schemas"]["CreateEvent"] | components["schemas"]["MemberEvent"] | components["schemas"]["TitleEvent"] | components["schemas"]["SettingsEvent"];
        /**
         * @description An event of a conversation. `state` is in `messages` lists only.
         * @example {
         *       "type": "event",
         *       "conversation": "d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy",
         *       "seq": 57,
         *       "prev": 42,
         *       "n": 9,
         *       "ts": "2025-11-19T07:55:26.402Z",
         *       "body": {
         *         "v": 1,
         *         "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *         "sender": "d5tq2kzv7mxw3hn6ra4b",
         *         "device": "q6nt3xw7zk2vb5mr4hpd",
         *         "event": {
         *           "kind": "message",
         *           "text": "The lease is signed."
         *         }
         *       }
         *     }
         */
        readonly EventFrame: {
            readonly body: components["schemas"]["Body"];
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description Messages of the conversation up to and including this event. */
            readonly n: number;
            /** @description The preceding valid event of the conversation, 0 for none. */
            readonly prev: components["schemas"]["Seq"];
            readonly seq: components["schemas"]["Seq"];
            readonly state?: components["schemas"]["MessageState"];
            readonly ts: components["schemas"]["Time"];
            /**
             * @description In frames and lists; not in `last` of a Conversation.
             * @constant
             */
            readonly type?: "event";
        };
        readonly EventList: {
            readonly items: readonly components["schemas"]["EventFrame"][];
            readonly more: boolean;
        };
        /**
         * @description The events behind the counts of a conversation.
         * @example {
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "read": 42,
         *       "read_n": 8,
         *       "n": 10,
         *       "unread": 2,
         *       "unread_events": [
         *         51,
         *         57
         *       ],
         *       "mentions": [
         *         57
         *       ],
         *       "joined": 11,
         *       "view_from": 11,
         *       "last": 57,
         *       "as_of": 57,
         *       "inbox_as_of": 57
         *     }
         */
        readonly Explanation: {
            /** @description All up to this event is in these figures. */
            readonly as_of: components["schemas"]["Seq"];
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description Up to this event the inbox was written; what came after it, a read of the inbox adds. */
            readonly inbox_as_of: components["schemas"]["Seq"];
            /** @description The event that made the reader a member; 0 in a direct conversation. */
            readonly joined: components["schemas"]["Seq"];
            /** @description The last event of the conversation that the reader sees. */
            readonly last: components["schemas"]["Seq"];
            /** @description The unread messages that mention the reader, ascending; the newest 100. */
            readonly mentions: readonly components["schemas"]["Seq"][];
            /** @description The ordinal of the last message. */
            readonly n: number;
            /** @description The reader's read mark, by receipts and own messages. */
            readonly read: components["schemas"]["Seq"];
            /** @description The ordinal of the last message read. */
            readonly read_n: number;
            /** @description `n` less `read_n`. */
            readonly unread: number;
            /** @description The unread messages, ascending; the newest 100. */
            readonly unread_events: readonly components["schemas"]["Seq"][];
            /** @description The first event the reader sees. */
            readonly view_from: components["schemas"]["Seq"];
            /** @description The last event the reader sees; absent while they are a member. */
            readonly view_to?: components["schemas"]["Seq"];
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "url": "http://chat-2.example.org",
         *           "region": "eu",
         *           "load": 0.31
         *         },
         *         {
         *           "url": "http://chat-1.example.org",
         *           "region": "us",
         *           "load": 0.12
         *         }
         *       ]
         *     }
         */
        readonly GatewayList: {
            readonly items: readonly {
                /** @description Connections, as a part of those that it takes. */
                readonly load: number;
                readonly region: string;
                /** @description A scheme, a host and perhaps a port, for HTTP and WebSocket. */
                readonly url: string;
            }[];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @description 2 to 32 of `a-z`, `0-9`, `_` and `-`, with single dots between.
         * @example ana
         */
        readonly Handle: string;
        /**
         * @description At most 20. Each has the `id` of a file that the sender uploaded, or sees in the same conversation; else the event is `not_found`.
         *     The rest is what the sender says of it for those who have not asked yet, such as `name`, `type`, `size`, `width`, `height`, `duration_ms`, `placeholder` and `alt`, and is stored as sent.
         */
        readonly Media: readonly {
            readonly [key: string]: unknown;
        }[];
        /**
         * @description What is known of a file. Everything but id, state, type and size is there if it is known.
         * @example {
         *       "id": "w4hn7zq2xk5tbm3vr6cd",
         *       "state": "uploading",
         *       "name": "plan.png",
         *       "type": "image/png",
         *       "size": 48211,
         *       "offset": 1024,
         *       "length": 48211
         *     }
         * @example {
         *       "id": "w4hn7zq2xk5tbm3vr6cd",
         *       "state": "ready",
         *       "type": "audio/ogg",
         *       "size": 9120,
         *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *       "duration_ms": 4100,
         *       "waveform": [
         *         3,
         *         120,
         *         255,
         *         14
         *       ]
         *     }
         */
        readonly MediaInfo: {
            /** @description Of sounds and videos. */
            readonly duration_ms?: number;
            readonly height?: number;
            readonly id: components["schemas"]["UploadId"];
            /** @description While bytes are missing; how many there will be. */
            readonly length?: number;
            /** @description What its uploader called it. Text for people, never a path. */
            readonly name?: string;
            /** @description While bytes are missing; how many are there, if that is known. */
            readonly offset?: number;
            /** @description It is encrypted; nothing of it was looked at. */
            readonly opaque?: boolean;
            /** @description Its uploader wanted it kept bit for bit. */
            readonly original?: boolean;
            /** @description Of documents. */
            readonly pages?: number;
            /** @description Of pictures. A ThumbHash in base64. */
            readonly placeholder?: string;
            /** @description Why there is no picture of it; for a developer. */
            readonly reason?: string;
            /** @description Of these bytes, in lower-case hexadecimal. */
            readonly sha256?: string;
            /** @description Bytes of a download; while bytes are missing, those announced. */
            readonly size: number;
            /**
             * @description Bytes are missing; it can be sent, and what can be shown of it is being worked out; it can be read.
             * @enum {string}
             */
            readonly state: "uploading" | "processing" | "ready";
            /** @description Metadata was taken out; these are not the bytes that were uploaded. */
            readonly stripped?: boolean;
            /** @description By its content; while that is not known, what its uploader said. */
            readonly type: string;
            /** @description Pictures of it, by what `variant` says for them. */
            readonly variants?: {
                readonly preview?: components["schemas"]["MediaVariant"];
                readonly thumb?: components["schemas"]["MediaVariant"];
            };
            /** @description Of sounds. Peaks from 0 to 255. */
            readonly waveform?: readonly number[];
            /** @description In pixels, the way it is to be shown. */
            readonly width?: number;
        };
        /**
         * @example {
         *       "url": "/v1/media/w4hn7zq2xk5tbm3vr6cd?variant=thumb&user=kx7bw4ph2qnv6ztm3rcy&device=q6nt3xw7zk2vb5mr4hpd&expires=1763539226402&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         *       "expires_at": "2025-11-19T08:00:26.402Z"
         *     }
         */
        readonly MediaUrl: {
            readonly expires_at: components["schemas"]["Time"];
            /** @description A path with a query, for any gateway. */
            readonly url: string;
        };
        readonly MediaVariant: {
            readonly height?: number;
            readonly size: number;
            readonly type: string;
            readonly width?: number;
        };
        /**
         * @example {
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "role": "member",
         *       "joined": 11
         *     }
         */
        readonly Member: {
            /** @description The event that made them a member; 0 in a direct conversation. */
            readonly joined: components["schemas"]["Seq"];
            readonly role: components["schemas"]["Role"];
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "kind": "member",
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "op": "role",
         *       "role": "admin"
         *     }
         */
        readonly MemberEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "member";
            /** @enum {string} */
            readonly op: "add" | "remove" | "role" | "leave";
            /** @description Needed for `role`; for `add` the default is member. */
            readonly role?: components["schemas"]["Role"];
            readonly user: components["schemas"]["UserId"];
        };
        readonly MemberList: {
            readonly items: readonly components["schemas"]["Member"][];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @example {
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "delivered": 57,
         *       "delivered_ts": "2025-11-19T07:55:26.402Z",
         *       "read": 42,
         *       "read_ts": "2025-11-19T07:55:27.118Z"
         *     }
         */
        readonly MemberReceipt: {
            /** @description A device of theirs has everything up to here. */
            readonly delivered: components["schemas"]["Seq"];
            readonly delivered_ts: components["schemas"]["Time"];
            /** @description They have read everything up to here; 0, nothing that they tell. */
            readonly read: components["schemas"]["Seq"];
            readonly read_ts?: components["schemas"]["Time"];
            readonly user: components["schemas"]["UserId"];
        };
        readonly MentionList: {
            /** @description Messages, newest first, as in `MessageList`. */
            readonly items: readonly components["schemas"]["EventFrame"][];
            readonly next?: components["schemas"]["Next"];
        };
        /** @description At most 100. */
        readonly Mentions: readonly string[];
        /**
         * @example {
         *       "kind": "message",
         *       "text": "The lease is signed."
         *     }
         * @example {
         *       "kind": "message",
         *       "text": "@bo look",
         *       "reply_to": 42,
         *       "thread": 17,
         *       "mentions": [
         *         "kx7bw4ph2qnv6ztm3rcy",
         *         "all"
         *       ]
         *     }
         */
        readonly MessageEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "message";
            readonly media?: components["schemas"]["Media"];
            readonly mentions?: components["schemas"]["Mentions"];
            /** @description The message this one answers. */
            readonly reply_to?: components["schemas"]["Seq"];
            /** @description 1 byte to 16 KiB of UTF-8; empty only with media. */
            readonly text: string;
            /** @description The root of the thread this one belongs to, itself in no thread. */
            readonly thread?: components["schemas"]["Seq"];
        };
        /**
         * @description A UUID of version 7, lower case with hyphens. Its time is the server's, when the person pressed send.
         * @example 019a9b1c-7b1a-7c3d-8e4f-0123456789ab
         */
        readonly MessageId: string;
        readonly MessageList: {
            readonly as_of: components["schemas"]["Seq"];
            /** @description Of the kinds message, create, title, member and settings; the others are folded in. */
            readonly items: readonly components["schemas"]["EventFrame"][];
            readonly more_after: boolean;
            readonly more_before: boolean;
        };
        /** @description What later events made of a message. */
        readonly MessageState: {
            readonly deleted?: {
                readonly by: components["schemas"]["UserId"];
                readonly seq: components["schemas"]["Seq"];
                readonly ts: components["schemas"]["Time"];
            };
            /** @description The last edit. */
            readonly edited?: {
                readonly seq: components["schemas"]["Seq"];
                readonly ts: components["schemas"]["Time"];
            };
            /** @description Absent when it is not. */
            readonly pinned?: boolean;
            /** @description In the order of their first. */
            readonly reactions?: readonly {
                readonly count: number;
                readonly emoji: string;
                /** @description The reader is one of them. */
                readonly me: boolean;
            }[];
            /** @description Of a root. The count includes deleted replies. */
            readonly thread?: {
                readonly count: number;
                readonly last: components["schemas"]["Seq"];
            };
        };
        /** @description The `cursor` of the next page; absent on the last. */
        readonly Next: string;
        /**
         * @example {
         *       "token": "d5tq2kzv7mxw3hn6ra4b.q6nt3xw7zk2vb5mr4hpd.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         *       "expires_at": "2025-12-19T07:55:26.402Z",
         *       "user": "d5tq2kzv7mxw3hn6ra4b",
         *       "device": "q6nt3xw7zk2vb5mr4hpd"
         *     }
         */
        readonly OpenedSession: {
            readonly device: components["schemas"]["DeviceId"];
            readonly expires_at: components["schemas"]["Time"];
            /** @description The bearer token, and the `token` of `hello`. */
            readonly token: string;
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "handle": "ana",
         *       "password": "correct horse",
         *       "device_name": "laptop"
         *     }
         */
        readonly OpenSession: {
            /** @description What the person calls the device, 1 to 128 bytes. */
            readonly device_name?: string;
            readonly handle: components["schemas"]["Handle"];
            readonly password: string;
        };
        /**
         * @description Oneself, with what only oneself may see.
         * @example {
         *       "user": "d5tq2kzv7mxw3hn6ra4b",
         *       "handle": "ana",
         *       "name": "Ana",
         *       "presence": "shared",
         *       "last_seen": "nobody",
         *       "read_receipts": "shared"
         *     }
         */
        readonly OwnUser: {
            readonly avatar?: string;
            readonly handle: components["schemas"]["Handle"];
            /** @description Who may see when one was there last. */
            readonly last_seen: components["schemas"]["Visibility"];
            readonly name: string;
            /** @description Who may see whether one is there. */
            readonly presence: components["schemas"]["Visibility"];
            /** @description Who may see what one reads. */
            readonly read_receipts: components["schemas"]["Visibility"];
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "muted_until": "2025-11-20T07:00:00.000Z",
         *       "pinned": true
         *     }
         */
        readonly PatchConversation: {
            readonly archived?: boolean;
            /** @description No notifications until then; null unmutes. */
            readonly muted_until?: components["schemas"]["Time"] | null;
            readonly pinned?: boolean;
        };
        /**
         * @example {
         *       "name": "Ana Lima"
         *     }
         * @example {
         *       "presence": "shared",
         *       "last_seen": "nobody"
         *     }
         * @example {
         *       "read_receipts": "nobody"
         *     }
         */
        readonly PatchUser: {
            /** @description The id of an own file with a `thumb`, which whoever is logged in may read from then on; empty for no avatar. */
            readonly avatar?: string;
            /** @description Who may see when one was there last. */
            readonly last_seen?: components["schemas"]["Visibility"];
            readonly name?: string;
            /** @description Who may see whether one is there. */
            readonly presence?: components["schemas"]["Visibility"];
            /** @description Who may see what one reads from now on. With `nobody` every receipt of every device is taken as a `private` one. */
            readonly read_receipts?: components["schemas"]["Visibility"];
        };
        /**
         * @description Whether somebody is there.
         * @enum {string}
         */
        readonly PersonState: "online" | "away" | "offline";
        /**
         * @example {
         *       "kind": "pin",
         *       "target": 57,
         *       "op": "add"
         *     }
         */
        readonly PinEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "pin";
            /** @enum {string} */
            readonly op: "add" | "remove";
            readonly target: components["schemas"]["Seq"];
        };
        readonly PinList: {
            readonly as_of: components["schemas"]["Seq"];
            /** @description Pinned messages, newest first, as in `MessageList`. */
            readonly items: readonly components["schemas"]["EventFrame"][];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @example {
         *       "delivered": 57,
         *       "read": 42
         *     }
         */
        readonly PostReceipt: {
            /** @description A device of the caller's has everything up to here. */
            readonly delivered?: components["schemas"]["Seq"];
            /** @description The other members are told nothing of what was read. */
            readonly private?: boolean;
            /** @description The caller has read everything up to here. */
            readonly read?: components["schemas"]["Seq"];
        };
        /**
         * @example {
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "state": "offline",
         *       "last_seen": "2025-11-19T07:55:26.402Z"
         *     }
         */
        readonly PresenceItem: {
            /** @description When they were there last, if they are not and let it be known. */
            readonly last_seen?: components["schemas"]["Time"];
            readonly state: components["schemas"]["PersonState"];
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "user": "kx7bw4ph2qnv6ztm3rcy",
         *           "state": "online"
         *         }
         *       ]
         *     }
         */
        readonly PresenceList: {
            readonly items: readonly components["schemas"]["PresenceItem"][];
            readonly next?: components["schemas"]["Next"];
        };
        /** @description Somebody's reaction; `seq` is the event that added it. */
        readonly Reaction: {
            readonly emoji: string;
            readonly seq: components["schemas"]["Seq"];
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "kind": "reaction",
         *       "target": 57,
         *       "emoji": "🎉",
         *       "op": "add"
         *     }
         */
        readonly ReactionEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @description One grapheme, at most 64 bytes; 20 per user and message. */
            readonly emoji: string;
            /** @constant */
            readonly kind: "reaction";
            /** @enum {string} */
            readonly op: "add" | "remove";
            readonly target: components["schemas"]["Seq"];
        };
        readonly ReactionList: {
            /** @description Ascending by `seq`. */
            readonly items: readonly components["schemas"]["Reaction"][];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "user": "kx7bw4ph2qnv6ztm3rcy",
         *           "delivered": 57,
         *           "delivered_ts": "2025-11-19T07:55:26.402Z",
         *           "read": 42,
         *           "read_ts": "2025-11-19T07:55:27.118Z"
         *         }
         *       ],
         *       "delivered_count": 1,
         *       "read_count": 0
         *     }
         */
        readonly ReceiptList: {
            /** @description How many members other than the caller have the event. */
            readonly delivered_count: number;
            readonly items: readonly components["schemas"]["MemberReceipt"][];
            readonly next?: string;
            /** @description How many of them have read it. */
            readonly read_count: number;
        };
        /** @description How to come back after a connection is lost. Attempt i, from 0, after a random time between 0 and min(base_ms * 2^i, cap_ms). */
        readonly Reconnect: {
            /** @description Follow no more than 60,000. */
            readonly base_ms: number;
            /** @description Follow no more than 600,000. */
            readonly cap_ms: number;
        };
        /** @description The client's own name for a frame, at most 64 bytes if it is text. */
        readonly Ref: number | string;
        /** @description The part of `q` that `text` takes the place of, from and to, in UTF-16 code units. */
        readonly Replaced: readonly number[];
        /** @description A whole filter that means just this, without a space behind it. */
        readonly Replacement: string;
        /** @enum {string} */
        readonly Role: "member" | "admin" | "owner";
        /**
         * @example {
         *       "items": [
         *         {
         *           "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *           "seq": 57,
         *           "ts": "2025-11-19T07:55:26.402Z",
         *           "sender": "d5tq2kzv7mxw3hn6ra4b",
         *           "snippet": {
         *             "text": "The lease is signed.",
         *             "highlights": [
         *               [
         *                 4,
         *                 9
         *               ]
         *             ]
         *           }
         *         }
         *       ]
         *     }
         */
        readonly SearchList: {
            readonly items: readonly {
                readonly conversation: components["schemas"]["ConversationId"];
                readonly sender: components["schemas"]["UserId"];
                readonly seq: components["schemas"]["Seq"];
                /** @description The part of the text that shows why the message was found, as it was written. */
                readonly snippet: {
                    /** @description The text goes on behind the part. */
                    readonly goes_on?: boolean;
                    /** @description What was found, from and to, in UTF-16 code units of `text`; ascending, not touching. */
                    readonly highlights: readonly (readonly number[])[];
                    /** @description Where the part begins in the whole text, in UTF-16 code units; 0 when absent. */
                    readonly starts_at?: number;
                    readonly text: string;
                };
                readonly ts: components["schemas"]["Time"];
            }[];
            readonly next?: components["schemas"]["Next"];
            /** @description A part of what the reader may read could not be searched now. */
            readonly partial?: boolean;
        };
        /**
         * @example {
         *       "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *       "event": {
         *         "kind": "message",
         *         "text": "The lease is signed."
         *       }
         *     }
         */
        readonly SendMessage: {
            readonly event: components["schemas"]["Event"];
            readonly id: components["schemas"]["MessageId"];
        };
        /**
         * @example {
         *       "seq": 57,
         *       "duplicate": false
         *     }
         */
        readonly SentMessage: {
            /** @description It was stored before. */
            readonly duplicate: boolean;
            readonly seq: components["schemas"]["Seq"];
        };
        /** @description A place in a conversation; increasing, not dense. 0 is before everything. */
        readonly Seq: number;
        /**
         * @example {
         *       "device": "q6nt3xw7zk2vb5mr4hpd",
         *       "name": "laptop",
         *       "since": "2025-11-19T07:55:26.402Z",
         *       "expires_at": "2025-12-19T07:55:26.402Z",
         *       "current": true,
         *       "connections": [
         *         {
         *           "gateway": "w4hn7zq2xk5tbm3vr6cd",
         *           "since": "2025-11-20T06:12:01.007Z",
         *           "network": "203.0.113.0/24",
         *           "background": false
         *         }
         *       ]
         *     }
         */
        readonly Session: {
            /** @description Its open WebSocket connections, oldest first. */
            readonly connections: readonly components["schemas"]["SessionConnection"][];
            /** @description It is the one that asks. */
            readonly current: boolean;
            readonly device: components["schemas"]["DeviceId"];
            readonly expires_at: components["schemas"]["Time"];
            readonly name: string;
            readonly since: components["schemas"]["Time"];
        };
        /**
         * @description An open connection of a device.
         * @example {
         *       "gateway": "w4hn7zq2xk5tbm3vr6cd",
         *       "since": "2025-11-20T06:12:01.007Z",
         *       "network": "203.0.113.0/24",
         *       "background": false
         *     }
         */
        readonly SessionConnection: {
            /** @description It is not shown online. */
            readonly background: boolean;
            /** @description Which gateway it is connected to; a name that is new with each start of one. */
            readonly gateway: components["schemas"]["DeviceId"];
            /** @description The network that it comes from; the first 24 bits of an address, of IPv6 the first 48. Never the whole address. */
            readonly network: string;
            readonly since: components["schemas"]["Time"];
        };
        readonly SessionList: {
            readonly items: readonly components["schemas"]["Session"][];
            /** @description A gateway did not answer; there may be more connections. */
            readonly partial?: boolean;
        };
        /**
         * @example {
         *       "kind": "settings",
         *       "history": "all"
         *     }
         */
        readonly SettingsEvent: {
            readonly data?: components["schemas"]["Data"];
            /**
             * @description From where people who are added from now on see the history.
             * @enum {string}
             */
            readonly history?: "joined" | "all";
            /** @constant */
            readonly kind: "settings";
        };
        /**
         * @example {
         *       "type": "ack",
         *       "ref": 1,
         *       "conversation": "d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy",
         *       "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *       "seq": 57,
         *       "duplicate": false
         *     }
         */
        readonly SocketAck: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description It was stored before. */
            readonly duplicate: boolean;
            readonly id: components["schemas"]["MessageId"];
            readonly ref?: components["schemas"]["SocketRef"];
            readonly seq: components["schemas"]["Seq"];
            /** @constant */
            readonly type: "ack";
        };
        /**
         * @description Sent when the reader's own view changed other than by an event, when they are added or removed, and in catch-up.
         * @example {
         *       "type": "conversation",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "kind": "group",
         *       "title": "the new house",
         *       "role": "member",
         *       "member_count": 3,
         *       "view_from": 11,
         *       "read": 11,
         *       "unread": 0,
         *       "mentions": 0,
         *       "pinned": false,
         *       "archived": false,
         *       "as_of": 11
         *     }
         */
        readonly SocketConversationFrame: {
            /** @constant */
            readonly type: "conversation";
        } & components["schemas"]["Conversation"];
        /**
         * @example {
         *       "type": "cursor",
         *       "cursor": "AQEBOQ"
         *     }
         */
        readonly SocketCursor: {
            readonly cursor: string;
            /** @constant */
            readonly type: "cursor";
        };
        /**
         * @example {
         *       "type": "drain",
         *       "after_ms": 1250,
         *       "reconnect": {
         *         "base_ms": 1000,
         *         "cap_ms": 30000
         *       }
         *     }
         */
        readonly SocketDrain: {
            /** @description The connection ends about that much later, with 1012. */
            readonly after_ms: number;
            readonly reconnect?: components["schemas"]["Reconnect"];
            /** @constant */
            readonly type: "drain";
            /** @description Where to go; absent means anywhere else, or here again. */
            readonly url?: string;
        };
        /**
         * @example {
         *       "type": "error",
         *       "ref": 1,
         *       "code": "clock_ahead",
         *       "message": "the id is from the future: correct the clock by server_time",
         *       "stored": "no",
         *       "retry": "new_id",
         *       "server_time": "2025-11-19T07:55:26.402Z"
         *     }
         */
        readonly SocketErrorFrame: {
            /** @constant */
            readonly type: "error";
        } & components["schemas"]["Error"];
        /**
         * @example {
         *       "type": "event",
         *       "conversation": "d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy",
         *       "seq": 57,
         *       "prev": 42,
         *       "n": 9,
         *       "ts": "2025-11-19T07:55:26.402Z",
         *       "body": {
         *         "v": 1,
         *         "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *         "sender": "d5tq2kzv7mxw3hn6ra4b",
         *         "device": "q6nt3xw7zk2vb5mr4hpd",
         *         "event": {
         *           "kind": "message",
         *           "text": "The lease is signed."
         *         }
         *       }
         *     }
         */
        readonly SocketEventFrame: {
            /** @constant */
            readonly type: "event";
        } & components["schemas"]["EventFrame"];
        /**
         * @example {
         *       "type": "gap",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "from": 57,
         *       "to": 912
         *     }
         */
        readonly SocketGap: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description What is left out comes after this one. */
            readonly from: components["schemas"]["Seq"];
            /** @description The last that is left out; the next event has it as `prev`. */
            readonly to: components["schemas"]["Seq"];
            /** @constant */
            readonly type: "gap";
        };
        /**
         * @example {
         *       "type": "hello",
         *       "token": "d5tq2kzv7mxw3hn6ra4b.q6nt3xw7zk2vb5mr4hpd.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         *     }
         * @example {
         *       "type": "hello",
         *       "token": "d5tq2kzv7mxw3hn6ra4b.q6nt3xw7zk2vb5mr4hpd.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         *       "cursor": "AQEBOQ",
         *       "seen": {
         *         "g.m3vz7qk2wd5xr4nb6hty": 57
         *       },
         *       "catch_up": 200,
         *       "presence": "invisible",
         *       "background": true
         *     }
         */
        readonly SocketHello: {
            /** @description No presence, no typing, not shown online. */
            readonly background?: boolean;
            /** @description Events of each conversation in the catch-up, 0 to 1,000; default 100. */
            readonly catch_up?: number;
            /** @description Where the last connection got to. */
            readonly cursor?: string;
            /**
             * @description How the person is shown from the start; without it as before, if the device is back within the grace, else online.
             * @enum {string}
             */
            readonly presence?: "online" | "away" | "invisible";
            readonly ref?: components["schemas"]["SocketRef"];
            /** @description What the client has of single conversations, where that is more than the cursor says. */
            readonly seen?: {
                readonly [key: string]: components["schemas"]["Seq"];
            };
            readonly token: string;
            /** @constant */
            readonly type: "hello";
        };
        /**
         * @description May come before the `event` frame of the message. What is to be shown is found by `media.id`.
         * @example {
         *       "type": "media",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "seq": 57,
         *       "media": {
         *         "id": "w4hn7zq2xk5tbm3vr6cd",
         *         "state": "ready",
         *         "name": "plan.png",
         *         "type": "image/png",
         *         "size": 48211,
         *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *         "width": 1200,
         *         "height": 800,
         *         "variants": {
         *           "thumb": {
         *             "type": "image/webp",
         *             "size": 2310,
         *             "width": 320,
         *             "height": 213
         *           }
         *         }
         *       }
         *     }
         */
        readonly SocketMediaOfMessage: {
            readonly conversation: components["schemas"]["ConversationId"];
            readonly media: components["schemas"]["MediaInfo"];
            /** @description The newest message that has it. */
            readonly seq: components["schemas"]["Seq"];
            /** @constant */
            readonly type: "media";
        };
        /**
         * @description Answers `receipt` once it is stored.
         * @example {
         *       "type": "ok",
         *       "ref": 2
         *     }
         */
        readonly SocketOk: {
            readonly ref?: components["schemas"]["SocketRef"];
            /** @constant */
            readonly type: "ok";
        };
        /**
         * @example {
         *       "type": "ping",
         *       "ref": 3
         *     }
         */
        readonly SocketPing: {
            readonly ref?: components["schemas"]["SocketRef"];
            /** @constant */
            readonly type: "ping";
        };
        /**
         * @example {
         *       "type": "pong",
         *       "ref": 3,
         *       "cursor": "AQEBOQ"
         *     }
         */
        readonly SocketPong: {
            /** @description As in `cursor`; absent before `synced`. */
            readonly cursor?: string;
            readonly ref?: components["schemas"]["SocketRef"];
            /** @constant */
            readonly type: "pong";
        };
        /**
         * @example {
         *       "type": "presence",
         *       "state": "away"
         *     }
         */
        readonly SocketPresence: {
            /** @enum {string} */
            readonly state: "online" | "away" | "invisible";
            /** @constant */
            readonly type: "presence";
        };
        /**
         * @example {
         *       "type": "presence",
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "state": "online"
         *     }
         * @example {
         *       "type": "presence",
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "state": "offline",
         *       "last_seen": "2025-11-19T07:55:26.402Z"
         *     }
         */
        readonly SocketPresenceOfOthers: {
            /** @description When they were there last, if they are not and let it be known. */
            readonly last_seen?: components["schemas"]["Time"];
            readonly state: components["schemas"]["PersonState"];
            /** @constant */
            readonly type: "presence";
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @example {
         *       "type": "presences",
         *       "people": [
         *         {
         *           "user": "kx7bw4ph2qnv6ztm3rcy",
         *           "state": "online"
         *         },
         *         {
         *           "user": "d5tq2kzv7mxw3hn6ra4b",
         *           "state": "offline",
         *           "last_seen": "2025-11-19T07:55:26.402Z"
         *         }
         *       ]
         *     }
         */
        readonly SocketPresencesOfOthers: {
            /** @description Each once, as in `presence`; at most 128. */
            readonly people: readonly components["schemas"]["PresenceItem"][];
            /** @constant */
            readonly type: "presences";
        };
        /**
         * @example {
         *       "type": "receipt",
         *       "ref": 2,
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "delivered": 57,
         *       "read": 42
         *     }
         */
        readonly SocketReceipt: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description A device of the person's has everything up to here. */
            readonly delivered?: components["schemas"]["Seq"];
            /** @description The other members are told nothing of what was read. */
            readonly private?: boolean;
            /** @description The person has read everything up to here. */
            readonly read?: components["schemas"]["Seq"];
            readonly ref?: components["schemas"]["SocketRef"];
            /** @constant */
            readonly type: "receipt";
        };
        /**
         * @example {
         *       "type": "receipt",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "delivered": 57,
         *       "delivered_ts": "2025-11-19T07:55:26.402Z",
         *       "read": 42,
         *       "read_ts": "2025-11-19T07:55:27.118Z"
         *     }
         * @example {
         *       "type": "receipt",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "user": "d5tq2kzv7mxw3hn6ra4b",
         *       "delivered": 57,
         *       "delivered_ts": "2025-11-19T07:55:26.402Z",
         *       "read": 57,
         *       "read_ts": "2025-11-19T07:55:27.118Z",
         *       "read_n": 9
         *     }
         */
        readonly SocketReceiptOfMember: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @description A device of theirs has everything up to here. Never less than before. */
            readonly delivered: components["schemas"]["Seq"];
            readonly delivered_ts: components["schemas"]["Time"];
            /** @description They have read everything up to here; 0, nothing that they tell. Never less than before. */
            readonly read: components["schemas"]["Seq"];
            /** @description Only in one's own. Messages up to `read`; the `n` of the newest message less this is unread. */
            readonly read_n?: number;
            readonly read_ts?: components["schemas"]["Time"];
            /** @constant */
            readonly type: "receipt";
            readonly user: components["schemas"]["UserId"];
        };
        readonly SocketRef: components["schemas"]["Ref"];
        /**
         * @example {
         *       "type": "send",
         *       "ref": 1,
         *       "conversation": "d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy",
         *       "id": "019a9b1c-7b1a-7c3d-8e4f-0123456789ab",
         *       "event": {
         *         "kind": "message",
         *         "text": "The lease is signed."
         *       }
         *     }
         */
        readonly SocketSend: {
            readonly conversation: components["schemas"]["ConversationId"];
            readonly event: components["schemas"]["Event"];
            readonly id: components["schemas"]["MessageId"];
            readonly ref?: components["schemas"]["SocketRef"];
            /** @constant */
            readonly type: "send";
        };
        /**
         * @example {
         *       "type": "synced",
         *       "cursor": "AQEBOQ",
         *       "complete": true,
         *       "reset": false
         *     }
         */
        readonly SocketSynced: {
            /** @description Everything is there; else resume again with the cursor. */
            readonly complete: boolean;
            /** @description Store it in one transaction with the events before it. */
            readonly cursor: string;
            /** @description The cursor given was of another log; drop the cache. */
            readonly reset: boolean;
            /** @constant */
            readonly type: "synced";
        };
        /**
         * @example {
         *       "type": "typing",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty"
         *     }
         */
        readonly SocketTyping: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @constant */
            readonly type: "typing";
        };
        /**
         * @example {
         *       "type": "typing",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "user": "kx7bw4ph2qnv6ztm3rcy"
         *     }
         */
        readonly SocketTypingOfOthers: {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @constant */
            readonly type: "typing";
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @description A person who shares a conversation with the reader changed their name or avatar.
         * @example {
         *       "type": "user",
         *       "user": "kx7bw4ph2qnv6ztm3rcy",
         *       "handle": "bo",
         *       "name": "Bo"
         *     }
         */
        readonly SocketUserFrame: {
            /** @constant */
            readonly type: "user";
        } & components["schemas"]["User"];
        /**
         * @example {
         *       "type": "watch",
         *       "users": [
         *         "kx7bw4ph2qnv6ztm3rcy"
         *       ],
         *       "conversations": [
         *         "g.m3vz7qk2wd5xr4nb6hty"
         *       ]
         *     }
         * @example {
         *       "type": "watch",
         *       "users": [
         *         "kx7bw4ph2qnv6ztm3rcy",
         *         "d5tq2kzv7mxw3hn6ra4b"
         *       ],
         *       "batch": true
         *     }
         */
        readonly SocketWatch: {
            /** @description The client reads `presences`; several people may come in one frame. */
            readonly batch?: boolean;
            /** @description At most 4. */
            readonly conversations?: readonly components["schemas"]["ConversationId"][];
            /** @constant */
            readonly type: "watch";
            /** @description At most 200. */
            readonly users?: readonly components["schemas"]["UserId"][];
        };
        /**
         * @example {
         *       "type": "welcome",
         *       "user": "d5tq2kzv7mxw3hn6ra4b",
         *       "device": "q6nt3xw7zk2vb5mr4hpd",
         *       "server_time": "2025-11-19T07:55:26.402Z",
         *       "heartbeat_s": 30,
         *       "durability": "fsync",
         *       "limits": {
         *         "text_bytes": 16384,
         *         "frame_bytes": 65536,
         *         "group": 100,
         *         "catch_up": 1000,
         *         "page": 500,
         *         "in_flight": 256
         *       },
         *       "features": [
         *         "presence",
         *         "presence_batch",
         *         "receipts",
         *         "sync",
         *         "typing"
         *       ],
         *       "reconnect": {
         *         "base_ms": 1000,
         *         "cap_ms": 30000
         *       }
         *     }
         */
        readonly SocketWelcome: {
            readonly device: components["schemas"]["DeviceId"];
            /**
             * @description What an ack survives. fsync is power loss; os is the death of any process.
             * @enum {string}
             */
            readonly durability: "fsync" | "os";
            readonly features: readonly string[];
            /** @description Seconds between the server's pings; two unanswered ones end the connection. */
            readonly heartbeat_s: number;
            readonly limits: {
                /** @description Events of each conversation in a catch-up. */
                readonly catch_up: number;
                /** @description Of a client's frame. */
                readonly frame_bytes: number;
                /** @description Members of a group. */
                readonly group: number;
                /** @description Unanswered sends of a connection; the server reads no further while they are reached. */
                readonly in_flight: number;
                /** @description Items of a page. */
                readonly page: number;
                /** @description Of a message's text. */
                readonly text_bytes: number;
            };
            readonly reconnect?: components["schemas"]["Reconnect"];
            /** @description The log's time. Mint ids with it. */
            readonly server_time: components["schemas"]["Time"];
            /** @constant */
            readonly type: "welcome";
            readonly user: components["schemas"]["UserId"];
        };
        /** @description An event as clients receive it. */
        readonly StoredEvent: components["schemas"]["Event"] | components["schemas"]["DeletedMessage"] | components["schemas"]["DeletedEdit"] | components["schemas"]["UnreadableEvent"];
        /**
         * @example {
         *       "kind": "group",
         *       "conversation": "g.m3vz7qk2wd5xr4nb6hty",
         *       "title": "the new house",
         *       "replaces": [
         *         6,
         *         11
         *       ],
         *       "text": "in:\"the new house\""
         *     }
         * @example {
         *       "kind": "direct",
         *       "conversation": "d5tq2kzv7mxw3hn6ra4b.kx7bw4ph2qnv6ztm3rcy",
         *       "user": {
         *         "user": "kx7bw4ph2qnv6ztm3rcy",
         *         "handle": "bo",
         *         "name": "Bo"
         *       },
         *       "replaces": [
         *         0,
         *         5
         *       ],
         *       "text": "in:bo"
         *     }
         */
        readonly Suggestion: {
            /** @constant */
            readonly kind: "person";
            readonly replaces: components["schemas"]["Replaced"];
            readonly text: components["schemas"]["Replacement"];
            readonly user: components["schemas"]["User"];
        } | {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @constant */
            readonly kind: "group";
            readonly replaces: components["schemas"]["Replaced"];
            readonly text: components["schemas"]["Replacement"];
            readonly title: string;
        } | {
            readonly conversation: components["schemas"]["ConversationId"];
            /** @constant */
            readonly kind: "direct";
            readonly replaces: components["schemas"]["Replaced"];
            readonly text: components["schemas"]["Replacement"];
            /** @description The other; the caller, for notes to oneself. */
            readonly user: components["schemas"]["User"];
        };
        /**
         * @example {
         *       "items": [
         *         {
         *           "kind": "person",
         *           "user": {
         *             "user": "kx7bw4ph2qnv6ztm3rcy",
         *             "handle": "bo",
         *             "name": "Bo"
         *           },
         *           "replaces": [
         *             0,
         *             6
         *           ],
         *           "text": "from:bo"
         *         }
         *       ]
         *     }
         */
        readonly SuggestionList: {
            readonly items: readonly components["schemas"]["Suggestion"][];
        };
        readonly SyncResponse: {
            /** @description Server frames of `asyncapi.yaml`; the last is `synced`. */
            readonly frames: readonly ({
                readonly type: string;
            } & {
                readonly [key: string]: unknown;
            })[];
        };
        /**
         * Format: date-time
         * @description RFC 3339 in UTC, with milliseconds.
         * @example 2025-11-19T07:55:26.402Z
         */
        readonly Time: string;
        /**
         * @example {
         *       "kind": "title",
         *       "title": "the old house"
         *     }
         */
        readonly TitleEvent: {
            readonly data?: components["schemas"]["Data"];
            /** @constant */
            readonly kind: "title";
            /** @description 1 to 256 bytes, not blank. */
            readonly title: string;
        };
        /** @description An event that the server could not decode; it advances the chain. */
        readonly UnreadableEvent: {
            /** @constant */
            readonly kind: "unreadable";
        };
        /**
         * @description A file; 20 characters of lower-case base32.
         * @example w4hn7zq2xk5tbm3vr6cd
         */
        readonly UploadId: string;
        /**
         * @description A person as others see them.
         * @example {
         *       "user": "d5tq2kzv7mxw3hn6ra4b",
         *       "handle": "ana",
         *       "name": "Ana"
         *     }
         */
        readonly User: {
            /** @description A media id. */
            readonly avatar?: string;
            readonly handle: components["schemas"]["Handle"];
            /** @description The display name, 1 to 128 bytes, on one line. */
            readonly name: string;
            readonly user: components["schemas"]["UserId"];
        };
        /**
         * @description 20 characters of lower-case base32.
         * @example d5tq2kzv7mxw3hn6ra4b
         */
        readonly UserId: string;
        readonly UserList: {
            readonly items: readonly components["schemas"]["User"][];
            readonly next?: components["schemas"]["Next"];
        };
        /**
         * @description To whom something is shown. `shared`, to everybody who shares a conversation; `nobody`.
         * @enum {string}
         */
        readonly Visibility: "shared" | "nobody";
    };
    responses: {
        /** @description Refused or failed. Act on `stored` and `retry`; every code is in `errors.md`. */
        readonly Error: {
            headers: {
                /** @description Seconds, rounded up, where the error has `retry_after_ms`. */
                readonly "Retry-After"?: number;
                readonly [name: string]: unknown;
            };
            content: {
                readonly "application/json": components["schemas"]["ErrorResponse"];
            };
        };
    };
    parameters: {
        readonly Conversation: components["schemas"]["ConversationId"];
        /** @description The `next` of the page before. */
        readonly Cursor: string;
        /** @description Items, at least 1; more than 500 is read as 500. */
        readonly Limit: number;
        /**
         * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
         *     What the same device was told is stored is applied by the gateway itself.
         */
        readonly MinSeq: readonly string[];
        /** @description `1.0.0`: the request is one of tus. */
        readonly TusResumable: string;
        readonly Upload: components["schemas"]["UploadId"];
        /** @description Which bytes; the file, or a picture of it if `variants` of its MediaInfo has one. */
        readonly Variant: "file" | "thumb" | "preview";
    };
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    readonly listConversations: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page of the inbox. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ConversationList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly createConversation: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["CreateConversation"];
            };
        };
        readonly responses: {
            /** @description It was there. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Conversation"];
                };
            };
            /** @description Made. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Conversation"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly showConversation: {
        readonly parameters: {
            readonly query?: {
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The conversation. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Conversation"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listEvents: {
        readonly parameters: {
            readonly query?: {
                readonly after?: components["schemas"]["Seq"];
                readonly before?: components["schemas"]["Seq"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Part of the chain. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["EventList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly explainConversation: {
        readonly parameters: {
            readonly query?: {
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The explanation. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Explanation"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly changeOwnConversation: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["PatchConversation"];
            };
        };
        readonly responses: {
            /** @description As changed. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Conversation"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listMembers: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page of the members. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MemberList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listMessages: {
        readonly parameters: {
            readonly query?: {
                /** @description The oldest after this one. */
                readonly after?: components["schemas"]["Seq"];
                /** @description Half before this one, half from it on. */
                readonly around?: components["schemas"]["Seq"];
                /** @description Half before this moment, half from it on. */
                readonly at?: components["schemas"]["Time"];
                /** @description The newest before this one. */
                readonly before?: components["schemas"]["Seq"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
                /** @description Only this root and its replies. */
                readonly thread?: components["schemas"]["Seq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MessageList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly sendMessage: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["SendMessage"];
            };
        };
        readonly responses: {
            /** @description Stored, now or before. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SentMessage"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listPins: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["PinList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listPresence: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["PresenceList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listReactions: {
        readonly parameters: {
            readonly query: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
                /** @description The message. */
                readonly seq: components["schemas"]["Seq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ReactionList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly sendReceipt: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["PostReceipt"];
            };
        };
        readonly responses: {
            /** @description Stored, now or before. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listReceipts: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /** @description Only who has this event. */
                readonly seq?: components["schemas"]["Seq"];
            };
            readonly header?: never;
            readonly path: {
                readonly conversation: components["parameters"]["Conversation"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ReceiptList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listGateways: {
        readonly parameters: {
            readonly query?: {
                /** @description Gateways of this region come first. */
                readonly region?: string;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The gateways. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["GatewayList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly createUpload: {
        readonly parameters: {
            readonly query?: {
                /** @description What a file in one request is called. */
                readonly name?: string;
                /** @description Of a file in one request. It is encrypted; look at nothing of it. */
                readonly opaque?: boolean;
                /** @description Of a file in one request. Keep it bit for bit; take no metadata out. */
                readonly original?: boolean;
            };
            readonly header?: {
                /** @description `1.0.0`: the request is one of tus. */
                readonly "Tus-Resumable"?: components["parameters"]["TusResumable"];
                /** @description Bytes that will come. */
                readonly "Upload-Length"?: number;
                /** @description Pairs of a key and a value in base64, with commas between. */
                readonly "Upload-Metadata"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        /** @description The file; of tus, nothing or the first bytes. */
        readonly requestBody?: {
            readonly content: {
                readonly "*/*": string;
                readonly "application/offset+octet-stream": string;
            };
        };
        readonly responses: {
            /** @description Begun, or made. */
            readonly 201: {
                headers: {
                    /** @description The path of the upload. */
                    readonly Location?: string;
                    /** @description Of tus. An upload that is unfinished then is removed. */
                    readonly "Upload-Expires"?: string;
                    /** @description Of tus. How many bytes are there. */
                    readonly "Upload-Offset"?: number;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MediaInfo"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly download: {
        readonly parameters: {
            readonly query?: {
                /** @description Of a signed URL; of which session. */
                readonly device?: components["schemas"]["DeviceId"];
                /** @description Of a signed URL; until when, in milliseconds since 1970. */
                readonly expires?: number;
                /** @description Of a signed URL. */
                readonly signature?: string;
                /** @description Of a signed URL; in whose name. */
                readonly user?: components["schemas"]["UserId"];
                /** @description Which bytes; the file, or a picture of it if `variants` of its MediaInfo has one. */
                readonly variant?: components["parameters"]["Variant"];
            };
            readonly header?: {
                readonly Range?: string;
            };
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description All bytes. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "*/*": string;
                };
            };
            /** @description Those asked for. */
            readonly 206: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "*/*": string;
                };
            };
            /** @description They are those that the client has. */
            readonly 304: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly endUpload: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description `1.0.0`: the request is one of tus. */
                readonly "Tus-Resumable"?: components["parameters"]["TusResumable"];
            };
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Removed, or about to be. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly showUpload: {
        readonly parameters: {
            readonly query?: {
                /** @description Which bytes; the file, or a picture of it if `variants` of its MediaInfo has one. */
                readonly variant?: components["parameters"]["Variant"];
            };
            readonly header?: {
                /** @description `1.0.0`: the request is one of tus. */
                readonly "Tus-Resumable"?: components["parameters"]["TusResumable"];
            };
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description As asked. */
            readonly 200: {
                headers: {
                    /** @description Of tus. How many there will be. */
                    readonly "Upload-Length"?: number;
                    /** @description Of tus. How many bytes are there. */
                    readonly "Upload-Offset"?: number;
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly appendToUpload: {
        readonly parameters: {
            readonly query?: never;
            readonly header: {
                /** @description `1.0.0`: the request is one of tus. */
                readonly "Tus-Resumable"?: components["parameters"]["TusResumable"];
                /** @description `sha256` and the hash of this body in base64; all of it counts, or nothing. */
                readonly "Upload-Checksum"?: string;
                /** @description How many bytes are there. */
                readonly "Upload-Offset": number;
            };
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/offset+octet-stream": string;
            };
        };
        readonly responses: {
            /** @description Stored. */
            readonly 204: {
                headers: {
                    /** @description How many bytes are there. */
                    readonly "Upload-Offset"?: number;
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly showMedia: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The file. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MediaInfo"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly signMediaUrl: {
        readonly parameters: {
            readonly query?: {
                /** @description Which bytes; the file, or a picture of it if `variants` of its MediaInfo has one. */
                readonly variant?: components["parameters"]["Variant"];
            };
            readonly header?: never;
            readonly path: {
                readonly upload: components["parameters"]["Upload"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The URL. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MediaUrl"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listMentions: {
        readonly parameters: {
            readonly query?: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["MentionList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly search: {
        readonly parameters: {
            readonly query: {
                /** @description The `next` of the page before. */
                readonly cursor?: components["parameters"]["Cursor"];
                readonly limit?: number;
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
                /** @description The query, at most 1,024 bytes. The last word may be the beginning of one, unless something follows it. */
                readonly q: string;
                /** @description By how well messages answer, of equal ones the newer; or the newest first. */
                readonly sort?: "relevance" | "time";
                /** @description What the reader's clock shows more than UTC, in minutes, for dates in the query. */
                readonly utc_offset?: number;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SearchList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly suggest: {
        readonly parameters: {
            readonly query?: {
                readonly limit?: number;
                /**
                 * @description `<conversation>:<seq>`, repeatable. The answer includes that event, or the request is `unavailable`: at once when the log does not reach that far.
                 *     What the same device was told is stored is applied by the gateway itself.
                 */
                readonly min_seq?: components["parameters"]["MinSeq"];
                /** @description What was typed so far, at most 1,024 bytes; it needs not be a query yet. */
                readonly q?: string;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The suggestions, the best first. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SuggestionList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly listSessions: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The open sessions. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SessionList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly openSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["OpenSession"];
            };
        };
        readonly responses: {
            /** @description Logged in. The token is shown here and never again. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OpenedSession"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly revokeSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly device: components["schemas"]["DeviceId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Logged out. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly refreshSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The new token. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OpenedSession"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly sync: {
        readonly parameters: {
            readonly query?: {
                /** @description Events of each conversation, 0 to 1,000. */
                readonly catch_up?: number;
                /** @description Of the last `synced` or `cursor` frame; absent the first time. */
                readonly cursor?: string;
                /** @description Seconds, at most 60. */
                readonly timeout_s?: number;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Frames as over WebSocket. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SyncResponse"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly findUsers: {
        readonly parameters: {
            readonly query?: {
                readonly handle?: string;
                /** @description User ids, separated by commas; at most 200. */
                readonly ids?: string;
                /** @description Items, at least 1; more than 500 is read as 500. */
                readonly limit?: components["parameters"]["Limit"];
                /** @description The beginning of a handle, at least one character. */
                readonly q?: string;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The people found. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["UserList"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly createUser: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["CreateUser"];
            };
        };
        readonly responses: {
            /** @description Made before, by this request. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["User"];
                };
            };
            /** @description Made. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["User"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly showUser: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly user: components["schemas"]["UserId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The person. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["User"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly showOwnUser: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The caller. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OwnUser"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly changeOwnUser: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["PatchUser"];
            };
        };
        readonly responses: {
            /** @description As changed. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OwnUser"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
    readonly connect: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Speak `hansard.v1` from here on. */
            readonly 101: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Not a WebSocket handshake of version 13. */
            readonly 426: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ErrorResponse"];
                };
            };
            readonly default: components["responses"]["Error"];
        };
    };
}
