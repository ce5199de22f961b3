// Handles messages from a room to the account.

import { wallClock } from "../state/clock";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { bufferMessage, deliverMissed, startBuffering } from "../archive/buffer";
import { deliverAhead, isResult, takeResult } from "../archive/catchup";
import { type Delayed, delayOf, isAnswering, keptForm, withoutOwnIds } from "../archive/gate";
import { canRecordPast, record } from "../archive/log";
import { isWorthWaking, notify } from "../push/push";
import { forgetPrivacy } from "../push/privacy";
import { check, isInDoubt } from "../occupancy/watch";
import { AFFILIATIONS, CONFERENCE, MUC_USER, Status } from "../namespaces";
import { counters, noteDrop } from "../state/counters";
import {
    requestingSession,
    findMembership,
    isOccupantJid,
    hasAttached,
    isAttached,
    type Membership,
    now,
    occupantJid,
} from "../state/memberships";
import { Phase } from "../state/place";
import { awaitsReflection, noteReflected, retiredSent, type SentMessages, takeRefused } from "../state/sent";
import { outdate, type RoomView } from "../state/view";
import * as options from "../options";
import { audienceOf, onSubject } from "../occupancy/phases";
import { addDelay, splitOccupant } from "../stanzas";
import { type InternedStanza, intern, mayKeep, messageOf } from "../state/interned";
import { noteOver } from "../state/limits";
import { isTooEarly, saveSoon } from "../state/store";
import { fork, sendTo } from "../send/fork";
import { hasComeBefore } from "./copies";

/** Handles groupchat before mod_mam, which would clone every copy to strip spoofed stanza-ids (XEP-0359 6). */
export function onGroupchatMessage(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const attr = stanza.attr;
    if (attr.type !== "groupchat") {
        return undefined;
    }
    lookAt(stanza);
    const membership = findMembership(attr.to ?? "", latestRoom);
    if (membership === undefined) {
        // mod_message would answer with an error, and rooms remove occupants for that.
        return isTooEarly(attr.to ?? "") ? true : undefined;
    }
    onGroupchat(membership, latestPassed);
    return true;
}

/** The last message: a local room passes one table for all accounts (muc.lib.lua, broadcast). */
let latest: Stanza | undefined;
let latestPassed = st.message();
let latestRoom = "";
let latestNick: string | undefined;
let latestDelayed: Delayed;
let latestIsSubject = false;
let latestWakes = false;

function lookAt(stanza: Stanza): void {
    if (stanza !== latest) {
        latest = stanza;
        const [room, nick] = splitOccupant(stanza.attr.from ?? "");
        latestRoom = room;
        latestNick = nick;
        latestDelayed = delayOf(stanza, room);
        latestIsSubject = isSubject(stanza);
        latestWakes = isWorthWaking(stanza, room);
        // With minimix_archive = "mam" mod_mam handles the ids.
        latestPassed = options.archive === "mam" ? stanza : withoutOwnIds(stanza);
    }
}

/**
 * Whether a message is an error of a local room. Other modules must not handle it: spam filters would drop it, and
 * mod_mam would store it.
 */
export function isLocalError(event: StanzaEvent<Origin>): boolean {
    const attr = event.stanza.attr;
    return attr.type === "error" && prosody.hosts.has(jids.host(attr.from ?? "")) && isOccupantJid(attr.to ?? "");
}

/** `message/bare` or `message/full`, depending on the form of the occupant JID. */
export function onMessage(event: StanzaEvent<Origin>): Handled {
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
        if (type === "groupchat") {
            return isTooEarly(to) ? true : undefined;
        }
        return type === "error" ? onLateError(stanza, from, to) : undefined;
    }
    if (type === "groupchat") {
        lookAt(stanza);
        onGroupchat(membership, latestPassed);
        return true;
    }
    noteHeard(membership);
    if (membership.place.phase === Phase.Joining) {
        // For example a challenge (XEP-0158).
        membership.place.isHeard = true;
    }
    if (type === "error") {
        onError(membership, stanza);
        return true;
    }
    if (isResult(stanza)) {
        // Sessions query archives from their own addresses. A result without a query of the module is dropped.
        takeResult(membership, nick, stanza);
        return true;
    }
    if (nick === undefined && isInvitation(stanza)) {
        return undefined;
    }
    const requester = requestingSession(membership);
    const isForRequester = requester !== undefined && isJoinAffiliations(stanza);
    if (nick === undefined && !isForRequester) {
        noteConfiguration(membership, stanza);
    }
    if (requester === undefined && !hasAttached(membership)) {
        return isNotice(stanza) ? true : undefined;
    }
    if (!isForRequester) {
        fork(membership, stanza);
    }
    if (isForRequester || !isAttached(membership, requester)) {
        sendTo(requester, stanza);
    }
    return true;
}

/**
 * `message/offline/handle`, after mod_offline (0): a private message to an account without sessions was not stored.
 * mod_message would return an error, and services remove occupants for that (XEP-0045 18.1.2).
 */
export function onUnkept(event: { readonly username: string; readonly stanza: Stanza }): Handled {
    const from = event.stanza.attr.from;
    if (from === undefined || findMembership(occupantJid(event.username), jids.bare(from)) === undefined) {
        return undefined;
    }
    noteDrop("undelivered");
    return true;
}

/**
 * Whether a message has the affiliations in answer to a join (XEP-0463 5.2.1). A change for all occupants also has a
 * `since`.
 */
function isJoinAffiliations(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC_USER);
    const version = x?.get_child("mav", AFFILIATIONS);
    return version !== undefined && version.attr.since === undefined;
}

function noteHeard(membership: Membership): void {
    membership.heardAt = now();
    counters.copiesIn = counters.copiesIn + 1;
}

/** Handles a checked groupchat message. */
function onGroupchat(membership: Membership, stanza: Stanza): void {
    const nick = latestNick;
    const subject = latestIsSubject;
    const wakes = latestWakes;
    const isPast = latestDelayed !== undefined && isAnswering(membership);
    const isByRoom = latestDelayed === "by room";
    const kept = latestDelayed === undefined ? stanza : keptForm(stanza, membership.room, latestDelayed, isPast);
    noteHeard(membership);
    const audience = audienceOf(membership, subject, isPast);
    if (isInDoubt(membership)) {
        startBuffering(membership);
    }
    const isOwn = nick === membership.nick;
    if (options.resource === undefined && !isPast && hasComeBefore(membership, stanza)) {
        if (!isOwn || !awaitsReflection(membership.sent, stanza.attr.id)) {
            noteDrop("copy");
            return;
        }
    }
    const before = membership.view.subject;
    if (isOwn && !isPast && !isByRoom && membership.sent !== undefined) {
        // Our own message was reflected, so no error will follow. History may arrive when the session has left again.
        noteReflected(membership.sent, stanza.attr.id);
    }
    if (subject) {
        keepSubject(membership, stanza, audience === "all");
    } else if (nick === undefined) {
        noteConfiguration(membership, stanza);
    }
    if (audience === "all") {
        if (!subject) {
            takeLive(membership, kept);
        }
        fork(membership, stanza);
        if (wakes && !subject && !isPast) {
            notify(membership, stanza);
        }
    } else if (audience === "requester") {
        const session = requestingSession(membership);
        sendTo(session, stanza);
        if (isPast && !subject) {
            deliverAhead(membership, kept, session);
        }
    } else if (!subject) {
        takePast(membership, kept);
    } else if (!isSameSubject(before, stanza)) {
        fork(membership, stanza);
    } else {
        sendTo(newcomerOf(membership), stanza);
    }
    if (subject) {
        onSubject(membership);
    }
}

/** Returns the session that the room has just admitted. */
function newcomerOf(membership: Membership): string | undefined {
    const place = membership.place;
    const session = place.phase === Phase.Entering ? place.operation.request?.session : undefined;
    return isAttached(membership, session) ? session : undefined;
}

/** Handles a message of the room's history after a rejoin. */
function takePast(membership: Membership, stanza: Stanza): void {
    if (membership.catchUp === undefined && !canRecordPast(membership)) {
        startBuffering(membership);
    }
    if (membership.catchUp === undefined) {
        deliverMissed(membership, stanza);
    } else {
        bufferMessage(membership, membership.catchUp, stanza, false);
    }
}

function takeLive(membership: Membership, stanza: Stanza): void {
    if (membership.place.phase === Phase.Lost) {
        // The account is still in, and earlier messages have not been fetched.
        startBuffering(membership);
    }
    if (membership.catchUp === undefined) {
        record(membership, stanza);
    } else {
        bufferMessage(membership, membership.catchUp, stanza, true);
    }
}

/** Caches the subject with a delay, as later joins receive it (XEP-0045 7.2.15). */
function keepSubject(membership: Membership, stanza: Stanza, isLive: boolean): void {
    if (!mayKeep(stanza)) {
        noteOver("minimix_max_cached_size", membership.username, membership.room);
        membership.view.subject = undefined;
        membership.view.stale = "incomplete";
        return;
    }
    const copy = st.clone(stanza);
    copy.attr.to = undefined;
    if (isLive && membership.place.phase === Phase.Joined && latestDelayed === undefined) {
        addDelay(copy, membership.room, wallClock());
    }
    membership.view.subject = intern(copy);
}

function isSameSubject(before: InternedStanza | undefined, stanza: Stanza): boolean {
    const known = before === undefined ? undefined : messageOf(before);
    return known !== undefined && known.get_child_text("subject") === stanza.get_child_text("subject");
}

/** Whether a message changes the subject: it has a subject and no body (XEP-0045 8.1). */
function isSubject(stanza: Stanza): boolean {
    return (
        stanza.get_child("body") === undefined &&
        stanza.get_child("subject") !== undefined &&
        stanza.get_child("thread") === undefined
    );
}

/**
 * Updates the status codes of the configuration, which may change while the account is in the room (XEP-0045 10.2.1).
 * The room may list other offline members from now on, if the configuration or an affiliation has changed (9.9).
 */
function noteConfiguration(membership: Membership, stanza: Stanza): void {
    const x = stanza.get_child("x", MUC_USER);
    if (x === undefined) {
        return;
    }
    forgetPrivacy(membership.room);
    for (const tag of x.tags) {
        const code = tag.name === "status" ? tag.attr.code : undefined;
        if (tag.name === "item" || changesList(membership.view, code)) {
            outdate(membership.view);
        } else if (code === Status.LoggingOn) {
            membership.view.logged = true;
        } else if (code === Status.LoggingOff) {
            membership.view.logged = undefined;
        } else if (code === Status.NowNonAnonymous) {
            membership.view.nonAnonymous = true;
            outdate(membership.view);
            saveSoon(membership.username);
        } else if (code === Status.NowSemiAnonymous || code === Status.NowFullyAnonymous) {
            membership.view.nonAnonymous = undefined;
            outdate(membership.view);
            saveSoon(membership.username);
        }
    }
}

/**
 * Whether a change of the configuration may change the list of offline members. A new avatar is a change without a code
 * of its own, and a room with an avatar would send it to all sessions in answer to a join.
 */
function changesList(view: RoomView, code: string | undefined): boolean {
    if (code === Status.ConfigurationChange) {
        return view.offline !== undefined || view.room === undefined;
    }
    return code === Status.NowShowsOffline || code === Status.NowHidesOffline;
}

/** Returns the error of a message to the session that sent it, and to no other. */
function onError(membership: Membership, stanza: Stanza): void {
    const [, condition] = stanza.get_error();
    if (condition === "not-acceptable") {
        // The answer of a room to a non-occupant (XEP-0045 7.4).
        check(membership);
    }
    if (membership.sent === undefined || !returnToSender(membership.sent, stanza)) {
        noteDrop("unclaimed");
        module.log(
            "debug",
            "Dropping a message error from %s to %s: it answers no message",
            membership.room,
            membership.username,
        );
    }
}

/** Returns the error of a message when the account is no longer in the room. */
function onLateError(stanza: Stanza, from: string, to: string): Handled {
    const sent = retiredSent(to, jids.bare(from));
    return sent !== undefined && returnToSender(sent, stanza) ? true : undefined;
}

/** Sends the error of a message to its session, with the session's id. Returns whether there is such a message. */
function returnToSender(sent: SentMessages, stanza: Stanza): boolean {
    const message = takeRefused(sent, stanza.attr.from ?? "", stanza.attr.id);
    if (message === undefined) {
        return false;
    }
    if (message.id === stanza.attr.id) {
        sendTo(message.session, stanza);
    } else {
        const error = st.clone(stanza);
        error.attr.id = message.id;
        sendTo(message.session, error);
    }
    return true;
}

/** Whether a message is a notification without a body. These are not stored offline. */
function isNotice(stanza: Stanza): boolean {
    return jids.resource(stanza.attr.from ?? "") === undefined && stanza.get_child("body") === undefined;
}

/**
 * Whether a message is an invitation or a declined one (XEP-0045 7.8.2, XEP-0249). These go to the account, in the room
 * or not.
 */
function isInvitation(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC_USER);
    if (x !== undefined && (x.get_child("invite") !== undefined || x.get_child("decline") !== undefined)) {
        return true;
    }
    return stanza.get_child("x", CONFERENCE) !== undefined;
}
