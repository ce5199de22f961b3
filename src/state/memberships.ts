// The accounts of this host, their memberships, and which sessions are attached to which room.
// Plain data and the functions that change it; nothing here knows a Prosody event or sends a stanza.

import { monotonic } from "./clock";
import * as jids from "util.jid";
import * as time from "util.time";
import * as options from "../options";
import type { Held } from "./held";
import type { Bookmark } from "./bookmarks";
import type { CatchUp } from "./catchup";
import type { Part, RoomLog } from "./logs";
import { type Attachment, inLine, Phase, type Place, requestsOf, type SessionRequest, timersOf } from "./place";
import { retireSent, reviveSent, type SentMessages } from "./sent";
import { noteJoined } from "./sessions";
import { forgetOccupants } from "./occupants";
import { clearView, newView, type RoomView } from "./view";

/** Whether the room can be heard. */
export interface Liveness {
    /** Something came from the room since the last look. */
    heard?: boolean;
    /** A self-ping is in flight. */
    checking?: boolean;
    /** Self-pings in a row without an answer: the account may be out of the room, or its server out of reach. */
    unanswered: number;
    /** Sends the next self-ping. */
    timer?: Timer | undefined;
}

/** One account in one room. */
export interface Membership {
    readonly username: string;
    /** The account's address towards the room. */
    occupant: string;
    readonly room: string;
    /** Changed by setPlace() alone. */
    place: Place;
    /** Requests that wait for their turn, oldest first. */
    queue?: SessionRequest[] | undefined;
    /** The session-to-room map: full JIDs of the sessions that are in this room. */
    attached: LuaMap<string, Attachment>;
    /** Since when no session is attached, in seconds; undefined while there is one. */
    detachedAt?: number | undefined;
    /** The account has been let in: it is brought back when lost, and its leave is tried until confirmed. */
    established?: true | undefined;
    /** When the account was let in first, in seconds. */
    since?: number | undefined;
    /** The highest entry number at that time. */
    sinceNumber?: number | undefined;
    nick: string;
    /** What the account would be called if the nick were free. */
    wantedNick: string;
    password?: string | undefined;
    /** The session whose presence the room shows, and that presence. */
    shown?: string | undefined;
    shownPresence?: Held | undefined;
    /** The room has been shown that no session is there. */
    shownDetached?: true | undefined;
    /** The room's bookmark as it was last seen (XEP-0402). */
    bookmark?: Bookmark | undefined;
    /** Its autojoin is no more than our note that the account is in the room. */
    ownBookmark?: true | undefined;
    /** Leave when the last session detaches: the bookmark was removed, or its autojoin turned off. */
    ending?: true | undefined;
    /** Rate limit: when nick and bookmark may follow each other again, in seconds. */
    nickFree?: number;
    /** What the room showed the account. */
    readonly view: RoomView;
    readonly liveness: Liveness;
    /** Messages that the room has not answered. */
    sent?: SentMessages | undefined;
    /** The room's log, and what of it the account got, as long as it is in the room. */
    log?: RoomLog | undefined;
    part?: Part | undefined;
    catchUp?: CatchUp | undefined;
}

/** What most memberships have: no session, and no request. Never changed. */
export const NO_SESSIONS = new LuaMap<string, Attachment>();
export const NO_REQUESTS: SessionRequest[] = [];

/** Seconds in the room after which the tries of before do not count. */
const STEADY = 60;

export interface Account {
    readonly username: string;
    readonly memberships: LuaMap<string, Membership>;
    /** Idle seconds as they are on disk, from where the next start of the server goes on. */
    idleOnDisk: number;
    /** When the account's last session ended, by monotonic(); while there is one, when it came. */
    seen: number;
}

export type Accounts = LuaMap<string, Account>;

/** By occupant JID, which is what stanzas from rooms are addressed to. */
export const accounts: Accounts = new LuaMap();

/** The address the account uses towards rooms. Nothing else in the module knows its shape. */
export function occupantJid(username: string): string {
    return jids.join(username, module.host, options.resource);
}

/** Whether rooms know an account by this JID; sessions may have joined some by their own. */
export function isOccupantJid(jid: string): boolean {
    return occupantJid(jids.node(jid) ?? "") === jid;
}

/** Whether a client of the account is connected, be it in hibernation. */
export function hasSession(username: string): boolean {
    return prosody.hosts.get(module.host)?.sessions?.has(username) === true;
}

/** Seconds for which no session of the account has been there, while this or an earlier start of the server ran. */
export function idleOf(account: Account): number {
    return hasSession(account.username) ? 0 : monotonic() - account.seen;
}

export function findAccount(username: string): Account | undefined {
    return accounts.get(occupantJid(username));
}

/** The membership of the account behind an occupant JID in a room (both as in a stanza's addresses, prepped). */
export function findMembership(occupant: string, room: string): Membership | undefined {
    const account = accounts.get(occupant);
    if (account === undefined) {
        return undefined;
    }
    return account.memberships.get(room);
}

/** The membership of a session's account in a room. */
export function membershipOf(session: ClientSession, room: string): Membership | undefined {
    return findMembership(occupantJid(session.username), room);
}

/** All memberships of an account, as a list: its user may drop memberships while going through it. */
export function membershipsOf(username: string): Membership[] {
    const account = findAccount(username);
    return account === undefined ? [] : membershipList(account);
}

/** All memberships of this host, as a list. */
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

/** A new membership, of an account that is not in the room yet. It is in nobody's line until that is seen to. */
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
        place: inLine(Phase.Lost),
        attached: NO_SESSIONS,
        nick,
        wantedNick: nick,
        view: newView(),
        liveness: { unanswered: 0 },
    };
    const sent = reviveSent(occupant, room);
    if (sent !== undefined) {
        membership.sent = sent;
    }
    account.memberships.set(room, membership);
    return membership;
}

/** Forgets a membership, and the account when it was the last. Errors of messages still find their senders. */
export function dropMembership(membership: Membership): void {
    for (const timer of timersOf(membership.place)) {
        timer.stop();
    }
    stopPing(membership);
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

/** The requests of sessions that wait for their turn, oldest first. */
export function queueOf(membership: Membership): readonly SessionRequest[] {
    return membership.queue ?? NO_REQUESTS;
}

/** What is empty is the empty one of this instance of the module, after a reload. */
export function restoreEmpty(membership: Membership): void {
    if (isEmpty(membership.attached)) {
        membership.attached = NO_SESSIONS;
    }
}

/** Whether this is still the account's membership in that room, and not one dropped meanwhile. */
export function isCurrent(membership: Membership): boolean {
    return findMembership(membership.occupant, membership.room) === membership;
}

/** Forgets what the room showed: the next join starts from nothing. */
export function forgetRoom(membership: Membership): void {
    clearView(membership.view);
}

/** Moves the account to another place. Timers of the place before that do not belong to the new one stop. */
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

/** Calls off the next self-ping. */
export function stopPing(membership: Membership): void {
    const liveness = membership.liveness;
    if (liveness.timer !== undefined) {
        liveness.timer.stop();
        liveness.timer = undefined;
    }
}

/** Seconds by a clock that nobody sets. */
export function now(): number {
    return time.monotonic();
}

/** Tries in a row that have failed. */
export function triesOf(membership: Membership): number {
    const place = membership.place;
    return place.phase === Phase.Joined && now() - place.since >= STEADY ? 0 : place.tries;
}

/** Whether the account is in the room as far as anybody can tell. */
export function isReached(membership: Membership): boolean {
    const phase = membership.place.phase;
    return (phase === Phase.Joined || phase === Phase.Entering) && membership.liveness.unanswered === 0;
}

/** Whether the account is out of the room for now and on its way back, which its sessions do not know. */
export function isComingBack(membership: Membership): boolean {
    const phase = membership.place.phase;
    return phase === Phase.Lost || phase === Phase.Joining;
}

export function isAttached(membership: Membership, session: string | undefined): boolean {
    return session !== undefined && membership.attached.get(session) !== undefined;
}

export function hasAttached(membership: Membership): boolean {
    return !isEmpty(membership.attached);
}

/** Whether a session is in the room, or about to be. */
export function isUsed(membership: Membership): boolean {
    return hasAttached(membership) || isAsked(queueOf(membership)) || isAsked(requestsOf(membership.place));
}

function isAsked(requests: readonly SessionRequest[]): boolean {
    for (const request of requests) {
        if (request.session !== undefined || request.held.length > 0) {
            return true;
        }
    }
    return false;
}

/** The session whose join the room is answering, and which gets the answer although it may not be attached. */
export function askingSession(membership: Membership): string | undefined {
    const place = membership.place;
    if (place.phase === Phase.Joining) {
        return sessionOf(place.operation.request);
    }
    if (place.phase === Phase.Joined && place.operation?.kind === "resync") {
        return place.operation.request.session;
    }
    return undefined;
}

export function attachSession(
    membership: Membership,
    session: string,
    presence: Stanza,
    id: string | undefined,
    told?: Stanza,
): void {
    noteJoined(session, membership.room);
    setAttachment(membership, session, { presence, id, told });
    membership.detachedAt = undefined;
    membership.shownDetached = undefined;
}

/** Replaces what an attached session shows. */
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

/** Notes that no session is attached, if that is so. */
export function noteDetached(membership: Membership): void {
    if (!hasAttached(membership)) {
        membership.attached = NO_SESSIONS;
        membership.detachedAt ??= monotonic();
    }
}

/** Whether no session has been attached for so many seconds. */
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
