// Finds the entry of a message that is in the room's log already: another account's copy, or a repetition by the room's
// archive.

import * as datetime from "util.datetime";
import * as st from "util.stanza";
import { append, entryOf, fill, keyOf, stanzaOf, store } from "./entries";
import { deliver, isFor, settleSoon } from "./delivered";
import { MUC_USER, OCCUPANT_ID, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { monotonic, wallClock } from "../state/clock";
import { weightOf } from "../weight";
import { rangesOf } from "../state/deliveries";
import type { Entry, Part, Past, RoomLog } from "../state/logs";
import type { Membership } from "../state/memberships";
import { findMessages } from "../state/messages";
import type { Ranges } from "../state/ranges";
import { delayBy, isDelayBy, isWorthKeeping, stanzaIdBy } from "../stanzas";
import { textOf } from "../text";
import { addMissed } from "./personal";

/**
 * Limits for the search for a message of the past: entries to read at a time, bytes of memory to read, and seconds to
 * keep them. Going back in time reads others, and is limited to a few times.
 */
const PAST = 200;
const PAST_SIZE = 524288;
const PAST_KEPT = 60;
const STEPS_BACK = 10;

/** Namespaces that rooms add to messages. Archives may or may not keep these elements. */
const added = new LuaSet<string>();
added.add(MUC_USER);
added.add(OCCUPANT_ID);
added.add(STANZA_ID);

/** Largest difference between a room's clock and ours, in seconds. */
const SKEW = 10;

/** Largest lead of a message's time stamp, in seconds: our clock may be behind until it is set. */
const AHEAD = 100 * 86400;

/**
 * Records a message that an account received. Returns whether it is archived and new to the account. A local room
 * passes the same table for every account (muc.lib.lua, broadcast). So most calls only compare it with the last
 * recorded message.
 */
export function record(membership: Membership, stanza: Stanza): boolean {
    if (options.archive === "mam") {
        const past = pastOf(membership.room, stanza);
        // mod_mam has recorded live messages.
        return past === undefined || addMissed(membership, stanza, past);
    }
    const part = membership.part;
    if (part === undefined) {
        return false;
    }
    const log = part.log;
    if (log.source !== stanza || isAnothers(log.current, membership)) {
        log.source = stanza;
        log.current = isWorthKeeping(stanza) ? entryFor(log, membership, part, stanza) : undefined;
    }
    const entry = log.current;
    return entry !== undefined && deliver(membership, log, part, entry);
}

function isAnothers(entry: Entry | undefined, membership: Membership): boolean {
    return entry?.owner !== undefined && entry.owner !== membership.username;
}

function entryFor(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    const past = pastOf(log.room, stanza);
    return past === undefined
        ? newEntry(log, membership, part, stanza)
        : pastEntry(log, membership, part, stanza, past);
}

/** Whether a message of the past is later than all messages that the account has. */
function isLater(membership: Membership): boolean {
    return membership.catchUp?.appendOutOfOrder === true;
}

/** Returns the time of a message of the past, in seconds. */
function pastOf(room: string, stanza: Stanza): number | undefined {
    const stamp = delayBy(stanza, room);
    const past = stamp === undefined ? undefined : datetime.parse(stamp);
    return past === undefined ? undefined : math.floor(past);
}

/** Returns the entry of another account's copy, or a new one. */
function newEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    let owner: string | undefined;
    let same: Entry | undefined;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry === undefined || entry.number <= part.position) {
            break;
        }
        if (entry.owner === undefined || entry.owner === membership.username) {
            if (entry.text === textOf(stanza)) {
                same = entry;
            } else if (isSameMessage(log, entry, stanza)) {
                // The room shows this account another content, as some gateways do.
                owner = membership.username;
            }
        }
    }
    return same ?? add(log, stanza, wallClock(), owner);
}

function isSameMessage(log: RoomLog, entry: Entry, stanza: Stanza): boolean {
    const one = stanzaOf(entry);
    const id = stanzaIdBy(stanza, log.room) ?? stanza.attr.id;
    return (
        id !== undefined &&
        one?.attr.from === stanza.attr.from &&
        id === (one === undefined ? undefined : (stanzaIdBy(one, log.room) ?? one.attr.id))
    );
}

/**
 * Returns the entry of a message of the past: that of another account's copy, or a new one at the end. Entries cannot
 * be inserted before others. Undefined if the account has the message, or it cannot be added.
 */
function pastEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza, when: number): Entry | undefined {
    const [ranges] = rangesOf(membership.username, log.room);
    if (!canRecordPast(membership)) {
        notPlaced(membership);
        return undefined;
    }
    const content = withoutDelay(log, stanza);
    const archiveId = stanzaIdBy(content, log.room);
    const isWanted = (entry: Entry) => isSamePast(log, membership, ranges, part, entry, content);
    let entry = findEntry(log.recent, isWanted);
    const past = entry === undefined ? pastAround(log, membership, when) : undefined;
    if (past === "failed") {
        notPlaced(membership);
        return undefined;
    }
    if (past !== undefined) {
        entry = findPast(past, archiveId, isWanted);
    }
    if (entry !== undefined) {
        return entry.owner === undefined ? entry : undefined;
    }
    const earliest = newestTime(log);
    if (when < earliest && !isLater(membership)) {
        return undefined;
    }
    // The log is in order of time.
    return add(log, content, Math.min(Math.max(when, earliest), wallClock() + AHEAD), undefined);
}

/** Whether it is known which messages of the past an account has. */
export function canRecordPast(membership: Membership): boolean {
    const log = membership.part?.log;
    return log === undefined || (rangesOf(membership.username, log.room)[1] && fill(log));
}

/** Storage failed, so it is unknown whether the account has the message. It is fetched again. */
function notPlaced(membership: Membership): void {
    const step = membership.catchUp?.progress;
    if (step?.step === "asking") {
        step.failed = true;
    } else if (step?.step === "draining" && membership.part !== undefined) {
        membership.part.log.gap = true;
    }
}

/** Returns the time of the newest entry. Time stamps from a clock that was ahead are ignored. */
function newestTime(log: RoomLog): number {
    const newest = log.recent[log.recent.length - 1];
    return newest === undefined || newest.when > wallClock() + SKEW ? 0 : newest.when;
}

function add(log: RoomLog, stanza: Stanza, when: number, owner: string | undefined): Entry | undefined {
    const entry = append(log, stanza, when, owner);
    if (entry !== undefined) {
        if (log.past?.to === math.huge) {
            addPast(log, log.past, entry, stanza);
            if (log.past.size > 2 * PAST_SIZE) {
                log.past = undefined;
            }
        }
        if (owner === undefined) {
            settleSoon(log);
        }
    }
    return entry;
}

/**
 * Whether an entry is a message of the past. The room's archive repeats messages that the account has. If the account
 * lacks an entry, that may be another account's different copy.
 */
function isSamePast(
    log: RoomLog,
    membership: Membership,
    ranges: Ranges,
    part: Part,
    entry: Entry,
    content: Stanza,
): boolean {
    if (isAnothers(entry, membership)) {
        return false;
    }
    return (
        entry.text === textOf(content) ||
        (isSameMessage(log, entry, content) &&
            (isFor(membership.username, ranges, part.position, entry) || isSaidAs(entry, content)))
    );
}

/** Whether two messages are equal except for elements that the room adds. */
function isSaidAs(entry: Entry, content: Stanza): boolean {
    const stanza = stanzaOf(entry);
    return stanza !== undefined && textOf(asSaid(stanza)) === textOf(asSaid(content));
}

/** Returns a message without elements that the room adds. */
function asSaid(stanza: Stanza): Stanza {
    const said = st.clone(stanza);
    said.maptags((tag) => (added.has(tag.attr.xmlns ?? "") ? undefined : tag));
    return said;
}

type IsWanted = (this: void, entry: Entry) => boolean;

function findEntry(entries: Entry[], isWanted: IsWanted): Entry | undefined {
    for (const entry of entries) {
        if (isWanted(entry)) {
            return entry;
        }
    }
    return undefined;
}

/**
 * Returns the entries around a time that are not in `recent`. An account that catches up reads them in order. So
 * several are read at a time, starting at the searched one.
 */
function pastAround(log: RoomLog, membership: Membership, when: number): Past | "failed" | undefined {
    const oldest = log.recent[0];
    // A time in the future is from before the clock was set back.
    if (oldest === undefined || log.whole || (when > oldest.when + SKEW && when <= wallClock() + SKEW)) {
        return undefined;
    }
    // Results of an archive are in order of time (XEP-0313 4.2). A result out of order is not searched.
    const from = Math.max(when, membership.catchUp?.latest ?? 0);
    const past = log.past;
    if (past !== undefined && from >= past.from && from < past.to) {
        return past;
    }
    const isBack = past !== undefined && from < past.from;
    const stepsBack = (past?.stepsBack ?? 0) + (isBack ? 1 : 0);
    if (stepsBack > STEPS_BACK && membership.catchUp === undefined) {
        return undefined;
    }
    log.past = readPast(log, from, stepsBack);
    return log.past ?? "failed";
}

function findPast(past: Past, archiveId: string | undefined, isWanted: IsWanted): Entry | undefined {
    const entry = archiveId === undefined ? undefined : past.ids.get(archiveId);
    if (entry !== undefined && isWanted(entry)) {
        return entry;
    }
    return findEntry(archiveId === undefined || entry !== undefined ? past.entries : past.others, isWanted);
}

function readPast(log: RoomLog, from: number, stepsBack: number): Past | undefined {
    const found = findMessages(store, keyOf(log.room), { start: from - SKEW, limit: PAST }, PAST_SIZE);
    if (found === undefined) {
        return undefined;
    }
    const until = monotonic() + PAST_KEPT;
    const past: Past = { from, to: math.huge, stepsBack, until, size: 0, entries: [], others: [], ids: new LuaMap() };
    let before: number | undefined;
    let weight = 0;
    for (const stored of found) {
        const entry = entryOf(stored, before);
        addPast(log, past, entry, stored.stanza);
        weight = weight + weightOf(stored.stanza);
        if (entry.owner === undefined) {
            before = entry.number;
        }
    }
    const isAll = past.entries.length < PAST && weight < PAST_SIZE;
    const last = isAll ? undefined : past.entries[past.entries.length - 1];
    if (last !== undefined) {
        past.to = Math.max(last.when - SKEW, from + 1);
    }
    module.add_timer(PAST_KEPT, () => {
        if (log.past !== undefined && monotonic() >= log.past.until) {
            log.past = undefined;
        }
        return undefined;
    });
    return past;
}

function addPast(log: RoomLog, past: Past, entry: Entry, stanza: Stanza): void {
    const archiveId = entry.owner === undefined ? stanzaIdBy(stanza, log.room) : undefined;
    past.entries.push(entry);
    past.size = past.size + string.len(entry.text);
    if (archiveId === undefined) {
        past.others.push(entry);
    } else {
        past.ids.set(archiveId, entry);
    }
}

/** Returns a copy to store: without the address, and without the room's delay. */
function withoutDelay(log: RoomLog, stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.to = undefined;
    content.maptags((tag) => (isDelayBy(tag, log.room) ? undefined : tag));
    return content;
}
