// A service may send the members of a room each message at their bare JID too (mod_muc_offline_delivery does so for
// members whose reserved nick is not in the room). Where the bare JID is the occupant JID, such a copy looks like the
// message itself.

import { monotonic } from "../state/clock";
import type { Membership } from "../state/memberships";

interface Copy {
    readonly from: string;
    readonly id: string;
    readonly body: string;
    readonly when: number;
}

/** Messages of a room that are remembered, and for how many seconds. Copies follow at once. */
const KEPT = 8;
const SECONDS = 5;

/** For each membership the latest messages, oldest first. */
const latest = setmetatable(new LuaMap<Membership, Copy[]>(), { __mode: "k" });

/** Whether a message with this id, sender and text has come a moment ago. If not, it is remembered. */
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
