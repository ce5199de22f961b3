// Presence of other occupants, and of the room itself. While the room answers a join, the session that asked is shown
// nothing: it gets all of it in one go with our own presence. The others are shown only what is new to them.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { itemOf, nickChange, occupantGone } from "./replay";
import { MUC_USER, Status } from "../namespaces";
import { fork, sendTo } from "../send/fork";
import { forkOwn } from "../send/own";
import { hasStatus, isSameNick } from "../stanzas";
import { type Held, hold, isSamePresence, toldAgain } from "../state/held";
import { noteOver } from "../state/limits";
import { askingSession, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { eachOccupant, findOccupant, forgetOccupant, setOwnNick } from "../state/occupants";
import { eachMember, forgetMember, keepMember, noMembers } from "../state/offline";
import { keepOccupant, outdate, type RoomView, selfOf, setSelf } from "../state/view";

/** The nicks that the room has shown since a join was sent; undefined if it answers none. */
function shownSince(membership: Membership): LuaSet<string> | undefined {
    const place = membership.place;
    if (place.phase === Phase.Joining || place.phase === Phase.Entering) {
        return place.operation.shown;
    }
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    return operation?.kind === "resync" ? operation.shown : undefined;
}

/** Whether the room answers a join of which our own presence has not come. */
function isAnswering(membership: Membership): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined && place.operation !== undefined) {
        return place.operation.kind === "resync" && place.operation.stage !== "history";
    }
    return place.phase === Phase.Joining;
}

/** Prosody 13 and ejabberd show the room's own avatar and capabilities so. */
export function onRoomPresence(membership: Membership, stanza: Stanza): void {
    const member = stanza.attr.type === "unavailable" ? itemOf(stanza).jid : undefined;
    if (member !== undefined) {
        onOffline(membership, keyOfJid(member), stanza);
        return;
    }
    const view = membership.view;
    const before = view.room;
    const held = stanza.attr.type === undefined ? hold(stanza) : undefined;
    view.room = held;
    if (isAnswering(membership)) {
        view.isRoomFirst = true;
    } else if (before === undefined) {
        view.isRoomFirst = false;
    }
    if (!isAnswering(membership) || !isKnown(before, held)) {
        fork(membership, stanza);
    }
}

/** Another occupant came, or changed. */
export function onOccupant(membership: Membership, nick: string, stanza: Stanza): void {
    const view = membership.view;
    if (nick === view.selfNick && nick !== membership.nick) {
        // Another occupant took the nick while the account was lost: its sessions must not take it for themselves.
        announceIfRenamed(membership, membership.nick);
    }
    const isDuring = isAnswering(membership);
    const before = isDuring ? findOccupant(view, nick) : undefined;
    const held = hold(stanza);
    const isKept = keepOccupant(membership.room, view, nick, held);
    forgetOffline(membership, nick, stanza);
    const shown = shownSince(membership);
    if (shown !== undefined) {
        shown.add(nick);
    }
    if (membership.place.phase === Phase.Joining) {
        membership.place.operation.isShowing = true;
    }
    if (!isKept) {
        noteOver("minimix_max_occupants, _max_cached_size or _max_room_size", membership.username, membership.room);
        const asking = isDuring ? askingSession(membership) : undefined;
        if (asking !== undefined) {
            sendTo(asking, stanza);
            return;
        }
    }
    if (!isDuring || !isKnown(before, held)) {
        fork(membership, stanza);
    }
}

/** Another occupant went, or is shown as offline by a room that answers a join. */
export function onOccupantGone(membership: Membership, nick: string, stanza: Stanza): void {
    const view = membership.view;
    const isOffline = isAnswering(membership) && shownSince(membership)?.has(nick) !== true;
    const wasThere = isOffline && findOccupant(view, nick) !== undefined;
    forgetOccupant(view, nick);
    if (isOffline) {
        onOffline(membership, nick, stanza, wasThere);
        return;
    }
    if (hasOffline(view) && itemOf(stanza).affiliation !== "none") {
        // A room that lists members who are offline lists this one from now on, in a form of its own.
        outdate(view);
    }
    fork(membership, stanza);
}

/** Prosody shows affiliated users who are not in the room, by nick or, from its own address, by JID. */
function onOffline(membership: Membership, key: string, stanza: Stanza, wasThere = false): void {
    if (!isAnswering(membership)) {
        fork(membership, stanza);
        return;
    }
    const view = membership.view;
    view.offline ??= noMembers();
    const before = view.offline.presences.get(key);
    const held = hold(stanza);
    const isKept = keepMember(view.offline, key, held);
    shownSince(membership)?.add(key);
    if (!isKept) {
        view.stale = "incomplete";
        sendTo(askingSession(membership), stanza);
    }
    if (wasThere || !isKnown(before, held)) {
        fork(membership, stanza);
    }
}

function keyOfJid(jid: string): string {
    return `@${jids.bare(jid)}`;
}

/** A member who is in the room is not offline. */
function forgetOffline(membership: Membership, nick: string, stanza: Stanza): void {
    const members = membership.view.offline;
    if (members !== undefined && members.count > 0) {
        const jid = itemOf(stanza).jid;
        forgetMember(members, nick);
        if (jid !== undefined) {
            forgetMember(members, keyOfJid(jid));
        }
    }
}

function isKnown(before: Held | undefined, held: Held | undefined): boolean {
    return before === undefined || held === undefined ? before === held : isSamePresence(before, held);
}

/** Occupants that were there before and have not been shown again have left; a restarted room lists none. */
export function forgetOthers(membership: Membership, shown: LuaSet<string>): void {
    const view = membership.view;
    // Another occupant that had our nick meanwhile is not to be taken for the account.
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

/** Whether all that are remembered have been shown again. */
export function areAllShown(membership: Membership, shown: LuaSet<string>): boolean {
    const view = membership.view;
    return areShown(eachOccupant(view), shown) && areShown(eachMember(view.offline), shown);
}

function hasOffline(view: RoomView): boolean {
    return view.offline !== undefined && view.offline.count > 0;
}

function areShown(presences: LuaIterable<LuaMultiReturn<[string, Held]>>, shown: LuaSet<string>): boolean {
    for (const [nick] of presences) {
        if (!shown.has(nick)) {
            return false;
        }
    }
    return true;
}

/** Remembers our own presence. Returns whether it differs from the one before. */
export function keepSelf(membership: Membership, nick: string, stanza: Stanza): boolean {
    const view = membership.view;
    const now = toldLater(stanza);
    membership.nick = nick;
    setOwnNick(view, nick);
    if (hasStatus(stanza, Status.NonAnonymous)) {
        view.nonAnonymous = true;
    }
    if (hasStatus(stanza, Status.LoggingOn)) {
        view.logged = true;
    }
    const before = selfOf(view);
    if (before !== undefined && isModerator(before) !== isModerator(now) && !view.nonAnonymous) {
        // In a semi-anonymous room moderators see real JIDs, and others do not (XEP-0045 5.1.1).
        outdate(view);
    }
    return setSelf(view, nick, now);
}

/** Our own presence without what only answers a join: its id, and codes of which the view knows the meaning. */
function toldLater(stanza: Stanza): Stanza {
    const copy = st.clone(toldAgain(stanza));
    copy.attr.to = undefined;
    copy.attr.id = undefined;
    const x = copy.get_child("x", MUC_USER);
    if (x !== undefined) {
        x.maptags((tag) => (tag.name === "status" && tag.attr.code !== Status.Self ? undefined : tag));
    }
    return copy;
}

function isModerator(presence: Stanza): boolean {
    return itemOf(presence).role === "moderator";
}

/** Sessions learn of a nick that the account was given on its way back as of a nick change (XEP-0045 7.6). */
export function announceIfRenamed(membership: Membership, nick: string): void {
    const self = isRenamed(membership, nick) ? selfOf(membership.view) : undefined;
    if (self !== undefined) {
        membership.nick = nick;
        fork(membership, nickChange(membership, self));
        self.attr.from = `${membership.room}/${nick}`;
        setSelf(membership.view, nick, self);
        forkOwn(membership, self);
    }
}

/** Whether our presence was last shown under another nick. */
export function isRenamed(membership: Membership, nick: string): boolean {
    const before = membership.view.selfNick;
    return before !== undefined && before !== nick;
}

/** Whether a nick is the account's, be it prepared otherwise, and not that of another occupant. */
export function isOwnNick(membership: Membership, nick: string): boolean {
    return (
        nick === membership.nick ||
        (findOccupant(membership.view, nick) === undefined && isSameNick(nick, membership.nick))
    );
}
