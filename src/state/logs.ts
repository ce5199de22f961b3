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
    readonly owner: string | undefined;
    /** Time of the message in seconds. */
    readonly when: number;
    /** As written by textOf(), without the room's delay. */
    readonly text: string;
}

export interface RoomLog {
    readonly room: string;
    /** The number of the last shared entry. */
    last: number;
    /** The newest entries, oldest first. */
    readonly recent: Entry[];
    /** Size of these entries in bytes. */
    size: number;
    /** Whether entries from before this start of the server have been read. */
    filled: boolean;
    /** Whether `recent` is the complete log. */
    whole: boolean;
    /** The last recorded stanza, as the room passed it, and its entry, if it was archived. */
    source: Stanza | undefined;
    current: Entry | undefined;
    /** Some entries from before `recent`, while they are needed. */
    past: Past | undefined;
    /** Entries that could not be stored yet, oldest first. Undefined without such entries. */
    unwritten: Entry[] | undefined;
    /** Consecutive retries in which only the first of them failed. */
    failures: number | undefined;
    /** Messages were neither stored nor buffered. */
    gap: true | undefined;
    /** Accounts in the room, by username. */
    readonly readers: LuaMap<string, Membership>;
    /** Whether a search for accounts without the last entry is scheduled. */
    settling: boolean;
}

/** Entries from one time up to, not including, another, in seconds. */
export interface Past {
    readonly from: number;
    to: number;
    /** Number of times that other entries were read because they were older. */
    readonly stepsBack: number;
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
export const RECENT = 50;

/** Memory limit of these entries, in bytes. */
const RECENT_SIZE = 524288;

export const logs = new LuaMap<string, RoomLog>();

/** The highest number in dropped logs. A new log of the same room does not know these entries. */
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

/** Frees the memory of a log without readers, once all entries are stored. */
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
        // Entries that were evicted must not be added again.
        log.filled = true;
        log.whole = false;
    }
}

/** Adds entries from before this start before the newer ones. `whole`: there are no others. */
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

/** Takes over the logs of the previous instance of the module. */
export function restoreLogs(saved: LuaMap<string, RoomLog>): void {
    // The numbers that the previous instance has dropped are unknown.
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
