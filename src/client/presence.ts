// From a session to a room: joins, presence, nick changes, leaves; and the end of a session.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { sessionEnded } from "../follow/accounts";
import { bookmarkLeft } from "../settings/bookmark-write";
import { readBookmark } from "../settings/bookmarks";
import { MUC } from "../namespaces";
import { enter, enterAfterLeave, leave, leaveIfUnused, rejoin } from "../occupancy/phases";
import { sendTo } from "../send/fork";
import { dropOutlet } from "../send/outlet";
import { ownUnavailable } from "../occupancy/replay";
import * as options from "../options";
import { isAutojoin } from "../state/bookmarks";
import { noteOver, mayJoin } from "../state/limits";
import {
    createMembership,
    detachSession,
    isAttached,
    type JoinRequest,
    type Membership,
    membershipOf,
    membershipsOf,
    noteAnswered,
    Phase,
    stopWaiting,
    forgetNickRequests,
    forgetSession,
    isWaiting,
    hasWaiting,
    wait,
} from "../state/memberships";
import { mayKeep } from "../state/held";
import { forgetJoined, hasJoined } from "../state/sessions";
import { forgetIqsOf } from "../state/pending";
import { showBest, updatePresence } from "../occupancy/shown";
import { changeNick } from "../occupancy/nick";
import { serve } from "../occupancy/serve";
import { mayHaveRooms } from "../send/upstream";

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
    if (type === "error") {
        // Services throw an occupant out for an error (XEP-0045 18.1.2); it would be the account and all its sessions.
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
        return sessionLeaves(membership, session.full_jid, stanza);
    }
    return type === undefined ? update(membership, session.full_jid, stanza, jids.resource(to)) : undefined;
}

/** A presence with `<x xmlns='http://jabber.org/protocol/muc'/>` (XEP-0045 7.2.2). */
function join(
    session: ClientSession,
    stanza: Stanza,
    room: string,
    wanted: string | undefined,
    membership: Membership | undefined,
): Handled {
    const attached = membership !== undefined && isAttached(membership, session.full_jid);
    // Who is in the room need not say under which nick; who is only about to be in must.
    const nick = wanted ?? (attached && !isAsking(membership, session.full_jid) ? membership.nick : undefined);
    if (nick === undefined) {
        return undefined;
    }
    if (membership === undefined && !mayBeRoom(session, room)) {
        return undefined;
    }
    const limit = limitReached(session.username, membership);
    if (limit !== undefined) {
        noteOver(limit, session.username, room);
        session.send(st.error_reply(stanza, "wait", "resource-constraint", undefined, room));
        return true;
    }
    const request = joinRequest(session.full_jid, stanza, nick);
    if (membership === undefined) {
        const created = createMembership(session.username, room, nick);
        created.bookmark = readBookmark(session.username, room);
        enter(created, request);
    } else if (membership.phase === Phase.Leaving && membership.tries > 0) {
        enterAfterLeave(membership, request);
    } else if (membership.phase === Phase.Lost && !membership.established) {
        // The server would have joined, but the client knows what it wants: nick, history, extensions.
        enter(membership, request);
    } else if (membership.phase !== Phase.Joined) {
        wait(membership, request);
        if (membership.phase === Phase.Lost) {
            rejoin(membership);
        }
    } else if (attached && nick !== membership.nick) {
        changeNick(membership, request);
    } else {
        noteAnswered(membership, session.full_jid);
        serve(membership, request);
    }
    return true;
}

/** Whether it is for this session that the account's join is on its way. */
function isAsking(membership: Membership, session: string): boolean {
    return membership.request?.session === session;
}

/** The option that keeps a session from joining for now. */
function limitReached(username: string, membership: Membership | undefined): string | undefined {
    if (membership === undefined && membershipsOf(username).length >= options.maxRooms) {
        return "minimix_max_rooms";
    }
    return mayJoin(username) ? undefined : "minimix_join_rate";
}

function joinRequest(session: string, stanza: Stanza, nick: string): JoinRequest {
    return { session, id: stanza.attr.id, nick, stanza: st.clone(stanza) };
}

/** Contacts and accounts of this server are no rooms, whatever a client directs at them. */
function mayBeRoom(session: ClientSession, room: string): boolean {
    const contact = session.roster?.get(room);
    return mayHaveRooms(jids.host(room)) && (contact === undefined || contact.subscription === "none");
}

/** A presence without `<x/>`: another nick asks for a nick change, the own nick or none shows a new presence. */
function update(membership: Membership, session: string, stanza: Stanza, nick: string | undefined): Handled {
    if (!isAttached(membership, session)) {
        // Who waits to be let in has said all there is to say; to the room it would be a stranger.
        return isWaiting(membership, session) ? true : undefined;
    }
    if (nick === undefined || nick === membership.nick) {
        updatePresence(membership, session, stanza);
    } else {
        changeNick(membership, joinRequest(session, stanza, nick));
    }
    return true;
}

/** A directed `unavailable` (XEP-0045 7.14): the session goes, and with the last one the account, unless it autojoins. */
function sessionLeaves(membership: Membership, session: string, stanza: Stanza): Handled {
    const waited = stopWaiting(membership, session);
    forgetNickRequests(membership, session);
    if (isAttached(membership, session)) {
        detachOrLeave(membership, session, stanza);
    } else if (waited) {
        sendTo(session, ownUnavailable(membership, stanza.attr.id));
        leaveIfUnused(membership);
    } else {
        return undefined;
    }
    return true;
}

function detachOrLeave(membership: Membership, session: string, stanza: Stanza): void {
    if (membership.phase === Phase.Leaving) {
        return;
    }
    const leaves = isLast(membership, session) && !isAutojoin(membership);
    if (!leaves || membership.phase === Phase.Lost) {
        detachSession(membership, session);
        sendTo(session, ownUnavailable(membership, stanza.attr.id));
    }
    if (leaves) {
        bookmarkLeft(membership);
        // The room's own answer is the session's to see.
        leave(membership, stanza);
    } else {
        showBest(membership);
    }
}

/** Whether no other session is in the room, or about to be. */
function isLast(membership: Membership, session: string): boolean {
    for (const [other] of membership.attached) {
        if (other !== session) {
            return false;
        }
    }
    return !hasWaiting(membership);
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
        forgetSession(membership, session.full_jid);
        detach(membership, session.full_jid);
    }
    dropOutlet(session.full_jid);
    forgetIqsOf(session.full_jid);
    forgetJoined(session.full_jid);
    sessionEnded(session.username);
    return undefined;
}

/** Whether the session was attached, or about to be. */
function detach(membership: Membership, session: string): boolean {
    const waited = stopWaiting(membership, session);
    forgetNickRequests(membership, session);
    if (!isAttached(membership, session)) {
        return waited;
    }
    detachSession(membership, session);
    showBest(membership);
    leaveIfUnused(membership);
    return true;
}
