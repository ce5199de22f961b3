// Messages, IQs and presence probes that a session in the room sends to it or to its occupants.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { CARBONS, FORWARD, HINTS } from "../namespaces";
import { sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import { presenceIdFor, sendPresence, sendUpstream } from "../send/upstream";
import { stanzaOf } from "../state/held";
import { noteOver } from "../state/limits";
import { isComingBack, type Membership } from "../state/memberships";
import { expectIqAnswer } from "../state/pending";
import { noteProbe, takeProbe } from "../state/probes";
import { newSent, noteSent } from "../state/sent";
import { post } from "../turn";
import { ownPresence } from "./replay";

/** Sends a session's message from the occupant JID. `session` is undefined if it has ended since. */
export function sendMessage(membership: Membership, session: string | undefined, stanza: Stanza): void {
    if (isComingBack(membership)) {
        sendTo(session, st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room));
        return;
    }
    membership.sent ??= newSent();
    noteSent(membership.sent, stanza, session);
    if (stanza.attr.type !== "groupchat" && jids.resource(stanza.attr.to ?? "") !== undefined) {
        copyToOthers(membership, session, stanza);
    }
    sendUpstream(membership, stanza);
}

/** The account's other devices in the room see what this one said (XEP-0280 6, 6.1). */
function copyToOthers(membership: Membership, sender: string | undefined, stanza: Stanza): void {
    if (stanza.get_child("private", CARBONS) !== undefined || stanza.get_child("no-copy", HINTS) !== undefined) {
        return;
    }
    for (const [fullJid] of membership.attached) {
        const session = prosody.full_sessions.get(fullJid);
        if (session?.want_carbons !== undefined && fullJid !== sender) {
            sendTo(fullJid, sentCarbon(stanza, jids.bare(fullJid)));
        }
    }
}

function sentCarbon(stanza: Stanza, account: string): Stanza {
    const copy = st.clone(stanza);
    copy.attr.xmlns = "jabber:client";
    return st
        .message({ from: account, type: stanza.attr.type })
        .tag("sent", { xmlns: CARBONS })
        .tag("forwarded", { xmlns: FORWARD })
        .add_child(copy)
        .reset();
}

/** Answers a presence probe with what the room has shown, and asks the room for whom it has not. */
export function sendProbe(membership: Membership, session: string, stanza: Stanza): void {
    const view = membership.view;
    const nick = jids.resource(stanza.attr.to ?? "") ?? membership.nick;
    if (isComingBack(membership)) {
        sendTo(session, st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room));
        return;
    }
    if (nick === membership.nick && view.self !== undefined) {
        sendOwn(membership, session, ownPresence(membership, view.self));
        return;
    }
    const held = view.occupants.get(nick) ?? view.offline.presences.get(nick);
    const known = held === undefined ? undefined : stanzaOf(held);
    if (known !== undefined) {
        sendTo(session, known);
        return;
    }
    noteProbe(membership, nick, session, stanza.attr.id);
    sendPresence(membership, st.presence({ type: "probe" }), nick, presenceIdFor(membership, stanza.attr.id));
}

/** A presence of somebody who is not in the room may answer a probe. Returns whether it does. */
export function answerProbe(membership: Membership, nick: string, stanza: Stanza): boolean {
    const probe = takeProbe(membership, nick);
    if (probe === undefined) {
        return false;
    }
    const answer = st.clone(stanza);
    answer.attr.id = probe.id;
    sendTo(probe.session, answer);
    return true;
}

/** Sends a session's IQ from the occupant JID. A request has an id of ours, by which its answer finds the session. */
export function sendIq(membership: Membership, session: string, stanza: Stanza): void {
    const type = stanza.attr.type;
    if (type !== "get" && type !== "set") {
        // The answer to an occupant's request: the room knows the way back by the id.
        forward(membership, stanza, stanza.attr.id);
        return;
    }
    const id = expectIqAnswer(session, membership.room, stanza);
    if (id === undefined) {
        noteOver("minimix_max_pending_iqs", membership.username, membership.room, "iq_limit");
        sendTo(session, st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered"));
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
