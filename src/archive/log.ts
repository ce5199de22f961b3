// Which message is an entry of the room's log already: another account's copy of it made it, or it comes again from the
// room's archive.

import * as datetime from "util.datetime";
import * as st from "util.stanza";
import { append, entryOf, fill, keyOf, stanzaOf, store } from "./entries";
import { deliver, isFor, settleSoon } from "./delivered";
import { MUC_USER, OCCUPANT_ID, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { wallClock } from "../state/clock";
import { rangesOf } from "../state/deliveries";
import type { Entry, Part, Past, RoomLog } from "../state/logs";
import type { Membership } from "../state/memberships";
import { findMessages } from "../state/messages";
import type { Ranges } from "../state/ranges";
import { delayBy, isDelayBy, isWorthKeeping, stanzaIdBy } from "../stanzas";
import { textOf } from "../text";
import { addMissed } from "./personal";

/** Entries that are read at a time to find some message of the past among them, and for how many seconds they are held. */
const PAST = 1000;
const PAST_KEPT = 60;

/** Namespaces of what rooms add to a message, and their archives may or may not keep. */
const added = new LuaSet<string>();
added.add(MUC_USER);
added.add(OCCUPANT_ID);
added.add(STANZA_ID);

/** Seconds that a room's clock may differ from ours. */
const SKEW = 10;

/** Seconds by which a message of the past may seem yet to come: our clock may be behind until it is set. */
const AHEAD = 100 * 86400;

/**
 * Records a message that an account was shown; whether it is worth that and the account has not had it before. A room
 * of this server hands the same table to every account (muc.lib.lua, broadcast), so that all but the first only look at
 * what was recorded last.
 */
export function record(membership: Membership, stanza: Stanza): boolean {
    if (options.archive === "mam") {
        const past = pastOf(membership.room, stanza);
        // mod_mam has recorded what is said now.
        return past === undefined || addMissed(membership, stanza, past);
    }
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined) {
        return false;
    }
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

/** Whether what comes of the past is later than all that the account has had. */
function isLater(membership: Membership): boolean {
    return membership.catchUp?.appendOutOfOrder === true;
}

/** When a message of the past was said, in seconds. */
function pastOf(room: string, stanza: Stanza): number | undefined {
    const stamp = delayBy(stanza, room);
    const past = stamp === undefined ? undefined : datetime.parse(stamp);
    return past === undefined ? undefined : math.floor(past);
}

/** The entry that another account's copy made already, or one of its own. */
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
                // The room shows this account something else: a gateway, for instance.
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
 * A message of the past has its place in the log, where another account's copy may have put it, or at the end: it cannot
 * be put in before others. Undefined if the account has it already, or there is no place for it.
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
    const past = entry === undefined ? pastAround(log, when) : undefined;
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
    // The log goes by time.
    return add(log, content, Math.min(Math.max(when, earliest), wallClock() + AHEAD), undefined);
}

/** Whether it can be known which messages of the past an account has. */
export function canRecordPast(membership: Membership): boolean {
    const log = membership.log;
    return log === undefined || (rangesOf(membership.username, log.room)[1] && fill(log));
}

/** Storage failed, so whether the account has the message is not known: it is asked for once more. */
function notPlaced(membership: Membership): void {
    const step = membership.catchUp?.progress;
    if (step?.step === "asking") {
        step.failed = true;
    } else if (step?.step === "draining" && membership.log !== undefined) {
        membership.log.gap = true;
    }
}

/** When the newest entry was said. What was stamped by a clock that was ahead says nothing. */
function newestTime(log: RoomLog): number {
    const newest = log.recent[log.recent.length - 1];
    return newest === undefined || newest.when > wallClock() + SKEW ? 0 : newest.when;
}

function add(log: RoomLog, stanza: Stanza, when: number, owner: string | undefined): Entry | undefined {
    const entry = append(log, stanza, when, owner);
    if (entry !== undefined) {
        if (log.past?.to === math.huge) {
            addPast(log, log.past, entry, stanza);
        }
        if (owner === undefined) {
            settleSoon(log);
        }
    }
    return entry;
}

/**
 * What an account has already comes again as the room's archive writes it; what it has not may be what another account
 * was shown in its place.
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

/** Whether two messages say the same, but for what the room adds. */
function isSaidAs(entry: Entry, content: Stanza): boolean {
    const stanza = stanzaOf(entry);
    return stanza !== undefined && textOf(asSaid(stanza)) === textOf(asSaid(content));
}

/** Without what the room adds. */
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
 * The entries around a time as far as they are not in `recent`. An account that catches up goes through them in their
 * order, so that some are read at a time, from the one that is looked for.
 */
function pastAround(log: RoomLog, when: number): Past | "failed" | undefined {
    const oldest = log.recent[0];
    // A time that is yet to come was before the clock was set back.
    if (oldest === undefined || log.whole || (when > oldest.when + SKEW && when <= wallClock() + SKEW)) {
        return undefined;
    }
    if (log.past === undefined || when < log.past.from || when >= log.past.to) {
        log.past = readPast(log, when);
        return log.past ?? "failed";
    }
    return log.past;
}

function findPast(past: Past, archiveId: string | undefined, isWanted: IsWanted): Entry | undefined {
    const entry = archiveId === undefined ? undefined : past.ids.get(archiveId);
    if (entry !== undefined && isWanted(entry)) {
        return entry;
    }
    return findEntry(archiveId === undefined || entry !== undefined ? past.entries : past.others, isWanted);
}

function readPast(log: RoomLog, from: number): Past | undefined {
    const found = findMessages(store, keyOf(log.room), { start: from - SKEW, limit: PAST });
    if (found === undefined) {
        return undefined;
    }
    const past: Past = { from, to: math.huge, entries: [], others: [], ids: new LuaMap() };
    let before: number | undefined;
    for (const stored of found) {
        const entry = entryOf(stored, before);
        addPast(log, past, entry, stored.stanza);
        if (entry.owner === undefined) {
            before = entry.number;
        }
    }
    const last = past.entries.length < PAST ? undefined : past.entries[past.entries.length - 1];
    if (last !== undefined) {
        past.to = last.when - SKEW;
    }
    module.add_timer(PAST_KEPT, () => {
        log.past = undefined;
        return undefined;
    });
    return past;
}

function addPast(log: RoomLog, past: Past, entry: Entry, stanza: Stanza): void {
    const archiveId = entry.owner === undefined ? stanzaIdBy(stanza, log.room) : undefined;
    past.entries.push(entry);
    if (archiveId === undefined) {
        past.others.push(entry);
    } else {
        past.ids.set(archiveId, entry);
    }
}

/** A copy to keep: without the address, and without the delay by which a room marks what is past. */
function withoutDelay(log: RoomLog, stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.to = undefined;
    content.maptags((tag) => (isDelayBy(tag, log.room) ? undefined : tag));
    return content;
}
