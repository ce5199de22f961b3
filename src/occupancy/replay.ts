// What a session is sent when it attaches to a room that the account is in already.

import * as st from "util.stanza";
import type { Attributes } from "util.stanza";
import { MUC_USER, Status } from "../namespaces";
import { counters } from "../state/counters";
import { messageOf, stanzaOf } from "../state/held";
import type { Membership } from "../state/memberships";
import { eachOccupant } from "../state/occupants";
import { eachMember } from "../state/offline";
import { selfOf } from "../state/view";
import type { SessionRequest } from "../state/place";
import { sendHeld, sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import { sendHistory } from "../archive/history";

/**
 * The whole of XEP-0045 7.1 from what the room showed the account: the other occupants, the own presence, history, the
 * subject, with the room's own presence before or after all of them. Nothing of the room comes in between, as all of it is sent in one go.
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

/** Those of the other occupants and of members who are offline, with the room's own if that comes first. */
export function sendOccupants(membership: Membership, session: string | undefined): void {
    const view = membership.view;
    if (view.isRoomFirst) {
        sendRoom(membership, session);
    }
    sendHeld(session, eachOccupant(view));
    sendHeld(session, eachMember(view.offline));
}

function sendRoom(membership: Membership, session: string | undefined): void {
    const room = membership.view.room;
    const presence = room === undefined ? undefined : stanzaOf(room);
    if (presence !== undefined) {
        sendTo(session, presence);
    }
}

/** Clients count as joined only at the subject (XEP-0045 7.2.15), so a room that never sent one has an empty one. */
export function sendSubject(membership: Membership, session: string | undefined): void {
    const subject = membership.view.subject;
    sendTo(session, (subject === undefined ? undefined : messageOf(subject)) ?? emptySubject(membership));
}

/**
 * The account's own presence as the answer to one session's join. It carries the join's id, as Movim finds it by that,
 * and the status codes of XEP-0045 7.2.2 to 7.2.12 that are true for this session; 201 only ever went to the creator.
 * `shown` is our own presence without them.
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
    const self = ownPresence(membership, shown);
    self.attr.id = request.id;
    let x = self.get_child("x", MUC_USER);
    if (x === undefined) {
        x = st.stanza("x", { xmlns: MUC_USER });
        self.add_direct_child(x);
    }
    x.maptags((tag) => (tag.name === "status" ? undefined : tag));
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

/** Between the two halves of a nick change (XEP-0045 7.6) the room has not shown the account under its nick yet. */
export function ownPresence(membership: Membership, self: Stanza): Stanza {
    const presence = st.clone(self);
    presence.attr.from = `${membership.room}/${membership.nick}`;
    return presence;
}

function addStatus(x: Stanza, code: Status): void {
    x.add_direct_child(st.stanza("status", { code }));
}

function emptySubject(membership: Membership): Stanza {
    const message = st.message({ type: "groupchat", from: membership.room });
    message.add_direct_child(st.stanza("subject"));
    return message;
}

/** The answer to a session that leaves while the account stays (XEP-0045 7.14). */
export function ownUnavailable(membership: Membership, id: string | undefined, nick = membership.nick): Stanza {
    const from = `${membership.room}/${nick}`;
    return st
        .presence({ type: "unavailable", from, id })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: ownAffiliation(membership), role: "none" })
        .up()
        .tag("status", { code: Status.Self })
        .reset();
}

/** What a session is told when the account cannot be brought back: removed for technical reasons (XEP-0045 15.6.2). */
export function technicalRemoval(membership: Membership): Stanza {
    const unavailable = ownUnavailable(membership, undefined);
    const x = unavailable.get_child("x", MUC_USER);
    if (x !== undefined) {
        addStatus(x, Status.TechnicalRemoval);
    }
    return unavailable;
}

/** Somebody who went while the account was not there to see it. */
export function occupantGone(membership: Membership, nick: string): Stanza {
    return st
        .presence({ type: "unavailable", from: `${membership.room}/${nick}` })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: "none", role: "none" })
        .reset();
}

/** The first half of a nick change (XEP-0045 7.6) from the nick of `before` to the account's nick now. */
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
    const self = selfOf(membership.view);
    return (self === undefined ? undefined : itemOf(self).affiliation) ?? "none";
}

export function itemOf(presence: Stanza): Attributes {
    const x = presence.get_child("x", MUC_USER);
    const item = x?.get_child("item");
    return item === undefined ? {} : item.attr;
}
