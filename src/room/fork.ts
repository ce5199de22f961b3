// From one stanza of the room to the sessions that joined it.

import * as jids from "util.jid";
import type { Membership } from "../state/memberships";
import { hasJoined } from "../state/sessions";

/**
 * Sends a stanza to one session, if it is there still. The stanza is lent, as Prosody's own rooms lend theirs (muc.lib.lua, route_to_occupant):
 * `to` is swapped and put back, and whoever wants to keep the stanza clones it.
 */
export function sendTo(fullJid: string | undefined, stanza: Stanza): void {
    if (fullJid === undefined) {
        return;
    }
    // A session's `send` is replaced on stream resumption and the session itself on a resource conflict: look both up.
    const session = prosody.full_sessions.get(fullJid);
    if (session === undefined) {
        return;
    }
    const to = stanza.attr.to;
    stanza.attr.to = fullJid;
    session.send(stanza);
    stanza.attr.to = to;
}

/** Hands a stanza of the room to every attached session. */
export function fork(membership: Membership, stanza: Stanza): void {
    const to = stanza.attr.to;
    for (const [fullJid] of membership.attached) {
        const session = prosody.full_sessions.get(fullJid);
        if (session !== undefined) {
            stanza.attr.to = fullJid;
            session.send(stanza);
        }
    }
    stanza.attr.to = to;
}

/**
 * `delivery/failure`, after mod_smacks has had its say, which may still deliver a private message: a session died before
 * it acknowledged a stanza. An error for it would tell the room of an occupant out of reach; the account is not.
 */
export function onUndelivered(event: { readonly session: ClientSession; readonly stanza: Stanza }): Handled {
    const session = event.session;
    const stanza = event.stanza;
    const from = stanza.attr.from;
    if (from === undefined) {
        return undefined;
    }
    return hasJoined(session.full_jid, jids.bare(from)) ? true : undefined;
}
