// Buffers messages of a room while messages before them may be missing. They go into the log when the gap is closed or
// given up.

import * as st from "util.stanza";
import * as options from "../options";
import { fork } from "../send/fork";
import { inSlices } from "../slices";
import { monotonic, wallClock } from "../state/clock";
import { noteDrop } from "../state/counters";
import type { Buffered, CatchUp, Draining } from "../state/catchup";
import { noteOver } from "../state/limits";
import type { Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { addDelay, delayBy, stanzaIdBy } from "../stanzas";
import { weightOf } from "../weight";
import { openPart } from "./delivered";
import { writeInSlices } from "./entries";
import { pastOf, readForSearch, record } from "./log";
import { isKept, newestOf, type Said } from "./read";
import { expiryTime } from "./retention";

/** Seconds between attempts to move messages into the log. */
const PAUSE = 5;

/** Seconds for storing buffered messages at once. */
const FLUSH = 0.005;

/**
 * Starts to buffer, because messages of the room may have been lost. Buffering ends when the archive has been asked.
 * The log is in order of time, and the last message before a gap tells where the gap begins.
 */
export function startBuffering(membership: Membership): void {
    openPart(membership);
    const before = membership.catchUp;
    if ((before === undefined || isInterrupted(before)) && isKept(membership)) {
        const catching = newCatchUp(before);
        membership.catchUp = catching;
        drainEarlier(membership, catching);
    }
}

/** Whether a new gap begins while buffered messages are being moved into the log. They came before it. */
function isInterrupted(catching: CatchUp): boolean {
    return catching.progress.step === "draining" && !catching.progress.isFull;
}

function newCatchUp(before: CatchUp | undefined): CatchUp {
    const earlier = before === undefined ? 0 : before.buffer.length - before.drained;
    return {
        progress: { step: "idle" },
        since: wallClock(),
        start: before?.start,
        position: undefined,
        earliest: undefined,
        last: undefined,
        blocked: undefined,
        buffer: before?.buffer ?? [],
        drained: before?.drained ?? 0,
        earlier: earlier > 0 ? earlier : undefined,
        weight: before?.weight ?? 0,
        bufferedIds: before?.bufferedIds ?? new LuaSet(),
        left: options.maxHistory,
        latest: 0,
        appendOutOfOrder: false,
    };
}

/**
 * Archives a missed message, and sends it to the sessions that were attached all the time, if it is new. The session
 * `except` has got it.
 */
export function deliverMissed(membership: Membership, delayed: Stanza, except?: string): void {
    const isSeen = takeBufferedId(membership, delayed);
    if (record(membership, delayed) && !isSeen) {
        fork(membership, delayed, except);
    }
}

/**
 * Returns the time to request messages from, in seconds: that of the last message or of the join. Expired messages are
 * not requested. If the clock was set back since then, it is the start of the buffering.
 */
export function startOf(membership: Membership, catching: CatchUp, newest: Said | undefined): number {
    const known = newest === undefined ? (membership.since ?? math.huge) : newest.when;
    const oldest = options.archive === true ? expiryTime() : known;
    return Math.min(Math.max(known, oldest), catching.since);
}

/**
 * Missed messages are requested from a time on. In the second of its join, or of its last message if that is older, the
 * room may have sent messages that the account must not read. `newest` is the last message that the account has.
 */
export function beginAt(membership: Membership, catching: CatchUp, start: number, newest: Said | undefined): void {
    const known = newest === undefined ? membership.since : newest.when;
    const mayBeOlder = start === known && start <= (membership.since ?? -1);
    catching.earliest = mayBeOlder ? math.floor(start) + 1 : undefined;
    catching.last = newest?.stanza;
}

/**
 * Whether a message of the past may be older than the account's join. A message that has also arrived live is not, nor
 * are those after it.
 */
export function isBeforeJoin(membership: Membership, catching: CatchUp, message: Stanza, when: number): boolean {
    const earliest = catching.earliest;
    const isOlder = earliest !== undefined && when < earliest && !hasArrived(membership, catching, message);
    if (!isOlder) {
        catching.earliest = undefined;
    }
    return isOlder;
}

function hasArrived(membership: Membership, catching: CatchUp, message: Stanza): boolean {
    const messageId = messageIdOf(membership, message);
    if (messageId !== undefined && catching.bufferedIds.has(messageId)) {
        return true;
    }
    return catching.last !== undefined && isSame(membership, catching.last, message);
}

/** Whether two messages have the same id, or, without ids, the same sender and text. */
function isSame(membership: Membership, one: Stanza, other: Stanza): boolean {
    const messageId = messageIdOf(membership, one);
    if (messageId !== undefined) {
        return messageId === messageIdOf(membership, other);
    }
    return one.attr.from === other.attr.from && one.get_child_text("body") === other.get_child_text("body");
}

/** Whether a missed message has also arrived live. */
function takeBufferedId(membership: Membership, delayed: Stanza): boolean {
    const catching = membership.catchUp;
    const messageId = messageIdOf(membership, delayed);
    if (catching === undefined || messageId === undefined || !catching.bufferedIds.has(messageId)) {
        return false;
    }
    catching.bufferedIds.delete(messageId);
    return true;
}

/** Returns the id that the room gave a message, or else the sender's. */
function messageIdOf(membership: Membership, stanza: Stanza): string | undefined {
    const own = stanza.attr.id === undefined ? undefined : `${stanza.attr.from ?? ""} ${stanza.attr.id}`;
    return stanzaIdBy(stanza, membership.room) ?? own;
}

/** Whether the room is answering an automatic join. Then the history is for the account, and not for a session. */
function answersOwnJoin(membership: Membership): boolean {
    const current = membership.place;
    return current.phase === Phase.Entering && current.operation.request === undefined;
}

/** Buffers a message of the room, which belongs after the missing ones. The room's archive may have it too. */
export function bufferMessage(membership: Membership, catching: CatchUp, stanza: Stanza, seen: boolean): void {
    const when = wallClock();
    const past = seen || !answersOwnJoin(membership) ? undefined : (pastOf(membership.room, stanza) ?? when);
    if (past !== undefined && isBeforeJoin(membership, catching, stanza, past)) {
        return;
    }
    const copy = st.clone(stanza);
    if (delayBy(copy, membership.room) === undefined) {
        addDelay(copy, membership.room, when);
    }
    const messageId = messageIdOf(membership, copy);
    if (messageId !== undefined && seen) {
        catching.bufferedIds.add(messageId);
    }
    const weight = weightOf(copy) + string.len(seen ? (messageId ?? "") : "");
    catching.buffer.push({ stanza: copy, when, seen, weight });
    catching.weight = catching.weight + weight;
    const isOver =
        catching.buffer.length - catching.drained > options.maxHistory || catching.weight > options.maxGapSize;
    if (isOver && catching.progress.step === "draining") {
        // If messages arrive faster than they drain, drain here as well.
        drainOne(membership, catching, catching.progress, true);
        drainOne(membership, catching, catching.progress, true);
    } else if (isOver) {
        noteOver("minimix_max_gap_size", membership.username, membership.room);
        drain(membership, catching, true);
    }
}

/** Visits the buffered messages that are not in the log, newest first, until `visit` returns true. */
export function readBuffered(membership: Membership, visit: (this: void, said: Said) => boolean): void {
    const catching = membership.catchUp;
    if (catching === undefined) {
        return;
    }
    for (const i of $range(catching.buffer.length, catching.drained + 1, -1)) {
        const buffered = catching.buffer[i - 1];
        const messageId = buffered === undefined ? undefined : messageIdOf(membership, buffered.stanza);
        const isPlaced = messageId !== undefined && !catching.bufferedIds.has(messageId);
        if (buffered?.seen === true && !isPlaced && visit(buffered)) {
            return;
        }
    }
}

/** Moves the buffered messages into the log, after the missed messages that the room sent. */
export function endCatchUp(membership: Membership): void {
    if (membership.catchUp !== undefined) {
        drain(membership, membership.catchUp, false);
    }
}

function drain(membership: Membership, catching: CatchUp, isFull: boolean): void {
    if (catching.progress.step !== "draining") {
        const draining: Draining = { step: "draining", isFull, isForced: false, failed: false };
        catching.progress = draining;
        catching.appendOutOfOrder = true;
        catching.earlier = undefined;
        catching.buffer = unseenFirst(catching.buffer);
        drainInSlices(membership, catching, draining);
    }
}

/** Continues after a pause if storage fails. */
function drainInSlices(membership: Membership, catching: CatchUp, draining: Draining): void {
    inSlices(() => {
        if (membership.catchUp !== catching) {
            return true;
        }
        const buffered = catching.buffer[catching.drained];
        if (buffered !== undefined && !readForSearch(membership, buffered.stanza)) {
            return false;
        }
        drainOne(membership, catching, draining, false);
        if (draining.failed) {
            module.add_timer(PAUSE, () => {
                drainInSlices(membership, catching, draining);
                return undefined;
            });
        }
        return draining.failed || membership.catchUp !== catching;
    });
}

/**
 * Does the same at once: the account is out of the room, and its messages must be in the log by then. After some time
 * messages are only queued for storage, and history that no session has received is dropped.
 */
export function flush(membership: Membership): void {
    endCatchUp(membership);
    const catching = membership.catchUp;
    const deadline = monotonic() + FLUSH;
    while (catching !== undefined && membership.catchUp === catching && catching.progress.step === "draining") {
        if (isLate(membership, deadline) && catching.buffer[catching.drained]?.seen === false) {
            noteDrop("limit");
            passOver(membership, catching);
        } else {
            drainOne(membership, catching, catching.progress, true);
        }
    }
}

/**
 * Moves the messages from before the gap into the log. Returns whether none is left: storage may fail, and much history
 * takes several calls.
 */
export function drainEarlier(membership: Membership, catching: CatchUp): boolean {
    if (!hasEarlier(catching)) {
        return true;
    }
    const draining: Draining = { step: "draining", isFull: false, isForced: false, failed: false };
    const deadline = monotonic() + FLUSH;
    catching.progress = draining;
    catching.appendOutOfOrder = true;
    while (
        hasEarlier(catching) &&
        !draining.failed &&
        !(isLate(membership, deadline) && catching.buffer[catching.drained]?.seen === false)
    ) {
        drainOne(membership, catching, draining, false);
    }
    catching.progress = { step: "idle" };
    return !hasEarlier(catching);
}

function hasEarlier(catching: CatchUp): boolean {
    return catching.earlier !== undefined;
}

/** Whether the time for storing messages at once is over. The following ones are then queued for storage. */
function isLate(membership: Membership, deadline: number): boolean {
    const late = monotonic() > deadline;
    if (late && membership.part?.log !== undefined) {
        writeInSlices(membership.part.log);
    }
    return late;
}

/** Returns the buffer with the room's history first, because it is older than live messages. */
function unseenFirst(buffer: Buffered[]): Buffered[] {
    const ordered: Buffered[] = [];
    for (const seen of [false, true]) {
        for (const buffered of buffer) {
            if (buffered.seen === seen) {
                ordered.push(buffered);
            }
        }
    }
    return ordered;
}

/** Frees the memory of messages that are in the log. */
function forgetDrained(catching: CatchUp): void {
    const rest: Buffered[] = [];
    for (const i of $range(catching.drained + 1, catching.buffer.length)) {
        const buffered = catching.buffer[i - 1];
        if (buffered !== undefined) {
            rest.push(buffered);
        }
    }
    catching.buffer = rest;
    catching.drained = 0;
}

/**
 * Moves one buffered message into the log. The last one ends the catch-up. If storage fails, the message stays in the
 * buffer. If it must leave it, history that no session has received is dropped.
 */
function drainOne(membership: Membership, catching: CatchUp, draining: Draining, mustLeave: boolean): void {
    const buffered = catching.buffer[catching.drained];
    if (buffered === undefined) {
        membership.catchUp = undefined;
        return;
    }
    draining.isForced = mustLeave && buffered.seen;
    place(membership, catching, draining, buffered);
    if (draining.failed && !mustLeave) {
        return;
    }
    if (draining.failed) {
        noteDrop("limit");
    }
    passOver(membership, catching);
}

function place(membership: Membership, catching: CatchUp, draining: Draining, buffered: Buffered): void {
    draining.failed = false;
    if (buffered.seen) {
        record(membership, buffered.stanza);
    } else if (!isRepeated(membership, catching, draining, buffered)) {
        deliverMissed(membership, buffered.stanza);
    }
}

/**
 * Whether a message of the room's history is from before the gap: the account has it. Rooms are asked for such history
 * while it is unknown where the gap begins. mod_mam stores live messages, so it does not tell.
 */
function isRepeated(membership: Membership, catching: CatchUp, draining: Draining, buffered: Buffered): boolean {
    if (options.archive === "mam") {
        return false;
    }
    if (catching.start === undefined) {
        const [isRead, newest] = newestOf(membership);
        if (!isRead) {
            draining.failed = true;
            return true;
        }
        catching.start = startOf(membership, catching, newest);
    }
    return (pastOf(membership.room, buffered.stanza) ?? buffered.when) < math.floor(catching.start);
}

/** Takes the next message out of the buffer. */
function passOver(membership: Membership, catching: CatchUp): Buffered | undefined {
    const buffered = catching.buffer[catching.drained];
    if (buffered !== undefined) {
        const messageId = buffered.seen ? messageIdOf(membership, buffered.stanza) : undefined;
        if (messageId !== undefined) {
            catching.bufferedIds.delete(messageId);
        }
        const earlier = catching.earlier ?? 0;
        catching.drained = catching.drained + 1;
        catching.earlier = earlier > 1 ? earlier - 1 : undefined;
        catching.weight = catching.weight - buffered.weight;
        if (2 * catching.drained > catching.buffer.length) {
            forgetDrained(catching);
        }
    }
    return buffered;
}
