// The log of each room: what was said there, once for all accounts of this host, and which part of it each account got.
// Entries are numbered in the order they came.

import type { Membership } from "./memberships";
import { newestNumber, startOfNumbers } from "./numbers";

export interface Entry {
    readonly number: number;
    /** The number of the entry before that is for all; undefined for an entry of one account alone. */
    readonly before: number | undefined;
    /** The one account that was shown this. */
    readonly owner: string | undefined;
    /** The id under which it is stored. */
    readonly id: string;
    /** When it was said, in seconds. */
    readonly when: number;
    /** As the room sent it, but for \`to\` and the delay by which a room marks what is past. */
    readonly stanza: Stanza;
    /** About the bytes of memory it occupies. */
    readonly size: number;
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
    /** Accounts that are in the room, by user name. */
    readonly readers: LuaMap<string, Membership>;
    /** Whether the accounts that have not got the last entry will be looked for. */
    settling: boolean;
}

/** Entries from one time up to, but not including, another, in seconds. */
export interface Past {
    readonly from: number;
    to: number;
    /** How often other entries were read because they were older. */
    readonly stepsBack: number;
    /** When they are not held any more, in seconds. */
    readonly until: number;
    /** About the bytes of memory of the entries. */
    weight: number;
    readonly entries: Entry[];
    /** Those that the room gave an id, by that; and those without. */
    readonly ids: LuaMap<string, Entry>;
    readonly others: Entry[];
}

/** What an account got of a room's log, as far as it is not on disk. */
export interface Part {
    /** The account gets what comes: its last range is open. */
    open: boolean;
    /** The number of the last entry it got, or of the last there was when it came. */
    position: number;
}

/** Ranges of numbers, first and last of each, oldest first; a last one of 0 is open. */
export type Ranges = number[];

export const OPEN = 0;

/** Entries of a room held in memory: what is replayed to a client that asks for nothing special, and then some. */
export const RECENT = 50;

/** Bytes of memory of them. */
const RECENT_SIZE = 524288;

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
            readers: new LuaMap(),
            settling: false,
        };
        logs.set(room, log);
    }
    return log;
}

/** Frees the memory of a log that no account of this host reads any more. */
export function dropLog(log: RoomLog): void {
    logs.delete(log.room);
    dropped = Math.max(dropped, log.last);
}

export function addRecent(log: RoomLog, entry: Entry): void {
    log.recent.push(entry);
    log.size = log.size + entry.size;
    while (log.recent.length > RECENT || (log.size > RECENT_SIZE && log.recent.length > 1)) {
        const oldest = table.remove<Entry>(log.recent, 1);
        log.size = log.size - (oldest === undefined ? 0 : oldest.size);
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
            if (log.recent.length >= RECENT || log.size + entry.size > RECENT_SIZE) {
                log.whole = false;
                return;
            }
            table.insert(log.recent, 1, entry);
            log.size = log.size + entry.size;
        }
    }
}

/** Takes over a log from the instance of the module before a reload. */
export function restoreLog(log: RoomLog): void {
    logs.set(log.room, log);
    // What the instance before has dropped is not known here.
    dropped = newestNumber();
    log.settling = false;
    log.past = undefined;
}
