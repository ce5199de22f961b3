// Fetches messages that the account missed from the room's archive (XEP-0313), if it has one.

import { wallClock } from "../state/clock";
import * as datetime from "util.datetime";
import * as id from "util.id";
import * as st from "util.stanza";
import { DATAFORM, DELAY, FORWARD, MAM, RSM } from "../namespaces";
import * as options from "../options";
import { noteDrop } from "../state/counters";
import type { Querying, CatchUp, CatchUpOutcome, Progress } from "../state/catchup";
import { isCurrent, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { stanzaIdBy } from "../stanzas";
import { ask, patience } from "../send/ask";
import { inSlices } from "../slices";
import { weightOf } from "../weight";
import { blocklistOf, readBlocklist } from "../settings/blocklist";
import {
    beginAt,
    bufferMessage,
    deliverMissed,
    drainEarlier,
    endCatchUp,
    flush,
    isBeforeJoin,
    startBuffering,
    startOf,
} from "./buffer";
import { addArchiveId, fromArchive, isSilenced } from "./gate";
import { canRecordPast, pastOf, readForSearch } from "./log";
import { isKept, newestOf, type Said } from "./read";

/** Messages per page. */
const PAGE = 50;

/** Seconds between attempts to query the archive while the account is in the room, and the number of attempts. */
const PAUSE = 5;
const TRIES = 6;

/** How long before a failure is noticed messages may already have been lost, in seconds. */
const UNNOTICED = 60;

/** Bytes of memory for results that wait. More of them are handled as they arrive. */
const PENDING_WEIGHT = 1048576;

/** Messages that a page counts for at least. An archive may repeat pages with few messages without end. */
const FEWEST = 10;

/** Longest message id that is used in a query, in bytes. */
const LONGEST_ID = 1024;

/** Queries the archive for missed messages while the account is in the room, until it answers. Then stops buffering. */
export function closeGap(membership: Membership): void {
    catchUp(membership, (outcome) => {
        const catching = membership.catchUp;
        if (catching?.progress.step === "idle" || catching?.progress.step === "querying") {
            // There has been another gap meanwhile, which has its own question.
            return;
        }
        // An outage of our own storage may last long. The room's archive still has the messages afterwards.
        const tries = outcome === "failed" ? 0 : triesOf(catching) + 1;
        const isRepeated = outcome === "failed" || (outcome === "unreached" && tries <= TRIES);
        if (!isRepeated || catching === undefined) {
            endCatchUp(membership);
            return;
        }
        const waiting: Progress = { step: "waiting", tries };
        catching.progress = waiting;
        module.add_timer(PAUSE, () => {
            const isDue = membership.catchUp === catching && catching.progress === waiting;
            if (isDue && isCurrent(membership) && membership.place.phase === Phase.Joined) {
                closeGap(membership);
            }
            return undefined;
        });
    });
}

/**
 * Handles a message of the history in the answer to a session that has joined again. A message after all that the
 * account has was missed: the room had lost the account, and has admitted it again by this join.
 */
export function deliverAhead(membership: Membership, message: Stanza, session: string | undefined): void {
    const past = pastOf(membership.room, message);
    if (options.archive !== true || past === undefined || !isAhead(membership, past)) {
        return;
    }
    const isWhole = membership.catchUp === undefined;
    if (isWhole && canRecordPast(membership)) {
        deliverMissed(membership, message, session);
        return;
    }
    startBuffering(membership);
    if (membership.catchUp !== undefined) {
        bufferMessage(membership, membership.catchUp, message, true);
    }
    if (isWhole) {
        closeGap(membership);
    }
}

function isAhead(membership: Membership, past: number): boolean {
    const [isRead, newest] = newestOf(membership);
    const known = newest === undefined ? (membership.since ?? math.huge) + 1 : newest.when;
    return isRead && past >= math.floor(known);
}

/** Unanswered queries so far while the account was in the room. */
function triesOf(catching: CatchUp | undefined): number {
    const progress = catching?.progress;
    return progress?.step === "querying" || progress?.step === "waiting" ? progress.tries : 0;
}

/**
 * Queries the room's archive, page by page, for messages after the last one that the account has. Then calls `done`.
 * Messages of the room are buffered until endCatchUp().
 */
export function catchUp(membership: Membership, done: Done): void {
    const progress = membership.catchUp?.progress;
    const isBuffering = progress !== undefined && progress.step !== "draining";
    if (progress?.step === "draining" && progress.isFull) {
        flush(membership);
    }
    startBuffering(membership);
    const catching = membership.catchUp;
    if (catching === undefined) {
        done("refused");
        return;
    }
    const isPlaced = drainEarlier(membership, catching);
    const [isRead, newest] = newestOf(membership);
    if (!isPlaced || !isRead || !readBlocklist(membership.username)[0]) {
        catching.progress = { step: "waiting", tries: triesOf(catching) };
        done("failed");
        return;
    }
    if (newest === undefined && membership.since === undefined) {
        catching.progress = { step: "done", outcome: "refused" };
        done("refused");
        return;
    }
    catching.left = options.maxHistory;
    const query: Query = { newest, start: startOf(membership, catching, newest), done };
    catching.start ??= query.start;
    if (catching.position !== undefined) {
        requestPage(membership, catching, catching.position, query);
        return;
    }
    catching.earliest = undefined;
    if (isBuffering && options.archive === "mam") {
        // mod_mam does not buffer, so its last message does not tell where the gap begins.
        const unnoticed = Math.max(membership.since ?? 0, catching.since - UNNOTICED);
        requestPage(membership, catching, undefined, { newest, start: Math.min(unnoticed, catching.since), done });
    } else {
        const after = newest === undefined ? undefined : stanzaIdBy(newest.stanza, membership.room);
        requestPage(membership, catching, after, query);
    }
}

/** Whether a page of the room's archive is in flight. */
export function isQuerying(membership: Membership): boolean {
    return membership.catchUp?.progress.step === "querying";
}

/**
 * Drops a query that was sent while the account was in the room. The archive is asked again before the account rejoins.
 */
export function dropQuestion(membership: Membership): void {
    if (membership.catchUp !== undefined && isQuerying(membership)) {
        membership.catchUp.progress = { step: "idle" };
    }
}

type Done = (this: void, outcome: CatchUpOutcome) => void;

interface Query {
    /** The last message that the account has since it joined. */
    readonly newest: Said | undefined;
    /** Start of the query if it does not start at a message, in seconds. */
    readonly start: number;
    readonly done: Done;
}

function requestPage(membership: Membership, catching: CatchUp, after: string | undefined, query: Query): void {
    const left = catching.left;
    const queryId = id.medium();
    const querying: Querying = {
        step: "querying",
        queryId,
        tries: triesOf(catching),
        results: 0,
        pending: [],
        weight: 0,
        answered: undefined,
        failed: false,
    };
    catching.progress = querying;
    catching.position = after;
    catching.blocked = blocklistOf(membership.username);
    catching.appendOutOfOrder = after !== undefined || query.newest === undefined;
    if (after === undefined) {
        beginAt(membership, catching, query.start, query.newest);
    }
    const answered = (answer: Stanza | undefined) => {
        if (!isCurrent(membership)) {
            return;
        }
        if (membership.catchUp !== catching || catching.progress.step === "draining") {
            // The buffer overflowed and was flushed.
            query.done("refused");
            return;
        }
        if (catching.progress !== querying) {
            return;
        }
        if (querying.pending.length > 0) {
            querying.answered = () => {
                answered(answer);
            };
            return;
        }
        if (querying.failed) {
            finish(catching, "failed", query);
            return;
        }
        const fin = answer?.get_child("fin", MAM);
        const next = fin === undefined ? undefined : lastOfPage(fin);
        catching.position = next ?? catching.position;
        const isEmpty = catching.left === left;
        catching.left = Math.min(catching.left, left - FEWEST);
        if (answer?.attr.type === "error" && after !== undefined && isUnknownId(answer)) {
            // The room no longer has that message.
            requestPage(membership, catching, undefined, query);
        } else if (fin === undefined) {
            finish(catching, isUnreached(answer) ? "unreached" : "refused", query);
        } else if (fin.attr.complete === "true" || next === undefined || isEmpty || catching.left <= 0) {
            finish(catching, "complete", query);
        } else {
            requestPage(membership, catching, next, query);
        }
    };
    ask(membership, membership.room, "set", pageQuery(queryId, after, query.start), answered, patience(membership));
}

/** Ends the query. If the archive may be asked again, the attempts are kept. */
function finish(catching: CatchUp, outcome: CatchUpOutcome, query: Query): void {
    if (outcome === "unreached" || outcome === "failed") {
        catching.progress = { step: "waiting", tries: triesOf(catching) };
    } else {
        catching.progress = { step: "done", outcome };
    }
    query.done(outcome);
}

function isUnreached(answer: Stanza | undefined): boolean {
    if (answer === undefined) {
        return true;
    }
    const [, condition] = answer.get_error();
    return condition === "remote-server-not-found" || condition === "remote-server-timeout";
}

function isUnknownId(answer: Stanza): boolean {
    const [, condition] = answer.get_error();
    return condition === "item-not-found";
}

function pageQuery(queryId: string, after: string | undefined, start: number): Stanza {
    const query = st.stanza("query", { xmlns: MAM, queryid: queryId });
    query.tag("x", { xmlns: DATAFORM, type: "submit" });
    query.tag("field", { var: "FORM_TYPE", type: "hidden" }).tag("value").text(MAM).up().up();
    if (after === undefined) {
        query.tag("field", { var: "start" }).tag("value").text(datetime.datetime(start)).up().up();
    }
    query.up();
    query.tag("set", { xmlns: RSM }).tag("max").text(tostring(PAGE)).up();
    if (after !== undefined) {
        query.tag("after").text(after).up();
    }
    return query.reset();
}

function lastOfPage(fin: Stanza): string | undefined {
    const last = fin.get_child("set", RSM)?.get_child_text("last");
    return last === undefined || string.len(last) > LONGEST_ID ? undefined : last;
}

/** Whether a message is a result of an archive (XEP-0313 4.2). */
export function isResult(stanza: Stanza): boolean {
    return stanza.get_child("result", MAM) !== undefined;
}

/**
 * Takes an archive result, and handles it in slices. It counts if it comes from the room, and not if it comes from the
 * occupant with this nick.
 */
export function takeResult(membership: Membership, nick: string | undefined, stanza: Stanza): void {
    const catching = membership.catchUp;
    const querying = catching?.progress;
    if (nick !== undefined) {
        noteDrop("forged");
        return;
    }
    if (
        catching === undefined ||
        querying?.step !== "querying" ||
        stanza.get_child("result", MAM)?.attr.queryid !== querying.queryId
    ) {
        // A late result of an earlier query.
        return;
    }
    querying.results = querying.results + 1;
    if (querying.results > PAGE) {
        noteDrop("limit");
        return;
    }
    catching.left = catching.left - 1;
    querying.pending.push(stanza);
    querying.weight = querying.weight + weightOf(stanza);
    if (querying.pending.length === 1) {
        inSlices(() => handleNext(membership, catching, querying, false));
    }
    while (querying.weight > PENDING_WEIGHT && querying.pending.length > 0) {
        handleNext(membership, catching, querying, true);
    }
}

/**
 * Handles a pending result. If it can wait, first reads what its search needs. After the last result it takes the
 * archive's answer. Returns whether none is left.
 */
function handleNext(membership: Membership, catching: CatchUp, querying: Querying, mustLeave: boolean): boolean {
    const isWanted = isCurrent(membership) && membership.catchUp === catching && catching.progress === querying;
    const result = isWanted ? querying.pending[0]?.get_child("result", MAM) : undefined;
    const archived = result === undefined ? undefined : archivedIn(membership, catching, result);
    if (archived !== undefined && !mustLeave && !readForSearch(membership, archived)) {
        return false;
    }
    const stanza = table.remove<Stanza>(querying.pending, 1);
    querying.weight = querying.weight - (stanza === undefined ? 0 : weightOf(stanza));
    if (!isWanted) {
        return stanza === undefined;
    }
    if (archived !== undefined) {
        deliverMissed(membership, archived);
    }
    if (querying.pending.length > 0) {
        return false;
    }
    const answered = querying.answered;
    querying.answered = undefined;
    answered?.();
    return true;
}

/** Returns the message of a result, with its time. Undefined if the account must not have it. */
function archivedIn(membership: Membership, catching: CatchUp, result: Stanza): Stanza | undefined {
    const forwarded = result.get_child("forwarded", FORWARD);
    const message = forwarded === undefined ? undefined : forwarded.get_child("message", "jabber:client");
    const delay = forwarded === undefined ? undefined : forwarded.get_child("delay", DELAY);
    const when = delay === undefined ? undefined : datetime.parse(delay.attr.stamp ?? "");
    const archived = message === undefined || when === undefined ? undefined : fromArchive(membership, message);
    if (archived === undefined || delay === undefined || when === undefined) {
        return undefined;
    }
    addArchiveId(archived, membership.room, result.attr.id);
    if (isBeforeJoin(membership, catching, archived, when) || isSilenced(membership, catching, archived)) {
        return undefined;
    }
    catching.latest = Math.max(catching.latest, Math.min(math.floor(when), wallClock()));
    archived.add_direct_child(st.stanza("delay", { xmlns: DELAY, from: membership.room, stamp: delay.attr.stamp }));
    return archived;
}

/** Returns the result of the catch-up. Undefined without a query, or when all messages are in the log. */
export function outcomeOf(membership: Membership): CatchUpOutcome | undefined {
    const progress = membership.catchUp?.progress;
    return progress?.step === "done" ? progress.outcome : undefined;
}

/**
 * Begins to catch up by a join's history. Returns its start, as XEP-0045 7.2.14 writes it, so that no message is missed.
 * Undefined if the archive has answered, and will be asked for the rest.
 */
export function beginHistory(membership: Membership): string | undefined {
    if (!isKept(membership) || outcomeOf(membership) === "complete") {
        return undefined;
    }
    const catching = membership.catchUp;
    const [isRead, newest] = newestOf(membership);
    if (catching === undefined || (newest === undefined && membership.since === undefined)) {
        return undefined;
    }
    const start = startOf(membership, catching, newest);
    if (isRead) {
        catching.start ??= start;
    }
    beginAt(membership, catching, start, newest);
    return datetime.datetime(start);
}
