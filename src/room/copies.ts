// Drops copies of groupchat messages to bare JIDs. mod_muc_offline_delivery, for example, sends them to members with a
// reserved nick outside of the room. If the occupant JID is the bare JID, a copy looks like the message itself.

import { monotonic } from "../state/clock";
import type { Membership } from "../state/memberships";

interface Copy {
    readonly from: string;
    readonly id: string;
    readonly body: string;
    readonly when: number;
}

/** Number of recent messages to remember, and for how many seconds. A copy follows at once. */
const KEPT = 8;
const SECONDS = 5;

/** The last messages by membership, oldest first. */
const latest = setmetatable(new LuaMap<Membership, Copy[]>(), { __mode: "k" });

/** Whether a message with this id, sender and text has just arrived. Otherwise remembers it. */
export function hasComeBefore(membership: Membership, stanza: Stanza): boolean {
    const from = stanza.attr.from;
    const id = stanza.attr.id;
    const body = stanza.get_child_text("body");
    if (from === undefined || id === undefined || body === undefined) {
        return false;
    }
    const copies = latest.get(membership) ?? [];
    const now = monotonic();
    for (const copy of copies) {
        if (copy.id === id && copy.from === from && copy.body === body && now - copy.when <= SECONDS) {
            return true;
        }
    }
    copies.push({ from, id, body, when: now });
    if (copies.length > KEPT) {
        table.remove(copies, 1);
    }
    latest.set(membership, copies);
    return false;
}
