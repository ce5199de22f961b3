// What sessions are told whose joins have failed.

import * as st from "util.stanza";
import { sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import type { Membership } from "../state/memberships";
import { requestsOf, type SessionRequest } from "../state/place";
import { isSuperseded, takeAll } from "../state/queue";

/** What a room says to a stanza of one that is not in it (XEP-0045 7.4). */
const NOT_ACCEPTABLE = "not-acceptable";
const UNANSWERED = "remote-server-timeout";

/** The room has refused a join. A newer join of the same session counts instead. */
export function refuse(membership: Membership, request: SessionRequest | undefined, error: Stanza): void {
    if (request !== undefined) {
        const answer = st.clone(error);
        answer.attr.id = request.id;
        finish(membership, request, answer, "modify", NOT_ACCEPTABLE);
    }
}

/** The room has not answered a join, or will not. */
export function refuseUnanswered(membership: Membership, request: SessionRequest | undefined): void {
    if (request !== undefined) {
        const error = st.error_reply(request.stanza, "wait", UNANSWERED, undefined, membership.room);
        finish(membership, request, error, "wait", UNANSWERED);
    }
}

/** The request is done with: its session is told, and what the session has sent since comes back, in order. */
function finish(
    membership: Membership,
    request: SessionRequest,
    answer: Stanza,
    type: string,
    condition: string,
): void {
    const { session, held } = request;
    const isTold = !isSuperseded(membership, request);
    request.session = undefined;
    request.held = [];
    request.heldSize = 0;
    if (isTold) {
        sendOwn(membership, session, answer);
    }
    for (const stanza of held) {
        bounce(membership, session, stanza, type, condition);
    }
}

/** What did not reach the room for one session would not for another. */
export function refuseQueue(membership: Membership): void {
    for (const request of takeAll(membership)) {
        refuseUnanswered(membership, request);
    }
}

/** No session will be let in by this instance of the module. */
export function refuseAll(membership: Membership): void {
    for (const request of requestsOf(membership.place)) {
        refuseUnanswered(membership, request);
    }
    refuseQueue(membership);
}

/** The session has left before it was let in: what it has sent comes back. */
export function bounceAll(membership: Membership, session: string, stanzas: Stanza[]): void {
    for (const stanza of stanzas) {
        bounce(membership, session, stanza, "modify", NOT_ACCEPTABLE);
    }
}

/** Returns one stanza to its sender. An answer to an IQ needs no answer. */
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
