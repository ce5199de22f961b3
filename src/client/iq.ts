// Handles IQs from a session to a room or an occupant.

import { monotonic } from "../state/clock";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { CAPTCHA, PING } from "../namespaces";
import { sendIq } from "../occupancy/outgoing";
import { awaitPong, pong } from "../occupancy/pong";
import { check, needsCheck } from "../occupancy/watch";
import { sendTo } from "../send/fork";
import { noteDrop } from "../state/counters";
import { noteOver } from "../state/limits";
import { isAttached, knownNick, type Membership, membershipOf } from "../state/memberships";
import { takeExpiredIqs } from "../state/pending";
import { isServed, pendingJoin } from "../state/queue";
import { queueUntilJoined } from "./queue";

/** `pre-iq/bare` and `pre-iq/full`. */
export function onIq(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    const membership = to === undefined ? undefined : membershipOf(session, jids.bare(to));
    if (to === undefined || membership === undefined) {
        return undefined;
    }
    const pending = pendingJoin(membership, session.full_jid);
    const attached = isServed(membership, session.full_jid);
    if (isSelfPing(to, attached || pending === undefined ? knownNick(membership) : pending.nick, stanza)) {
        onSelfPing(membership, session, stanza);
        return true;
    }
    if ((!attached && pending === undefined) || isArchiveQuery(stanza)) {
        return undefined;
    }
    if (attached || isChallengeAnswer(stanza)) {
        sendIq(membership, session.full_jid, stanza);
        return true;
    }
    return queueUntilJoined(membership, session, stanza);
}

function isSelfPing(to: string, nick: string, stanza: Stanza): boolean {
    return stanza.attr.type === "get" && jids.resource(to) === nick && stanza.get_child("ping", PING) !== undefined;
}

/** Answers a self-ping. If the room has been quiet, it is asked first, once for all sessions that ask meanwhile. */
function onSelfPing(membership: Membership, session: ClientSession, ping: Stanza): void {
    const place = membership.place;
    if (!isAttached(membership, session.full_jid) || !needsCheck(membership, place)) {
        session.send(pong(membership, session.full_jid, ping));
    } else if (awaitPong(membership, place, session.full_jid, ping)) {
        check(membership);
    } else {
        noteOver("minimix_max_pending_iqs", session.username, membership.room, "iq_limit");
        session.send(st.error_reply(ping, "wait", "resource-constraint", undefined, membership.room));
    }
}

/**
 * Whether an IQ is an archive query. Results are messages to the sender (XEP-0313), so they would go to the account. A
 * room checks the bare JID for this.
 */
function isArchiveQuery(stanza: Stanza): boolean {
    const query = stanza.tags[0];
    const xmlns = query?.attr.xmlns;
    return xmlns !== undefined && string.sub(xmlns, 1, 13) === "urn:xmpp:mam:";
}

/** Whether an IQ answers a challenge, without which the room does not admit the account (XEP-0158). */
function isChallengeAnswer(stanza: Stanza): boolean {
    return stanza.get_child("captcha", CAPTCHA) !== undefined;
}

/** Sends errors for IQs that rooms have not answered in time. */
export function expireIqs(): void {
    refuseIqs(monotonic());
}

/** Sends errors for all pending IQs, because their answers cannot be delivered any more. */
export function giveUpIqs(): void {
    refuseIqs(math.huge);
}

function refuseIqs(now: number): void {
    for (const pending of takeExpiredIqs(now)) {
        noteDrop("iq_timeout");
        const error = st.error_reply(pending.request, "wait", "remote-server-timeout");
        sendTo(pending.session, error);
    }
}
