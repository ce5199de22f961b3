// The log of each room: its messages, once for all accounts of this host, and the part that each account got. Entries
// are numbered in order of arrival.

import type { Membership } from "./memberships";
import { newestNumber, startOfNumbers } from "./numbers";
import { beginOutage } from "./outage";
import type { Range } from "./ranges";

export interface Entry {
    readonly number: number;
    /** The number of the previous shared entry. Undefined for a private entry. */
    readonly before: number | undefined;
    /** The account of a private entry. */
    readonly privateTo: string | undefined;
    /** Time of the message in seconds. */
    readonly when: number;
    /** Time in the store, in seconds, which never decreases. Until the entry is stored, the time of the message. */
    storedAt: number;
    /** As written by textOf(), without the room's delay. */
    readonly text: string;
    /** Sender and id of the message, once it has been compared with another. False without an id. */
    name?: string | false;
}

/** What most logs lack takes no memory. */
export interface RoomLog {
    readonly room: string;
    /** The number of the last shared entry. */
    last: number;
    /** The latest time in the store, in seconds. Undefined before it has been read. */
    latest?: number | undefined;
    /** The newest entries, oldest first. */
    readonly tail: Entry[];
    /** Size of these entries in bytes. */
    size: number;
    /** Whether entries from before this start of the server have been read. */
    isLoaded?: true | undefined;
    /** Whether `tail` is the complete log. */
    isComplete?: true | undefined;
    /** The last recorded stanza, as the room passed it, and its entry, if it was archived. */
    source?: Stanza | undefined;
    current?: Entry | undefined;
    /** Some entries from before `tail`, while they are needed. */
    window?: EntryWindow | undefined;
    /** Entries that could not be stored yet, oldest first. Undefined without such entries. */
    unwritten?: Entry[] | undefined;
    /** Consecutive retries at which the first of them failed. */
    failures?: number | undefined;
    /** Messages were neither stored nor buffered. */
    gap?: true | undefined;
    /** Accounts in the room, by username. */
    readonly readers: LuaMap<string, Membership>;
}

/** Entries from one time up to, not including, another, in seconds. */
export interface EntryWindow {
    readonly from: number;
    to: number;
    /** Bytes of memory that more entries of these seconds may take. 0 if all have been read. */
    left: number;
    /** The next step reads from this time, and after the message with this id. */
    start: number;
    after: string | undefined;
    /** When the last step was read, by the monotonic clock. */
    readAt: number;
    /** When they are evicted, by the monotonic clock. */
    readonly until: number;
    /** Bytes of the entries. */
    size: number;
    readonly entries: Entry[];
    /** Entries with an id of the room, by id; and those without. */
    readonly ids: LuaMap<string, Entry>;
    readonly others: Entry[];
}

/** The part of a room's log for an account in the room, or with a pending join. */
export interface Part {
    readonly log: RoomLog;
    /** The open range. False after a missed message, undefined before the room has admitted the account. */
    range: Range | false | undefined;
    /** The number of the last entry that the account got, or of the last one when the part began. */
    position: number;
}

/** Number of entries of a room in memory: enough for the history of an ordinary join. */
export const TAIL = 50;

/** Memory limit of these entries, in bytes. */
export const TAIL_SIZE = 262144;

export const logs = new LuaMap<string, RoomLog>();

/** The highest number in dropped logs. A new log of the same room does not know these entries. */
let dropped = 0;

export function logOf(room: string): RoomLog {
    let log = logs.get(room);
    if (log === undefined) {
        log = {
            room,
            last: Math.max(startOfNumbers(), dropped),
            tail: [],
            size: 0,
            readers: new LuaMap(),
        };
        logs.set(room, log);
        opened?.add(room);
    }
    return log;
}

let opened: LuaSet<string> | undefined;

/** Returns a set that gets the rooms whose logs are opened, until unwatchLogs(). */
export function watchLogs(): LuaSet<string> {
    opened = new LuaSet();
    return opened;
}

export function unwatchLogs(): void {
    opened = undefined;
}

/** Frees the memory of a log without readers, once all entries are stored. */
export function dropUnread(log: RoomLog): void {
    if (next(log.readers)[0] !== undefined || log.unwritten !== undefined) {
        return;
    }
    logs.delete(log.room);
    dropped = Math.max(dropped, log.last);
}

export function addToTail(log: RoomLog, entry: Entry): void {
    log.tail.push(entry);
    log.size = log.size + string.len(entry.text);
    while (log.tail.length > TAIL || (log.size > TAIL_SIZE && log.tail.length > 1)) {
        const oldest = table.remove<Entry>(log.tail, 1);
        log.size = log.size - string.len(oldest?.text ?? "");
        // Entries that were evicted must not be added again.
        log.isLoaded = true;
        log.isComplete = undefined;
    }
}

/** Adds entries from before this start before the newer ones. `isComplete`: there are no others. */
export function fillTail(log: RoomLog, entries: Entry[], isComplete: boolean): void {
    log.isLoaded = true;
    log.isComplete = isComplete ? true : undefined;
    for (const i of $range(entries.length, 1, -1)) {
        const entry = entries[i - 1];
        if (entry !== undefined) {
            if (log.tail.length >= TAIL || log.size + string.len(entry.text) > TAIL_SIZE) {
                log.isComplete = undefined;
                return;
            }
            table.insert(log.tail, 1, entry);
            log.size = log.size + string.len(entry.text);
        }
    }
}

/** Takes over the logs of the previous instance of the module. */
export function restoreLogs(saved: LuaMap<string, RoomLog>): void {
    // The numbers that the previous instance has dropped are unknown.
    dropped = newestNumber();
    for (const [room, log] of saved) {
        logs.set(room, log);
        log.window = undefined;
        if (log.unwritten !== undefined) {
            beginOutage();
        }
    }
}
