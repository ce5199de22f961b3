// Reads the block lists of mod_blocklist (XEP-0191).

import * as jids from "util.jid";
import { openRecords, readRecord } from "../state/records";

/** The keys are the blocked JIDs. */
export type Blocklist = LuaMap<string, unknown>;

/** Only read: it is mod_blocklist that writes it. */
const records = openRecords<Blocklist>("blocklist", () => undefined);

/** What an account has blocked; undefined if that is nothing, or cannot be read. */
export function blocklistOf(username: string): Blocklist | undefined {
    return readBlocklist(username)[1];
}

/** Whether the read succeeded, and what an account has blocked; nothing without mod_blocklist. */
export function readBlocklist(username: string): LuaMultiReturn<[ok: boolean, blocklist: Blocklist | undefined]> {
    const host = prosody.hosts.get(module.host);
    if (!host?.modules.has("blocklist")) {
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
