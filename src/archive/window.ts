// Reads the entries of a room's log around a time, to search for a message of the past. A room may have many messages in
// these seconds. Reading them all at once would block the server, so they are read in steps.

import { entryOf, keyOf, store } from "./entries";
import { monotonic, wallClock } from "../state/clock";
import type { Entry, EntryWindow, RoomLog } from "../state/logs";
import { findMessages, mayHaveMore, messageOf, type Stored } from "../state/messages";
import { stanzaIdBy } from "../stanzas";

/** Entries to read in a step, and bytes of memory. */
const STEP = 50;
const STEP_SIZE = 65536;

/** Most bytes of memory to read until all messages of some seconds have been read. */
const WINDOW_SIZE = 393216;

/** Seconds to keep the entries that were read. */
const WINDOW_KEPT = 60;

/** Seconds after which an unfinished window may be replaced: its account may no longer need it. */
const ABANDONED = 1;

/** Seconds that unlimited reading may take in a period. Otherwise a room's history could block the server. */
const READ_TIME = 0.01;
const READ_PERIOD = 0.1;

/** Largest difference between a room's clock and ours, in seconds. */
export const SKEW = 10;

/** Whether entries from before `tail` are needed to search for a message of this time. */
export function isBeforeTail(log: RoomLog, when: number): boolean {
    const oldest = log.tail[0];
    // A time in the future is from before the clock was set back.
    return oldest !== undefined && !log.isComplete && (when <= oldest.storedAt + SKEW || when > wallClock() + SKEW);
}

let periodEnd = 0;
let readTime = 0;

/** Whether there is time to read outside of slices. */
export function mayRead(): boolean {
    const now = monotonic();
    if (now > periodEnd) {
        periodEnd = now + READ_PERIOD;
        readTime = 0;
    }
    return readTime < READ_TIME;
}

/** Returns the entries around a time that have been read. */
export function windowAt(log: RoomLog, from: number): EntryWindow | undefined {
    const window = log.window;
    return window !== undefined && from >= window.from && from < window.to ? window : undefined;
}

/**
 * Reads some of the entries around a time that have not been read. An account that catches up searches for messages in
 * order. So several entries are read at a time, starting at this time. Returns all that were read. Undefined if storage
 * failed.
 */
export function readWindow(log: RoomLog, from: number): EntryWindow | undefined {
    const window = windowAt(log, from) ?? newWindow(from);
    const started = monotonic();
    const size = Math.min(window.left, STEP_SIZE);
    const query = { start: window.start, after: window.after, limit: STEP };
    const found = findMessages(store, keyOf(log.room), query, size);
    if (found === undefined) {
        log.window = undefined;
        return undefined;
    }
    if (window.after === undefined) {
        keepWindow(log, window);
    }
    const last = mayHaveMore(found, STEP, size) ? found[found.length - 1] : undefined;
    const left = window.left - addAll(log, window, found);
    const isDone = last === undefined || last.when - SKEW > window.from;
    window.to = last === undefined ? math.huge : Math.max(last.when - SKEW, window.from + 1);
    window.after = last?.id;
    // Drivers read the messages from the start to this one again. mod_storage_internal may start inside of a second.
    window.start = Math.max(window.start, (last?.when ?? 0) - 1);
    window.left = isDone ? 0 : Math.max(left, 0);
    window.readAt = monotonic();
    readTime = readTime + window.readAt - started;
    return window;
}

/** Whether more entries of these seconds are to be read. */
export function isUnfinished(window: EntryWindow): boolean {
    return window.left > 0;
}

/** Whether an account is reading entries around another time. It needs several steps. */
export function isInUse(log: RoomLog, from: number): boolean {
    const window = log.window;
    const isRead = window === undefined || !isUnfinished(window) || windowAt(log, from) !== undefined;
    return !isRead && monotonic() < window.readAt + ABANDONED;
}

function newWindow(from: number): EntryWindow {
    const now = monotonic();
    return {
        from,
        to: from + 1,
        left: WINDOW_SIZE,
        start: from - SKEW,
        after: undefined,
        readAt: now,
        until: now + WINDOW_KEPT,
        size: 0,
        entries: [],
        others: [],
        ids: new LuaMap(),
    };
}

/** Keeps a window in memory for some time. */
function keepWindow(log: RoomLog, window: EntryWindow): void {
    log.window = window;
    module.add_timer(WINDOW_KEPT, () => {
        if (log.window !== undefined && monotonic() >= log.window.until) {
            log.window = undefined;
        }
        return undefined;
    });
}

/** Adds a new entry of the log to the window if that ends at the newest entry. */
export function extendWindow(log: RoomLog, entry: Entry, stanza: Stanza): void {
    const window = log.window;
    if (window?.to === math.huge) {
        addToWindow(log, window, entry, stanza);
        if (window.size > WINDOW_SIZE) {
            log.window = undefined;
        }
    }
}

/** Adds stored messages to a window. Returns the bytes of memory that they take. */
function addAll(log: RoomLog, window: EntryWindow, found: Stored[]): number {
    let weight = 0;
    let before: number | undefined;
    for (const entry of window.entries) {
        before = entry.privateTo === undefined ? entry.number : before;
    }
    for (const stored of found) {
        const entry = entryOf(stored, before);
        addToWindow(log, window, entry, messageOf(stored.content));
        before = entry.privateTo === undefined ? entry.number : before;
        weight = weight + stored.weight;
    }
    return weight;
}

function addToWindow(log: RoomLog, window: EntryWindow, entry: Entry, stanza: Stanza): void {
    const archiveId = entry.privateTo === undefined ? stanzaIdBy(stanza, log.room) : undefined;
    entry.name = nameOf(log, stanza) ?? false;
    window.entries.push(entry);
    window.size = window.size + string.len(entry.text);
    if (archiveId === undefined) {
        window.others.push(entry);
    } else {
        window.ids.set(archiveId, entry);
    }
}

/** Returns the sender of a message and its id by the room, or else by the sender. Undefined without an id. */
export function nameOf(log: RoomLog, stanza: Stanza): string | undefined {
    const id = stanzaIdBy(stanza, log.room) ?? stanza.attr.id;
    // A JID has no line breaks.
    return id === undefined ? undefined : `${stanza.attr.from ?? ""}\n${id}`;
}
