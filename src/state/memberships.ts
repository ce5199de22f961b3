// The accounts of this host, their memberships, and the attached sessions. Plain data and functions that change it. No
// code here handles events of Prosody or sends stanzas.

import { monotonic } from "./clock";
import * as jids from "util.jid";
import * as time from "util.time";
import * as options from "../options";
import type { InternedStanza } from "./interned";
import type { Bookmark } from "./bookmarks";
import type { CatchUp } from "./catchup";
import type { Part } from "./logs";
import {
    type Attachment,
    inSharedQueue,
    isIn,
    type Joined,
    type Liveness,
    Phase,
    type Place,
    requestsOf,
    type SessionRequest,
    timersOf,
} from "./place";
import { retireSent, reviveSent, type SentMessages } from "./sent";
import { noteJoined } from "./sessions";
import { forgetOccupants } from "./occupants";
import { clearView, newView, type RoomView, selfNickOf } from "./view";

/** One account in one room. */
export interface Membership {
    readonly username: string;
    /** The account's address towards the room. */
    occupant: string;
    readonly room: string;
    /** Changed by setPlace() only. */
    place: Place;
    /** Waiting requests, oldest first. */
    queue?: SessionRequest[] | undefined;
    /** The session-to-room map: full JIDs of the attached sessions. */
    attached: LuaMap<string, Attachment>;
    /** Since when no session is attached, in seconds. Undefined with an attached session. */
    detachedAt?: number | undefined;
    /** The account has been admitted before: it rejoins when lost, and its leave is retried until confirmed. */
    established?: true | undefined;
    /** When the account was first admitted, in seconds. */
    since?: number | undefined;
    /** The highest entry number at that time. */
    sinceNumber?: number | undefined;
    nick: string;
    /** The nick that the account uses when it is free. */
    wantedNick: string;
    password?: string | undefined;
    /** A later password of a session. The room has not checked it yet. */
    laterPassword?: string | undefined;
    /** The session that the room sees, and its presence. */
    shown?: string | undefined;
    shownPresence?: InternedStanza | undefined;
    /** The room has been shown that no session is attached. */
    shownDetached?: true | undefined;
    /** The last known bookmark of the room (XEP-0402). */
    bookmark?: Bookmark | undefined;
    /** The module created the bookmark, so its autojoin does not keep the account in the room. */
    ownBookmark?: true | undefined;
    /** Leave when the last session detaches (bookmark removed or autojoin off). */
    ending?: true | undefined;
    /** Rate limit: earliest time at which nick and bookmark may be synchronised again. */
    nickFree?: number;
    /** The cached stanzas of the room. */
    readonly view: RoomView;
    /** When the last stanza of the room arrived, by the monotonic clock. */
    heardAt?: number | undefined;
    /** Messages that the room has not answered. */
    sent?: SentMessages | undefined;
    /** The account's part of the room's log, while the account is in the room. */
    part?: Part | undefined;
    catchUp?: CatchUp | undefined;
}

/** The value for most memberships, without sessions and requests. It is never changed. */
export const NO_SESSIONS = new LuaMap<string, Attachment>();
export const NO_REQUESTS: SessionRequest[] = [];

/** Seconds in the room after which the retry counter is reset. */
const STEADY = 60;

export interface Account {
    readonly username: string;
    readonly memberships: LuaMap<string, Membership>;
    /** Idle seconds on disk, from which the next start of the server continues. */
    idleOnDisk: number;
    /** When the account's last session ended, by monotonic(). With a session online, when that started. */
    seen: number;
}

export type Accounts = LuaMap<string, Account>;

/** Accounts by occupant JID, because stanzas of rooms are addressed to it. */
export const accounts: Accounts = new LuaMap();

/** Returns the account's address in rooms. No other function knows its form. */
export function occupantJid(username: string): string {
    return jids.join(username, module.host, options.resource);
}

/** Whether a JID is an occupant JID of the module. Sessions may have joined some rooms by their own JIDs. */
export function isOccupantJid(jid: string): boolean {
    return occupantJid(jids.node(jid) ?? "") === jid;
}

/** Whether a client of the account is connected or hibernating. */
export function hasSession(username: string): boolean {
    return prosody.hosts.get(module.host)?.sessions?.has(username) === true;
}

/** Returns the seconds for which the account had no session, while this or an earlier start of the server ran. */
export function idleOf(account: Account): number {
    return hasSession(account.username) ? 0 : monotonic() - account.seen;
}

export function findAccount(username: string): Account | undefined {
    return accounts.get(occupantJid(username));
}

/** Finds the membership of an occupant JID in a room. Both are prepared addresses of a stanza. */
export function findMembership(occupant: string, room: string): Membership | undefined {
    const account = accounts.get(occupant);
    if (account === undefined) {
        return undefined;
    }
    return account.memberships.get(room);
}

/** Finds the membership of a session's account in a room. */
export function membershipOf(session: ClientSession, room: string): Membership | undefined {
    return findMembership(occupantJid(session.username), room);
}

/** Returns all memberships of an account as a list, so that some may be dropped during iteration. */
export function membershipsOf(username: string): Membership[] {
    const account = findAccount(username);
    return account === undefined ? [] : membershipList(account);
}

/** Returns all memberships of this host as a list. */
export function allMemberships(): Membership[] {
    const list: Membership[] = [];
    for (const [, account] of accounts) {
        for (const [, membership] of account.memberships) {
            list.push(membership);
        }
    }
    return list;
}

function membershipList(account: Account): Membership[] {
    const list: Membership[] = [];
    for (const [, membership] of account.memberships) {
        list.push(membership);
    }
    return list;
}

/**
 * Creates a membership of an account that is not in the room yet. The caller must give it an operation or a place in a
 * queue.
 */
export function createMembership(username: string, room: string, nick: string): Membership {
    const occupant = occupantJid(username);
    let account = accounts.get(occupant);
    if (account === undefined) {
        account = { username, memberships: new LuaMap(), seen: monotonic(), idleOnDisk: 0 };
        accounts.set(occupant, account);
    }
    const membership: Membership = {
        username,
        occupant,
        room,
        place: inSharedQueue(Phase.Lost),
        attached: NO_SESSIONS,
        nick,
        wantedNick: nick,
        view: newView(),
    };
    const sent = reviveSent(occupant, room);
    if (sent !== undefined) {
        membership.sent = sent;
    }
    account.memberships.set(room, membership);
    return membership;
}

/** Drops a membership, and the account with its last one. Errors of messages can still be returned. */
export function dropMembership(membership: Membership): void {
    for (const timer of timersOf(membership.place)) {
        timer.stop();
    }
    forgetOccupants(membership.view);
    const account = accounts.get(membership.occupant);
    if (account === undefined || !isCurrent(membership)) {
        return;
    }
    retireSent(membership.occupant, membership.room, membership.sent);
    account.memberships.delete(membership.room);
    if (isEmpty(account.memberships)) {
        accounts.delete(membership.occupant);
    }
}

/** Returns the waiting requests of sessions, oldest first. */
export function queueOf(membership: Membership): readonly SessionRequest[] {
    return membership.queue ?? NO_REQUESTS;
}

/** Replaces empty tables by the shared ones of this instance of the module, after a reload. */
export function restoreEmpty(membership: Membership): void {
    if (isEmpty(membership.attached)) {
        membership.attached = NO_SESSIONS;
    }
}

/** Whether another account of this host is in the room under a nick. */
export function isNickOfOther(membership: Membership, nick: string): boolean {
    for (const [, account] of accounts) {
        const other = account.memberships.get(membership.room);
        if (other !== undefined && other !== membership && other.nick === nick && isIn(other.place)) {
            return true;
        }
    }
    return false;
}

/** Whether a membership is still current, and has not been dropped meanwhile. */
export function isCurrent(membership: Membership): boolean {
    return findMembership(membership.occupant, membership.room) === membership;
}

/** Drops the cached stanzas of the room: the next join starts from nothing. */
export function forgetRoom(membership: Membership): void {
    clearView(membership.view);
}

/** Moves the account to another place, and stops the timers that belong to the earlier place only. */
export function setPlace(membership: Membership, place: Place): void {
    const kept = timersOf(place);
    for (const timer of timersOf(membership.place)) {
        if (!includes(kept, timer)) {
            timer.stop();
        }
    }
    membership.place = place;
}

function includes(timers: Timer[], wanted: Timer): boolean {
    for (const timer of timers) {
        if (timer === wanted) {
            return true;
        }
    }
    return false;
}

/** Returns the record of self-pings, a new one if there is none. */
export function livenessOf(place: Joined): Liveness {
    place.liveness ??= { unanswered: 0 };
    return place.liveness;
}

/** Consecutive self-pings without an answer. */
export function unansweredOf(membership: Membership): number {
    const place = membership.place;
    return place.phase === Phase.Joined ? (place.liveness?.unanswered ?? 0) : 0;
}

/** Returns seconds of a clock that cannot be set. */
export function now(): number {
    return time.monotonic();
}

/** Consecutive failed attempts. */
export function triesOf(membership: Membership): number {
    const place = membership.place;
    return place.phase === Phase.Joined && now() - place.since >= STEADY ? 0 : place.tries;
}

/** Whether the account is in the room, as far as is known. */
export function isReached(membership: Membership): boolean {
    const phase = membership.place.phase;
    return (phase === Phase.Joined || phase === Phase.Entering) && unansweredOf(membership) === 0;
}

/** Whether the account is lost and rejoins, while its sessions do not know. */
export function isComingBack(membership: Membership): boolean {
    const phase = membership.place.phase;
    return phase === Phase.Lost || phase === Phase.Joining;
}

/** Returns the nick that the attached sessions know. While the account rejoins, it may ask for another. */
export function knownNick(membership: Membership): string {
    return (isComingBack(membership) ? selfNickOf(membership.view) : undefined) ?? membership.nick;
}

export function isAttached(membership: Membership, session: string | undefined): boolean {
    return session !== undefined && membership.attached.get(session) !== undefined;
}

export function hasAttached(membership: Membership): boolean {
    return membership.attached !== NO_SESSIONS && !isEmpty(membership.attached);
}

/** Whether a session is attached, or has a pending join or queued stanzas. Sessions except `except` count. */
export function isUsed(membership: Membership, except?: string): boolean {
    for (const [session] of membership.attached) {
        if (session !== except) {
            return true;
        }
    }
    return hasRequest(queueOf(membership), except) || hasRequest(requestsOf(membership.place), except);
}

function hasRequest(requests: readonly SessionRequest[], except: string | undefined): boolean {
    for (const { kind, session, queued } of requests) {
        if (kind === "join" && (session === undefined ? queued.length > 0 : session !== except)) {
            return true;
        }
    }
    return false;
}

/** Returns the session with the join that the room is answering. It gets the answer although it may not be attached. */
export function requestingSession(membership: Membership): string | undefined {
    const place = membership.place;
    if (place.phase === Phase.Joining) {
        return sessionOf(place.operation.request);
    }
    if (place.phase === Phase.Joined && place.operation?.kind === "resync") {
        return place.operation.request.session;
    }
    return undefined;
}

export function attachSession(membership: Membership, session: string, presence: Stanza, id: string | undefined): void {
    noteJoined(session, membership.room);
    setAttachment(membership, session, { presence, id });
    membership.detachedAt = undefined;
    membership.shownDetached = undefined;
}

/** Replaces the presence of an attached session. */
export function setAttachment(membership: Membership, session: string, attachment: Attachment): void {
    if (membership.attached === NO_SESSIONS) {
        membership.attached = new LuaMap();
    }
    membership.attached.set(session, attachment);
}

export function detachSession(membership: Membership, session: string): void {
    membership.attached.delete(session);
    if (membership.shown === session) {
        membership.shown = undefined;
    }
    noteDetached(membership);
}

/** Records the time if no session is attached. */
export function noteDetached(membership: Membership): void {
    if (!hasAttached(membership)) {
        membership.attached = NO_SESSIONS;
        membership.detachedAt ??= monotonic();
    }
}

/** Whether no session has been attached for a number of seconds. */
export function isDetachedFor(membership: Membership, seconds: number): boolean {
    const since = membership.detachedAt;
    return since !== undefined && monotonic() - since >= seconds;
}

export function detachAll(membership: Membership): void {
    for (const [session] of membership.attached) {
        detachSession(membership, session);
    }
}

function sessionOf(request: SessionRequest | undefined): string | undefined {
    return request === undefined ? undefined : request.session;
}

function isEmpty(map: object): boolean {
    return next(map)[0] === undefined;
}
