// Handles presence of other occupants, and of the room itself. While the room answers a join, the session that asked
// gets it all at once with our own presence. Other sessions get only changes.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { itemOf, nickChange, occupantGone, ownPresence } from "./replay";
import { MUC_USER, Status } from "../namespaces";
import { fork, sendTo } from "../send/fork";
import { forkOther, forkOwn } from "../send/own";
import { hasAnyStatus, hasStatus, isSameNick, isSelf } from "../stanzas";
import { type InternedStanza, intern, isSamePresence, mayKeep, toldAgain } from "../state/interned";
import { noteOver } from "../state/limits";
import { hasAttached, requestingSession, type Membership } from "../state/memberships";
import { wasSent } from "../state/sent-presences";
import { isIn, Phase } from "../state/place";
import { eachOccupant, findOccupant, forgetOccupant, setOwnNick } from "../state/occupants";
import { eachMember, forgetMember, keepMember, noMembers, type OfflineMembers } from "../state/offline";
import { noteSelfStatus } from "../state/self-status";
import { keepOccupant, outdate, type RoomView, selfNickOf, selfOf, setSelf } from "../state/view";

/** Returns the nicks that the room has shown since a join was sent. Undefined if it does not answer one. */
function shownSince(membership: Membership): LuaSet<string> | undefined {
    const place = membership.place;
    if (place.phase === Phase.Joining || place.phase === Phase.Entering) {
        return place.shown;
    }
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    return operation?.kind === "resync" ? operation.shown : undefined;
}

/** Whether the room answers a join and has not sent our own presence. */
function isAnswering(membership: Membership): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined && place.operation !== undefined) {
        return place.operation.kind === "resync" && place.operation.stage !== "history";
    }
    return place.phase === Phase.Joining;
}

/** Returns the session that gets all occupants in one list when the room has answered its join. */
function listedSession(membership: Membership): string | undefined {
    return isAnswering(membership) ? requestingSession(membership) : undefined;
}

/** Handles the room's own presence: Prosody 13 and ejabberd show avatar and capabilities of the room by it. */
export function onRoomPresence(membership: Membership, stanza: Stanza): void {
    const member = stanza.attr.type === "unavailable" ? keyOfMember(stanza) : undefined;
    if (member !== undefined) {
        onOffline(membership, member, stanza);
        return;
    }
    const view = membership.view;
    const before = view.room;
    const isKept = mayKeep(stanza);
    if (!isKept) {
        noteOver("minimix_max_cached_size", membership.username, membership.room);
        view.stale = "incomplete";
    }
    const interned = stanza.attr.type === undefined && isKept ? intern(stanza) : undefined;
    view.room = interned;
    if (isAnswering(membership)) {
        view.isRoomFirst = true;
    } else if (before === undefined) {
        view.isRoomFirst = undefined;
    }
    if (!isAnswering(membership) || !isKnown(before, interned)) {
        fork(membership, stanza, listedSession(membership));
    }
}

/** Another occupant has entered or changed. */
export function onOccupant(membership: Membership, nick: string, stanza: Stanza): void {
    const view = membership.view;
    const isOldNick = nick === view.own || nick === view.selfNick;
    if (isOldNick && nick !== membership.nick && nick === selfNickOf(view)) {
        // Another occupant took the nick while the account was lost. Sessions must not mistake it for the account.
        announceIfRenamed(membership, membership.nick);
    }
    const place = membership.place;
    const isDuring = place.phase === Phase.Joining || isAnswering(membership);
    const offline = view.offline !== undefined && view.offline.count > 0 ? view.offline : undefined;
    const isTold = hasAttached(membership);
    const before = (isDuring && isTold) || offline !== undefined ? findOccupant(view, nick) : undefined;
    const interned = intern(stanza);
    const isKept = keepOccupant(membership.room, view, nick, interned);
    if (offline !== undefined && !forgetOffline(offline, nick, stanza) && !isDuring && before === undefined) {
        outdate(view);
    }
    if (place.phase === Phase.Joining) {
        place.shown.add(nick);
        place.shownAt = membership.heardAt;
        if (place.renamed === "now") {
            place.renamed = undefined;
        }
    } else {
        shownSince(membership)?.add(nick);
    }
    if (!isKept) {
        noteOver("minimix_max_occupants, _max_cached_size or _max_room_size", membership.username, membership.room);
        const requester = isDuring ? requestingSession(membership) : undefined;
        if (requester !== undefined) {
            sendTo(requester, stanza);
            return;
        }
    }
    if (isTold && (!isDuring || !isKnown(before, interned))) {
        forkOther(membership, stanza, listedSession(membership));
    }
}

/** Another occupant has left, or a room that answers a join shows it as offline. */
export function onOccupantGone(membership: Membership, nick: string, stanza: Stanza): void {
    const view = membership.view;
    const isShown = shownSince(membership)?.has(nick) === true;
    const isOffline = isAnswering(membership) && !isShown && isOfMember(stanza);
    const wasThere = isOffline && findOccupant(view, nick) !== undefined;
    forgetOccupant(view, nick);
    if (isOffline) {
        onOffline(membership, nick, stanza, wasThere);
        return;
    }
    if (mayListNow(view, stanza)) {
        outdate(view);
    }
    forkOther(membership, stanza);
}

/**
 * Whether the room may list this occupant as offline from now on, in a form that only the room knows. A ban is rare: it
 * counts in all rooms. Other occupants count in rooms that have listed offline members.
 */
function mayListNow(view: RoomView, stanza: Stanza): boolean {
    if (!isAffiliated(stanza) || hasStatus(stanza, Status.NickChange)) {
        return false;
    }
    return view.offline !== undefined || hasStatus(stanza, Status.Banned);
}

function isAffiliated(stanza: Stanza): boolean {
    const affiliation = itemOf(stanza).affiliation;
    return affiliation !== undefined && affiliation !== "none";
}

/** Whether a presence shows an offline member, and not an occupant that leaves. */
function isOfMember(stanza: Stanza): boolean {
    return isAffiliated(stanza) && !hasAnyStatus(stanza);
}

/**
 * Caches an offline member. Prosody shows affiliated users outside of the room by nick or, from the room's address, by
 * JID.
 */
function onOffline(membership: Membership, key: string, stanza: Stanza, wasThere = false): void {
    if (!isAnswering(membership)) {
        forkOther(membership, stanza);
        return;
    }
    const view = membership.view;
    view.offline ??= noMembers();
    const before = view.offline.presences.get(key);
    const interned = intern(stanza);
    const isKept = keepMember(view.offline, key, interned);
    shownSince(membership)?.add(key);
    if (!isKept) {
        view.stale = "incomplete";
        sendTo(requestingSession(membership), stanza);
    }
    if (wasThere || !isKnown(before, interned)) {
        forkOther(membership, stanza, listedSession(membership));
    }
}

/** Returns the key of an offline member without a nick. Undefined: the presence has no JID, or an invalid one. */
function keyOfMember(stanza: Stanza): string | undefined {
    const jid = jids.prep(itemOf(stanza).jid ?? "");
    return jid === undefined ? undefined : `@${jids.bare(jid)}`;
}

/**
 * Removes an occupant from the offline members. Returns false if it may be a member that the room has listed under
 * another nick.
 */
function forgetOffline(members: OfflineMembers, nick: string, stanza: Stanza): boolean {
    const key = keyOfMember(stanza);
    const wasListed = key !== undefined && forgetMember(members, key);
    return forgetMember(members, nick) || wasListed || !isAffiliated(stanza);
}

function isKnown(before: InternedStanza | undefined, interned: InternedStanza | undefined): boolean {
    return before === undefined || interned === undefined ? before === interned : isSamePresence(before, interned);
}

/** Removes occupants that the answer to a join does not list. They have left; a restarted room lists none. */
export function forgetOthers(membership: Membership, shown: LuaSet<string>): void {
    const view = membership.view;
    // An occupant that had our nick meanwhile must not be mistaken for the account.
    forgetOccupant(view, membership.nick);
    for (const [nick] of eachOccupant(view)) {
        if (!shown.has(nick)) {
            forgetOccupant(view, nick);
            fork(membership, occupantGone(membership, nick));
        }
    }
    const members = view.offline;
    if (members !== undefined) {
        for (const [key] of members.presences) {
            if (!shown.has(key)) {
                forgetMember(members, key);
            }
        }
    }
}

/** Whether the room has shown all cached occupants again. */
export function areAllShown(membership: Membership, shown: LuaSet<string>): boolean {
    const view = membership.view;
    return areShown(eachOccupant(view), shown) && areShown(eachMember(view.offline), shown);
}

function areShown(presences: LuaIterable<LuaMultiReturn<[string, InternedStanza]>>, shown: LuaSet<string>): boolean {
    for (const [nick] of presences) {
        if (!shown.has(nick)) {
            return false;
        }
    }
    return true;
}

/** Caches our own presence. Returns whether it has changed. */
export function keepSelf(membership: Membership, nick: string, stanza: Stanza): boolean {
    const view = membership.view;
    const isKept = mayKeep(stanza);
    const shown = isKept ? toldAgain(stanza) : reducedSelf(stanza);
    membership.nick = nick;
    setOwnNick(view, nick);
    if (hasStatus(stanza, Status.Self)) {
        noteSelfStatus(membership.room);
    }
    if (hasStatus(stanza, Status.NonAnonymous)) {
        view.nonAnonymous = true;
    }
    if (hasStatus(stanza, Status.LoggingOn)) {
        view.logged = true;
    }
    const before = selfOf(membership);
    if (before !== undefined && isModerator(before) !== isModerator(shown) && !view.nonAnonymous) {
        // In a semi-anonymous room only moderators see real JIDs (XEP-0045 5.1.1).
        outdate(view);
    }
    if (!isKept) {
        noteOver("minimix_max_cached_size", membership.username, membership.room);
        view.stale = "incomplete";
    }
    return setSelf(membership, nick, shown);
}

/** The longest affiliation or role is "participant" (XEP-0045 17.3). */
const LONGEST_ROLE = 16;

/** Returns the needed parts of an own presence that is too large to cache. The room itself answers the next join. */
function reducedSelf(stanza: Stanza): Stanza {
    const { affiliation, role } = itemOf(stanza);
    return st
        .presence({ from: stanza.attr.from })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: shortened(affiliation), role: shortened(role) })
        .reset();
}

function shortened(value: string | undefined): string | undefined {
    return value === undefined ? undefined : string.sub(value, 1, LONGEST_ROLE);
}

function isModerator(presence: Stanza): boolean {
    return itemOf(presence).role === "moderator";
}

/** Tells the sessions about a nick that the account got with a rejoin, as a nick change (XEP-0045 7.6). */
export function announceIfRenamed(membership: Membership, nick: string): void {
    const self = isRenamed(membership, nick) ? selfOf(membership) : undefined;
    if (self !== undefined) {
        membership.nick = nick;
        fork(membership, nickChange(membership, self));
        const own = ownPresence(membership, self);
        setSelf(membership, nick, own);
        forkOwn(membership, own);
    }
}

/**
 * The account is lost between the two presences of a nick change (XEP-0045 7.6). Sessions know the new nick, so the cached
 * own presence gets it.
 */
export function keepNewNick(membership: Membership): void {
    const { nick, place } = membership;
    const self = isIn(place) && isRenamed(membership, nick) ? selfOf(membership) : undefined;
    if (self !== undefined) {
        setSelf(membership, nick, ownPresence(membership, self));
    }
}

/** Whether our presence was last shown under another nick. */
export function isRenamed(membership: Membership, nick: string): boolean {
    const before = selfNickOf(membership.view);
    return before !== undefined && before !== nick;
}

/**
 * Whether a presence is the account's by its nick, which some services change: "alice" for "Alice". Where the room has
 * shown our own presence, another form of the nick needs 110 or the id of one of our presences. On other services it is
 * another occupant.
 */
export function isOwnNick(membership: Membership, nick: string, stanza: Stanza): boolean {
    if (nick === membership.nick) {
        return true;
    }
    const view = membership.view;
    if (findOccupant(view, nick) !== undefined || !isSameNick(nick, membership.nick)) {
        return false;
    }
    const key = stanza.attr.id;
    const isAnswer = key !== undefined && wasSent(membership, key);
    return selfNickOf(view) !== membership.nick || isAnswer || isSelf(stanza, membership.occupant);
}
