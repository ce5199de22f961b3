// Which of the attached sessions' presences the account shows to the room.

import * as st from "util.stanza";
import { MUC } from "../namespaces";
import type { Membership } from "./memberships";
import type { Attachment } from "./place";

/** Most available first; `dnd` is somebody at the keyboard, `away` nobody. */
const ranks = new LuaMap<string, number>();
ranks.set("chat", 5);
ranks.set("", 4);
ranks.set("dnd", 3);
ranks.set("away", 2);
ranks.set("xa", 1);

/** A client's presence bare of its addresses and of the join, as the account may show it. */
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

function isBetter(one: Attachment, other: Attachment): boolean {
    const difference = priority(one) - priority(other);
    if (difference !== 0) {
        return difference > 0;
    }
    return rank(one) > rank(other);
}

/** The session to show: highest priority, then most available, then the one already shown. */
export function bestSession(membership: Membership): string | undefined {
    let best = membership.shown;
    let bestAttachment = best === undefined ? undefined : membership.attached.get(best);
    for (const [session, attachment] of membership.attached) {
        if (bestAttachment === undefined || isBetter(attachment, bestAttachment)) {
            best = session;
            bestAttachment = attachment;
        }
    }
    return bestAttachment === undefined ? undefined : best;
}
