// What an account may read of a room's log.

import type { Archive } from "./page";
import { readPage } from "./page";
import { fill, keyOf, parseLabel, stanzaOf, store } from "./entries";
import { isFor, positionOf } from "./delivered";
import { hasPersonalArchive, readRoom } from "./personal";
import { expiryTime } from "./retention";
import * as options from "../options";
import { allRangesOf, rangesOf } from "../state/deliveries";
import { findMembership, type Membership, occupantJid } from "../state/memberships";
import { includes } from "../state/ranges";

/** What an account got of a room's log, left rooms included. Nothing if it never was in the room, or storage failed. */
export function archiveOf(username: string, room: string): LuaMultiReturn<[ok: boolean, archive: Archive | undefined]> {
    const rooms = allRangesOf(username);
    if (rooms === undefined) {
        return $multi(false, undefined);
    }
    const ranges = rooms.get(room) ?? [];
    const part = findMembership(occupantJid(username), room)?.part;
    if (!rooms.has(room) && part === undefined) {
        return $multi(true, undefined);
    }
    const position = positionOf(part);
    const archive: Archive = {
        store,
        key: keyOf(room),
        label: undefined,
        holds: (label) => {
            const [number, owner] = parseLabel(label);
            return owner === undefined ? includes(ranges, position, number) : owner === username;
        },
    };
    return $multi(true, archive);
}

/** Rooms of whose log an account got something, the ones it has left included; undefined if storage failed. */
export function roomsRead(username: string): string[] | undefined {
    const ranges = allRangesOf(username);
    if (ranges === undefined) {
        return undefined;
    }
    const rooms: string[] = [];
    for (const [room] of ranges) {
        rooms.push(room);
    }
    table.sort(rooms);
    return rooms;
}

/** Something an account was told. */
export interface Said {
    /** In seconds. */
    readonly when: number;
    readonly stanza: Stanza;
}

type Visit = (this: void, said: Said) => boolean;

/**
 * What an account was told last in its room, newest first: so many messages, none from before `since`, in seconds, and only
 * entries with a number higher than `after`. `visit` returns true to end it. Reads from disk only what is not in memory; whether that was possible.
 */
export function readBack(
    membership: Membership,
    most: number,
    since: number,
    visit: Visit,
    after = -math.huge,
): boolean {
    if (options.archive === "mam") {
        return visitBack(readRoom(membership, most, since), visit);
    }
    const log = membership.log;
    const part = membership.part;
    const username = membership.username;
    if (log === undefined || part === undefined) {
        return true;
    }
    const [ranges, isKnown] = rangesOf(username, membership.room);
    // Without what was before this start of the server, what is in memory will do for a history.
    const isFilled = fill(log) && isKnown;
    // Disk is cleared now and then only.
    const earliest = Math.max(since, expiryTime());
    let left = most;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry !== undefined && isFor(username, ranges, part.position, entry)) {
            if (left === 0 || entry.when < earliest || entry.number <= after) {
                return true;
            }
            const stanza = stanzaOf(entry);
            if (stanza !== undefined && visit({ when: entry.when, stanza })) {
                return true;
            }
            left = left - 1;
        }
    }
    const oldest = log.recent[0];
    if (!isFilled || oldest === undefined || log.whole || left === 0 || oldest.number <= after) {
        return isFilled;
    }
    const [done, archive] = archiveOf(username, membership.room);
    if (!done || archive === undefined) {
        return false;
    }
    const isWanted = (number: number) => number < oldest.number && number > after;
    return visitBack(readBefore(archive, isWanted, left, earliest), visit);
}

/** The last entries with certain numbers. */
function readBefore(
    archive: Archive,
    isWanted: (this: void, number: number) => boolean,
    most: number,
    since: number,
): Said[] | undefined {
    const earlier: Archive = {
        store,
        key: archive.key,
        label: undefined,
        holds: (label) => isWanted(parseLabel(label)[0]) && archive.holds(label),
    };
    const query = { wants: () => true, start: since, reverse: true, max: most };
    const [done, page] = readPage([earlier], query);
    return done ? (page?.items ?? []) : undefined;
}

function visitBack(messages: Said[] | undefined, visit: Visit): boolean {
    if (messages === undefined) {
        return false;
    }
    for (const i of $range(messages.length, 1, -1)) {
        const message = messages[i - 1];
        if (message !== undefined && visit(message)) {
            return true;
        }
    }
    return true;
}

/** What an account was told last in its room, since it came there; whether it could be read. */
export function newestOf(membership: Membership): LuaMultiReturn<[ok: boolean, newest: Said | undefined]> {
    let newest: Said | undefined;
    const take = (said: Said) => {
        newest = said;
        return true;
    };
    const after = options.archive === true ? membership.sinceNumber : undefined;
    const done = readBack(membership, 1, after === undefined ? (membership.since ?? 0) : 0, take, after);
    return $multi(done, newest);
}

/** Whether what the account misses in its room can be made up for. */
export function isKept(membership: Membership): boolean {
    return options.archive === "mam" ? hasPersonalArchive() : membership.part !== undefined;
}
