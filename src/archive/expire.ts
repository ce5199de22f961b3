// Deletes expired messages, messages that no account has in its ranges, and the private entries of a deleted user.

import { keyOf, parseLabel, store } from "./entries";
import { saveDelivered } from "./delivered";
import type { Archive, Item } from "./cursor";
import { startReading } from "./page";
import { roomsRead } from "./read";
import { expiryTime, noteRunning } from "./retention";
import { type Deletion, deletions, editDeliveries, forgetDeliveries, usersWithDeliveries } from "../state/deliveries";
import { forEachInSlices, inSlices, type Step } from "../slices";
import { membersOf } from "../state/keys";
import { unwatchLogs, watchLogs } from "../state/logs";
import { accounts, findMembership, occupantJid } from "../state/memberships";
import { deleteMessages, findMessages, listMessages } from "../state/messages";
import { forgetStarts, hasEarlierStarts, newestNumber } from "../state/numbers";
import { beginOutage, onRecovery, onRetry } from "../state/outage";
import { prune, type Ranges } from "../state/ranges";

/** The state of an expiry, which runs in slices. */
interface Expiry {
    /** Keys of all logs when it began. */
    readonly keys: string[];
    /** Keys of logs that accounts use. */
    readonly wanted: LuaSet<string>;
    /** The number of each room's first entry. */
    readonly oldest: LuaMap<string, number>;
    /** Whether all records could be read. */
    isComplete: boolean;
}

/** Whether the last expiry was incomplete because storage failed, and whether it still runs. */
let isIncomplete = false;
let isRunning = false;

/** A deletion of the last expiry that failed. */
interface Failed {
    readonly key: string;
    /** Undefined if the log is unused. */
    readonly query: ArchiveQuery | undefined;
    /** Rooms whose logs were opened since. */
    readonly opened: LuaSet<string>;
}

let failed: Failed | undefined;

/** Deletes expired messages, and the logs of rooms that no account has ranges for. If storage fails, repeats it later. */
export function expire(): void {
    saveDelivered();
    const usernames = usersWithDeliveries();
    const keys = listMessages(store);
    isIncomplete = usernames === undefined || keys === undefined;
    if (usernames === undefined || keys === undefined) {
        return;
    }
    isRunning = true;
    failed = undefined;
    noteRunning();
    const before = expiryTime();
    const expiry: Expiry = { keys, wanted: new LuaSet(), oldest: new LuaMap(), isComplete: true };
    const opened = watchLogs();
    const pruneAll = () => {
        forEachInSlices(
            usernames,
            (username) => {
                expiry.isComplete = pruneAccount(username, expiry.oldest, expiry.wanted) && expiry.isComplete;
            },
            () => {
                deleteUnused(expiry, opened);
            },
        );
    };
    forEachInSlices(
        before > 0 ? keys : [],
        (key) => {
            remove(key, { end: before }, opened);
        },
        pruneAll,
    );
}

/** Deletes logs that no account uses. `opened` are rooms whose logs were opened since the expiry began. */
function deleteUnused({ keys, wanted, isComplete }: Expiry, opened: LuaSet<string>): void {
    if (!isComplete) {
        isIncomplete = true;
        finish();
        return;
    }
    forgetStarts();
    for (const [, account] of accounts) {
        for (const [room] of account.memberships) {
            wanted.add(keyOf(room));
        }
    }
    const deleteIfUnused = (key: string) => {
        for (const room of opened) {
            opened.delete(room);
            wanted.add(keyOf(room));
        }
        if (!wanted.has(key)) {
            remove(key, undefined, opened);
        }
    };
    forEachInSlices(keys, deleteIfUnused, finish);
}

function remove(key: string, query: ArchiveQuery | undefined, opened: LuaSet<string>): void {
    if (!deleteMessages(store, key, query)) {
        failed = { key, query, opened };
        isIncomplete = true;
    }
}

function finish(): void {
    isRunning = false;
    if (failed === undefined) {
        unwatchLogs();
    }
}

/** Whether a deletion has succeeded, or its log is in use again. */
function isDone({ key, query, opened }: Failed): boolean {
    for (const room of opened) {
        if (query === undefined && keyOf(room) === key) {
            return true;
        }
    }
    return deleteMessages(store, key, query);
}

/** The outage lasts until a failed deletion succeeds. Then the whole expiry is repeated. */
onRetry(() => {
    if (isRunning && isIncomplete) {
        return "failing";
    }
    failed = failed === undefined || isDone(failed) ? undefined : failed;
    return failed === undefined ? "done" : "failing";
});

onRecovery(() => {
    if (isIncomplete) {
        expire();
    }
});

/**
 * Removes deleted messages from an account's ranges, and collects the logs that it still uses. `oldest` has the number
 * of each room's first entry. Returns whether the account's record could be read and written. Once after a start of the
 * server it is written without references to earlier starts.
 */
function pruneAccount(username: string, oldest: LuaMap<string, number>, wanted: LuaSet<string>): boolean {
    return editDeliveries(username, (rooms) => {
        const names: string[] = [];
        for (const [room] of rooms) {
            names.push(room);
        }
        let changed = hasEarlierStarts();
        for (const room of names) {
            const ranges = rooms.get(room) ?? [];
            changed = pruneRoom(room, ranges, oldest) || changed;
            if (ranges.length === 0 && findMembership(occupantJid(username), room)?.part === undefined) {
                rooms.delete(room);
                changed = true;
            } else {
                wanted.add(keyOf(room));
            }
        }
        return changed;
    });
}

function pruneRoom(room: string, ranges: Ranges, oldest: LuaMap<string, number>): boolean {
    let least = oldest.get(room);
    if (least === undefined) {
        least = oldestOf(room);
        oldest.set(room, least);
    }
    return prune(ranges, least);
}

/** Returns the number of a room's first entry, or 0 if it is unknown. */
function oldestOf(room: string): number {
    const found = findMessages(store, keyOf(room), { limit: 1 });
    if (found === undefined) {
        return 0;
    }
    return found[0] === undefined ? math.huge : parseLabel(found[0].label)[0];
}

/** Deletions that run in slices. */
const running = new LuaSet<Deletion>();

/** Deletes the record of an account, and its private entries in slices. If storage fails, continues later. */
export function deleteOwn(username: string): void {
    const deletion: Deletion = { username, rooms: undefined, last: newestNumber() };
    deletions.add(deletion);
    startDeletion(deletion);
}

function startDeletion(deletion: Deletion): void {
    if (deletion.rooms === undefined) {
        // The record names the rooms with private entries.
        deletion.rooms = roomsRead(deletion.username);
        if (deletion.rooms === undefined) {
            beginOutage();
            return;
        }
        forgetDeliveries(deletion.username);
    }
    running.add(deletion);
    deletePrivate(deletion, deletion.rooms);
}

onRetry(() => {
    for (const deletion of membersOf(deletions)) {
        if (!running.has(deletion)) {
            startDeletion(deletion);
        }
    }
    return next(deletions)[0] === undefined ? "done" : "failing";
});

function deletePrivate(deletion: Deletion, rooms: string[]): void {
    let current: Cleaning | undefined;
    inSlices(() => {
        const room = rooms[rooms.length - 1];
        if (room === undefined) {
            running.delete(deletion);
            deletions.delete(deletion);
            return true;
        }
        current ??= startCleaning(deletion, keyOf(room));
        if (current.step()) {
            current = undefined;
            rooms.pop();
        } else if (current.failed) {
            running.delete(deletion);
            beginOutage();
            return true;
        }
        return false;
    });
}

/** The deletion of an account's private entries in a log. */
interface Cleaning {
    readonly step: Step;
    /** Storage failed. */
    failed: boolean;
}

function startCleaning({ username, last }: Deletion, key: string): Cleaning {
    const own: Archive = {
        store,
        key,
        label: undefined,
        isOrdered: true,
        mayRead: (label) => {
            const [number, privateTo] = parseLabel(label);
            return privateTo === username && number <= last;
        },
    };
    const read = () => startReading([own], { wants: () => true, reverse: false, max: math.huge });
    let reading = read();
    let items: Item[] = [];
    let isComplete = false;
    const step = () => {
        const item = items.pop();
        if (item !== undefined) {
            cleaning.failed = !deleteMessages(store, key, { key: item.id });
            return false;
        }
        if (isComplete) {
            return true;
        }
        if (reading.step()) {
            cleaning.failed = reading.failed;
            items = reading.page?.items ?? [];
            isComplete = items.length === 0 || reading.page?.complete === true;
            reading = read();
        }
        return false;
    };
    const cleaning: Cleaning = { step, failed: false };
    return cleaning;
}
