// Ranges of room logs that each account got, also of rooms that it has left. In memory and in the store minimix_parts,
// with one record per account.

import * as options from "../options";
import { monotonic } from "./clock";
import { membersOf } from "./keys";
import { findAccount } from "./memberships";
import { endOfStart, startOfNumbers } from "./numbers";
import { beginOutage, onRetry, type Progress } from "./outage";
import { pack, type Ranges, unpack } from "./ranges";
import { listRecords, openRecords, readRecord, writeRecord } from "./records";

/** Stored ranges by room. */
type Packed = Record<string, number[] | undefined>;

interface Deliveries {
    /** Without the ranges on disk while these could not be read. */
    rooms: LuaMap<string, Ranges>;
    isRead: boolean;
}

/** Accounts in a room, or with a record to write. */
let known = new LuaMap<string, Deliveries>();

const records = openRecords<Packed>("minimix_parts", content);

function content(username: string): Packed | undefined {
    const deliveries = known.get(username);
    if (deliveries === undefined) {
        return undefined;
    }
    const packed: Packed = {};
    for (const [room, ranges] of deliveries.rooms) {
        if (ranges.length > 0) {
            packed[room] = pack(ranges, startOfNumbers());
        }
    }
    return next(packed)[0] === undefined ? undefined : packed;
}

/** Returns the ranges of an account in a room for new messages, and whether they include those on disk. */
export function rangesOf(username: string, room: string): LuaMultiReturn<[Ranges, boolean]> {
    const deliveries = deliveriesOf(username);
    let ranges = deliveries.rooms.get(room);
    if (ranges === undefined) {
        ranges = [];
        deliveries.rooms.set(room, ranges);
    }
    return $multi(ranges, deliveries.isRead);
}

function deliveriesOf(username: string): Deliveries {
    let deliveries = known.get(username);
    if (deliveries === undefined) {
        const rooms = read(username);
        deliveries = { rooms: rooms ?? new LuaMap(), isRead: rooms !== undefined };
        known.set(username, deliveries);
    }
    return deliveries;
}

/** Reads the ranges on disk. Undefined if they could not be read. */
function read(username: string): LuaMap<string, Ranges> | undefined {
    const rooms = new LuaMap<string, Ranges>();
    if (options.anonymous) {
        return rooms;
    }
    const [done, packed] = readRecord(records, username);
    if (!done) {
        return undefined;
    }
    if (packed !== undefined && typeof packed !== "object") {
        module.log("warn", "Ignoring the archive of %s: malformed record in minimix_parts", username);
        return rooms;
    }
    for (const [room, stored] of pairs(packed ?? {})) {
        const ranges = typeof room === "string" ? unpack(stored, endOfStart) : undefined;
        if (ranges === undefined) {
            module.log("warn", "Ignoring the archive of %s in %s: malformed record in minimix_parts", username, room);
        } else {
            rooms.set(room, ranges);
        }
    }
    return rooms;
}

/** Returns all ranges of an account by room, read-only. Undefined if they could not be read. */
export function allRangesOf(username: string): LuaMap<string, Ranges> | undefined {
    const deliveries = known.get(username);
    if (deliveries === undefined) {
        return read(username);
    }
    return complete(username, deliveries) ? deliveries.rooms : undefined;
}

/**
 * Reads a record that could not be read before, and appends the newer ranges. Returns whether the ranges are complete.
 */
function complete(username: string, deliveries: Deliveries): boolean {
    if (deliveries.isRead) {
        return true;
    }
    const rooms = read(username);
    if (rooms === undefined) {
        return false;
    }
    for (const [room, since] of deliveries.rooms) {
        const before = rooms.get(room);
        if (before === undefined) {
            rooms.set(room, since);
        } else {
            for (const i of $range(before.length, 1, -1)) {
                const range = before[i - 1];
                if (range !== undefined) {
                    table.insert(since, 1, range);
                }
            }
            rooms.set(room, since);
        }
    }
    deliveries.rooms = rooms;
    deliveries.isRead = true;
    return true;
}

/** Accounts with a record to write, or that could not be read. */
const changed = new LuaSet<string>();

/** Marks an account's record for saveChanged(). */
export function markChanged(username: string): void {
    changed.add(username);
}

/** Writes an account's record, or marks it for after it has been read. */
export function saveDeliveries(username: string): void {
    const deliveries = known.get(username);
    if (deliveries === undefined || options.anonymous) {
        changed.delete(username);
        return;
    }
    if (!complete(username, deliveries)) {
        changed.add(username);
        beginOutage();
        return;
    }
    changed.delete(username);
    writeRecord(records, username);
}

/** Accounts that have left a room, maybe their last one. */
const released = new LuaSet<string>();

/** Frees the memory of an account soon, if it is in no room then. */
export function releaseDeliveries(username: string): void {
    released.add(username);
}

function forgetUnused(username: string): void {
    const isNeeded = findAccount(username) !== undefined || changed.has(username) || records.dirty.has(username);
    if (!isNeeded) {
        known.delete(username);
    }
}

/** Writes the records of all marked accounts. */
export function saveChanged(): undefined {
    writeChanged(math.huge);
}

function writeChanged(deadline: number): Progress {
    for (const username of membersOf(changed)) {
        if (monotonic() > deadline) {
            return "more";
        }
        saveDeliveries(username);
    }
    for (const username of released) {
        released.delete(username);
        forgetUnused(username);
    }
    return next(changed)[0] === undefined ? "done" : "failing";
}

onRetry(writeChanged);

/** Deletes the record of an account. */
export function forgetDeliveries(username: string): void {
    known.delete(username);
    changed.delete(username);
    if (!options.anonymous) {
        writeRecord(records, username);
    }
}

/** Returns the accounts with a record. Undefined if storage failed. */
export function usersWithDeliveries(): string[] | undefined {
    return listRecords(records);
}

/** Edits the ranges of an account, and writes them if `edit` says so. Returns whether they could be read and written. */
export function editDeliveries(
    username: string,
    edit: (this: void, rooms: LuaMap<string, Ranges>) => boolean,
): boolean {
    const deliveries = deliveriesOf(username);
    if (!complete(username, deliveries)) {
        return false;
    }
    if (edit(deliveries.rooms)) {
        saveDeliveries(username);
    }
    forgetUnused(username);
    return !records.dirty.has(username);
}

/** Data that one instance of the module hands to the next on a reload. */
export type Known = LuaMap<string, Deliveries>;

export function deliveries(): Known {
    return known;
}

export function restoreDeliveries(saved: Known): void {
    known = saved;
    for (const [username, account] of known) {
        if (!account.isRead) {
            changed.add(username);
            beginOutage();
        }
    }
}

/** The deletion of an account's private entries. */
export interface Deletion {
    readonly username: string;
    /** Rooms that are left. Undefined while the account's record cannot be read. */
    rooms: string[] | undefined;
    /** The number of the last entry before the deletion. A later account of the same name may have others. */
    readonly last: number;
}

export type Deletions = LuaSet<Deletion>;

/** Deletions that are not finished. */
export const deletions: Deletions = new LuaSet();

export function restoreDeletions(saved: Deletions): void {
    for (const deletion of saved) {
        deletions.add(deletion);
        beginOutage();
    }
}
