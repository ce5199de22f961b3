// Entries of the archive: each message of a room once for this host, in a Prosody archive store under the room's JID. An
// entry's label holds its number and, if it is for one account alone, the account: "1700000001000 alice".

import * as hashes from "util.hashes";
import * as xml from "util.xml";
import * as options from "../options";
import { monotonic } from "../state/clock";
import { counters } from "../state/counters";
import { addRecent, dropUnread, type Entry, fillRecent, logs, RECENT, type RoomLog } from "../state/logs";
import type { Membership } from "../state/memberships";
import { appendMessage, findMessages, openMessages, type Stored } from "../state/messages";
import { nextNumber } from "../state/numbers";
import { onRetry, type Progress } from "../state/outage";
import { textOf } from "../text";

/** The store of all rooms' messages. */
export const store = openMessages("minimix_archive");

/** Bytes of messages, as XML, that are kept in memory until they can be stored. */
const UNWRITTEN_SIZE = 4194304;

/** Retries after which a message that fails alone is given up: those behind it could not be stored either. */
const MOST_FAILURES = 20;

let unwrittenSize = 0;

/** Storage drivers make a file name of it, which has an end. */
export function keyOf(room: string): string {
    return string.len(room) <= 80 ? room : hashes.sha1(room, true);
}

/** The number of an entry and, of an entry for one account alone, that account. */
export function parseLabel(label: string): LuaMultiReturn<[number, string | undefined]> {
    const [digits, owner] = string.match(label, "^(%d+) ?(.*)$");
    return $multi(tonumber(digits) ?? 0, owner === "" ? undefined : owner);
}

function labelOf(entry: Entry): string {
    const label = string.format("%d", entry.number);
    return entry.owner === undefined ? label : `${label} ${entry.owner}`;
}

/** An entry's message. */
export function stanzaOf(entry: Entry): Stanza | undefined {
    return xml.parse(`<message${entry.text}`);
}

/** Adds a message to the log; undefined if it cannot be kept. `stanza` is lent and does not change. */
export function append(log: RoomLog, stanza: Stanza, when: number, owner: string | undefined): Entry | undefined {
    const text = textOf(stanza);
    if (string.len(text) > options.maxKeptSize) {
        module.log("debug", "A message of %s is too big to be kept: %d bytes", log.room, string.len(text));
        return undefined;
    }
    const number = log.gap === true ? undefined : nextNumber();
    if (number === undefined) {
        log.gap = true;
        return undefined;
    }
    const entry: Entry = { number, before: owner === undefined ? log.last : undefined, owner, when, text };
    if (!write(log, entry, stanza)) {
        return undefined;
    }
    addRecent(log, entry);
    if (owner === undefined) {
        log.last = number;
    }
    return entry;
}

/** Stores an entry, or keeps it to be stored behind those before it; whether it was possible. */
function write(log: RoomLog, entry: Entry, stanza: Stanza): boolean {
    const outcome = log.unwritten !== undefined ? "failed" : storeEntry(log, entry, stanza);
    if (outcome === "refused") {
        module.log("debug", "A message of %s is not of a kind that storage can hold", log.room);
        return false;
    }
    if (outcome === "failed") {
        return keep(log, entry);
    }
    return true;
}

function storeEntry(log: RoomLog, entry: Entry, stanza: Stanza): "stored" | "failed" | "refused" {
    const to = stanza.attr.to;
    stanza.attr.to = undefined;
    const [outcome] = appendMessage(store, keyOf(log.room), stanza, entry.when, labelOf(entry));
    stanza.attr.to = to;
    if (outcome === "stored") {
        counters.archiveWrites = counters.archiveWrites + 1;
    }
    return outcome;
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

/** Takes over entries that are not stored yet from the instance of the module before a reload. */
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
    // A driver may have stored it and failed to say so.
    if (newest[0] !== undefined && parseLabel(newest[0].label)[0] >= first.number) {
        drop(log, first);
    }
    let entry = log.unwritten?.[0];
    while (entry !== undefined) {
        if (monotonic() > deadline) {
            return "more";
        }
        const stanza = stanzaOf(entry);
        const outcome = stanza === undefined ? "refused" : storeEntry(log, entry, stanza);
        if (outcome === "failed" && !isGivenUp(log)) {
            return "failing";
        }
        drop(log, entry);
        entry = log.unwritten?.[0];
    }
    return "done";
}

function isGivenUp(log: RoomLog): boolean {
    log.failures = store.writesFail ? 0 : (log.failures ?? 0) + 1;
    if (log.failures < MOST_FAILURES) {
        return false;
    }
    module.log("warn", "Giving up a message of %s that cannot be stored", log.room);
    return true;
}

function drop(log: RoomLog, entry: Entry): void {
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

/** How many messages wait to be stored. */
export function countUnwritten(): number {
    let count = 0;
    for (const [, log] of logs) {
        count = count + (log.unwritten?.length ?? 0);
    }
    return count;
}

/** Accounts in rooms of which messages were not kept: they have to be asked for. Afterwards messages are kept again. */
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

/** Reads the newest entries of before this start of the server, once they are needed; whether that was possible. */
export function fill(log: RoomLog): boolean {
    if (log.filled) {
        return true;
    }
    const found = findMessages(store, keyOf(log.room), { reverse: true, limit: RECENT });
    if (found === undefined) {
        return false;
    }
    const first = log.recent[0];
    const entries: Entry[] = [];
    for (const stored of found) {
        const entry = entryOf(stored, undefined);
        if (first === undefined || entry.number < first.number) {
            table.insert(entries, 1, entry);
        }
    }
    fillRecent(log, entries, found.length < RECENT);
    return true;
}

/** A stored message as an entry. */
export function entryOf(stored: Stored, before: number | undefined): Entry {
    const [number, owner] = parseLabel(stored.label);
    return { number, before, owner, when: stored.when, text: textOf(stored.stanza) };
}
