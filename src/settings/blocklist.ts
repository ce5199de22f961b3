// Reads the block lists of mod_blocklist (XEP-0191).

import * as jids from "util.jid";
import { hasModule } from "../host";
import { openRecords, readRecord } from "../state/records";

/** The keys are the blocked JIDs. */
export type Blocklist = LuaMap<string, unknown>;

/** Read-only, because mod_blocklist writes it. */
const records = openRecords<Blocklist>("blocklist", () => undefined);

/** Returns the JIDs that an account has blocked. Undefined if there are none, or they cannot be read. */
export function blocklistOf(username: string): Blocklist | undefined {
    return readBlocklist(username)[1];
}

/** Returns whether the read succeeded, and the blocked JIDs. There are none without mod_blocklist. */
export function readBlocklist(username: string): LuaMultiReturn<[ok: boolean, blocklist: Blocklist | undefined]> {
    if (!hasModule("blocklist")) {
        return $multi(true, undefined);
    }
    const [done, blocklist] = readRecord(records, username);
    return $multi(done, typeof blocklist === "object" ? blocklist : undefined);
}

/** Whether the list blocks an occupant: by its own JID, its room or its service. */
export function silences(blocklist: Blocklist, room: string, nick: string): boolean {
    return blocklist.has(`${room}/${nick}`) || blocklist.has(room) || blocklist.has(jids.host(room));
}

/**
 * Whether an account has blocked an occupant. If it blocks its own nick, it never sees its own presence. It must then
 * leave the room, because no client could make it leave.
 */
export function isBlocked(username: string, room: string, nick: string): boolean {
    const blocklist = blocklistOf(username);
    return blocklist !== undefined && silences(blocklist, room, nick);
}
