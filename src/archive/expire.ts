// What is deleted: messages that have passed their time, those that no account has a part of, and a deleted user's own.

import { keyOf, parseLabel, store } from "./entries";
import { saveDelivered } from "./delivered";
import { type Archive, readPage } from "./page";
import { roomsRead } from "./read";
import { expiryTime, noteRunning } from "./retention";
import { editDeliveries, forgetDeliveries, usersWithDeliveries } from "../state/deliveries";
import { accounts, findMembership, occupantJid } from "../state/memberships";
import { deleteMessages, findMessages, listMessages } from "../state/messages";
import { forgetStarts } from "../state/numbers";
import { prune, type Ranges } from "../state/ranges";

/** Deletes what has passed its time; and the logs of rooms of which no account has a part any more. */
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
 * Forgets what an account got of messages that are deleted, and notes the logs that it has a part of. `oldest` holds the
 * number of each room's first entry. Whether the account's record could be read; it is written without references to
 * earlier starts of the server.
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

/** The number of a room's first entry; 0 if it is not known. */
function oldestOf(room: string): number {
    const found = findMessages(store, keyOf(room), { limit: 1 });
    if (found === undefined) {
        return 0;
    }
    return found[0] === undefined ? math.huge : parseLabel(found[0].label)[0];
}

/** Deletes what was for one account alone. Its record goes with the rest of its data (core/usermanager.lua, delete_user). */
export function deleteOwn(username: string): void {
    for (const room of roomsRead(username) ?? []) {
        const key = keyOf(room);
        const own: Archive = { store, key, label: undefined, holds: (label) => parseLabel(label)[1] === username };
        const [, page] = readPage([own], { wants: () => true, reverse: false, max: math.huge });
        for (const item of page?.items ?? []) {
            deleteMessages(store, key, { key: item.id });
        }
    }
    forgetDeliveries(username);
}
