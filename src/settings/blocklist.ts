// What mod_blocklist keeps (XEP-0191).

import * as jids from "util.jid";
import { openRecords, readRecord } from "../state/records";

/** Blocked JIDs are its keys. */
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

/** Whether nothing that comes from an occupant is heard: it is blocked itself, or the room is, or the whole service. */
export function silences(blocklist: Blocklist, room: string, nick: string): boolean {
    return blocklist.has(`${room}/${nick}`) || blocklist.has(room) || blocklist.has(jids.host(room));
}

/**
 * Whether an account hears nothing of an occupant. Of its own nick that is not even that it is in the room, so that it
 * must not be: no client could make it leave.
 */
export function isBlocked(username: string, room: string, nick: string): boolean {
    const blocklist = blocklistOf(username);
    return blocklist !== undefined && silences(blocklist, room, nick);
}
