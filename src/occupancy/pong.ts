// Answers to sessions' self-pings (XEP-0410). The room does not know the full JID that asks, so the answer is ours.

import * as st from "util.stanza";
import { sendTo } from "../send/fork";
import { isAttached, isReached, type Membership } from "../state/memberships";
import { expectIqAnswer, takeIq } from "../state/pending";
import { pendingJoin } from "../state/queue";

/** What a session learns of the account's place in the room, as far as that is known. */
export function pong(membership: Membership, session: string, ping: Stanza): Stanza {
    const attached = isAttached(membership, session);
    if (attached && isReached(membership)) {
        return st.reply(ping);
    }
    if (!attached && pendingJoin(membership, session) === undefined) {
        return st.error_reply(ping, "cancel", "not-acceptable", undefined, membership.room);
    }
    return st.error_reply(ping, "wait", "remote-server-timeout", undefined, membership.room);
}

/** A session's self-ping waits for the answer to the account's own. Returns false if the session has too many open. */
export function awaitPong(membership: Membership, session: string, ping: Stanza): boolean {
    const key = expectIqAnswer(session, membership.room, ping);
    if (key !== undefined) {
        membership.liveness.waiting ??= [];
        membership.liveness.waiting.push(key);
    }
    return key !== undefined;
}

/** Answers the self-pings that have waited. */
export function answerPings(membership: Membership): void {
    const waiting = membership.liveness.waiting;
    membership.liveness.waiting = undefined;
    for (const key of waiting ?? []) {
        const pending = takeIq(key, membership.room);
        if (pending !== undefined) {
            sendTo(pending.session, pong(membership, pending.session, pending.request));
        }
    }
}
