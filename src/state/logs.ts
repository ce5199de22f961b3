// The log of each room: what was said there, once for all accounts of this host, and which part of it each account got.
// Entries are numbered in the order they came.

import type { Membership } from "./memberships";
import { newestNumber, startOfNumbers } from "./numbers";
import { beginOutage } from "./outage";
import type { Range } from "./ranges";

export interface Entry {
    readonly number: number;
    /** The number of the entry before that is for all; undefined for an entry of one account alone. */
    readonly before: number | undefined;
    /** The one account that was shown this. */
    readonly owner: string | undefined;
    /** When it was said, in seconds. */
    readonly when: number;
    /** As textOf() writes it, without the delay by which a room marks what is past. */
    readonly text: string;
}

export interface RoomLog {
    readonly room: string;
    /** The number of the last entry for all. */
    last: number;
    /** The newest entries, oldest first. */
    readonly recent: Entry[];
    /** Bytes of these. */
    size: number;
    /** Whether the entries of before this start of the server have been read, as far as they are held. */
    filled: boolean;
    /** Whether `recent` is all there is. */
    whole: boolean;
    /** The stanza taken down last, as the room handed it out, and its entry, if it was worth one. */
    source: Stanza | undefined;
    current: Entry | undefined;
    /** Some entries of before `recent`, while they are needed. */
    past: Past | undefined;
    /** Entries that could not be stored yet, oldest first; undefined if there are none. */
    unwritten: Entry[] | undefined;
    /** Retries in a row in which the first of them was the only one that failed. */
    failures: number | undefined;
    /** Messages were neither stored nor kept to be stored later. */
    gap: true | undefined;
    /** Accounts that are in the room, by user name. */
    readonly readers: LuaMap<string, Membership>;
    /** Whether the accounts that have not got the last entry will be looked for. */
    settling: boolean;
}

/** Entries from one time up to, but not including, another, in seconds. */
export interface Past {
    readonly from: number;
    to: number;
    readonly entries: Entry[];
    /** Those that the room gave an id, by that; and those without. */
    readonly ids: LuaMap<string, Entry>;
    readonly others: Entry[];
}

/** What an account that is in a room, or on its way there, gets of the room's log. */
export interface Part {
    /** The open range; false after the account missed something, undefined before the room has let it in. */
    range: Range | false | undefined;
    /** The number of the last entry that the account got, or of the last one there was when the part began. */
    position: number;
}

/** Entries of a room held in memory: what is replayed to a client that asks for nothing special, and then some. */
export const RECENT = 50;

/** Bytes of them, as XML. */
const RECENT_SIZE = 262144;

export const logs = new LuaMap<string, RoomLog>();

/** The highest number in logs that have been dropped: a room's next log cannot tell what was in its last one. */
let dropped = 0;

export function logOf(room: string): RoomLog {
    let log = logs.get(room);
    if (log === undefined) {
        log = {
            room,
            last: Math.max(startOfNumbers(), dropped),
            recent: [],
            size: 0,
            filled: false,
            whole: false,
            source: undefined,
            current: undefined,
            past: undefined,
            unwritten: undefined,
            failures: undefined,
            gap: undefined,
            readers: new LuaMap(),
            settling: false,
        };
        logs.set(room, log);
    }
    return log;
}

/** Frees the memory of a log that no account of this host reads any more, once all of it is stored. */
export function dropUnread(log: RoomLog): void {
    if (next(log.readers)[0] !== undefined || log.unwritten !== undefined) {
        return;
    }
    logs.delete(log.room);
    dropped = Math.max(dropped, log.last);
}

export function addRecent(log: RoomLog, entry: Entry): void {
    log.recent.push(entry);
    log.size = log.size + string.len(entry.text);
    while (log.recent.length > RECENT || (log.size > RECENT_SIZE && log.recent.length > 1)) {
        const oldest = table.remove<Entry>(log.recent, 1);
        log.size = log.size - string.len(oldest?.text ?? "");
        // What is not held any more is not to be put in front again.
        log.filled = true;
        log.whole = false;
    }
}

/** Puts entries of before this start in front of what has come since; `whole`: there are no others. */
export function fillRecent(log: RoomLog, entries: Entry[], whole: boolean): void {
    log.filled = true;
    log.whole = whole;
    for (const i of $range(entries.length, 1, -1)) {
        const entry = entries[i - 1];
        if (entry !== undefined) {
            if (log.recent.length >= RECENT || log.size + string.len(entry.text) > RECENT_SIZE) {
                log.whole = false;
                return;
            }
            table.insert(log.recent, 1, entry);
            log.size = log.size + string.len(entry.text);
        }
    }
}

/** Takes over the logs from the instance of the module before a reload. */
export function restoreLogs(saved: LuaMap<string, RoomLog>): void {
    // What the instance before has dropped is not known here.
    dropped = newestNumber();
    for (const [room, log] of saved) {
        logs.set(room, log);
        log.settling = false;
        log.past = undefined;
        if (log.unwritten !== undefined) {
            beginOutage();
        }
    }
}
