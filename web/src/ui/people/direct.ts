import type { ConversationId, UserId } from "../../engine/api.ts";

/** The other of a direct conversation, whose id is the two in order; oneself for notes, nobody for a group. */
export function otherOf(conversation: ConversationId, me: UserId): UserId | undefined {
  if (conversation.startsWith("g.")) return undefined;
  return conversation.split(".").find((user) => user !== me) ?? me;
}
