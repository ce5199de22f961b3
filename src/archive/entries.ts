// Entries of the archive. Each message of a room is stored once for this host, in a Prosody archive store under the
// room's JID. The label of an entry has its number. If the entry is private to an account, the label has the account
// too: "1700000001000 alice".
//
// Invariant: stored times never decrease within a log, because drivers search by time. If the clock was set back, an
// entry is stored with the time of the entry before it, and its own time is in the label: "1700000001000@1600000000".

import * as hashes from "util.hashes";
import * as options from "../options";
import { monotonic } from "../state/clock";
import { counters } from "../state/counters";
import { addToTail, dropUnread, type Entry, fillTail, logs, TAIL, TAIL_SIZE, type RoomLog } from "../state/logs";
import type { Membership } from "../state/memberships";
import { inLaterSlices } from "../slices";
import { appendText, findMessages, mayHaveMore, openMessages, type Stored } from "../state/messages";
import { nextNumber } from "../state/numbers";
import { beginOutage, isOutage, onRetry, type Progress } from "../state/outage";
import { parse } from "../parse";
import { piecesOf, textOf } from "../text";
import { isHeavier, lightPieces, treeLimit } from "../weight";

/** The store with the messages of all rooms. */
export const store = openMessages("minimix_archive");

/** Bytes of messages, as XML, to keep in memory while they cannot be stored. */
const UNWRITTEN_SIZE = 4194304;

/** Bytes of messages that may wait to be written in slices. The buffer of an account may get there at once. */
const WAITING_SIZE = Math.max(options.maxGapSize, 262144);

/** Largest memory of a stored message as a stanza, and the pieces of XML that never take more. */
const HEAVIEST = treeLimit(options.maxKeptSize);
const LIGHT = lightPieces(HEAVIEST);

/** Failed retries of a message before later messages are tried. It blocks the messages behind it. */
const MOST_FAILURES = 20;

let unwrittenSize = 0;

/** Storage drivers use the key as a file name, which has a maximum length. */
export function keyOf(room: string): string {
    return string.len(room) <= 80 ? room : hashes.sha1(room, true);
}

/** Returns the number of an entry and, if the entry is private, its account. */
export function parseLabel(label: string): LuaMultiReturn<[number, string | undefined]> {
    const [digits, privateTo] = string.match(label, "^(%d+)[@%d]* ?(.*)$");
    return $multi(tonumber(digits) ?? 0, privateTo === "" ? undefined : privateTo);
}

/** Returns the time of an entry in seconds. `stored` is its time in the store. */
export function timeOf(label: string, stored: number): number {
    return tonumber(string.match(label, "^%d+@(%d+)")[0]) ?? stored;
}

function labelOf(entry: Entry, stored: number): string {
    const time = entry.when === stored ? "" : string.format("@%d", entry.when);
    const label = string.format("%d%s", entry.number, time);
    return entry.privateTo === undefined ? label : `${label} ${entry.privateTo}`;
}

/** Returns an entry's message. */
export function stanzaOf(entry: Entry): Stanza | undefined {
    return parse("message", entry.text);
}

/** Adds a message to the log. Returns undefined if it cannot be kept. */
export function append(log: RoomLog, stanza: Stanza, when: number, privateTo: string | undefined): Entry | undefined {
    const text = textOf(stanza);
    const isHeavy = piecesOf(stanza) > LIGHT && isHeavier(stanza, HEAVIEST);
    if (isHeavy || string.len(text) > options.maxKeptSize) {
        module.log("debug", "Not archiving a message of %s: %d bytes is too large", log.room, string.len(text));
        return undefined;
    }
    const number = log.gap === true ? undefined : nextNumber();
    if (number === undefined) {
        log.gap = true;
        return undefined;
    }
    const before = privateTo === undefined ? log.last : undefined;
    const entry: Entry = { number, before, privateTo, when, storedAt: when, text };
    if (!write(log, entry)) {
        return undefined;
    }
    addToTail(log, entry);
    if (privateTo === undefined) {
        log.last = number;
    }
    return entry;
}

/** Stores an entry, or queues it behind earlier ones. Returns whether this worked. */
function write(log: RoomLog, entry: Entry): boolean {
    if (log.unwritten === undefined) {
        if (tryStore(log, entry)) {
            return true;
        }
        beginOutage();
    }
    keepPace(log);
    return keep(log, entry);
}

/**
 * Writes two queued entries at once if many wait to be written in slices. Otherwise a room that is faster than the storage
 * would fill the queue.
 */
function keepPace(log: RoomLog): void {
    let left = 2;
    while (left > 0 && unwrittenSize > WAITING_SIZE && (log.unwritten?.length ?? 0) > 2 && !isOutage()) {
        writeNext(log);
        left = left - 1;
    }
}

/** Number of logs with entries that are written in slices. */
let writing = 0;

/** Whether entries are about to be written, so that the archives do not have them yet. */
export function isWritingInSlices(): boolean {
    return writing > 0;
}

/** Queues the following entries of a log, to be written in slices. Storing many at once would block the server. */
export function writeInSlices(log: RoomLog): void {
    if (log.unwritten === undefined) {
        log.unwritten = [];
        writing = writing + 1;
        inLaterSlices(() => {
            const isDone = writeNext(log);
            writing = writing - (isDone ? 1 : 0);
            return isDone;
        });
    }
}

/** Writes the next queued entry. Returns whether none is left, or storage fails and the entries are retried. */
function writeNext(log: RoomLog): boolean {
    const entry = log.unwritten?.[0];
    if (entry !== undefined && !tryStore(log, entry)) {
        beginOutage();
        return true;
    }
    if (entry !== undefined) {
        drop(log, entry);
    } else {
        log.unwritten = undefined;
    }
    if (log.unwritten === undefined) {
        dropUnread(log);
        return true;
    }
    return false;
}

function tryStore(log: RoomLog, entry: Entry): boolean {
    return readLatest(log) && storeEntry(log, entry);
}

function storeEntry(log: RoomLog, entry: Entry): boolean {
    const when = Math.max(entry.when, log.latest ?? 0);
    if (!appendText(store, keyOf(log.room), entry.text, when, labelOf(entry, when))) {
        return false;
    }
    entry.storedAt = when;
    log.latest = when;
    counters.archiveWrites = counters.archiveWrites + 1;
    return true;
}

/** Reads the latest time in the store if it is unknown. Returns whether it is known. */
function readLatest(log: RoomLog): boolean {
    if (log.latest === undefined) {
        const newest = findMessages(store, keyOf(log.room), { reverse: true, limit: 1 });
        log.latest = newest === undefined ? undefined : (newest[0]?.when ?? 0);
    }
    return log.latest !== undefined;
}

function keep(log: RoomLog, entry: Entry): boolean {
    const size = string.len(entry.text);
    if (unwrittenSize + size > UNWRITTEN_SIZE) {
        log.gap = true;
        return false;
    }
    log.unwritten ??= [];
    log.unwritten.push(entry);
    unwrittenSize = unwrittenSize + size;
    return true;
}

/** Takes over the unwritten entries of the previous instance of the module. */
export function restoreUnwritten(): void {
    for (const [, log] of logs) {
        for (const entry of log.unwritten ?? []) {
            unwrittenSize = unwrittenSize + string.len(entry.text);
        }
    }
}

function writeUnwritten(deadline: number): Progress {
    let result: Progress = "done";
    for (const [, log] of logs) {
        if (log.unwritten !== undefined) {
            if (monotonic() > deadline) {
                return "more";
            }
            const progress = writeLog(log, deadline);
            if (progress !== "done") {
                result = progress;
            }
            dropUnread(log);
        }
    }
    return result;
}

function writeLog(log: RoomLog, deadline: number): Progress {
    const first = log.unwritten?.[0];
    const newest = findMessages(store, keyOf(log.room), { reverse: true, limit: 1 });
    if (first === undefined || newest === undefined) {
        return "failing";
    }
    log.latest = newest[0]?.when ?? 0;
    // A driver may have stored the entry although it reported a failure.
    if (newest[0] !== undefined && parseLabel(newest[0].label)[0] >= first.number) {
        drop(log, first);
    }
    let entry = log.unwritten?.[0];
    while (entry !== undefined) {
        if (monotonic() > deadline) {
            return "more";
        }
        if (storeEntry(log, entry)) {
            drop(log, entry);
        } else if (!tryLater(log, deadline)) {
            return "failing";
        }
        entry = log.unwritten?.[0];
    }
    return "done";
}

/**
 * After many retries of the first entry, stores the next one that can be stored. Drops the entries before it: they failed
 * at the same retry, so the cause is their content. Returns whether an entry was stored.
 */
function tryLater(log: RoomLog, deadline: number): boolean {
    const queue = log.unwritten ?? [];
    log.failures = store.writesFail ? 0 : (log.failures ?? 0) + 1;
    if (log.failures < MOST_FAILURES) {
        return false;
    }
    for (const i of $range(2, queue.length)) {
        const entry = queue[i - 1];
        if (entry !== undefined && monotonic() <= deadline && storeEntry(log, entry)) {
            dropUntil(log, queue, entry);
            return true;
        }
    }
    return false;
}

function dropUntil(log: RoomLog, queue: Entry[], stored: Entry): void {
    let first = queue[0];
    while (first !== undefined && first !== stored) {
        module.log("warn", "Dropping a message of %s: it cannot be stored", log.room);
        drop(log, first);
        first = queue[0];
    }
    drop(log, stored);
}

function drop(log: RoomLog, entry: Entry): void {
    if (log.window?.to === math.huge) {
        // It was read before this entry was stored.
        log.window = undefined;
    }
    if (log.unwritten !== undefined) {
        table.remove(log.unwritten, 1);
        if (log.unwritten.length === 0) {
            log.unwritten = undefined;
        }
    }
    log.failures = undefined;
    unwrittenSize = unwrittenSize - string.len(entry.text);
}

onRetry(writeUnwritten);

/** Counts the messages that wait to be stored. */
export function countUnwritten(): number {
    let count = 0;
    for (const [, log] of logs) {
        count = count + (log.unwritten?.length ?? 0);
    }
    return count;
}

/** Returns the accounts in rooms with lost messages, which must be fetched. Messages are kept again afterwards. */
export function takeGaps(): Membership[] {
    const memberships: Membership[] = [];
    for (const [, log] of logs) {
        if (log.gap === true) {
            log.gap = undefined;
            for (const [, membership] of log.readers) {
                memberships.push(membership);
            }
        }
    }
    return memberships;
}

/** Reads the newest entries from before this start of the server, when they are needed. Returns whether this worked. */
export function loadTail(log: RoomLog): boolean {
    if (log.isLoaded) {
        return true;
    }
    const found = findMessages(store, keyOf(log.room), { reverse: true, limit: TAIL }, TAIL_SIZE);
    if (found === undefined) {
        return false;
    }
    log.latest ??= found[0]?.when ?? 0;
    const first = log.tail[0];
    const entries: Entry[] = [];
    for (const stored of found) {
        const entry = entryOf(stored, undefined);
        if (first === undefined || entry.number < first.number) {
            table.insert(entries, 1, entry);
        }
    }
    fillTail(log, entries, !mayHaveMore(found, TAIL, TAIL_SIZE));
    return true;
}

/** Converts a stored message to an entry. */
export function entryOf(stored: Stored, before: number | undefined): Entry {
    const [number, privateTo] = parseLabel(stored.label);
    const when = timeOf(stored.label, stored.when);
    const text = typeof stored.content === "string" ? stored.content : textOf(stored.content);
    return { number, before, privateTo, when, storedAt: stored.when, text };
}
