// What was said while the account was out: from the room's archive (XEP-0313), as far as it has one.

import * as datetime from "util.datetime";
import * as id from "util.id";
import * as st from "util.stanza";
import { DATAFORM, DELAY, FORWARD, MAM, RSM, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { fork } from "../send/fork";
import { type CatchUp, isCurrent, type Membership, type Outcome, Phase } from "../state/memberships";
import { addDelay, delayBy, splitOccupant, stanzaIdBy } from "../stanzas";
import { ask, patience } from "../send/ask";
import { blocklistOf, readBlocklist, silences } from "../settings/blocklist";
import { openPart } from "./delivered";
import { record } from "./log";
import { isKept, newestOf, type Said } from "./read";
import { isOutage } from "../state/outage";

/** Messages asked for at a time. */
const PAGE = 50;

/** Seconds between two tries to ask the archive of a room that the account is in, and how many there are. */
const PAUSE = 5;
const TRIES = 6;

/** Seconds before something was noticed that the messages may be from which it has swallowed. */
const UNNOTICED = 60;

/**
 * Something that the room said may be lost. What it says from now on is taken down only when that has been asked for:
 * the log goes by time, and where a gap begins is told by the last message before it.
 */
export function holdBack(membership: Membership): void {
    openPart(membership);
    if (membership.catchUp === undefined && isKept(membership)) {
        membership.catchUp = {
            queryId: undefined,
            since: os.time(),
            position: undefined,
            blocked: undefined,
            held: [],
            heldIds: new LuaSet(),
            tries: 0,
            left: options.maxHistory,
            failed: false,
            isFirst: false,
            isLater: false,
            outcome: undefined,
        };
    }
}

/** The account is in the room: what it missed is asked for until there is an answer, and then all goes its usual way. */
export function closeGap(membership: Membership): void {
    catchUp(membership, (outcome) => {
        const catching = membership.catchUp;
        if (catching !== undefined && isOutage()) {
            catching.tries = 0;
        }
        if (outcome !== "unreached" || catching === undefined || catching.tries >= TRIES) {
            endCatchUp(membership);
            return;
        }
        catching.tries = catching.tries + 1;
        module.add_timer(PAUSE, () => {
            const isOpen = membership.catchUp === catching && catching.queryId === undefined;
            if (isOpen && isCurrent(membership) && membership.phase === Phase.Joined) {
                closeGap(membership);
            }
            return undefined;
        });
    });
}

/**
 * Asks the room's archive, page by page, for what came after the last message that the account got, and then calls
 * `done`. What the room says is held back until endCatchUp().
 */
export function catchUp(membership: Membership, done: (this: void, outcome: Outcome) => void): void {
    const isHolding = membership.catchUp !== undefined;
    holdBack(membership);
    const [isRead, newest] = newestOf(membership);
    const catching = membership.catchUp;
    if (catching === undefined) {
        done("refused");
        return;
    }
    if (!isRead || !readBlocklist(membership.username)[0]) {
        finish(catching, "unreached", done);
        return;
    }
    if (newest === undefined && membership.since === undefined) {
        finish(catching, "refused", done);
        return;
    }
    catching.left = options.maxHistory;
    catching.isFirst = newest === undefined;
    catching.outcome = undefined;
    if (catching.position !== undefined) {
        askPage(membership, catching, catching.position, knownUntil(membership, newest), done);
    } else if (isHolding && options.archive === "mam") {
        // mod_mam holds nothing back, so that its last message tells nothing.
        const start = Math.max(membership.since ?? 0, catching.since - UNNOTICED);
        askPage(membership, catching, undefined, start, done);
    } else {
        const after = newest === undefined ? undefined : stanzaIdBy(newest.stanza, membership.room);
        askPage(membership, catching, after, knownUntil(membership, newest), done);
    }
}

/** An archive that was asked on behalf of an account in the room is asked anew before the account goes back. */
export function dropQuestion(membership: Membership): void {
    if (membership.catchUp !== undefined) {
        membership.catchUp.queryId = undefined;
    }
}

/** Seconds up to which the account has what was said. */
function knownUntil(membership: Membership, newest: Said | undefined): number {
    return newest === undefined ? (membership.since ?? os.time()) : newest.when;
}

function askPage(
    membership: Membership,
    catching: CatchUp,
    after: string | undefined,
    start: number,
    done: (this: void, outcome: Outcome) => void,
): void {
    const left = catching.left;
    const queryId = id.medium();
    catching.queryId = queryId;
    catching.position = after;
    catching.blocked = blocklistOf(membership.username);
    catching.isLater = after !== undefined || catching.isFirst;
    const query = pageQuery(queryId, after, start);
    const answered = (answer: Stanza | undefined) => {
        if (membership.catchUp === undefined && isCurrent(membership)) {
            // So much was said meanwhile that it could not wait.
            done("refused");
            return;
        }
        if (membership.catchUp !== catching || catching.queryId !== queryId || !isCurrent(membership)) {
            return;
        }
        catching.queryId = undefined;
        if (catching.failed) {
            catching.failed = false;
            finish(catching, "unreached", done);
            return;
        }
        const fin = answer?.get_child("fin", MAM);
        const next = fin === undefined ? undefined : lastOfPage(fin);
        catching.position = next ?? catching.position;
        if (answer?.attr.type === "error" && after !== undefined && isUnknownId(answer)) {
            // The room does not keep that message any more.
            askPage(membership, catching, undefined, start, done);
        } else if (fin === undefined) {
            finish(catching, isUnreached(answer) ? "unreached" : "refused", done);
        } else if (fin.attr.complete === "true" || next === undefined || isEnough(catching, left)) {
            finish(catching, "complete", done);
        } else {
            askPage(membership, catching, next, start, done);
        }
    };
    ask(membership, membership.room, "set", query, answered, patience(membership));
}

function finish(catching: CatchUp, outcome: Outcome, done: (this: void, outcome: Outcome) => void): void {
    catching.outcome = outcome;
    done(outcome);
}

/** A page without messages would be followed by others of its kind. */
function isEnough(catching: CatchUp, before: number): boolean {
    return catching.left <= 0 || catching.left === before;
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
    const set = fin.get_child("set", RSM);
    return set?.get_child_text("last");
}

/** A message with `<result/>` from the room: whether it is one, which no session has asked for. */
export function takeResult(membership: Membership, stanza: Stanza): boolean {
    const catching = membership.catchUp;
    const result = stanza.get_child("result", MAM);
    if (result === undefined) {
        return false;
    }
    if (catching?.queryId === undefined || result.attr.queryid !== catching.queryId) {
        // Sessions ask under their own addresses, so that it was asked for here, though a while ago.
        return true;
    }
    catching.left = catching.left - 1;
    const forwarded = result.get_child("forwarded", FORWARD);
    const message = forwarded?.get_child("message", "jabber:client");
    const delay = forwarded?.get_child("delay", DELAY);
    if (
        message !== undefined &&
        delay !== undefined &&
        message.attr.type === "groupchat" &&
        !isSilenced(membership, catching, message)
    ) {
        missed(membership, asDelayed(membership, message, delay, result.attr.id));
    }
    return true;
}

/** What the room itself says of somebody blocked does not arrive; its archive says it in its own name. */
function isSilenced(membership: Membership, catching: CatchUp, message: Stanza): boolean {
    const [, nick] = splitOccupant(message.attr.from ?? "");
    return catching.blocked !== undefined && nick !== undefined && silences(catching.blocked, membership.room, nick);
}

/** As the room would have sent it in the history of a join. */
function asDelayed(membership: Membership, message: Stanza, delay: Stanza, archiveId: string | undefined): Stanza {
    const delayed = st.clone(message);
    delayed.attr.xmlns = undefined;
    for (const tag of delayed.tags) {
        // Within a forwarded message the namespace is another than the stream's, and so is named.
        if (tag.attr.xmlns === "jabber:client") {
            tag.attr.xmlns = undefined;
        }
    }
    delayed.attr.to = membership.occupant;
    if (archiveId !== undefined && stanzaIdBy(delayed, membership.room) === undefined) {
        delayed.add_direct_child(st.stanza("stanza-id", { xmlns: STANZA_ID, by: membership.room, id: archiveId }));
    }
    delayed.add_direct_child(st.stanza("delay", { xmlns: DELAY, from: membership.room, stamp: delay.attr.stamp }));
    return delayed;
}

/** A message of the past: into the archive, and to who was attached all the time, if it is new. */
export function missed(membership: Membership, delayed: Stanza): void {
    const isSeen = takeHeldId(membership, delayed);
    if (record(membership, delayed) && !isSeen) {
        fork(membership, delayed);
    }
}

/** Whether a message of the past has come from the room when it was said as well. */
function takeHeldId(membership: Membership, delayed: Stanza): boolean {
    const catching = membership.catchUp;
    const messageId = messageIdOf(membership, delayed);
    if (catching === undefined || messageId === undefined || !catching.heldIds.has(messageId)) {
        return false;
    }
    catching.heldIds.delete(messageId);
    return true;
}

/** The id that the room gave a message, or that of whoever said it. */
function messageIdOf(membership: Membership, stanza: Stanza): string | undefined {
    const own = stanza.attr.id === undefined ? undefined : `${stanza.attr.from ?? ""} ${stanza.attr.id}`;
    return stanzaIdBy(stanza, membership.room) ?? own;
}

/** What the room says now has its place after what is missing; its archive may have it as well. */
export function hold(membership: Membership, catching: CatchUp, stanza: Stanza, seen: boolean): void {
    const when = os.time();
    const copy = st.clone(stanza);
    if (delayBy(copy, membership.room) === undefined) {
        addDelay(copy, membership.room, when);
    }
    const messageId = messageIdOf(membership, copy);
    if (messageId !== undefined && seen) {
        catching.heldIds.add(messageId);
    }
    catching.held.push({ stanza: copy, when, seen });
    if (catching.held.length > options.maxHistory) {
        endCatchUp(membership);
    }
}

/** Goes through what is held back and not in the log yet, newest first, until `visit` returns true. */
export function readHeld(membership: Membership, visit: (this: void, said: Said) => boolean): void {
    const catching = membership.catchUp;
    for (const i of $range(catching === undefined ? 0 : catching.held.length, 1, -1)) {
        const held = catching?.held[i - 1];
        if (catching === undefined || held === undefined) {
            return;
        }
        const messageId = messageIdOf(membership, held.stanza);
        const isPlaced = messageId !== undefined && !catching.heldIds.has(messageId);
        if (held.seen && !isPlaced && visit(held)) {
            return;
        }
    }
}

/** What was held back has its place now, behind the past that the room has shown, whether that was all or not. */
export function endCatchUp(membership: Membership): void {
    const catching = membership.catchUp;
    if (catching === undefined) {
        return;
    }
    catching.isLater = true;
    for (const { stanza, seen } of catching.held) {
        if (!seen) {
            missed(membership, stanza);
        }
    }
    for (const { stanza, seen } of catching.held) {
        if (seen) {
            record(membership, stanza);
        }
    }
    membership.catchUp = undefined;
}

/** How the room's archive has answered; undefined if it has not been asked, or all that came of it has its place. */
export function outcomeOf(membership: Membership): Outcome | undefined {
    return membership.catchUp?.outcome;
}

/**
 * Where the history of a join has to start for nothing to be missed, as XEP-0045 7.2.14 writes it; undefined if the
 * archive has answered, and is asked for the rest.
 */
export function historySince(membership: Membership): string | undefined {
    if (!isKept(membership) || outcomeOf(membership) === "complete") {
        return undefined;
    }
    const [, newest] = newestOf(membership);
    return newest === undefined && membership.since === undefined
        ? undefined
        : datetime.datetime(knownUntil(membership, newest));
}
