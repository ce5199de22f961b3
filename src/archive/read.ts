// Reads the messages that an account got of a room's log.

import type { Archive, Item } from "./cursor";
import { type Reading, startReading } from "./page";
import { loadTail, keyOf, parseLabel, stanzaOf, store, timeOf } from "./entries";
import { isFor, positionOf } from "./delivered";
import { hasPersonalArchive, startReadingRoom } from "./personal";
import { expiryTime } from "./retention";
import * as options from "../options";
import { allRangesOf, rangesOf } from "../state/deliveries";
import { messageOf } from "../state/messages";
import { findMembership, type Membership, occupantJid } from "../state/memberships";
import type { Ranges } from "../state/ranges";
import type { Step } from "../slices";

/**
 * Returns the part of a room's log that an account got, also after it left. Undefined if it never was in the room, or
 * storage failed.
 */
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
        isOrdered: true,
        timeOf,
        mayRead: (label) => {
            const [number, privateTo] = parseLabel(label);
            return isFor(username, ranges, position, number, privateTo);
        },
    };
    return $multi(true, archive);
}

/**
 * Returns the rooms with messages for an account, also those that it has left. The room with the latest message comes
 * first. Undefined if storage failed.
 */
export function roomsRead(username: string): string[] | undefined {
    const ranges = allRangesOf(username);
    if (ranges === undefined) {
        return undefined;
    }
    const rooms: string[] = [];
    for (const [room] of ranges) {
        rooms.push(room);
    }
    table.sort(rooms, (one, other) => {
        const last = lastOf(ranges.get(one));
        const lastOfOther = lastOf(ranges.get(other));
        return last === lastOfOther ? one < other : last > lastOfOther;
    });
    return rooms;
}

/** An open range has no end. */
function lastOf(ranges: Ranges | undefined): number {
    const last = ranges?.[ranges.length - 1];
    return last === undefined ? 0 : (last.last ?? math.huge);
}

/** A message that an account received. */
export interface Said {
    /** In seconds. */
    readonly when: number;
    readonly stanza: Stanza;
}

type Visit = (this: void, said: Said) => boolean;

/** The remaining part of a read. `rest` reads from disk, and returns true when it is finished. */
export interface Rest {
    readonly step: Step;
    /** Storage failed. */
    failed: boolean;
}

/**
 * What an account was told last in its room, newest first: so many messages, none from before `since`, in seconds, and
 * only entries with a number higher than `after`. `visit` returns true to end it. What is not in memory is left to be
 * read; undefined if that is nothing.
 */
export function readBack(
    membership: Membership,
    most: number,
    since: number,
    visit: Visit,
    after = -math.huge,
): Rest | undefined {
    if (options.archive === "mam") {
        return readLater(startReadingRoom(membership, most, since), visit);
    }
    const part = membership.part;
    const username = membership.username;
    if (part === undefined) {
        return undefined;
    }
    const log = part.log;
    const [ranges, isKnown] = rangesOf(username, membership.room);
    // If earlier messages cannot be read, those in memory are enough for history.
    const isLoaded = loadTail(log) && isKnown;
    // Expired messages may still be on disk.
    const earliest = Math.max(since, expiryTime());
    let left = most;
    for (const i of $range(log.tail.length, 1, -1)) {
        const entry = log.tail[i - 1];
        if (entry !== undefined && isFor(username, ranges, part.position, entry.number, entry.privateTo)) {
            if (left === 0 || entry.when < earliest || entry.number <= after) {
                return undefined;
            }
            const stanza = stanzaOf(entry);
            if (stanza !== undefined && visit({ when: entry.when, stanza })) {
                return undefined;
            }
            left = left - 1;
        }
    }
    const oldest = log.tail[0];
    if (!isLoaded) {
        return { step: () => true, failed: true };
    }
    if (oldest === undefined || log.isComplete || left === 0 || oldest.number <= after) {
        return undefined;
    }
    const [done, archive] = archiveOf(username, membership.room);
    if (!done || archive === undefined) {
        return { step: () => true, failed: true };
    }
    const isInRange = (number: number) => number < oldest.number && number > after;
    return readLater(startReadingBefore(archive, isInRange, left, earliest), visit);
}

/** Starts to read the entries with certain numbers. */
function startReadingBefore(
    archive: Archive,
    isInRange: (this: void, number: number) => boolean,
    most: number,
    since: number,
): Reading {
    const earlier: Archive = {
        store,
        key: archive.key,
        label: undefined,
        isOrdered: true,
        timeOf,
        mayRead: (label) => isInRange(parseLabel(label)[0]) && archive.mayRead(label),
    };
    return startReading([earlier], { wants: () => true, start: since, reverse: true, max: most });
}

function readLater(reading: Reading, visit: Visit): Rest {
    let items: Item[] | undefined;
    const rest: Rest = {
        failed: false,
        step: () => {
            if (items !== undefined) {
                const item = items.pop();
                return item === undefined || visit({ when: item.stamp, stanza: messageOf(item.content) });
            }
            if (reading.step()) {
                rest.failed = reading.failed;
                items = reading.page?.items ?? [];
            }
            return false;
        },
    };
    return rest;
}

/** Returns the last message that an account received in its room, since it joined, and whether it could be read. */
export function newestOf(membership: Membership): LuaMultiReturn<[ok: boolean, newest: Said | undefined]> {
    let newest: Said | undefined;
    const take = (said: Said) => {
        newest = said;
        return true;
    };
    const after = options.archive === true ? membership.sinceNumber : undefined;
    const rest = readBack(membership, 1, after === undefined ? (membership.since ?? 0) : 0, take, after);
    while (rest?.step() === false) {
        // Reading one message is cheap.
    }
    return $multi(rest?.failed !== true, newest);
}

/** Whether missed messages of the room can be fetched and stored. */
export function isKept(membership: Membership): boolean {
    return options.archive === "mam" ? hasPersonalArchive() : membership.part !== undefined;
}
