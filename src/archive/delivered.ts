// Records which entries of a room's log an account got. The ranges are in state/deliveries.ts. They are written when an
// account joins, leaves or misses a message, and not for each message.
//
// Invariants: an account in a room has an open last range, also on disk. It contains all messages of the room since
// then. A missed entry closes the range within SETTLE seconds. The next received entry opens another, which is written
// before the message goes to the sessions. So all received messages are readable after SIGKILL.

import * as options from "../options";
import { markChanged, rangesOf, releaseDeliveries, saveChanged, saveDeliveries } from "../state/deliveries";
import { dropUnread, type Entry, logOf, type Part, type RoomLog } from "../state/logs";
import { allMemberships, type Membership, membershipsOf } from "../state/memberships";
import { Phase } from "../state/place";
import { newestNumber, startOfNumbers } from "../state/numbers";
import { close, includes, insert, isSince, open, type Ranges } from "../state/ranges";
import { inLaterSlices } from "../slices";
import { inTurn } from "../turn";

/** Seconds between a message and the search for accounts that did not get it. */
const SETTLE = 1;

/** Opens the log for an account that is in the room, or that fetches missed messages. */
export function openPart(membership: Membership): void {
    if (options.archive !== true || membership.part !== undefined) {
        return;
    }
    const log = logOf(membership.room);
    membership.part = { log, range: undefined, position: log.last };
    log.readers.set(membership.username, membership);
}

/** Opens a range: the room has admitted the account, so later messages are for it. */
export function letIn(membership: Membership): void {
    const part = beginPart(membership);
    if (part !== undefined) {
        openRange(membership, part, firstAfter(membership, part, newestNumber() + 1));
    }
}

/** Sets the position of an account that the room has admitted. Returns undefined for an account that was in before. */
function beginPart(membership: Membership): Part | undefined {
    openPart(membership);
    const part = membership.part;
    if (part === undefined || part.range !== undefined) {
        return undefined;
    }
    const [ranges] = rangesOf(membership.username, membership.room);
    // A private entry is later than the last shared one.
    part.position = Math.max(part.log.last, ranges[ranges.length - 1]?.last ?? 0);
    return part;
}

/** Returns the first number of a range for all entries after the account's position. */
function firstAfter({ username, room }: Membership, part: Part, newest: number): number {
    // Entries after the last shared one may be private to a deleted account with the same name.
    const isNew = rangesOf(username, room)[0].length === 0;
    return isNew ? newest : part.position + 1;
}

/** Seconds until the ranges of an account that returns to its rooms are written, all at once. */
const LATE = 5;

/** Memberships of accounts that have returned, and whose ranges will be opened. */
const returned = new LuaSet<Membership>();

/**
 * The room has admitted an account that returns by itself. Opens a range with the next message, or soon. Then one write
 * is sufficient for all rooms of the account.
 */
export function letInAgain(membership: Membership): void {
    const part = beginPart(membership);
    if (part === undefined) {
        return;
    }
    part.range = false;
    if (next(returned)[0] === undefined) {
        module.add_timer(LATE, () => {
            inLaterSlices(openNext);
            return undefined;
        });
    }
    returned.add(membership);
}

/** Opens the ranges of an account. Returns whether no other account is left. */
function openNext(this: void): boolean {
    const membership = next(returned)[0] as Membership | undefined;
    if (membership === undefined) {
        return true;
    }
    returned.delete(membership);
    openReturned(membership);
    for (const other of membershipsOf(membership.username)) {
        if (returned.has(other)) {
            returned.delete(other);
            openReturned(other);
        }
    }
    saveDeliveries(membership.username);
    return false;
}

/** Opens the range of an account that has received no message since its return, and missed none. */
function openReturned(membership: Membership): void {
    const part = membership.part;
    if (part?.range === false && part.position >= part.log.last) {
        const [ranges] = rangesOf(membership.username, membership.room);
        part.range = open(ranges, firstAfter(membership, part, newestNumber() + 1));
    }
}

function openRange(membership: Membership, part: Part, first: number): void {
    const [ranges] = rangesOf(membership.username, membership.room);
    part.range = open(ranges, first);
    saveDeliveries(membership.username);
}

/** The account is out of the room. */
export function closePart(membership: Membership): void {
    const part = membership.part;
    membership.part = undefined;
    if (part === undefined) {
        return;
    }
    part.log.readers.delete(membership.username);
    dropUnread(part.log);
    if (closeRange(membership, part)) {
        saveDeliveries(membership.username);
    }
    releaseDeliveries(membership.username);
}

function closeRange(membership: Membership, part: Part): boolean {
    if (part.range === undefined || part.range === false) {
        return false;
    }
    part.range = false;
    close(rangesOf(membership.username, membership.room)[0], part.position);
    return true;
}

/** Opens ranges that an earlier version handed over in another form. */
export function reopenParts(): void {
    for (const membership of allMemberships()) {
        const phase = membership.place.phase;
        if (phase === Phase.Joined || phase === Phase.Entering) {
            letIn(membership);
        }
    }
}

/** Records that an account got an entry. Returns whether it is new to the account. */
export function deliver(membership: Membership, log: RoomLog, part: Part, entry: Entry): boolean {
    const range = part.range;
    const before = entry.before;
    if (
        range !== undefined &&
        range !== false &&
        before !== undefined &&
        (before === part.position || before < range.first)
    ) {
        if (entry.number > part.position) {
            part.position = entry.number;
            return true;
        }
    }
    if (entry.privateTo !== undefined) {
        deliverOwn(membership, log, part, entry);
        return true;
    }
    if (entry.number <= part.position) {
        return deliverPast(membership, log, part, entry);
    }
    closeRange(membership, part);
    if (range !== undefined && entry.number === log.last) {
        const isNext = before !== undefined && before <= part.position;
        openRange(membership, part, isNext ? firstAfter(membership, part, entry.number) : entry.number);
    } else {
        // An open range would include the later entries, which the account may not have got.
        insert(rangesOf(membership.username, membership.room)[0], entry.number, before);
        saveSoon(membership, log);
    }
    part.position = entry.number;
    return true;
}

/** Records a range even if all entries an account received are private to it. An open range without entries is no record. */
function deliverOwn(membership: Membership, log: RoomLog, part: Part, entry: Entry): void {
    const [ranges] = rangesOf(membership.username, membership.room);
    const only = ranges.length === 1 ? ranges[0] : undefined;
    if (only !== undefined && only === part.range && only.first > part.position) {
        closeRange(membership, part);
    }
    if (ranges.length === 0) {
        insert(ranges, entry.number, undefined);
        saveSoon(membership, log);
    }
}

/** Records an entry of the room's history, which may be from a time when the account was out. */
function deliverPast(membership: Membership, log: RoomLog, part: Part, entry: Entry): boolean {
    const [ranges] = rangesOf(membership.username, membership.room);
    if (includes(ranges, part.position, entry.number)) {
        return false;
    }
    insert(ranges, entry.number, entry.before);
    saveSoon(membership, log);
    return true;
}

function saveSoon(membership: Membership, log: RoomLog): void {
    markChanged(membership.username);
    closeMissedSoon(log);
}

/** Logs with a scheduled search for accounts that did not get the last entry. */
const closingSoon = new LuaSet<RoomLog>();

/** Closes, after a delay, the ranges of accounts that did not get the last entry. */
export function closeMissedSoon(log: RoomLog): void {
    if (closingSoon.has(log)) {
        return;
    }
    closingSoon.add(log);
    module.add_timer(SETTLE, () => {
        inTurn(() => {
            closingSoon.delete(log);
            closeMissed(log);
            saveChanged();
        });
        return undefined;
    });
}

function closeMissed(log: RoomLog): void {
    for (const [, membership] of log.readers) {
        const part = membership.part;
        if (part !== undefined && part.position !== log.last && closeRange(membership, part)) {
            markChanged(membership.username);
        }
    }
}

/** Writes pending records. Accounts still waiting for the last message get a new range with it. */
export function saveDelivered(): undefined {
    for (const log of closingSoon) {
        closeMissed(log);
    }
    saveChanged();
}

/**
 * Whether the account got an entry, by its number and the account that it is private to. A private entry before all
 * ranges is of a deleted account with the same name.
 */
export function isFor(
    username: string,
    ranges: Ranges,
    position: number,
    number: number,
    privateTo: string | undefined,
): boolean {
    return privateTo === undefined
        ? includes(ranges, position, number)
        : privateTo === username && isSince(ranges, number);
}

/** Returns the number at which an open range ends. */
export function positionOf(part: Part | undefined): number {
    return part === undefined ? startOfNumbers() : part.position;
}
