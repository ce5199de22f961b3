// Handles presence from a room to the account: other occupants, and the account itself admitted, renamed or removed.

import * as id from "util.id";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { announceIfRenamed, isOwnNick, onOccupant, onOccupantGone, onRoomPresence } from "../occupancy/burst";
import { proceedAfter } from "../occupancy/joined";
import { regainNick } from "../occupancy/nick";
import { selfClaimed } from "../occupancy/joining";
import { unconfirmedLeave } from "../occupancy/lost";
import { isOfAccount, joinAfterLeave, onRefused, onRemoved, onRenamed, onSelf } from "../occupancy/phases";
import { answerProbe } from "../occupancy/probe";
import { check } from "../occupancy/watch";
import { isExpulsion, isTechnical } from "../occupancy/refusal";
import { itemOf } from "../occupancy/replay";
import { isLateNick, renamedUnheard } from "../occupancy/requests";
import { MUC_USER, Status } from "../namespaces";
import { hasStatus, isSameNick, isSelf, splitOccupant } from "../stanzas";
import { counters, noteDrop } from "../state/counters";
import { findMembership, isCurrent, isOccupantJid, type Membership, now } from "../state/memberships";
import { intern } from "../state/interned";
import { findOccupant } from "../state/occupants";
import { type Entering, isIn, type Join, type Joined, type Joining, Phase } from "../state/place";
import { marksSelf } from "../state/self-status";
import { noteBroadcast } from "./broadcast";
import { saveOften } from "../state/store";
import { selfOf } from "../state/view";
import { after, post } from "../turn";

/** Types for contacts. A gateway may be a contact. */
const subscriptions = new LuaSet<string>();
subscriptions.add("subscribe");
subscriptions.add("subscribed");
subscriptions.add("unsubscribe");
subscriptions.add("unsubscribed");

/** `presence/bare` or `presence/full`, depending on the form of the occupant JID. */
export function onPresence(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const { from, to, type } = stanza.attr;
    if (from === undefined || to === undefined) {
        return undefined;
    }
    const [room, nick] = splitOccupant(from);
    const membership = findMembership(to, room);
    if (membership === undefined) {
        return nick === undefined || !isOccupantJid(to) ? undefined : onStray(stanza, room, to);
    }
    membership.heardAt = now();
    counters.copiesIn = counters.copiesIn + 1;
    if (type === "error") {
        onRefused(membership, nick, stanza);
        return true;
    }
    if (type !== undefined && type !== "unavailable") {
        // mod_presence answers unknown types with errors, and services remove occupants for that.
        return subscriptions.has(type) ? undefined : true;
    }
    if (nick !== undefined && membership.place.phase === Phase.Joined && answerProbe(membership, nick, stanza)) {
        return true;
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
 * Late presence from a room that the account is not in. Drop it; mod_presence would deliver it to every session. If the
 * room shows the account as an occupant, send a leave.
 */
function onStray(stanza: Stanza, room: string, to: string): Handled {
    if (stanza.attr.type !== "error" && stanza.get_child("x", MUC_USER) === undefined) {
        return undefined;
    }
    if (stanza.attr.type === undefined && isOfAccount({ occupant: to, room }, stanza)) {
        post(st.presence({ type: "unavailable", id: id.medium(), from: to, to: stanza.attr.from }));
    }
    noteDrop("stray");
    return true;
}

function onAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    const place = membership.place;
    if (place.phase === Phase.Joining) {
        onPresenceWhileJoining(membership, nick, stanza);
    } else if (isOwnNick(membership, nick, stanza)) {
        if (isOfOther(membership, stanza)) {
            check(membership);
        } else {
            onSelf(membership, nick, stanza);
        }
    } else if (isRenamedUnheard(membership, nick, stanza)) {
        renameLate(membership, nick);
        onSelf(membership, nick, stanza);
    } else {
        onOccupant(membership, nick, stanza);
        noteBroadcast(membership, nick, stanza);
    }
}

/**
 * Handles presence while a join is pending. The room may assign another nick, with 110 (XEP-0045 7.2.2). Later the nick
 * is known, and a 110 on another occupant's presence is ignored. Without 110 the nick alone proves nothing, except after
 * the first presence of a nick change (XEP-0045 7.6).
 */
function onPresenceWhileJoining(membership: Membership, nick: string, stanza: Stanza): void {
    const place = membership.place;
    const isRenamed = place.phase === Phase.Joining && place.renamed === "now" && isRequested(place, nick);
    if (isRenamed || isSelf(stanza, membership.occupant)) {
        onSelf(membership, nick, stanza);
        return;
    }
    onOccupant(membership, nick, stanza);
    if (place.phase === Phase.Joining && isRequested(place, nick)) {
        selfClaimed(membership, place, intern(stanza));
    }
}

/** Whether a join in flight asks for a nick. */
function isRequested(place: Joining, nick: string): boolean {
    for (const join of place.earlier) {
        if (isSameNick(nick, join.nick)) {
            return true;
        }
    }
    return isSameNick(nick, place.operation.nick);
}

/**
 * Whether the room already uses another nick for the account, and the 303 was lost. No other occupant has it, and it is
 * a requested nick, or the room removes or renames its occupant.
 */
function isRenamedUnheard(membership: Membership, nick: string, stanza: Stanza): boolean {
    const place = membership.place;
    if (place.phase !== Phase.Joined && place.phase !== Phase.Entering) {
        return false;
    }
    // Most presences end here.
    const isLate = place.phase === Phase.Joined ? isLateNick(place, nick) : isNickOf(place.later, nick);
    if ((!isLate && stanza.attr.type === undefined) || findOccupant(membership.view, nick) !== undefined) {
        return false;
    }
    if (hasStatus(stanza, Status.NickChange)) {
        return itemOf(stanza).jid === membership.occupant;
    }
    return isSelf(stanza, membership.occupant) && (isLate || isExpulsion(stanza) || isTechnical(stanza));
}

function isNickOf(join: Join | undefined, nick: string): boolean {
    return join !== undefined && isSameNick(join.nick, nick);
}

function renameLate(membership: Membership, nick: string): void {
    membership.wantedNick = nick;
    announceIfRenamed(membership, nick);
    membership.nick = nick;
    saveOften(membership.username);
}

function onUnavailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (isRenamedUnheard(membership, nick, stanza) && !isOwnNick(membership, nick, stanza)) {
        const place = membership.place;
        const request = place.phase === Phase.Joined ? renamedUnheard(place, nick) : undefined;
        renameLate(membership, nick);
        onUnavailable(membership, nick, stanza);
        proceedAfter(membership, request);
        return;
    }
    if (!isOwnNick(membership, nick, stanza) && !isLeaveAnswer(membership, nick, stanza)) {
        noteStillIn(membership, stanza);
        onOccupantGone(membership, nick, stanza);
        noteBroadcast(membership, nick, stanza);
        if (nick === membership.wantedNick && membership.place.phase === Phase.Joined) {
            // The nick was taken when the account rejoined. Wait: a local room is still sending this presence to its
            // occupants, and fails if a new one enters (muc.lib.lua, publicise_occupant_status).
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
        noteStillIn(membership, stanza);
        onRenamed(membership, newNick, stanza);
    } else {
        onOwnUnavailable(membership, nick, stanza);
    }
}

/**
 * A room that changes our nick before it answers a join has had the account all the time. It may take the join for that
 * nick change (XEP-0045 7.6), and then sends no occupants and no subject.
 */
function noteStillIn(membership: Membership, stanza: Stanza): void {
    const place = membership.place;
    if (place.phase === Phase.Joining && hasStatus(stanza, Status.NickChange) && isOfAccount(membership, stanza)) {
        place.operation.isDoubtful = true;
        place.renamed ??= "now";
    }
}

/**
 * Whether the room confirms a leave, or removes an account that is not known to be in it: also under an earlier nick, or a
 * nick that the account does not know. Without 110 the nick of the leave decides.
 */
function isLeaveAnswer(membership: Membership, nick: string, stanza: Stanza): boolean {
    const place = membership.place;
    if (hasStatus(stanza, Status.NickChange)) {
        return false;
    }
    if (place.phase === Phase.Entering || place.phase === Phase.Joined) {
        const other = nickInDoubt(place);
        if (other === undefined || !isSameNick(other, nick)) {
            return false;
        }
    }
    const isMarked = isSelf(stanza, membership.occupant);
    return isMarked || (place.phase === Phase.Joining && isLeft(membership, place, nick));
}

/** Returns the nick that the account may have instead: of a join or a leave that the room has not answered. */
function nickInDoubt(place: Entering | Joined): string | undefined {
    const later = place.phase === Phase.Entering ? place.later : undefined;
    return later === undefined ? joinAfterLeave(place)?.left : later.nick;
}

/** Whether a join in flight follows a leave under this nick, in a room that omits 110. */
function isLeft(membership: Membership, place: Joining, nick: string): boolean {
    const left = unconfirmedLeave(place.operation, place.removal);
    return left !== undefined && isSameNick(nick, left) && !marksSelf(membership.room);
}

/**
 * Our own unavailable presence. Older services omit 110, so the nick decides. An account that has not been admitted under
 * its nick may share it with another occupant.
 */
function onOwnUnavailable(membership: Membership, nick: string, stanza: Stanza): void {
    const place = membership.place;
    if (place.phase !== Phase.Joining && isOfOther(membership, stanza)) {
        check(membership);
        return;
    }
    const isRefusal = place.phase === Phase.Joining && isExpulsion(stanza) && !marksSelf(membership.room);
    const isOurs = isIn(place) || isRefusal || isLeaveAnswer(membership, nick, stanza);
    if (isOurs || isSelf(stanza, membership.occupant)) {
        onRemoved(membership, stanza);
    }
}

/**
 * Whether the room has given our nick to another occupant, and our nick change is lost. The presence has another account's
 * JID, and the room has shown us under our own. A gateway may show us under another one.
 */
function isOfOther(membership: Membership, stanza: Stanza): boolean {
    const jid = itemOf(stanza).jid;
    if (jid === undefined || jids.bare(jid) === jids.bare(membership.occupant) || hasStatus(stanza, Status.Self)) {
        return false;
    }
    const self = selfOf(membership);
    return self !== undefined && itemOf(self).jid === membership.occupant;
}

/** Returns the new nick of a nick change. Undefined if it is invalid (RFC 7622 3.4). */
function newNickIn(membership: Membership, stanza: Stanza): string | undefined {
    const nick = itemOf(stanza).nick;
    const address = nick === undefined ? undefined : jids.prep(`${membership.room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}
