// Errors for sessions with failed joins.

import * as st from "util.stanza";
import { sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import type { Membership } from "../state/memberships";
import { requestsOf, type SessionRequest } from "../state/place";
import { isSuperseded, takeAll } from "../state/queue";

/** The error of a room for a stanza of a non-occupant (XEP-0045 7.4). */
const NOT_ACCEPTABLE = "not-acceptable";
const UNANSWERED = "remote-server-timeout";

/** Sends a session the room's refusal of its join. A newer join of the same session replaces the refused one. */
export function refuse(membership: Membership, request: SessionRequest | undefined, error: Stanza): void {
    if (request !== undefined) {
        const answer = st.clone(error);
        answer.attr.id = request.id;
        finish(membership, request, answer, "modify", NOT_ACCEPTABLE);
    }
}

/** Sends a session an error for a join that the room has not answered, or will not answer. */
export function refuseUnanswered(membership: Membership, request: SessionRequest | undefined): void {
    if (request !== undefined) {
        const error = st.error_reply(request.stanza, "wait", UNANSWERED, undefined, membership.room);
        finish(membership, request, error, "wait", UNANSWERED);
    }
}

/** Ends a request: tells its session, and returns its queued stanzas with errors, in order. */
function finish(
    membership: Membership,
    request: SessionRequest,
    answer: Stanza,
    type: string,
    condition: string,
): void {
    const { session, sender, queued } = request;
    const isTold = !isSuperseded(membership, request);
    request.session = undefined;
    request.queued = [];
    request.queuedSize = 0;
    if (isTold) {
        sendOwn(membership, session, answer);
    }
    for (const stanza of queued) {
        bounce(membership, sender, stanza, type, condition);
    }
}

/** The room is unreachable; fail the queued joins as well. */
export function refuseQueue(membership: Membership): void {
    for (const request of takeAll(membership)) {
        refuseUnanswered(membership, request);
    }
}

/** Fails all pending joins: this instance of the module ends. */
export function refuseAll(membership: Membership): void {
    for (const request of requestsOf(membership.place)) {
        refuseUnanswered(membership, request);
    }
    refuseQueue(membership);
}

/** Returns the queued stanzas of a session whose join was not sent, or that is out before they are. */
export function bounceAll(membership: Membership, session: string | undefined, stanzas: Stanza[]): void {
    for (const stanza of stanzas) {
        bounce(membership, session, stanza, "modify", NOT_ACCEPTABLE);
    }
}

/** Returns queued nick changes with errors, because the account is out. */
export function bounceQueue(membership: Membership): void {
    for (const request of takeAll(membership)) {
        bounce(membership, request.session, request.stanza, "modify", NOT_ACCEPTABLE);
    }
}

/** Returns a stanza to its sender with an error. An answer to an IQ gets none. */
export function bounce(
    membership: Membership,
    session: string | undefined,
    stanza: Stanza,
    type: string,
    condition: string,
): void {
    const kind = stanza.attr.type;
    if (kind !== "error" && kind !== "result") {
        sendTo(session, st.error_reply(stanza, type, condition, undefined, membership.room));
    }
}
