// What an account got of a room's log. The ranges are in state/deliveries.ts; they are written when an account comes, goes,
// or misses something, and not for each message.
//
// Invariants: while an account is in a room its last range is open, on disk as well, and all that the room says gets into
// it. An entry that the account did not get closes the range within SETTLE seconds; the next one that it gets opens another,
// which is written before the message goes to its sessions. So what an account was shown is readable after a killed server.

import * as options from "../options";
import { markChanged, rangesOf, releaseDeliveries, saveChanged, saveDeliveries } from "../state/deliveries";
import { dropUnread, type Entry, logOf, logs, type Part, type RoomLog } from "../state/logs";
import { allMemberships, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { startOfNumbers } from "../state/numbers";
import { close, includes, insert, open, type Ranges } from "../state/ranges";
import { inTurn } from "../turn";

/** Seconds between a message and the look for accounts that have not got it. */
const SETTLE = 1;

/** The account is in the room, or asks for what it has missed there. */
export function openPart(membership: Membership): void {
    if (options.archive !== true || membership.part !== undefined) {
        return;
    }
    const log = logOf(membership.room);
    membership.log = log;
    membership.part = { range: undefined, position: log.last };
    log.readers.set(membership.username, membership);
}

/** The room has let the account in: what is said from now on is for it. */
export function letIn(membership: Membership): void {
    openPart(membership);
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined || part.range !== undefined) {
        return;
    }
    part.position = log.last;
    openRange(membership, part, log.last + 1);
}

function openRange(membership: Membership, part: Part, first: number): void {
    const [ranges] = rangesOf(membership.username, membership.room);
    part.range = open(ranges, first);
    saveDeliveries(membership.username);
}

/** The account is out of the room. */
export function closePart(membership: Membership): void {
    const log = membership.log;
    const part = membership.part;
    membership.log = undefined;
    membership.part = undefined;
    if (log === undefined || part === undefined) {
        return;
    }
    log.readers.delete(membership.username);
    dropUnread(log);
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

/** Opens what the instance of the module before a reload kept in another form. */
export function reopenParts(): void {
    for (const membership of allMemberships()) {
        const phase = membership.place.phase;
        if (phase === Phase.Joined || phase === Phase.Entering) {
            letIn(membership);
        }
    }
}

/** Notes that an account got an entry; whether it was new to it. */
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
    if (entry.owner !== undefined) {
        deliverOwn(membership, log, entry);
        return true;
    }
    if (entry.number <= part.position) {
        return deliverPast(membership, log, part, entry);
    }
    if (range !== undefined) {
        closeRange(membership, part);
        openRange(membership, part, entry.number);
    } else {
        insert(rangesOf(membership.username, membership.room)[0], entry.number, before);
        saveSoon(membership, log);
    }
    part.position = entry.number;
    return true;
}

/** An account that was shown nothing but what others were not has a part in the log as well. */
function deliverOwn(membership: Membership, log: RoomLog, entry: Entry): void {
    const [ranges] = rangesOf(membership.username, membership.room);
    if (ranges.length === 0) {
        insert(ranges, entry.number, undefined);
        saveSoon(membership, log);
    }
}

/** What a room shows of its past may have been said while the account was out. */
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
    settleSoon(log);
}

/** Looks in a while for accounts that have not got the last entry: their ranges end before it. */
export function settleSoon(log: RoomLog): void {
    if (log.settling) {
        return;
    }
    log.settling = true;
    module.add_timer(SETTLE, () => {
        inTurn(() => {
            log.settling = false;
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

/** Writes what is not written yet. Accounts that wait for the last message get another range with it. */
export function saveDelivered(): undefined {
    for (const [, log] of logs) {
        if (log.settling) {
            closeMissed(log);
        }
    }
    saveChanged();
}

/** Whether an entry is for an account. */
export function isFor(username: string, ranges: Ranges, position: number, entry: Entry): boolean {
    return entry.owner === undefined ? includes(ranges, position, entry.number) : entry.owner === username;
}

/** Up to which number an open range goes. */
export function positionOf(part: Part | undefined): number {
    return part === undefined ? startOfNumbers() : part.position;
}
