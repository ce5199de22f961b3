// Deletes expired messages, messages that no account has in its ranges, and the private entries of a deleted user.

import { keyOf, parseLabel, store } from "./entries";
import { saveDelivered } from "./delivered";
import type { Archive, Item } from "./cursor";
import { startReading } from "./page";
import { roomsRead } from "./read";
import { expiryTime, noteRunning } from "./retention";
import { editDeliveries, forgetDeliveries, usersWithDeliveries } from "../state/deliveries";
import { forEachInSlices, inSlices, type Step } from "../slices";
import { membersOf } from "../state/keys";
import { unwatchLogs, watchLogs } from "../state/logs";
import { accounts, findMembership, occupantJid } from "../state/memberships";
import { deleteMessages, findMessages, listMessages } from "../state/messages";
import { forgetStarts } from "../state/numbers";
import { beginOutage, onRetry } from "../state/outage";
import { prune, type Ranges } from "../state/ranges";

/** Seconds between attempts to delete. */
const PAUSE = 10;

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

/** Deletes expired messages, and the logs of rooms that no account has ranges for. */
export function expire(): void {
    saveDelivered();
    const usernames = usersWithDeliveries();
    const keys = listMessages(store);
    if (usernames === undefined || keys === undefined) {
        return;
    }
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
            deleteMessages(store, key, { end: before });
        },
        pruneAll,
    );
}

/** Deletes logs that no account uses. `opened` are rooms whose logs were opened since the expiry began. */
function deleteUnused({ keys, wanted, isComplete }: Expiry, opened: LuaSet<string>): void {
    if (!isComplete) {
        unwatchLogs();
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
            deleteMessages(store, key);
        }
    };
    forEachInSlices(keys, deleteIfUnused, unwatchLogs);
}

/**
 * Removes deleted messages from an account's ranges, and collects the logs that it still uses. `oldest` has the number
 * of each room's first entry. Returns whether the account's record could be read. The record is written without
 * references to earlier starts of the server.
 */
function pruneAccount(username: string, oldest: LuaMap<string, number>, wanted: LuaSet<string>): boolean {
    return editDeliveries(username, (rooms) => {
        const names: string[] = [];
        for (const [room] of rooms) {
            names.push(room);
        }
        let changed = false;
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

/** Accounts to delete when their records can be read. These name the rooms with private entries. */
const unread = new LuaSet<string>();

/** Deletes the record of an account, and its private entries in slices. */
export function deleteOwn(username: string): void {
    const rooms = roomsRead(username);
    if (rooms === undefined) {
        unread.add(username);
        beginOutage();
        return;
    }
    forgetDeliveries(username);
    deletePrivate(username, rooms);
}

onRetry(() => {
    for (const username of membersOf(unread)) {
        unread.delete(username);
        deleteOwn(username);
    }
    return next(unread)[0] === undefined ? "done" : "failing";
});

/** Deletes the private entries of an account in some rooms. Continues after a pause if storage fails. */
function deletePrivate(username: string, rooms: string[]): void {
    let deletion: Deletion | undefined;
    inSlices(() => {
        const room = rooms[rooms.length - 1];
        if (room === undefined) {
            return true;
        }
        deletion ??= startDeleting(username, keyOf(room));
        if (deletion.step()) {
            deletion = undefined;
            rooms.pop();
        } else if (deletion.failed) {
            module.add_timer(PAUSE, () => {
                deletePrivate(username, rooms);
                return undefined;
            });
            return true;
        }
        return false;
    });
}

/** The deletion of an account's private entries in a log. */
interface Deletion {
    readonly step: Step;
    /** Storage failed. */
    failed: boolean;
}

function startDeleting(username: string, key: string): Deletion {
    const own: Archive = {
        store,
        key,
        label: undefined,
        isOrdered: true,
        mayRead: (label) => parseLabel(label)[1] === username,
    };
    const read = () => startReading([own], { wants: () => true, reverse: false, max: math.huge });
    let reading = read();
    let items: Item[] = [];
    let isComplete = false;
    const step = () => {
        const item = items.pop();
        if (item !== undefined) {
            deletion.failed = !deleteMessages(store, key, { key: item.id });
            return false;
        }
        if (isComplete) {
            return true;
        }
        if (reading.step()) {
            deletion.failed = reading.failed;
            items = reading.page?.items ?? [];
            isComplete = items.length === 0 || reading.page?.complete === true;
            reading = read();
        }
        return false;
    };
    const deletion: Deletion = { step, failed: false };
    return deletion;
}
