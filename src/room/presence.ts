// Presence from a room to the account: others coming, going and changing, the account itself let in, renamed or thrown out.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { attach, joinAccepted, joinRefused, membershipOver, resyncUnanswered } from "../client/occupancy";
import { MUC_USER, Status } from "../namespaces";
import { findMembership, type Membership, Phase, type Resync } from "../state/memberships";
import { fork, sendTo } from "./fork";
import { ownUnavailable, selfPresence } from "./replay";

/** `presence/bare` or `presence/full`, by the shape of the occupant JID. */
export function onPresence(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const from = stanza.attr.from;
    const to = stanza.attr.to;
    if (from === undefined || to === undefined) {
        return undefined;
    }
    const membership = findMembership(to, jids.bare(from));
    if (membership === undefined) {
        return undefined;
    }
    const type = stanza.attr.type;
    const nick = jids.resource(from);
    if (type === "error") {
        onError(membership, stanza);
    } else if (type !== undefined && type !== "unavailable") {
        return undefined;
    } else if (nick === undefined) {
        onRoomPresence(membership, stanza);
    } else if (type === undefined) {
        onAvailable(membership, nick, stanza);
    } else {
        onUnavailable(membership, nick, stanza);
    }
    return true;
}

/** Prosody 13 and ejabberd show the room's own avatar and capabilities so. */
function onRoomPresence(membership: Membership, stanza: Stanza): void {
    membership.roomPresence = stanza.attr.type === undefined ? keep(stanza) : undefined;
    fork(membership, stanza);
}

function onAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (isSelf(membership, nick, stanza)) {
        onSelfAvailable(membership, nick, stanza);
        return;
    }
    const known = membership.occupants.get(nick);
    const copy = keep(stanza);
    membership.occupants.set(nick, copy);
    const resync = membership.resync;
    if (resync !== undefined && !resync.selfShown && known !== undefined && isSame(known, copy)) {
        // Nothing new but to the one who asked for all of it.
        resync.shown.add(nick);
        sendToAsking(resync, stanza);
    } else {
        fork(membership, stanza);
    }
}

/**
 * Whether a presence is the account's own. A room may choose our nick when we join (XEP-0045 7.2.2), and says so with
 * 110; later on the nick is known, and a 110 on somebody else's presence is not believed.
 */
function isSelf(membership: Membership, nick: string, stanza: Stanza): boolean {
    return nick === membership.nick || (membership.phase === Phase.Joining && hasStatus(stanza, Status.Self));
}

function onSelfAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    const before = membership.self;
    const copy = keep(stanza);
    membership.self = copy;
    membership.nick = nick;
    if (hasStatus(stanza, Status.NonAnonymous)) {
        membership.nonAnonymous = true;
    }
    if (hasStatus(stanza, Status.LoggingOn)) {
        membership.logged = true;
    }
    const resync = membership.resync;
    if (membership.phase === Phase.Joining) {
        joinAccepted(membership);
        fork(membership, stanza);
    } else if (resync !== undefined && !resync.selfShown) {
        onResyncSelf(membership, resync, copy, before !== undefined && isSame(before, copy));
    } else {
        fork(membership, stanza);
    }
}

/** Our own presence ends the list of occupants. Whoever is missing from it was not sent: the room does not resync. */
function onResyncSelf(membership: Membership, resync: Resync, self: Stanza, known: boolean): void {
    if (!known) {
        fork(membership, self);
    }
    for (const [nick] of membership.occupants) {
        if (!resync.shown.has(nick)) {
            resyncUnanswered(membership);
            return;
        }
    }
    resync.selfShown = true;
    const request = resync.request;
    if (request !== undefined) {
        const answer = selfPresence(membership, request);
        if (answer !== undefined) {
            sendTo(request.session, answer);
        }
        attach(membership, request);
    }
}

function sendToAsking(resync: Resync, stanza: Stanza): void {
    if (resync.request !== undefined) {
        sendTo(resync.request.session, stanza);
    }
}

function onUnavailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (nick !== membership.nick) {
        membership.occupants.delete(nick);
        fork(membership, stanza);
        return;
    }
    const newNick = hasStatus(stanza, Status.NickChange) ? itemNick(stanza) : undefined;
    if (newNick !== undefined) {
        membership.nick = newNick;
        forgetNickRequests(membership, newNick);
        fork(membership, stanza);
        return;
    }
    // Left, kicked, banned, room destroyed: older services leave out 110, so the nick alone decides.
    fork(membership, stanza);
    membershipOver(membership);
}

/** An error only counts as the answer to something asked: a join, a leave, a nick change. */
function onError(membership: Membership, stanza: Stanza): void {
    if (membership.phase === Phase.Joining) {
        joinRefused(membership, stanza);
        return;
    }
    if (membership.phase === Phase.Leaving) {
        fork(membership, ownUnavailable(membership, undefined));
        membershipOver(membership);
        return;
    }
    const id = stanza.attr.id;
    const request = id === undefined ? undefined : membership.nickRequests.get(id);
    if (id === undefined || request === undefined) {
        module.log("debug", "Presence error from %s to %s answers nothing", membership.room, membership.username);
        return;
    }
    membership.nickRequests.delete(id);
    const error = st.clone(stanza);
    error.attr.id = request.id;
    sendTo(request.session, error);
}

function forgetNickRequests(membership: Membership, nick: string): void {
    for (const [id, request] of membership.nickRequests) {
        if (request.nick === nick) {
            membership.nickRequests.delete(id);
        }
    }
}

/** The stanza belongs to the room, which re-uses it for every recipient: keep a copy. */
function keep(stanza: Stanza): Stanza {
    const copy = st.clone(stanza);
    copy.attr.to = undefined;
    return copy;
}

function isSame(one: Stanza, other: Stanza): boolean {
    return tostring(one) === tostring(other);
}

/** Whether a presence carries a status code of XEP-0045 15.6; codes may stand in any order. */
function hasStatus(stanza: Stanza, code: Status): boolean {
    const x = stanza.get_child("x", MUC_USER);
    return x !== undefined && x.get_child_with_attr("status", undefined, "code", code) !== undefined;
}

function itemNick(stanza: Stanza): string | undefined {
    const x = stanza.get_child("x", MUC_USER);
    const item = x === undefined ? undefined : x.get_child("item");
    return item === undefined ? undefined : item.attr.nick;
}
