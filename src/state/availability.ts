// Chooses which session's presence the account shows to the room.

import * as st from "util.stanza";
import { MUC } from "../namespaces";
import type { Membership } from "./memberships";
import type { Attachment } from "./place";

/** Ranks of `<show/>`, most available first. With `dnd` a user is at the keyboard, with `away` not. */
const ranks = new LuaMap<string, number>();
ranks.set("chat", 5);
ranks.set("", 4);
ranks.set("dnd", 3);
ranks.set("away", 2);
ranks.set("xa", 1);

/** Returns a client's presence without addresses and `<x/>`, as the account can show it. */
export function presenceContent(stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.from = undefined;
    content.attr.to = undefined;
    content.attr.id = undefined;
    content.maptags((tag) => (tag.name === "x" && tag.attr.xmlns === MUC ? undefined : tag));
    return content;
}

function priority(attachment: Attachment): number {
    return tonumber(attachment.presence.get_child_text("priority") ?? "0") ?? 0;
}

function rank(attachment: Attachment): number {
    return ranks.get(attachment.presence.get_child_text("show") ?? "") ?? 0;
}

/** Whether a room should be shown one presence rather than another. */
export function isBetter(one: Attachment, other: Attachment): boolean {
    const difference = priority(one) - priority(other);
    if (difference !== 0) {
        return difference > 0;
    }
    return rank(one) > rank(other);
}

function isPreferred(membership: Membership, session: string, attachment: Attachment, best: Candidate): boolean {
    const isTie = session === membership.shown && !isBetter(best.attachment, attachment);
    return isTie || isBetter(attachment, best.attachment);
}

/** A session and its presence. */
export interface Candidate {
    readonly session: string;
    readonly attachment: Attachment;
}

/**
 * Returns the session to show: highest priority, then most available, then the one already shown. `coming` will be
 * attached soon.
 */
export function bestSession(membership: Membership, coming?: Candidate): Candidate | undefined {
    let best = coming;
    for (const [session, attachment] of membership.attached) {
        const isOther = session !== coming?.session;
        if (isOther && (best === undefined || isPreferred(membership, session, attachment, best))) {
            best = { session, attachment };
        }
    }
    return best;
}
