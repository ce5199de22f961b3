// Handles messages from a session to a room or an occupant.

import * as jids from "util.jid";
import { isAttached, membershipOf } from "../state/memberships";
import { isServed, pendingJoin } from "../state/queue";
import { hasJoined } from "../state/sessions";
import { sendMessage } from "../occupancy/outgoing";
import { queueUntilJoined } from "./queue";

/** `pre-message/bare` and `pre-message/full`, after the hooks that archive and copy messages of clients. */
export function onMessage(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    if (to === undefined) {
        return undefined;
    }
    const room = jids.bare(to);
    if (stanza.attr.type === "error") {
        // A bounce would make the room remove the account (XEP-0045 18.1.2).
        return hasJoined(session.full_jid, room) ? true : undefined;
    }
    const membership = membershipOf(session, room);
    if (membership === undefined) {
        return undefined;
    }
    if (!isServed(membership, session.full_jid)) {
        return queueUntilJoined(membership, session, stanza);
    }
    sendMessage(membership, session.full_jid, stanza);
    return true;
}

/**
 * `carbons-should-copy`: mod_carbons of 13.0 copies a message to an occupant to every device. Only devices in the room
 * should get it (XEP-0280 6.1). outgoing.ts sends these copies.
 */
export function onCarbon(event: { readonly stanza: Stanza; readonly session: ClientSession }): false | undefined {
    const session = event.session;
    const { from, to } = event.stanza.attr;
    const membership = to === undefined ? undefined : membershipOf(session, jids.bare(to));
    if (membership === undefined || session.full_jid !== from) {
        return undefined;
    }
    const isIn = isAttached(membership, from) || pendingJoin(membership, from) !== undefined;
    return isIn ? false : undefined;
}
