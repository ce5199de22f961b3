// Handles IQs from a room or its occupants to the account.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { isOwnId, takeAnswer } from "../send/ask";
import { PING, PUBSUB, VCARD } from "../namespaces";
import { findMembership, type Membership } from "../state/memberships";
import { takeIq } from "../state/pending";
import { sendTo } from "../send/fork";

/** `iq/bare` or `iq/full`, depending on the form of the occupant JID. */
export function onIq(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const from = stanza.attr.from;
    const to = stanza.attr.to;
    if (from === undefined || to === undefined) {
        return undefined;
    }
    const room = jids.bare(from);
    const membership = findMembership(to, room);
    const type = stanza.attr.type;
    if (type === "result" || type === "error") {
        return stanza.attr.id === undefined ? true : onAnswer(room, stanza);
    }
    if (membership === undefined) {
        return undefined;
    }
    // Prosody checks only clients' IQs (RFC 6120 8.2.3, stanza_router.lua). mod_iq raises an error on some invalid
    // ones.
    const isRequest = (type === "get" || type === "set") && stanza.attr.id !== undefined;
    return isRequest ? onRequest(membership, event) : true;
}

/** Returns the answer to a session's IQ, with the id that the session gave it. */
function onAnswer(room: string, stanza: Stanza): Handled {
    if (takeAnswer(room, stanza)) {
        return true;
    }
    const pending = stanza.attr.id === undefined ? undefined : takeIq(stanza.attr.id, room);
    if (pending === undefined) {
        return isOwnId(stanza.attr.id) ? true : undefined;
    }
    const answer = st.clone(stanza);
    answer.attr.id = pending.request.attr.id;
    sendTo(pending.session, answer);
    return true;
}

/**
 * Handles a request. The server answers requests to the account. Others go to the session that the room shows. Pings
 * are answered here, because some services remove an occupant that does not answer.
 */
function onRequest(membership: Membership, event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const query = stanza.tags[0];
    if (query === undefined) {
        // mod_iq raises an error on this, too.
        event.origin.send(st.error_reply(stanza, "modify", "bad-request"));
        return true;
    }
    if (query.attr.xmlns === VCARD || query.attr.xmlns === PUBSUB) {
        return passToAccount(membership, stanza);
    }
    if (query.attr.xmlns === PING) {
        event.origin.send(st.reply(stanza));
        return true;
    }
    const session = membership.shown;
    if (session === undefined || membership.attached.get(session) === undefined) {
        return undefined;
    }
    // The room routes the answer by `from` and `id`, so both are kept (muc.lib.lua, handle_iq_to_occupant).
    sendTo(session, stanza);
    return true;
}

/** Passes requests for vCard and PEP to the account: Prosody's rooms send them to its bare JID anyway. */
function passToAccount(membership: Membership, stanza: Stanza): Handled {
    const account = jids.bare(membership.occupant);
    if (stanza.attr.to === account) {
        return undefined;
    }
    const copy = st.clone(stanza);
    copy.attr.to = account;
    module.send(copy);
    return true;
}
