// Sends messages and IQs of attached sessions to the room and its occupants.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { CARBONS, FORWARD, HINTS } from "../namespaces";
import { sendTo } from "../send/fork";
import { sendUpstream } from "../send/upstream";
import { noteOver } from "../state/limits";
import { isComingBack, type Membership } from "../state/memberships";
import { expectIqAnswer } from "../state/pending";
import { newSent, noteSent } from "../state/sent";
import { post } from "../turn";

/** Sends the message of an attached session from the occupant JID. */
export function sendMessage(membership: Membership, session: string, stanza: Stanza): void {
    if (isComingBack(membership)) {
        sendTo(session, st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room));
        return;
    }
    passMessage(membership, session, stanza);
}

/**
 * Sends a message or an IQ of a session. `session` is undefined if it has ended. Then no session could get an answer, so
 * an IQ is not sent.
 */
export function sendStanza(membership: Membership, session: string | undefined, stanza: Stanza): void {
    if (stanza.name === "message") {
        passMessage(membership, session, stanza);
    } else if (session !== undefined) {
        sendIq(membership, session, stanza);
    }
}

function passMessage(membership: Membership, session: string | undefined, stanza: Stanza): void {
    membership.sent ??= newSent();
    noteSent(membership.sent, stanza, session);
    if (stanza.attr.type !== "groupchat" && jids.resource(stanza.attr.to ?? "") !== undefined) {
        copyToOthers(membership, session, stanza);
    }
    sendUpstream(membership, stanza);
}

/** Sends a carbon copy of a private message to the account's other attached sessions (XEP-0280 6, 6.1). */
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

/**
 * Sends a session's IQ from the occupant JID. A request gets an id of the module, by which its answer finds the
 * session.
 */
export function sendIq(membership: Membership, session: string, stanza: Stanza): void {
    const type = stanza.attr.type;
    if (type !== "get" && type !== "set") {
        // An answer to an occupant's request keeps its id, by which the room routes it.
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
