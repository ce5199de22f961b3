// Presence from a room to the account: others coming, going and changing, the account itself let in, renamed or put out.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { announceIfRenamed, isOwnNick, onOccupant, onOccupantGone, onRoomPresence } from "../occupancy/burst";
import { regainNick } from "../occupancy/joined";
import { selfClaimed } from "../occupancy/joining";
import { onRefused, onRemoved, onRenamed, onSelf } from "../occupancy/phases";
import { isExpulsion } from "../occupancy/refusal";
import { itemOf } from "../occupancy/replay";
import { isLateNick, renamedUnheard } from "../occupancy/requests";
import { MUC_USER, Status } from "../namespaces";
import { hasStatus, isSameNick, splitOccupant } from "../stanzas";
import { counters, noteDrop } from "../state/counters";
import { findMembership, isCurrent, isOccupantJid, type Membership } from "../state/memberships";
import { hold } from "../state/held";
import { Phase } from "../state/place";
import { saveOften } from "../state/store";
import { after, post } from "../turn";

/** Of contacts; a gateway may be one. */
const subscriptions = new LuaSet<string>();
subscriptions.add("subscribe");
subscriptions.add("subscribed");
subscriptions.add("unsubscribe");
subscriptions.add("unsubscribed");

/** `presence/bare` or `presence/full`, by the shape of the occupant JID. */
export function onPresence(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const from = stanza.attr.from;
    const to = stanza.attr.to;
    if (from === undefined || to === undefined) {
        return undefined;
    }
    const [room, nick] = splitOccupant(from);
    const membership = findMembership(to, room);
    const type = stanza.attr.type;
    if (membership === undefined) {
        return nick === undefined || !isOccupantJid(to) ? undefined : onStray(stanza, from, to);
    }
    membership.liveness.heard = true;
    counters.copiesIn = counters.copiesIn + 1;
    if (type === "error") {
        onRefused(membership, nick, stanza);
        return true;
    }
    if (type !== undefined && type !== "unavailable") {
        // Of types that it does not know, mod_presence makes errors, for which services throw out occupants.
        return subscriptions.has(type) ? undefined : true;
    }
    if (nick === undefined) {
        onRoomPresence(membership, stanza);
    } else if (type === undefined) {
        onAvailable(membership, nick, stanza);
    } else {
        onUnavailable(membership, nick, stanza);
    }
    return true;
}

/**
 * Late presence from a room that the account is not in. Drop it; mod_presence would deliver it to every session. A room
 * that takes the account for an occupant is told otherwise.
 */
function onStray(stanza: Stanza, from: string, to: string): Handled {
    if (stanza.attr.type !== "error" && stanza.get_child("x", MUC_USER) === undefined) {
        return undefined;
    }
    if (stanza.attr.type === undefined && hasStatus(stanza, Status.Self)) {
        post(st.presence({ type: "unavailable", from: to, to: from }));
    }
    noteDrop("stray");
    return true;
}

function onAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    const place = membership.place;
    if (place.phase === Phase.Joining) {
        onPresenceWhileJoining(membership, nick, stanza);
    } else if (isOwnNick(membership, nick)) {
        onSelf(membership, nick, stanza);
    } else if (isRenamedUnheard(membership, nick, stanza)) {
        renameLate(membership, nick);
        onSelf(membership, nick, stanza);
    } else {
        onOccupant(membership, nick, stanza);
    }
}

/**
 * A room may choose our nick when we join (XEP-0045 7.2.2), and says so with 110; later on the nick is known, and a 110 on
 * somebody else's presence is not believed. Without 110 the nick alone says nothing yet.
 */
function onPresenceWhileJoining(membership: Membership, nick: string, stanza: Stanza): void {
    if (hasStatus(stanza, Status.Self)) {
        onSelf(membership, nick, stanza);
        return;
    }
    const place = membership.place;
    onOccupant(membership, nick, stanza);
    if (place.phase === Phase.Joining && isSameNick(nick, place.operation.nick)) {
        selfClaimed(membership, place, nick, hold(stanza));
    }
}

/** Whether the room already uses a nick that we requested and the 303 was lost. */
function isRenamedUnheard(membership: Membership, nick: string, stanza: Stanza): boolean {
    const place = membership.place;
    return place.phase === Phase.Joined && isLateNick(place, nick) && hasStatus(stanza, Status.Self);
}

function renameLate(membership: Membership, nick: string): void {
    membership.wantedNick = nick;
    announceIfRenamed(membership, nick);
    membership.nick = nick;
    saveOften(membership.username);
}

function onUnavailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (isRenamedUnheard(membership, nick, stanza) && !isOwnNick(membership, nick)) {
        renameLate(membership, nick);
        if (membership.place.phase === Phase.Joined) {
            renamedUnheard(membership.place);
        }
    }
    if (!isOwnNick(membership, nick) && !isLeaveAnswer(membership, stanza)) {
        onOccupantGone(membership, nick, stanza);
        if (nick === membership.wantedNick && membership.place.phase === Phase.Joined) {
            // It was taken when the account came back. A room of this server is in the middle of telling its occupants,
            // and trips over a new one (muc.lib.lua, publicise_occupant_status).
            after(0, () => {
                if (isCurrent(membership)) {
                    regainNick(membership);
                }
            });
        }
        return;
    }
    const newNick = hasStatus(stanza, Status.NickChange) ? newNickIn(membership, stanza) : undefined;
    if (newNick !== undefined) {
        onRenamed(membership, newNick, stanza);
    } else {
        onOwnUnavailable(membership, stanza);
    }
}

/** Whether the room confirms a leave, be it under a nick of before, or one that the account has not heard of. */
function isLeaveAnswer(membership: Membership, stanza: Stanza): boolean {
    const phase = membership.place.phase;
    const isAwaited = phase === Phase.Leaving || phase === Phase.Joining;
    return isAwaited && hasStatus(stanza, Status.Self) && !hasStatus(stanza, Status.NickChange);
}

/** Older services leave out 110, so the nick alone decides; before the account was let in it may be another's. */
function onOwnUnavailable(membership: Membership, stanza: Stanza): void {
    if (membership.place.phase !== Phase.Joining || hasStatus(stanza, Status.Self) || isExpulsion(stanza)) {
        onRemoved(membership, stanza);
    }
}

/** The nick that a nick change leads to, unless it is none (RFC 7622 3.4). */
function newNickIn(membership: Membership, stanza: Stanza): string | undefined {
    const nick = itemOf(stanza).nick;
    const address = nick === undefined ? undefined : jids.prep(`${membership.room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}
