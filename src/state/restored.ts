// Memberships that show the presence from before a start of the server. Their sessions may still come back.

import { monotonic } from "./clock";
import type { Membership } from "./memberships";
import * as options from "../options";

/** Longest wait in seconds. minimix_detached_after may be "never". */
const LONGEST_WAIT = 900;

/** When the wait for the sessions ends, by the monotonic clock. */
const ends = setmetatable(new LuaMap<Membership, number>(), { __mode: "k" });

export function noteRestored(membership: Membership): void {
    ends.set(membership, monotonic() + Math.min(options.detachedAfter, LONGEST_WAIT));
}

export function isRestored(membership: Membership): boolean {
    return monotonic() < (ends.get(membership) ?? 0);
}

/** The account shows the presence of a session of now. */
export function endRestored(membership: Membership): void {
    ends.delete(membership);
}

/** Returns the memberships whose wait is over, once. */
export function takeOverdue(): Membership[] {
    const overdue: Membership[] = [];
    for (const [membership, end] of ends) {
        if (monotonic() >= end) {
            overdue.push(membership);
        }
    }
    for (const membership of overdue) {
        ends.delete(membership);
    }
    return overdue;
}
