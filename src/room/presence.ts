// Presence from a room to the account: others coming, going and changing, the account itself let in, renamed or thrown out.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { nickRefused, regainNick, renamingAnswered } from "../occupancy/nick";
import { attach, serve } from "../occupancy/serve";
import { unlockRoom } from "../send/upstream";
import { bookmarkRenamed } from "../settings/bookmark-write";
import { saveOften } from "../state/store";
import { check } from "../occupancy/watch";
import { MUC_USER, Status } from "../namespaces";
import { forgetOthers, isUnheard, joinAccepted, joinRefused, leaveRefused, lost, over } from "../occupancy/phases";
import { isSameElement, splitOccupant } from "../stanzas";
import { counters, noteDrop } from "../state/counters";
import { type Held, hold, isSamePresence, mayKeep, stanzaOf, toldAgain } from "../state/held";
import { noteOver } from "../state/limits";
import {
    askingSession,
    findMembership,
    isAttached,
    forgetOccupant,
    forgetRoom,
    isCurrent,
    isNickAsked,
    isOccupantJid,
    keepOccupant,
    type Membership,
    Phase,
    type Resync,
    takeAnsweredRequests,
    takeNickRequest,
} from "../state/memberships";
import { fork, sendHeld, sendTo } from "../send/fork";
import { itemOf, nickChange, selfPresence } from "../occupancy/replay";

/** Seconds between a presence of the account's nick without 110 and one with it, if the room has any. */
const SELF_TIMEOUT = 10;

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
    membership.heard = true;
    counters.copiesIn = counters.copiesIn + 1;
    if (type === "error") {
        onError(membership, stanza);
    } else if (type !== undefined && type !== "unavailable") {
        // Of types that it does not know, mod_presence makes errors, for which services throw out occupants.
        return subscriptions.has(type) ? undefined : true;
    } else if (nick === undefined) {
        onRoomPresence(membership, stanza);
    } else if (type === undefined) {
        onAvailable(membership, nick, stanza);
    } else {
        onUnavailable(membership, nick, stanza);
    }
    return true;
}

/**
 * From an occupant of a room that the account is not in: what crossed with a kick or came too late. Nobody waits for it,
 * and mod_presence would hand it to all sessions. A room that takes the account for an occupant is told otherwise.
 */
function onStray(stanza: Stanza, from: string, to: string): Handled {
    if (stanza.attr.type !== "error" && stanza.get_child("x", MUC_USER) === undefined) {
        return undefined;
    }
    if (stanza.attr.type === undefined && hasStatus(stanza, Status.Self)) {
        module.send(st.presence({ type: "unavailable", from: to, to: from }));
    }
    noteDrop("stray");
    return true;
}

/** Prosody 13 and ejabberd show the room's own avatar and capabilities so. */
function onRoomPresence(membership: Membership, stanza: Stanza): void {
    const before = membership.presenceOfRoom;
    const isOver = !mayKeep(stanza);
    if (isOver) {
        noteOver("minimix_max_cached_size", membership.username, membership.room);
        membership.incomplete = true;
    }
    const held = stanza.attr.type === undefined && !isOver ? hold(stanza) : undefined;
    membership.presenceOfRoom = held;
    forward(membership, stanza, isKnown(membership, before, held));
}

function onAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (isLateRenaming(membership, nick, stanza)) {
        renameLate(membership, nick);
    }
    if (isSelf(membership, nick, stanza)) {
        onSelfAvailable(membership, nick, stanza);
        return;
    }
    if (membership.self !== undefined && nick === selfNick(membership.self) && nick !== membership.nick) {
        // Somebody took the nick while the account was lost: its sessions must not take the other for themselves.
        announceNick(membership, membership.self);
    }
    const before = membership.occupants.get(nick);
    const held = hold(stanza);
    const kept = keepOccupant(membership, nick, held);
    if (membership.resync !== undefined) {
        membership.resync.shown.add(nick);
    }
    if (membership.phase === Phase.Joining && nick === membership.nick) {
        claim(membership, held);
    } else if (!kept) {
        noteOver("minimix_max_occupants, _max_cached_size or _max_room_size", membership.username, membership.room);
        forward(membership, stanza, answeredSession(membership) !== undefined);
    } else if (!isHeldBack(membership)) {
        forward(membership, stanza, isKnown(membership, before, held));
    }
}

/** Whether a presence in the answer to a repeated join is what was there before; at other times that does not matter. */
function isKnown(membership: Membership, before: Held | undefined, held: Held | undefined): boolean {
    if (membership.resync === undefined || before === undefined || held === undefined) {
        return before === held;
    }
    return isSamePresence(before, held);
}

/** Whether the room has just begun to show its occupants: they are passed on in one go once all are there. */
function isHeldBack(membership: Membership): boolean {
    const isFirst = membership.self === undefined && membership.resync === undefined;
    return membership.batched && membership.phase === Phase.Joining && isFirst;
}

function showOccupants(membership: Membership): void {
    for (const [session] of membership.attached) {
        sendHeld(session, membership.occupants);
    }
}

/** In the answer to a repeated join, what is not new is for the one who asked alone. */
function forward(membership: Membership, stanza: Stanza, known: boolean): void {
    const resync = membership.resync;
    if (resync === undefined || resync.selfShown) {
        fork(membership, stanza);
        return;
    }
    const asking = answeredSession(membership);
    if (known || !isAttached(membership, asking)) {
        sendTo(asking, stanza);
    }
    if (!known) {
        fork(membership, stanza);
    }
}

/** The session whose join the room is answering, and which has to be shown what the others have seen. */
function answeredSession(membership: Membership): string | undefined {
    const request = membership.request;
    return request === undefined ? askingSession(membership) : request.session;
}

/**
 * Whether a presence is the account's own. A room may choose our nick when we join (XEP-0045 7.2.2), and says so with
 * 110; later on the nick is known, and a 110 on somebody else's presence is not believed. At first the nick alone says
 * nothing: it may be another's, in what the room still answers to an earlier join.
 */
function isSelf(membership: Membership, nick: string, stanza: Stanza): boolean {
    if (membership.phase === Phase.Joining && hasStatus(stanza, Status.Self)) {
        return true;
    }
    return nick === membership.nick && membership.phase !== Phase.Joining;
}

/** Has a timer of its own: the one that ends the join must go on. */
function claim(membership: Membership, held: Held): void {
    membership.claimed = held;
    module.add_timer(SELF_TIMEOUT, () => {
        if (isCurrent(membership) && membership.claimed === held) {
            endWithoutSelf(membership);
        }
        return undefined;
    });
}

/** Older services leave out 110: the account is in if one of its nick was shown, and then something else or nothing. */
export function endWithoutSelf(membership: Membership): void {
    const held = membership.phase === Phase.Joining ? membership.claimed : undefined;
    membership.claimed = undefined;
    const stanza = held === undefined ? undefined : stanzaOf(held);
    if (stanza !== undefined) {
        onSelfAvailable(membership, membership.nick, stanza);
    }
}

function onSelfAvailable(membership: Membership, nick: string, stanza: Stanza): void {
    const before = membership.self;
    const copy = keepSelf(membership, stanza);
    const resync = membership.resync;
    membership.nick = nick;
    forgetOccupant(membership, nick);
    if (hasStatus(stanza, Status.NonAnonymous)) {
        membership.nonAnonymous = true;
    }
    if (hasStatus(stanza, Status.LoggingOn)) {
        membership.logged = true;
    }
    if (membership.phase === Phase.Leaving && hasStatus(stanza, Status.Self)) {
        // It was let in after all: now the leave has to be confirmed.
        membership.established = true;
    }
    if (resync === undefined || resync.selfShown || isRenamed(membership, before, nick)) {
        if (isHeldBack(membership)) {
            showOccupants(membership);
        }
        if (membership.phase === Phase.Joining && before !== undefined && selfNick(before) !== nick) {
            announceNick(membership, before);
        }
        const renamed = isRenamed(membership, before, nick);
        membership.self = copy;
        noteRole(membership, before, copy);
        if (membership.phase === Phase.Joining) {
            joinAccepted(membership);
        }
        onSelfShown(membership, nick, stanza, renamed);
    } else if (membership.phase === Phase.Joining) {
        onBack(membership, resync, before, stanza);
    } else {
        membership.self = copy;
        onResyncSelf(membership, resync, stanza, isSame(before, copy));
    }
}

/** Whether a presence is the second half of a nick change (XEP-0045 7.6), and not what a repeated join is answered with. */
function isRenamed(membership: Membership, before: Stanza | undefined, nick: string): boolean {
    return membership.phase !== Phase.Joining && before !== undefined && selfNick(before) !== nick;
}

/** In a semi-anonymous room moderators see real JIDs, and others do not (XEP-0045 5.1.1). */
function noteRole(membership: Membership, before: Stanza | undefined, now: Stanza): void {
    const isChanged = before !== undefined && isModerator(before) !== isModerator(now);
    if (isChanged && !membership.nonAnonymous) {
        membership.outdated = true;
    }
}

/** The account is back. Its sessions have seen no leave, and see no join: only what has changed. */
function onBack(membership: Membership, resync: Resync, before: Stanza | undefined, stanza: Stanza): void {
    resync.selfShown = true;
    if (before !== undefined && selfNick(before) !== membership.nick) {
        announceNick(membership, before);
    }
    const known = membership.self;
    const request = membership.request;
    membership.self = keepSelf(membership, stanza);
    joinAccepted(membership);
    if (request !== undefined) {
        sendTo(request.session, stanza);
    } else if (hasStatus(stanza, Status.RoomCreated)) {
        unlockRoom(membership);
    }
    if (!isSame(known, membership.self)) {
        fork(membership, stanza, request?.session);
    }
}

/** Whether the room calls the account by a nick that it has asked for, and the word of the change was lost on the way. */
function isLateRenaming(membership: Membership, nick: string, stanza: Stanza): boolean {
    return (
        membership.phase === Phase.Joined &&
        nick !== membership.nick &&
        isNickAsked(membership, nick) &&
        hasStatus(stanza, Status.Self)
    );
}

function renameLate(membership: Membership, nick: string): void {
    const before = membership.self;
    noteNick(membership, nick);
    if (before !== undefined) {
        announceNick(membership, before);
    }
}

function noteNick(membership: Membership, nick: string): void {
    membership.nick = nick;
    membership.wantedNick = nick;
    saveOften(membership.username);
}

/** Sessions learn of a nick the account was given on its way back as of a nick change (XEP-0045 7.6). */
function announceNick(membership: Membership, before: Stanza): void {
    fork(membership, nickChange(membership, before));
    const renamed = st.clone(before);
    renamed.attr.from = `${membership.room}/${membership.nick}`;
    membership.self = renamed;
    fork(membership, renamed);
}

/** Our own presence ends the list of occupants. Is somebody missing from it, the room has not answered as to a join. */
function onResyncSelf(membership: Membership, resync: Resync, stanza: Stanza, known: boolean): void {
    const request = resync.request;
    if (!known) {
        fork(membership, stanza, request?.session);
    }
    for (const [nick] of membership.occupants) {
        if (!resync.shown.has(nick)) {
            resync.selfCame = true;
            return;
        }
    }
    endOccupants(membership, resync);
}

/**
 * History or a subject follows: the room has answered as to a join after all. Whom it has not shown is gone; a room that
 * was started anew knows nobody.
 */
export function answeredAsJoin(membership: Membership, resync: Resync): void {
    forgetOthers(membership, resync);
    endOccupants(membership, resync);
}

function endOccupants(membership: Membership, resync: Resync): void {
    const request = resync.request;
    resync.selfShown = true;
    const answer = request === undefined ? undefined : selfPresence(membership, request);
    if (request !== undefined && answer !== undefined) {
        sendTo(request.session, answer);
        attach(membership, request);
    }
}

function onUnavailable(membership: Membership, nick: string, stanza: Stanza): void {
    if (isLateRenaming(membership, nick, stanza)) {
        renameLate(membership, nick);
        takeNickRequest(membership, "nick", nick);
    }
    if (nick !== membership.nick) {
        forgetOccupant(membership, nick);
        if (!isHeldBack(membership)) {
            const isSeen = membership.resync?.shown.has(nick);
            if (isSeen) {
                forward(membership, stanza, false);
            } else {
                fork(membership, stanza);
            }
        }
        if (nick === membership.wantedNick && membership.phase === Phase.Joined) {
            // It was taken when the account came back. A room of this server is in the middle of telling its occupants,
            // and trips over a new one (muc.lib.lua, publicise_occupant_status).
            module.add_timer(0, () => {
                if (isCurrent(membership)) {
                    regainNick(membership);
                }
                return undefined;
            });
        }
        return;
    }
    const newNick = hasStatus(stanza, Status.NickChange) ? newNickIn(membership, stanza) : undefined;
    if (newNick !== undefined) {
        onRenamed(membership, newNick, stanza);
    } else {
        onRemoved(membership, stanza);
    }
}

function onRenamed(membership: Membership, nick: string, stanza: Stanza): void {
    noteNick(membership, nick);
    fork(membership, stanza);
    if (isUnheard(membership)) {
        // It will not hear how it is called now. The room is in the middle of it, so that this is not the time to leave.
        check(membership);
    }
}

/** A nick change that came as a join is answered as one: the own presence is in the replay. */
function onSelfShown(membership: Membership, nick: string, stanza: Stanza, renamed: boolean): void {
    const requests = takeAnsweredRequests(membership, nick, stanza.attr.id);
    const request = requests[requests.length - 1];
    if (request !== undefined) {
        bookmarkRenamed(membership);
    }
    const isJoin = request !== undefined && request.isJoin && isAttached(membership, request.session);
    fork(membership, stanza, isJoin ? request.session : undefined);
    for (const answered of requests) {
        const isRepeated = answered !== request && request !== undefined && answered.session === request.session;
        if (answered.isJoin && !isRepeated && isAttached(membership, answered.session)) {
            serve(membership, answered);
        }
    }
    if (request !== undefined || renamed) {
        renamingAnswered(membership);
    }
}

/** Our own unavailable: older services leave out 110, so the nick alone decides. */
function onRemoved(membership: Membership, stanza: Stanza): void {
    if (membership.phase === Phase.Joining || membership.phase === Phase.Lost) {
        // The account left, or was thrown out, before it asked to be let in; or it is another who had the nick.
        if (hasStatus(stanza, Status.Self)) {
            membership.claimed = undefined;
            forgetShown(membership);
        }
        return;
    }
    if (membership.established && membership.phase !== Phase.Leaving && isTechnical(stanza)) {
        lost(membership);
        return;
    }
    fork(membership, stanza);
    over(membership);
}

/** What the room has shown so far is no answer to the join that is on its way. */
function forgetShown(membership: Membership): void {
    if (membership.resync !== undefined) {
        membership.resync.shown = new LuaSet();
    } else if (isHeldBack(membership)) {
        forgetRoom(membership);
    }
}

/** Nobody's will: the service shuts down or lost us (XEP-0045 15.6.2). A ban, or what follows a room's rules, is. */
function isTechnical(stanza: Stanza): boolean {
    return hasStatus(stanza, Status.Shutdown) || hasStatus(stanza, Status.TechnicalRemoval);
}

/** An error only counts as the answer to something asked: a join, a leave, a nick change. */
function onError(membership: Membership, stanza: Stanza): void {
    if (membership.phase === Phase.Joining) {
        joinRefused(membership, stanza);
        return;
    }
    if (membership.phase === Phase.Leaving) {
        leaveRefused(membership, stanza);
        return;
    }
    const id = stanza.attr.id;
    const request = takeNickRequest(membership, "key", id);
    if (request === undefined) {
        noteDrop("unclaimed");
        module.log("debug", "Presence error from %s to %s answers nothing", membership.room, membership.username);
        check(membership);
        return;
    }
    nickRefused(membership, request);
    const error = st.clone(stanza);
    error.attr.id = request.id;
    sendTo(request.session, error);
}

/**
 * Our own presence without the codes that only answer a join; what they say stands in the membership. Of one that is too big
 * to be kept only the affiliation and the role are, and the room itself answers the next join.
 */
function keepSelf(membership: Membership, stanza: Stanza): Stanza {
    if (!mayKeep(stanza)) {
        noteOver("minimix_max_cached_size", membership.username, membership.room);
        membership.incomplete = true;
        return reducedSelf(stanza);
    }
    const copy = st.clone(toldAgain(stanza));
    copy.attr.to = undefined;
    const x = copy.get_child("x", MUC_USER);
    if (x !== undefined) {
        x.maptags((tag) => (tag.name === "status" && tag.attr.code !== Status.Self ? undefined : tag));
    }
    return copy;
}

/** The longest of affiliations and roles is "participant" (XEP-0045 17.3). */
const LONGEST_ROLE = 16;

function reducedSelf(stanza: Stanza): Stanza {
    const { affiliation, role } = itemOf(stanza);
    return st
        .presence({ from: stanza.attr.from })
        .tag("x", { xmlns: MUC_USER })
        .tag("item", { affiliation: shortened(affiliation), role: shortened(role) })
        .up()
        .tag("status", { code: Status.Self })
        .reset();
}

function shortened(value: string | undefined): string | undefined {
    return value === undefined ? undefined : string.sub(value, 1, LONGEST_ROLE);
}

/** Whether two presences say the same. Which presence an `id` answered does not matter. */
function isSame(one: Stanza | undefined, other: Stanza | undefined): boolean {
    if (one === undefined || other === undefined) {
        return one === other;
    }
    return isSameElement(one, other, "id");
}

function selfNick(self: Stanza): string | undefined {
    return jids.resource(self.attr.from ?? "");
}

/** Whether a presence carries a status code of XEP-0045 15.6; codes may stand in any order. */
function hasStatus(stanza: Stanza, code: Status): boolean {
    const x = stanza.get_child("x", MUC_USER);
    return x?.get_child_with_attr("status", undefined, "code", code) !== undefined;
}

/** The nick that a nick change leads to, unless it is none (RFC 7622 3.4). */
function newNickIn(membership: Membership, stanza: Stanza): string | undefined {
    const nick = itemOf(stanza).nick;
    const address = `${membership.room}/${nick ?? ""}`;
    return jids.prep(address) === address ? nick : undefined;
}

function isModerator(presence: Stanza): boolean {
    return itemOf(presence).role === "moderator";
}
