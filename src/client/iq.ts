// IQs from a session to a room or to one of its occupants.

import { monotonic } from "../state/clock";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { post } from "../turn";
import { PING } from "../namespaces";
import { sendTo } from "../send/fork";
import { noteDrop } from "../state/counters";
import { noteOver } from "../state/limits";
import { isAttached, isReached, type Membership, membershipOf } from "../state/memberships";
import { expectIqAnswer, takeExpiredIqs } from "../state/pending";

/** `pre-iq/bare` and `pre-iq/full`. */
export function onIq(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    if (to === undefined) {
        return undefined;
    }
    const membership = membershipOf(session, jids.bare(to));
    if (membership === undefined) {
        return undefined;
    }
    const attached = isAttached(membership, session.full_jid);
    if (isSelfPing(membership, to, stanza)) {
        session.send(pong(membership, attached, stanza));
        return true;
    }
    if (!attached || isArchiveQuery(stanza)) {
        return undefined;
    }
    const type = stanza.attr.type;
    if (type === "get" || type === "set") {
        request(membership, session, stanza);
    } else {
        // The answer to an occupant's request: the room knows the way back by the id.
        forward(membership, stanza, stanza.attr.id);
    }
    return true;
}

/** XEP-0410: the room does not know the full JID that asks, so the answer is ours. */
function isSelfPing(membership: Membership, to: string, stanza: Stanza): boolean {
    return (
        stanza.attr.type === "get" &&
        jids.resource(to) === membership.nick &&
        stanza.get_child("ping", PING) !== undefined
    );
}

function pong(membership: Membership, attached: boolean, stanza: Stanza): Stanza {
    if (!attached) {
        return st.error_reply(stanza, "cancel", "not-acceptable", undefined, membership.room);
    }
    if (isReached(membership)) {
        return st.reply(stanza);
    }
    return st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room);
}

/** XEP-0313 results are messages to whoever asked; they would come to the account. A room goes by the bare JID here. */
function isArchiveQuery(stanza: Stanza): boolean {
    const query = stanza.tags[0];
    const xmlns = query?.attr.xmlns;
    return xmlns !== undefined && string.sub(xmlns, 1, 13) === "urn:xmpp:mam:";
}

function request(membership: Membership, session: ClientSession, stanza: Stanza): void {
    const id = expectIqAnswer(session.full_jid, membership.room, stanza);
    if (id === undefined) {
        noteOver("minimix_max_pending_iqs", session.username, membership.room, "iq_limit");
        session.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered"));
        return;
    }
    forward(membership, stanza, id);
}

function forward(membership: Membership, stanza: Stanza, id: string | undefined): void {
    const copy = st.clone(stanza);
    copy.attr.from = membership.occupant;
    copy.attr.id = id;
    post(copy);
}

/** Tells the sessions whose IQs the rooms have not answered in time. */
export function expireIqs(): void {
    refuseIqs(monotonic());
}

/** The answers will not find the way any more. */
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
