// What was said while the account was out: from the room's archive (XEP-0313), as far as it has one.

import * as datetime from "util.datetime";
import * as id from "util.id";
import * as st from "util.stanza";
import { DATAFORM, DELAY, FORWARD, MAM, RSM, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { fork } from "../room/fork";
import { type CatchUp, isCurrent, type Membership } from "../state/memberships";
import { addDelay, stanzaIdBy } from "../stanzas";
import { ask } from "./ask";
import { saveSoon } from "./store";
import { isKept, newestOf, openPart, type Said, takeDown } from "./log";

/** Messages asked for at a time. */
const PAGE = 50;

/** Seconds for which a link may be dead before that is noticed. */
const UNNOTICED = 60;

/** What comes from the room may have been lost for a while, up to now. */
export function noteGap(membership: Membership): void {
    if (membership.gap === undefined) {
        membership.gap = os.time() - UNNOTICED;
        saveSoon(membership.username);
    }
}

/**
 * Asks the room's archive, page by page, for what came after the last message that the account got, and then calls
 * `done`. What the room says meanwhile is taken down after that, in its place.
 */
export function catchUp(membership: Membership, done: (this: void, answered: boolean) => void): void {
    openPart(membership);
    const held = membership.catchUp === undefined ? [] : membership.catchUp.held;
    interrupt(membership);
    const gap = membership.gap;
    membership.gap = undefined;
    const newest = newestOf(membership, gap ?? math.huge);
    if (!isKept(membership) || (newest === undefined && membership.since === undefined)) {
        done(true);
        return;
    }
    const catching: CatchUp = {
        queryId: id.medium(),
        held,
        left: options.maxHistory,
        isLater: gap !== undefined,
        gap,
        done,
    };
    membership.catchUp = catching;
    const after = newest === undefined ? undefined : stanzaIdBy(newest.stanza, membership.room);
    askPage(membership, catching, after, Math.max(knownUntil(membership, newest), gap ?? 0));
}

/** Seconds up to which the account has what was said. */
function knownUntil(membership: Membership, newest: Said | undefined): number {
    return newest === undefined ? (membership.since ?? os.time()) : newest.when;
}

function askPage(membership: Membership, catching: CatchUp, after: string | undefined, start: number): void {
    const query = pageQuery(catching, after, start);
    catching.isLater = catching.isLater || after !== undefined;
    ask(membership, membership.room, "set", query, (answer) => {
        if (membership.catchUp !== catching || !isCurrent(membership)) {
            return;
        }
        const fin = answer === undefined ? undefined : answer.get_child("fin", MAM);
        const next = fin === undefined ? undefined : lastOfPage(fin);
        if (answer !== undefined && answer.attr.type === "error" && after !== undefined && isUnknownId(answer)) {
            // The room does not keep that message any more.
            askPage(membership, catching, undefined, start);
        } else if (fin === undefined || fin.attr.complete === "true" || next === undefined || catching.left <= 0) {
            const answered = !isUnreached(answer);
            if (!answered) {
                // What came meanwhile is about to be the newest.
                catching.gap ??= start;
            } else if (catching.gap !== undefined) {
                catching.gap = undefined;
                saveSoon(membership.username);
            }
            endCatchUp(membership);
            catching.done(answered);
        } else {
            askPage(membership, catching, next, start);
        }
    });
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

function pageQuery(catching: CatchUp, after: string | undefined, start: number): Stanza {
    const query = st.stanza("query", { xmlns: MAM, queryid: catching.queryId });
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
    return set === undefined ? undefined : set.get_child_text("last");
}

/** A message with `<result/>` from the room: whether it is one, which no session has asked for. */
export function takeResult(membership: Membership, stanza: Stanza): boolean {
    const catching = membership.catchUp;
    const result = stanza.get_child("result", MAM);
    if (result === undefined) {
        return false;
    }
    if (catching === undefined || result.attr.queryid !== catching.queryId) {
        // Sessions ask under their own addresses, so that it was asked for here, though a while ago.
        return true;
    }
    catching.left = catching.left - 1;
    const forwarded = result.get_child("forwarded", FORWARD);
    const message = forwarded === undefined ? undefined : forwarded.get_child("message", "jabber:client");
    const delay = forwarded === undefined ? undefined : forwarded.get_child("delay", DELAY);
    if (message !== undefined && delay !== undefined && message.attr.type === "groupchat") {
        missed(membership, asDelayed(membership, message, delay, result.attr.id));
    }
    return true;
}

/** As the room would have sent it in the history of a join. */
function asDelayed(membership: Membership, message: Stanza, delay: Stanza, archiveId: string | undefined): Stanza {
    const delayed = st.clone(message);
    delayed.attr.xmlns = undefined;
    // What comes over a stream to another server names the namespace of each element in there (util/xmppstream.lua).
    for (const tag of delayed.tags) {
        tag.attr.xmlns = tag.attr.xmlns === "jabber:client" ? undefined : tag.attr.xmlns;
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
    if (takeDown(membership, delayed)) {
        fork(membership, delayed);
    }
}

/** What the room says now may come from its archive as well: it is taken down after that, and as such. */
export function hold(catching: CatchUp, room: string, stanza: Stanza): void {
    const copy = st.clone(stanza);
    addDelay(copy, room, os.time());
    catching.held.push(copy);
}

/** What came from the room meanwhile has its place now. */
export function endCatchUp(membership: Membership): void {
    const held = membership.catchUp === undefined ? [] : membership.catchUp.held;
    for (const message of held) {
        takeDown(membership, message);
    }
    interrupt(membership);
}

/** What could not be closed of a gap is still to be. */
function interrupt(membership: Membership): void {
    const catching = membership.catchUp;
    membership.catchUp = undefined;
    if (catching !== undefined && catching.gap !== undefined) {
        membership.gap = Math.min(catching.gap, membership.gap ?? math.huge);
    }
}

/** Where the history of a join has to start for nothing to be missed, as XEP-0045 7.2.14 writes it. */
export function historySince(membership: Membership): string | undefined {
    if (!isKept(membership)) {
        return undefined;
    }
    const newest = newestOf(membership, math.huge);
    return newest === undefined && membership.since === undefined
        ? undefined
        : datetime.datetime(knownUntil(membership, newest));
}
