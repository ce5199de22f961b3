// Finds the entry of a message that is in the room's log already: another account's copy, or a repetition by the room's
// archive.

import * as datetime from "util.datetime";
import * as st from "util.stanza";
import { append, loadTail, stanzaOf } from "./entries";
import { deliver, isFor, closeMissedSoon } from "./delivered";
import { MUC_USER, OCCUPANT_ID, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { wallClock } from "../state/clock";
import { rangesOf } from "../state/deliveries";
import type { Entry, Part, EntryWindow, RoomLog } from "../state/logs";
import type { Membership } from "../state/memberships";
import { delayBy, isDelayBy, isWorthKeeping, stanzaIdBy } from "../stanzas";
import { textOf } from "../text";
import { addMissed } from "./personal";
import {
    extendWindow,
    isBeforeTail,
    isInUse,
    isUnfinished,
    mayRead,
    nameOf,
    readWindow,
    SKEW,
    windowAt,
} from "./window";

/** The queue of a log whose entries are all stored. */
const none: Entry[] = [];

/** Number of entries with the same sender and id to compare with a message. */
const MOST_COMPARED = 5;

/** Namespaces that rooms add to messages. Archives may or may not keep these elements. */
const added = new LuaSet<string>();
added.add(MUC_USER);
added.add(OCCUPANT_ID);
added.add(STANZA_ID);

/** Largest lead of a message's time stamp, in seconds: our clock may be behind until it is set. */
const AHEAD = 100 * 86400;

/**
 * Records a message that an account received. Returns whether it is archived and new to the account. A local room
 * passes the same table for every account (muc.lib.lua, broadcast). So most calls only move the account on from the
 * previous entry.
 */
export function record(membership: Membership, stanza: Stanza): boolean {
    const part = membership.part;
    if (part === undefined) {
        return options.archive === "mam" && recordOwn(membership, stanza);
    }
    const log = part.log;
    const latest = log.current;
    if (latest?.before === part.position && log.source === stanza && part.range !== undefined && part.range !== false) {
        part.position = latest.number;
        return true;
    }
    if (log.source !== stanza || isAnothers(latest, membership)) {
        log.source = stanza;
        log.current = isWorthKeeping(stanza) ? entryFor(log, membership, part, stanza) : undefined;
    }
    const entry = log.current;
    return entry !== undefined && deliver(membership, log, part, entry);
}

/** mod_mam records live messages. */
function recordOwn(membership: Membership, stanza: Stanza): boolean {
    const past = pastOf(membership.room, stanza);
    return past === undefined || addMissed(membership, stanza, past);
}

function isAnothers(entry: Entry | undefined, membership: Membership): boolean {
    return entry?.privateTo !== undefined && entry.privateTo !== membership.username;
}

function entryFor(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    const past = pastOf(log.room, stanza);
    return past === undefined
        ? newEntry(log, membership, part, stanza)
        : pastEntry(log, membership, part, stanza, past);
}

/** Whether a message of the past is later than all messages that the account has. */
function appendsOutOfOrder(membership: Membership): boolean {
    return membership.catchUp?.appendOutOfOrder === true;
}

/** Returns the time of a message of the past, in seconds. */
export function pastOf(room: string, stanza: Stanza): number | undefined {
    const stamp = delayBy(stanza, room);
    const past = stamp === undefined ? undefined : datetime.parse(stamp);
    return past === undefined ? undefined : math.floor(past);
}

/** Returns the entry of another account's copy, or a new one. */
function newEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    let privateTo: string | undefined;
    let same: Entry | undefined;
    for (const i of $range(log.tail.length, 1, -1)) {
        const entry = log.tail[i - 1];
        if (entry === undefined || entry.number <= part.position) {
            break;
        }
        if (entry.privateTo === undefined || entry.privateTo === membership.username) {
            if (entry.text === textOf(stanza)) {
                same = entry;
            } else if (isNamed(log, entry, nameOf(log, stanza))) {
                // The room shows this account another content, as some gateways do.
                privateTo = membership.username;
            }
        }
    }
    return same ?? add(log, stanza, wallClock(), privateTo);
}

/** Whether an entry has this name. The entry is parsed once, because an archive may repeat many messages. */
function isNamed(log: RoomLog, entry: Entry, name: string | undefined): boolean {
    if (entry.name === undefined) {
        const stanza = stanzaOf(entry);
        entry.name = (stanza === undefined ? undefined : nameOf(log, stanza)) ?? false;
    }
    return name !== undefined && entry.name === name;
}

/**
 * Returns the entry of a message of the past: that of another account's copy, or a new one at the end. Entries cannot
 * be inserted before others. Undefined if the account has the message, or it cannot be added. The room's archive repeats
 * messages that the account has. If the account lacks an entry, that may be another account's different copy.
 */
function pastEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza, when: number): Entry | undefined {
    const [ranges] = rangesOf(membership.username, log.room);
    const canRead = canRecordPast(membership);
    if (!canRead && !mustPlace(membership)) {
        notPlaced(membership);
        return undefined;
    }
    const content = withoutDelay(log, stanza);
    const archiveId = stanzaIdBy(content, log.room);
    const search: Search = { content, text: textOf(content), name: nameOf(log, content), compared: 0 };
    const matches = (entry: Entry) =>
        !isAnothers(entry, membership) &&
        (entry.text === search.text ||
            (isNamed(log, entry, search.name) &&
                (isFor(membership.username, ranges, part.position, entry.number, entry.privateTo) ||
                    isSaidAs(entry, search))));
    let entry = findEntry(log.tail, search, matches) ?? findEntry(log.unwritten ?? none, search, matches);
    const isInMemory = entry !== undefined || !canRead || !isBeforeTail(log, when);
    const window = isInMemory ? undefined : windowAround(log, membership, startOfSearch(membership, when));
    if (window === "failed" && !mustPlace(membership)) {
        notPlaced(membership);
        return undefined;
    }
    if (window !== undefined && window !== "failed") {
        entry = findInWindow(window, archiveId, search, matches);
    }
    if (entry !== undefined) {
        return entry.privateTo === undefined ? entry : undefined;
    }
    const earliest = newestTime(log);
    if (when < earliest && !appendsOutOfOrder(membership)) {
        return undefined;
    }
    // The log is in order of time.
    const entered = add(log, content, Math.min(Math.max(when, earliest), wallClock() + AHEAD), undefined);
    if (entered !== undefined) {
        entered.name = search.name ?? false;
    }
    return entered;
}

/** Whether it is known which messages of the past an account has. */
export function canRecordPast(membership: Membership): boolean {
    const log = membership.part?.log;
    return log === undefined || (rangesOf(membership.username, log.room)[1] && loadTail(log));
}

/** Storage failed, so it is unknown whether the account has the message. It is tried again. */
function notPlaced(membership: Membership): void {
    const progress = membership.catchUp?.progress;
    if (progress?.step === "querying" || progress?.step === "draining") {
        progress.failed = true;
    }
    if (membership.part !== undefined) {
        membership.part.log.source = undefined;
    }
}

/** Whether a message is added even if it is unknown whether the account has it. */
function mustPlace(membership: Membership): boolean {
    const progress = membership.catchUp?.progress;
    return progress?.step === "draining" && progress.isForced;
}

/** Returns the time of the newest entry. Time stamps from a clock that was ahead are ignored. */
function newestTime(log: RoomLog): number {
    const newest = log.tail[log.tail.length - 1];
    return newest === undefined || newest.when > wallClock() + SKEW ? 0 : newest.when;
}

function add(log: RoomLog, stanza: Stanza, when: number, privateTo: string | undefined): Entry | undefined {
    const entry = append(log, stanza, when, privateTo);
    if (entry !== undefined) {
        if (log.unwritten !== undefined) {
            // The name is for searches of past messages in this queue.
            entry.name = nameOf(log, stanza) ?? false;
        }
        extendWindow(log, entry, stanza);
        if (privateTo === undefined) {
            closeMissedSoon(log);
        }
    }
    return entry;
}

/** The search for a message of the past. */
interface Search {
    readonly content: Stanza;
    readonly text: string;
    readonly name: string | undefined;
    /** Number of entries with the same name that were compared. */
    compared: number;
}

/** Whether two messages are equal except for elements that the room adds. A room may give many the same id. */
function isSaidAs(entry: Entry, search: Search): boolean {
    search.compared = search.compared + 1;
    const stanza = search.compared > MOST_COMPARED ? undefined : stanzaOf(entry);
    return stanza !== undefined && textOf(asSaid(stanza)) === textOf(asSaid(search.content));
}

/** Returns a message without elements that the room adds. */
function asSaid(stanza: Stanza): Stanza {
    const said = st.clone(stanza);
    said.maptags((tag) => (added.has(tag.attr.xmlns ?? "") ? undefined : tag));
    return said;
}

type EntryTest = (this: void, entry: Entry) => boolean;

/** Compares only entries with the same name, or an unknown one. Equal messages have equal names. */
function findEntry(entries: Entry[], search: Search, matches: EntryTest): Entry | undefined {
    const name = search.name ?? false;
    for (const entry of entries) {
        if ((entry.name === undefined || entry.name === name) && matches(entry)) {
            return entry;
        }
    }
    return undefined;
}

/**
 * Reads some of the entries that a search for a message of the past needs. Returns whether all are read. Then the search
 * must follow at once, because another account may need other entries.
 */
export function readForSearch(membership: Membership, stanza: Stanza): boolean {
    const log = membership.part?.log;
    const when = log === undefined ? undefined : pastOf(log.room, stanza);
    if (log === undefined || when === undefined || !canRecordPast(membership) || !isBeforeTail(log, when)) {
        return true;
    }
    const from = startOfSearch(membership, when);
    if (isInUse(log, from)) {
        return false;
    }
    const window = windowAround(log, membership, from);
    return window === undefined || window === "failed" || !isUnfinished(window);
}

/** Results of an archive are in order of time (XEP-0313 4.2), unless the room's clock was set back. */
function startOfSearch(membership: Membership, when: number): number {
    const catching = membership.catchUp;
    const isResult = catching?.progress.step === "querying" && !mayRead();
    return isResult ? Math.max(when, catching.latest) : when;
}

/**
 * Returns entries around a time that are not in `tail`. Reads some if they are missing. A catch-up does this in slices,
 * and the rest only if there is time.
 */
function windowAround(log: RoomLog, membership: Membership, from: number): EntryWindow | "failed" | undefined {
    const window = windowAt(log, from);
    const isRead = window !== undefined && !isUnfinished(window);
    const isInSlices = membership.catchUp !== undefined && !mustPlace(membership);
    return isRead || !(isInSlices || mayRead()) ? window : (readWindow(log, from) ?? "failed");
}

function findInWindow(
    window: EntryWindow,
    archiveId: string | undefined,
    search: Search,
    matches: EntryTest,
): Entry | undefined {
    const entry = archiveId === undefined ? undefined : window.ids.get(archiveId);
    if (entry !== undefined && matches(entry)) {
        return entry;
    }
    return findEntry(archiveId === undefined || entry !== undefined ? window.entries : window.others, search, matches);
}

/** Returns a copy to store: without the address, and without the room's delay. */
function withoutDelay(log: RoomLog, stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.to = undefined;
    content.maptags((tag) => (isDelayBy(tag, log.room) ? undefined : tag));
    return content;
}
