// The replay: stanzas for a session that attaches to a room that the account is in.

import * as jids from "util.jid";
import * as st from "util.stanza";
import type { Attributes } from "util.stanza";
import { MUC_USER, Status } from "../namespaces";
import { counters } from "../state/counters";
import { messageOf, stanzaOf } from "../state/interned";
import { knownNick, type Membership } from "../state/memberships";
import { eachOccupant } from "../state/occupants";
import { eachMember } from "../state/offline";
import { selfOf } from "../state/view";
import { hasStatus, isSameNick } from "../stanzas";
import type { SessionRequest } from "../state/place";
import { sendInterned, sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import { sendHistory } from "../archive/history";

/**
 * Sends the full sequence of XEP-0045 7.1 from the cache: other occupants, own presence, history, subject. The room's
 * own presence comes before or after them. All is sent at once, so no live stanza comes in between.
 */
export function replay(membership: Membership, request: SessionRequest, shown: Stanza | undefined): void {
    counters.replays = counters.replays + 1;
    sendOccupants(membership, request.session);
    const self = selfPresence(membership, request, shown);
    if (self !== undefined) {
        sendOwn(membership, request.session, self);
    }
    sendHistory(membership, request);
    sendSubject(membership, request.session);
    if (!membership.view.isRoomFirst) {
        sendRoom(membership, request.session);
    }
}

/** Sends the other occupants and offline members, after the room's own presence if that comes first. */
export function sendOccupants(membership: Membership, session: string | undefined): void {
    const view = membership.view;
    if (view.isRoomFirst) {
        sendRoom(membership, session);
    }
    sendInterned(session, eachOccupant(view));
    sendInterned(session, eachMember(view.offline));
}

function sendRoom(membership: Membership, session: string | undefined): void {
    const room = membership.view.room;
    const presence = room === undefined ? undefined : stanzaOf(room);
    if (presence !== undefined) {
        sendTo(session, presence);
    }
}

/**
 * Sends the subject, an empty one if the room never sent one. Clients count as joined only after it (XEP-0045 7.2.15).
 */
export function sendSubject(membership: Membership, session: string | undefined): void {
    const subject = membership.view.subject;
    sendTo(session, (subject === undefined ? undefined : messageOf(subject)) ?? emptySubject(membership));
}

/**
 * Returns the account's own presence as the answer to one session's join. It has the join's id, because Movim needs it.
 * It has the status codes of XEP-0045 7.2.2 to 7.2.12 that apply to this session. Code 201 goes to the creator only.
 * `shown` is our own presence without codes.
 */
export function selfPresence(
    membership: Membership,
    request: SessionRequest,
    shown: Stanza | undefined,
): Stanza | undefined {
    const view = membership.view;
    if (shown === undefined) {
        return undefined;
    }
    const [self, x] = withOwnElement(membership, shown, membership.nick);
    self.attr.id = request.id;
    if (view.nonAnonymous) {
        addStatus(x, Status.NonAnonymous);
    }
    addStatus(x, Status.Self);
    if (view.logged) {
        addStatus(x, Status.LoggingOn);
    }
    if (request.nick !== membership.nick) {
        addStatus(x, Status.NickAssigned);
    }
    return self;
}

/**
 * Returns the room's answer to a join for its session: with the id of the join, and with 110 if the session asked for
 * another nick and could not know its own presence.
 */
export function answerTo(request: SessionRequest, nick: string, stanza: Stanza): Stanza {
    const isKnown = isSameNick(request.nick, nick) || hasStatus(stanza, Status.Self);
    if (isKnown && stanza.attr.id === request.id) {
        return stanza;
    }
    const answer = st.clone(stanza);
    answer.attr.id = request.id;
    const x = answer.get_child("x", MUC_USER);
    if (!isKnown && x !== undefined) {
        addStatus(x, Status.Self);
    }
    return answer;
}

/** Returns our own presence under a nick, with code 110. `self` is our own presence without codes. */
export function ownPresence(membership: Membership, self: Stanza, nick = membership.nick): Stanza {
    const [presence, x] = withOwnElement(membership, self, nick);
    addStatus(x, Status.Self);
    return presence;
}

/**
 * Returns a copy of our own presence under a nick, and its element for status codes. Between the two
 * presences of a nick change (XEP-0045 7.6) the room has not sent it.
 */
function withOwnElement(membership: Membership, self: Stanza, nick: string): LuaMultiReturn<[Stanza, Stanza]> {
    const presence = st.clone(self);
    presence.attr.from = `${membership.room}/${nick}`;
    let x = presence.get_child("x", MUC_USER);
    if (x === undefined) {
        x = st.stanza("x", { xmlns: MUC_USER });
        presence.add_direct_child(x);
    }
    return $multi(presence, x);
}

function addStatus(x: Stanza, code: Status): void {
    x.add_direct_child(st.stanza("status", { code }));
}

function emptySubject(membership: Membership): Stanza {
    const message = st.message({ type: "groupchat", from: membership.room });
    message.add_direct_child(st.stanza("subject"));
    return message;
}

/** Returns the confirmation for a session that leaves while the account stays (XEP-0045 7.14). */
export function ownUnavailable(membership: Membership, id: string | undefined, nick = knownNick(membership)): Stanza {
    const from = `${membership.room}/${nick}`;
    return st
        .presence({ type: "unavailable", from, id })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: ownAffiliation(membership), role: "none" })
        .up()
        .tag("status", { code: Status.Self })
        .reset();
}

/** Returns a removal of the account that its sessions understand: with 110 if they know another nick. */
export function understood(membership: Membership, removal: Stanza): Stanza {
    const isKnown = jids.resource(removal.attr.from ?? "") === knownNick(membership);
    if (isKnown || hasStatus(removal, Status.Self)) {
        return removal;
    }
    const copy = st.clone(removal);
    const x = copy.get_child("x", MUC_USER);
    if (x !== undefined) {
        addStatus(x, Status.Self);
    }
    return copy;
}

/** Returns the presence for a technical removal (XEP-0045 15.6.2), when the account cannot rejoin. */
export function technicalRemoval(membership: Membership): Stanza {
    const unavailable = ownUnavailable(membership, undefined);
    const x = unavailable.get_child("x", MUC_USER);
    if (x !== undefined) {
        addStatus(x, Status.TechnicalRemoval);
    }
    return unavailable;
}

/** Returns the unavailable presence of an occupant that left while the account was out. */
export function occupantGone(membership: Membership, nick: string): Stanza {
    return st
        .presence({ type: "unavailable", from: `${membership.room}/${nick}` })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: "none", role: "none" })
        .reset();
}

/** Returns the first presence of a nick change (XEP-0045 7.6), from the nick of `before` to the current nick. */
export function nickChange(membership: Membership, before: Stanza): Stanza {
    const item = itemOf(before);
    return st
        .presence({ type: "unavailable", from: before.attr.from })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: item.affiliation, role: item.role, nick: membership.nick })
        .up()
        .tag("status", { code: Status.NickChange })
        .up()
        .tag("status", { code: Status.Self })
        .reset();
}

function ownAffiliation(membership: Membership): string {
    const self = selfOf(membership);
    return (self === undefined ? undefined : itemOf(self).affiliation) ?? "none";
}

export function itemOf(presence: Stanza): Attributes {
    const x = presence.get_child("x", MUC_USER);
    const item = x?.get_child("item");
    return item === undefined ? {} : item.attr;
}
