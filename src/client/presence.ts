// From a session to a room: joins, presence, nick changes, leaves; and the end of a session.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { sessionEnded } from "../keep/accounts";
import { MUC } from "../namespaces";
import { enter, leave, rejoin } from "../occupancy";
import { sendTo } from "../room/fork";
import { ownUnavailable } from "../room/replay";
import {
    createMembership,
    detachSession,
    isAttached,
    type JoinRequest,
    type Membership,
    membershipOf,
    membershipsOf,
    Phase,
    stopWaiting,
    wait,
} from "../state/memberships";
import { forgetIqsOf } from "../state/pending";
import { changeNick, showBest, updatePresence } from "./availability";
import { serve } from "./serve";

/** `pre-presence/full` and `pre-presence/bare`. */
export function onPresence(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    const type = stanza.attr.type;
    if (to === undefined) {
        if (type === "unavailable") {
            sessionOffline(session);
        }
        return undefined;
    }
    const room = jids.bare(to);
    const membership = membershipOf(session, room);
    const attached = membership !== undefined && isAttached(membership, session.full_jid);
    if (type === undefined && stanza.get_child("x", MUC) !== undefined) {
        // Who is in the room need not say under which nick.
        const nick = jids.resource(to) ?? (attached ? membership.nick : undefined);
        return nick === undefined ? undefined : join(session, stanza, room, nick, membership);
    }
    if (membership === undefined) {
        return undefined;
    }
    const waited = type === "unavailable" && stopWaiting(membership, session.full_jid);
    if (!attached) {
        if (waited) {
            sendTo(session.full_jid, ownUnavailable(membership, stanza.attr.id));
        }
        return waited ? true : undefined;
    }
    if (type === undefined) {
        update(membership, session.full_jid, stanza, jids.resource(to));
        return true;
    }
    if (type === "unavailable") {
        sessionLeaves(membership, session.full_jid, stanza);
        return true;
    }
    // Services throw an occupant out for an error (XEP-0045 18.1.2); it would be the account and all its sessions.
    return type === "error" ? true : undefined;
}

/** A presence with `<x xmlns='http://jabber.org/protocol/muc'/>` (XEP-0045 7.2.2). */
function join(
    session: ClientSession,
    stanza: Stanza,
    room: string,
    nick: string,
    membership: Membership | undefined,
): Handled {
    const request = joinRequest(session.full_jid, stanza, nick);
    if (membership === undefined) {
        if (!mayBeRoom(session, room)) {
            return undefined;
        }
        enter(createMembership(session.username, room, nick), request);
    } else if (membership.phase === Phase.Leaving && membership.tries > 0) {
        // The room has not confirmed a leave which the account takes back.
        enter(membership, request);
    } else if (membership.phase !== Phase.Joined) {
        wait(membership, request);
        if (membership.phase === Phase.Lost) {
            rejoin(membership);
        }
    } else if (isAttached(membership, session.full_jid) && nick !== membership.nick) {
        changeNick(membership, request);
    } else {
        serve(membership, request);
    }
    return true;
}

function joinRequest(session: string, stanza: Stanza, nick: string): JoinRequest {
    return { session, id: stanza.attr.id, nick, stanza: st.clone(stanza) };
}

/** Contacts and accounts of this server are no rooms, whatever a client directs at them. */
function mayBeRoom(session: ClientSession, room: string): boolean {
    const host = prosody.hosts.get(jids.host(room));
    if (host !== undefined && host.type === "local") {
        return false;
    }
    const contact = session.roster === undefined ? undefined : session.roster.get(room);
    return contact === undefined || contact.subscription === "none";
}

/** A presence without `<x/>`: another nick asks for a nick change, the own nick or none shows a new presence. */
function update(membership: Membership, session: string, stanza: Stanza, nick: string | undefined): void {
    if (nick === undefined || nick === membership.nick) {
        updatePresence(membership, session, stanza);
    } else {
        changeNick(membership, joinRequest(session, stanza, nick));
    }
}

/** A directed `unavailable` (XEP-0045 7.14): the session goes, and the account with the last one. */
function sessionLeaves(membership: Membership, session: string, stanza: Stanza): void {
    if (membership.phase === Phase.Leaving) {
        return;
    }
    if (!isLast(membership, session)) {
        detachSession(membership, session);
        sendTo(session, ownUnavailable(membership, stanza.attr.id));
        showBest(membership);
        return;
    }
    if (membership.phase === Phase.Lost) {
        detachSession(membership, session);
        sendTo(session, ownUnavailable(membership, stanza.attr.id));
    }
    // Otherwise the room's own answer is the session's to see.
    leave(membership, stanza);
}

/** Whether no other session is in the room, or about to be. */
function isLast(membership: Membership, session: string): boolean {
    for (const [other] of membership.attached) {
        if (other !== session) {
            return false;
        }
    }
    return membership.waiting.length === 0;
}

/** A broadcast `unavailable` takes the session out of every room; it lives on and is told, as the rooms would. */
function sessionOffline(session: ClientSession): void {
    for (const membership of membershipsOf(session.username)) {
        if (detach(membership, session.full_jid) && session.destroyed !== true) {
            sendTo(session.full_jid, ownUnavailable(membership, undefined));
        }
    }
}

/** `resource-unbind`: the session is no more. The account stays in its rooms, which hear nothing of it. */
export function onSessionGone(event: { readonly session: ClientSession }): Handled {
    const session = event.session;
    for (const membership of membershipsOf(session.username)) {
        detach(membership, session.full_jid);
    }
    forgetIqsOf(session.full_jid);
    sessionEnded(session.username);
    return undefined;
}

/** Whether the session was attached. */
function detach(membership: Membership, session: string): boolean {
    stopWaiting(membership, session);
    const resync = membership.resync;
    if (resync !== undefined && resync.request !== undefined && resync.request.session === session) {
        resync.request = undefined;
    }
    if (!isAttached(membership, session)) {
        return false;
    }
    detachSession(membership, session);
    showBest(membership);
    return true;
}
