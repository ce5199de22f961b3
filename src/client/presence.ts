// Handles presence from a session to a room (joins, presence updates, nick changes, leaves), and the end of a session.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { sessionEnded } from "../follow/accounts";
import { readBookmark } from "../settings/bookmarks";
import { MUC } from "../namespaces";
import { sessionGone, sessionLeaves, sessionOffline } from "../occupancy/depart";
import { presenceSent } from "../occupancy/joined";
import { onRequest } from "../occupancy/phases";
import { sendTo } from "../send/fork";
import { dropOutlet } from "../send/outlet";
import { ownUnavailable } from "../occupancy/replay";
import * as options from "../options";
import { noteOver, mayJoin } from "../state/limits";
import { createMembership, isAttached, type Membership, membershipOf, membershipsOf } from "../state/memberships";
import { Phase } from "../state/place";
import { isServed, newRequest } from "../state/queue";
import { disownRetired } from "../state/sent";
import { forgetJoined, hasJoined, noteJoined } from "../state/sessions";
import { mayKeep } from "../state/interned";
import { forgetIqsOf } from "../state/pending";
import { disownProbes } from "../state/probes";
import { passesRules } from "../send/rules";
import { isKnownNow } from "../state/store";
import { mayHaveRooms } from "../send/upstream";
import { queueUntilJoined } from "./queue";

/** `pre-presence/full` and `pre-presence/bare`. */
export function onPresence(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const to = stanza.attr.to;
    const type = stanza.attr.type;
    if (passesRules(session)) {
        return true;
    }
    if (to === undefined) {
        if (type === "unavailable") {
            broadcastUnavailable(session);
        }
        return undefined;
    }
    const room = jids.bare(to);
    if (type === "error") {
        // Drops presence errors of sessions. A service removes an occupant for an error (XEP-0045 18.1.2), which would
        // remove the account.
        return hasJoined(session.full_jid, room) ? true : undefined;
    }
    const membership = membershipOf(session, room);
    if (
        type === undefined &&
        (membership !== undefined || stanza.get_child("x", MUC) !== undefined) &&
        !mayKeep(stanza)
    ) {
        noteOver("minimix_max_cached_size", session.username, room);
        session.send(st.error_reply(stanza, "modify", "policy-violation", "The presence is too big", room));
        return true;
    }
    if (type === undefined && stanza.get_child("x", MUC) !== undefined) {
        return join(session, stanza, room, jids.resource(to), membership);
    }
    if (membership === undefined) {
        return undefined;
    }
    if (type === "unavailable") {
        return sessionLeaves(membership, session.full_jid, st.clone(stanza)) ? true : undefined;
    }
    return type === undefined || type === "probe" ? update(membership, session, stanza) : undefined;
}

/** Handles a join: presence with `<x xmlns='http://jabber.org/protocol/muc'/>` (XEP-0045 7.2.2). */
function join(
    session: ClientSession,
    stanza: Stanza,
    room: string,
    wanted: string | undefined,
    before: Membership | undefined,
): Handled {
    if (before === undefined && !mayBeRoom(session, room)) {
        return undefined;
    }
    // The rooms of an account may be read only now, because its record was broken.
    const isRead = before !== undefined || isKnownNow(session.username);
    const known = before ?? membershipOf(session, room);
    const attached = known !== undefined && isAttached(known, session.full_jid) && known.place.phase !== Phase.Leaving;
    // An attached session need not name a nick. A session with a pending join, or leave, must.
    const nick = wanted ?? (attached ? known.nick : undefined);
    if (nick === undefined) {
        return undefined;
    }
    if (!isRead) {
        session.send(st.error_reply(stanza, "wait", "internal-server-error", undefined, room));
        return true;
    }
    const limit = limitReached(session.username, known);
    if (limit !== undefined) {
        noteOver(limit, session.username, room);
        session.send(st.error_reply(stanza, "wait", "resource-constraint", undefined, room));
        return true;
    }
    const membership = known ?? createMembership(session.username, room, nick);
    if (known === undefined) {
        membership.bookmark = readBookmark(session.username, room);
    }
    noteJoined(session.full_jid, room);
    onRequest(membership, newRequest("join", session.full_jid, stanza.attr.id, nick, st.clone(stanza)));
    return true;
}

/** Returns the option that limits the joins of the account now. */
function limitReached(username: string, membership: Membership | undefined): string | undefined {
    if (membership === undefined && membershipsOf(username).length >= options.maxRooms) {
        return "minimix_max_rooms";
    }
    return mayJoin(username) ? undefined : "minimix_join_rate";
}

/** Whether an address may be a room: not a contact and not a local account. */
function mayBeRoom(session: ClientSession, room: string): boolean {
    const contact = session.roster === undefined ? undefined : session.roster.get(room);
    return mayHaveRooms(jids.host(room)) && (contact === undefined || contact.subscription === "none");
}

/**
 * Handles a probe, or presence without `<x/>`. Another nick requests a nick change. The own nick, or none, shows a new
 * presence.
 */
function update(membership: Membership, session: ClientSession, stanza: Stanza): Handled {
    if (isServed(membership, session.full_jid)) {
        presenceSent(membership, session.full_jid, stanza);
        return true;
    }
    return queueUntilJoined(membership, session, stanza);
}

/**
 * Detaches a session from every room after a broadcast `unavailable`. The session lives on, and is told as rooms would
 * tell it.
 */
function broadcastUnavailable(session: ClientSession): void {
    for (const membership of membershipsOf(session.username)) {
        if (sessionOffline(membership, session.full_jid) && session.destroyed !== true) {
            sendTo(session.full_jid, ownUnavailable(membership, undefined));
        }
    }
}

/** `resource-unbind`: the session has ended. The account stays in its rooms, which are not told. */
export function onSessionGone(event: { readonly session: ClientSession }): Handled {
    const session = event.session;
    for (const membership of membershipsOf(session.username)) {
        sessionGone(membership, session.full_jid);
    }
    dropOutlet(session.full_jid);
    disownRetired(session.full_jid);
    forgetIqsOf(session.full_jid);
    disownProbes(session.full_jid);
    forgetJoined(session.full_jid);
    sessionEnded(session.username);
    return undefined;
}
