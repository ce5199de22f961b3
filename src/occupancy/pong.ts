// Answers self-pings of sessions (XEP-0410). The room does not know their full JIDs, so the module answers.

import * as st from "util.stanza";
import { sendTo } from "../send/fork";
import { isAttached, isReached, livenessOf, type Membership } from "../state/memberships";
import { expectIqAnswer, takeIq } from "../state/pending";
import type { Joined } from "../state/place";
import { pendingJoin } from "../state/queue";

/** The text of Prosody's rooms. */
const NOT_IN = "You are not currently connected to this chat";

/** Returns the answer to a self-ping from the known state of the account in the room. */
export function pong(membership: Membership, session: string, ping: Stanza): Stanza {
    const attached = isAttached(membership, session);
    if (attached && isReached(membership)) {
        return st.reply(ping);
    }
    if (!attached && pendingJoin(membership, session) === undefined) {
        return st.error_reply(ping, "cancel", "not-acceptable", NOT_IN, membership.room);
    }
    return st.error_reply(ping, "wait", "remote-server-timeout", undefined, membership.room);
}

/**
 * Queues a session's self-ping until the account's own is answered. Returns false if the session has too many pending
 * IQs.
 */
export function awaitPong(membership: Membership, place: Joined, session: string, ping: Stanza): boolean {
    const key = expectIqAnswer(session, membership.room, ping);
    if (key !== undefined) {
        const liveness = livenessOf(place);
        liveness.waiting ??= [];
        liveness.waiting.push(key);
    }
    return key !== undefined;
}

/** Answers the queued self-pings. */
export function answerPings(membership: Membership, place: Joined): void {
    const waiting = place.liveness?.waiting;
    if (place.liveness !== undefined) {
        place.liveness.waiting = undefined;
    }
    for (const key of waiting ?? []) {
        const pending = takeIq(key, membership.room);
        if (pending !== undefined) {
            sendTo(pending.session, pong(membership, pending.session, pending.request));
        }
    }
}
