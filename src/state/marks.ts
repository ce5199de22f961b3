// Marks on bookmarks, in the store "minimix_bookmarks", for `minimix_bookmark_write`: the last change of a room's
// bookmark. Without the marks, the module would restore bookmarks that the user has removed.
//
// Also the edits of bookmarks that could not be written yet. A reload hands them to the next instance.

import { wallClock } from "./clock";
import { beginOutage, onRetry, type Progress } from "./outage";
import { openRecords, readRecord, writeRecord } from "./records";

/** `us`: the module has created the bookmark. `user`: the user has removed it. `when` is in seconds. */
interface Mark {
    readonly by: "us" | "user";
    readonly when: number;
}

/** Marks by room. `false`: the mark is removed. */
type Marks = Record<string, Mark | false | undefined>;

interface Pending {
    /** Only the changes, without the marks on disk, while these could not be read. */
    marks: Marks;
    isRead: boolean;
}

const MAX_MARKS = 256;

/** Accounts with marks that are not on disk yet. */
let pending = new LuaMap<string, Pending>();

const records = openRecords<Marks>("minimix_bookmarks", content);

function content(username: string): Marks | undefined {
    const marks: Marks = {};
    for (const [room, mark] of pairs(pending.get(username)?.marks ?? {})) {
        marks[room] = mark === false ? undefined : mark;
    }
    forgetOldest(marks);
    return next(marks)[0] === undefined ? undefined : marks;
}

function forgetOldest(marks: Marks): void {
    let count = 0;
    let oldest: string | undefined;
    let since = math.huge;
    for (const [room, mark] of pairs(marks)) {
        count = count + 1;
        if (mark !== false && mark.when < since) {
            oldest = room;
            since = mark.when;
        }
    }
    if (oldest !== undefined && count > MAX_MARKS) {
        marks[oldest] = undefined;
    }
}

/** Returns the marks of an account. Undefined if they cannot be read. */
function marksOf(username: string): Marks | undefined {
    const changes = pending.get(username);
    if (changes?.isRead === true) {
        return changes.marks;
    }
    const [done, stored] = readRecord(records, username);
    if (!done) {
        return undefined;
    }
    const marks = wellFormed(stored);
    if (changes !== undefined) {
        for (const [room, mark] of pairs(changes.marks)) {
            marks[room] = mark;
        }
        changes.marks = marks;
        changes.isRead = true;
    }
    return marks;
}

/** Returns the marks of a record, without malformed ones. */
function wellFormed(stored: unknown): Marks {
    const marks: Marks = {};
    for (const [room, mark] of pairs(typeof stored === "object" ? (stored as Marks) : {})) {
        if (typeof room === "string" && typeof mark === "object" && typeof mark.when === "number") {
            marks[room] = mark;
        }
    }
    return marks;
}

/** Whether the marks of an account can be read. */
export function canReadMarks(username: string): boolean {
    return marksOf(username) !== undefined;
}

/** Returns the origin of the last change of a room's bookmark. Undefined if it is unknown. */
export function markedBy(username: string, room: string): Mark["by"] | undefined {
    const mark = marksOf(username)?.[room];
    return mark === undefined || mark === false ? undefined : mark.by;
}

/** Stores a mark, or removes it. If storage fails, it is written later. */
export function setMark(username: string, room: string, by: Mark["by"] | undefined): void {
    const changes = pending.get(username) ?? { marks: {}, isRead: false };
    changes.marks[room] = by === undefined ? false : { by, when: wallClock() };
    pending.set(username, changes);
    if (!write(username)) {
        beginOutage();
    }
}

/** Returns whether the marks of an account are on disk. */
function write(username: string): boolean {
    if (marksOf(username) === undefined || !writeRecord(records, username)) {
        return false;
    }
    pending.delete(username);
    return true;
}

/** The marks themselves are written with other records. */
onRetry((): Progress => {
    let result: Progress = "done";
    const usernames: string[] = [];
    for (const [username] of pending) {
        usernames.push(username);
    }
    for (const username of usernames) {
        if (!write(username)) {
            result = "failing";
        }
    }
    return result;
});

/** Forgets what is not on disk yet: the account is deleted. */
export function forgetMarks(username: string): void {
    pending.delete(username);
}

/** Data that one instance of the module hands to the next on a reload. */
export type PendingMarks = LuaMap<string, Pending>;

export function pendingMarks(): PendingMarks {
    return pending;
}

export function restoreMarks(saved: PendingMarks): void {
    pending = saved;
    for (const [username] of pending) {
        if (!write(username)) {
            beginOutage();
        }
    }
}

/** An event in a room that its bookmark follows. */
export type Edit = "joined" | "renamed" | "left";

/** Pending edits of a bookmark. */
export interface PendingEdits {
    readonly username: string;
    readonly room: string;
    /** In the order of the events. */
    edits: Edit[];
    /** Seconds to the next attempt, and its time by the monotonic clock. */
    pause: number;
    due: number;
}

/** The accounts with pending edits. */
export type AllEdits = LuaMap<string, AccountEdits>;

export interface AccountEdits {
    /** When the first edit failed, by the monotonic clock. */
    readonly since: number;
    readonly rooms: LuaMap<string, PendingEdits>;
}

export const pendingEdits: AllEdits = new LuaMap();

/** Returns the pending edits of a bookmark. */
export function editsOf(username: string, room: string): PendingEdits | undefined {
    return pendingEdits.get(username)?.rooms.get(room);
}

/** Counts the bookmarks with pending edits. */
export function countEdits(): number {
    let count = 0;
    for (const [, { rooms }] of pendingEdits) {
        for (const [] of rooms) {
            count = count + 1;
        }
    }
    return count;
}

export function restoreEdits(saved: AllEdits): void {
    for (const [username, edits] of saved) {
        pendingEdits.set(username, edits);
    }
}
