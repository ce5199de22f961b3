// Messages from a session to a room or to one of its occupants.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { CARBONS, FORWARD, HINTS } from "../namespaces";
import { sendTo } from "../send/fork";
import { isAttached, isComingBack, noteSent, type Membership, membershipOf } from "../state/memberships";
import { hasJoined } from "../state/sessions";
import { sendUpstream } from "../send/upstream";

/** `pre-message/bare` and `pre-message/full`, after the hooks that archive and copy what a client sends. */
export function onMessage(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    if (to !== undefined && stanza.attr.type === "error") {
        // A bounce would throw the account out of the room (XEP-0045 18.1.2).
        return hasJoined(session.full_jid, jids.bare(to)) ? true : undefined;
    }
    const membership = joinedRoom(session, to);
    if (to === undefined || membership === undefined) {
        return undefined;
    }
    if (isComingBack(membership)) {
        session.send(st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room));
        return true;
    }
    noteSent(membership, stanza.attr.id, session.full_jid);
    if (isPrivate(stanza, to)) {
        copyToOthers(membership, session, stanza);
    }
    sendUpstream(membership, stanza);
    return true;
}

/**
 * `carbons-should-copy`: mod_carbons of 13.0 copies what a client sends to an occupant to every device; it is for those
 * in the room (XEP-0280 6.1), and comes from here.
 */
export function onCarbon(event: { readonly stanza: Stanza; readonly session: ClientSession }): false | undefined {
    const session = event.session;
    const stanza = event.stanza;
    if (session.full_jid !== stanza.attr.from || joinedRoom(session, stanza.attr.to) === undefined) {
        return undefined;
    }
    return false;
}

/** The membership that a session's stanza goes through: its account's in the room addressed, if it has joined that. */
function joinedRoom(session: ClientSession, to: string | undefined): Membership | undefined {
    if (to === undefined) {
        return undefined;
    }
    const membership = membershipOf(session, jids.bare(to));
    return membership !== undefined && isAttached(membership, session.full_jid) ? membership : undefined;
}

function isPrivate(stanza: Stanza, to: string): boolean {
    return stanza.attr.type !== "groupchat" && jids.resource(to) !== undefined;
}

/** The account's other devices in the room see what this one said (XEP-0280 6, 6.1). */
function copyToOthers(membership: Membership, sender: ClientSession, stanza: Stanza): void {
    if (stanza.get_child("private", CARBONS) !== undefined || stanza.get_child("no-copy", HINTS) !== undefined) {
        return;
    }
    for (const [fullJid] of membership.attached) {
        const session = prosody.full_sessions.get(fullJid);
        if (session?.want_carbons !== undefined && fullJid !== sender.full_jid) {
            sendTo(fullJid, sentCarbon(sender, stanza));
        }
    }
}

function sentCarbon(sender: ClientSession, stanza: Stanza): Stanza {
    const copy = st.clone(stanza);
    copy.attr.xmlns = "jabber:client";
    return st
        .message({ from: jids.bare(sender.full_jid), type: stanza.attr.type })
        .tag("sent", { xmlns: CARBONS })
        .tag("forwarded", { xmlns: FORWARD })
        .add_child(copy)
        .reset();
}
