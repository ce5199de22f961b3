// Deletes expired messages, messages that no account has in its ranges, and the private entries of a deleted user.

import { keyOf, parseLabel, store } from "./entries";
import { saveDelivered } from "./delivered";
import type { Archive } from "./cursor";
import { readPage } from "./page";
import { roomsRead } from "./read";
import { expiryTime, noteRunning } from "./retention";
import { editDeliveries, forgetDeliveries, usersWithDeliveries } from "../state/deliveries";
import { accounts, findMembership, occupantJid } from "../state/memberships";
import { deleteMessages, findMessages, listMessages } from "../state/messages";
import { forgetStarts } from "../state/numbers";
import { prune, type Ranges } from "../state/ranges";

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
    if (before > 0) {
        for (const key of keys) {
            deleteMessages(store, key, { end: before });
        }
    }
    const wanted = new LuaSet<string>();
    const oldest = new LuaMap<string, number>();
    let isComplete = true;
    for (const username of usernames) {
        isComplete = pruneAccount(username, oldest, wanted) && isComplete;
    }
    if (!isComplete) {
        return;
    }
    forgetStarts();
    for (const [, account] of accounts) {
        for (const [room] of account.memberships) {
            wanted.add(keyOf(room));
        }
    }
    for (const key of keys) {
        if (!wanted.has(key)) {
            deleteMessages(store, key);
        }
    }
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

/** Deletes the private entries and the record of an account. */
export function deleteOwn(username: string): void {
    for (const room of roomsRead(username) ?? []) {
        const key = keyOf(room);
        const own: Archive = { store, key, label: undefined, mayRead: (label) => parseLabel(label)[1] === username };
        let page = readPage([own], { wants: () => true, reverse: false, max: math.huge });
        while (page?.items[0] !== undefined) {
            for (const item of page.items) {
                deleteMessages(store, key, { key: item.id });
            }
            page = page.complete ? undefined : readPage([own], { wants: () => true, reverse: false, max: math.huge });
        }
    }
    forgetDeliveries(username);
}
