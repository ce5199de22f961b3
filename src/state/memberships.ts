// The accounts of this host, their memberships, and which sessions are attached to which room.
// Plain data and the functions that change it; nothing here knows a Prosody event or sends a stanza.

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import * as jids from "util.jid";
import * as options from "../options";
import { inTurn } from "../turn";
import type { Bookmark } from "./bookmarks";
import type { CatchUp } from "./catchup";
import type { Held } from "./held";
import { noteJoined } from "./sessions";
import type { Part, Ranges, RoomLog } from "./logs";

/** Where the account stands in the room. */
export const enum Phase {
    /** It was in the room and will be again: the next try is a matter of time. */
    Lost = "lost",
    /** A join is on its way; our own presence has not come back. */
    Joining = "joining",
    /** Our own presence came; history and subject follow (XEP-0045 7.1). */
    Entering = "entering",
    Joined = "joined",
    /** A leave is on its way; the room has not confirmed it. */
    Leaving = "leaving",
}

/** A session's wish to be in the room under a nick. */
export interface JoinRequest {
    /** Undefined once the session is gone: whoever comes under its name has asked for nothing. */
    session: string | undefined;
    readonly id: string | undefined;
    readonly nick: string;
    /** The client's presence as it came. */
    readonly stanza: Stanza;
    /** The session has been in the room before; refused, it still is, as far as it knows. */
    isBack?: boolean;
}

/** A session in a room: the presence it last directed there, bare of addresses, and that presence's id. */
export interface Attachment {
    readonly presence: Stanza;
    readonly id: string | undefined;
}

/** What an account shows a room, and the session it is of. */
export interface Shown {
    readonly session: string | undefined;
    readonly presence: Stanza | undefined;
}

/** A wish for another nick. If the room refuses, the account goes on showing what it did before. */
export interface NickRequest extends JoinRequest {
    /** The id it was sent with. */
    readonly key: string;
    /** It came as a join, and no later one of the session has been answered. */
    isJoin: boolean;
    readonly before: Shown;
    readonly attachmentBefore: Attachment | undefined;
}

/** A nick change that the room is to answer before anything else is shown to it. */
export interface Renaming {
    readonly nick: string;
    readonly timer: Timer;
}

/** A full answer asked of the room while the account is, or was, in it. */
export interface Resync {
    /** On behalf of this session alone; undefined for the account itself. */
    readonly request: JoinRequest | undefined;
    /** Nicks the room has shown since. */
    shown: LuaSet<string>;
    /** The account goes back by itself, and its presence may come for another reason than its join. */
    isDoubtful: boolean;
    /** Our own presence has come, though not all occupants: the room may have taken the join for a presence update. */
    selfCame: boolean;
    selfShown: boolean;
}

/** One account in one room. */
export interface Membership {
    readonly username: string;
    /** The account's address towards the room. */
    occupant: string;
    readonly room: string;
    phase: Phase;
    /** The account has been let in: it is brought back when lost, and its leave is tried until confirmed. */
    established: boolean;
    /** When the account was let in first, in seconds. */
    since: number | undefined;
    nick: string;
    /** What the account would be called if the nick were free. */
    wantedNick: string;
    password: string | undefined;
    /** The room's bookmark as it was last seen (XEP-0402). */
    bookmark: Bookmark | undefined;
    /** Its autojoin is no more than our note that the account is in the room. */
    ownBookmark: boolean;
    /** The bookmark is gone, or its autojoin: the account is in the room only as long as a session is. */
    ending: boolean;
    /** When nick and bookmark may follow each other at will again, in seconds. */
    nickFree: number;
    /** The session-to-room map: full JIDs of the sessions that have joined this room. */
    readonly attached: LuaMap<string, Attachment>;
    /** The session whose presence the room shows, and that presence. */
    shown: string | undefined;
    shownPresence: Stanza | undefined;
    /** Since when no session is attached, in seconds; undefined while there is one. */
    detachedAt: number | undefined;
    /** The room has been shown that nobody is there. */
    shownDetached: boolean;
    /** The session's join that is on its way, and those who wait for its end. */
    request: JoinRequest | undefined;
    waiting: JoinRequest[];
    /** The session that the room's answer lets in, until it has the subject. */
    newcomer: string | undefined;
    /** Id of the account's own join in flight; errors with another id are not its refusal. */
    joinId: string | undefined;
    /** Presence under the account's nick that came without 110 while a join is in flight. */
    claimed: Held | undefined;
    /** It is shown the occupants in one go. */
    batched: boolean;
    /** What ends the phase if the room does not. */
    timer: Timer | undefined;
    /** Tries in vain to join or leave, one after the other. */
    tries: number;
    /** Something came from the room since the last look. */
    heard: boolean;
    /** A self-ping is on its way, or will be. */
    checking: boolean;
    /** Self-pings in a row that brought no answer: the account may be out of the room, or its server out of reach. */
    unanswered: number;
    resync: Resync | undefined;
    /** Nick changes on their way, in the order they were sent. */
    readonly nickRequests: NickRequest[];
    /** The last one, or one of the account's own. */
    renaming: Renaming | undefined;
    /** Messages that the room has not reflected yet: for each id the sessions that sent it, the first one first. */
    readonly unreflected: Cache<string[]>;

    /** The room's log, and what of it the account got, as long as it is in the room. */
    log: RoomLog | undefined;
    part: Part | undefined;
    catchUp: CatchUp | undefined;

    // What the room showed the account.
    /** Last presence of each other occupant, by nick. */
    readonly occupants: LuaMap<string, Held>;
    occupantCount: number;
    /** Bytes of these, as XML. */
    occupantSize: number;
    self: Stanza | undefined;
    /** Of the room itself: its avatar and capabilities. */
    presenceOfRoom: Held | undefined;
    subject: Stanza | undefined;
    /** The room showed more than is remembered of it: who joins is answered by the room itself. */
    incomplete: boolean;
    nonAnonymous: boolean;
    logged: boolean;
    /** The room would show its occupants otherwise by now, with their JIDs or without. */
    outdated: boolean;
}

export interface Account {
    readonly username: string;
    readonly memberships: LuaMap<string, Membership>;
    /** When the account's last session ended, in seconds; while there is one, when it came. */
    seen: number;
    /** What it got of the logs of rooms, those it has left included; read when first needed. */
    parts: Parts | undefined;
}

export type Parts = Record<string, Ranges | undefined>;

/** Errors come back at once or never; older messages are forgotten. */
const UNREFLECTED_MESSAGES = 64;

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

/** A new membership, of an account that is not in the room yet. */
export function createMembership(username: string, room: string, nick: string): Membership {
    const occupant = occupantJid(username);
    let account = accounts.get(occupant);
    if (account === undefined) {
        account = { username, memberships: new LuaMap(), seen: os.time(), parts: undefined };
        accounts.set(occupant, account);
    }
    const membership: Membership = {
        username,
        occupant,
        room,
        phase: Phase.Joining,
        established: false,
        since: undefined,
        nick,
        wantedNick: nick,
        password: undefined,
        bookmark: undefined,
        ownBookmark: false,
        ending: false,
        nickFree: 0,
        attached: new LuaMap(),
        shown: undefined,
        shownPresence: undefined,
        detachedAt: undefined,
        shownDetached: false,
        request: undefined,
        waiting: [],
        newcomer: undefined,
        joinId: undefined,
        claimed: undefined,
        batched: false,
        timer: undefined,
        tries: 0,
        heard: false,
        checking: false,
        unanswered: 0,
        resync: undefined,
        nickRequests: [],
        renaming: undefined,
        unreflected: cache.new(UNREFLECTED_MESSAGES),
        log: undefined,
        part: undefined,
        catchUp: undefined,
        occupants: new LuaMap(),
        occupantCount: 0,
        occupantSize: 0,
        self: undefined,
        presenceOfRoom: undefined,
        subject: undefined,
        incomplete: false,
        nonAnonymous: false,
        logged: false,
        outdated: false,
    };
    account.memberships.set(room, membership);
    return membership;
}

/** Forgets a membership, and the account when it was the last. */
export function dropMembership(membership: Membership): void {
    stopTimer(membership);
    endRenaming(membership);
    const account = accounts.get(membership.occupant);
    if (account === undefined) {
        return;
    }
    account.memberships.delete(membership.room);
    if (isEmpty(account.memberships)) {
        accounts.delete(membership.occupant);
    }
}

/** Whether this is still the account's membership in that room, and not one dropped meanwhile. */
export function isCurrent(membership: Membership): boolean {
    return findMembership(membership.occupant, membership.room) === membership;
}

/** Sets what ends the phase if the room does not, in place of what was set before. */
export function setTimer(membership: Membership, seconds: number, callback: (this: void) => void): void {
    stopTimer(membership);
    membership.timer = module.add_timer(seconds, () => {
        membership.timer = undefined;
        inTurn(callback);
        return undefined;
    });
}

export function stopTimer(membership: Membership): void {
    if (membership.timer !== undefined) {
        membership.timer.stop();
        membership.timer = undefined;
    }
}

/** Nothing is shown to the room for so many seconds, or until the room has answered. */
export function beginRenaming(
    membership: Membership,
    nick: string,
    seconds: number,
    unanswered: (this: void) => void,
): void {
    endRenaming(membership);
    const timer = module.add_timer(seconds, () => {
        membership.renaming = undefined;
        inTurn(unanswered);
        return undefined;
    });
    membership.renaming = { nick, timer };
}

export function endRenaming(membership: Membership): void {
    if (membership.renaming !== undefined) {
        membership.renaming.timer.stop();
        membership.renaming = undefined;
    }
}

/** Whether the account is in the room as far as anybody can tell. */
export function isReached(membership: Membership): boolean {
    const inside = membership.phase === Phase.Joined || membership.phase === Phase.Entering;
    return inside && membership.unanswered === 0;
}

/** Whether the account is out of the room for now and on its way back, which its sessions do not know. */
export function isComingBack(membership: Membership): boolean {
    return membership.phase === Phase.Lost || (membership.phase === Phase.Joining && membership.request === undefined);
}

export function isAttached(membership: Membership, session: string | undefined): boolean {
    return session !== undefined && membership.attached.get(session) !== undefined;
}

export function hasAttached(membership: Membership): boolean {
    return !isEmpty(membership.attached);
}

/** Whether a session is in the room, or about to be. */
export function isUsed(membership: Membership): boolean {
    const resync = membership.resync;
    return hasAttached(membership) || membership.waiting.length > 0 || resync?.request !== undefined;
}

export function attachSession(membership: Membership, session: string, presence: Stanza, id: string | undefined): void {
    noteJoined(session, membership.room);
    membership.attached.set(session, { presence, id });
    membership.detachedAt = undefined;
    membership.shownDetached = false;
}

export function detachSession(membership: Membership, session: string): void {
    membership.attached.delete(session);
    if (!hasAttached(membership) && membership.detachedAt === undefined) {
        membership.detachedAt = os.time();
    }
}

export function detachAll(membership: Membership): void {
    for (const [session] of membership.attached) {
        detachSession(membership, session);
    }
}

function isEmpty(map: object): boolean {
    return next(map)[0] === undefined;
}

/** Puts a request in line, in place of an earlier one of the same session. */
export function wait(membership: Membership, request: JoinRequest): void {
    if (request.session !== undefined) {
        stopWaiting(membership, request.session);
    }
    membership.waiting.push(request);
}

/** The first in line, who stands there no longer. */
export function nextWaiting(membership: Membership): JoinRequest | undefined {
    return table.remove<JoinRequest>(membership.waiting, 1);
}

export function isWaiting(membership: Membership, session: string): boolean {
    for (const request of membership.waiting) {
        if (request.session === session) {
            return true;
        }
    }
    return askingSession(membership) === session;
}

/** A full answer is to come, of which nothing has been shown yet. */
export function newResync(request: JoinRequest | undefined): Resync {
    return { request, shown: new LuaSet(), isDoubtful: false, selfCame: false, selfShown: false };
}

/** The session whose join the room itself answers while the account is in the room already. */
export function askingSession(membership: Membership): string | undefined {
    return membership.resync?.request?.session;
}

/** Whether somebody is about to join, though not attached yet. */
export function hasWaiting(membership: Membership): boolean {
    return membership.waiting.length > 0 || askingSession(membership) !== undefined;
}

/** Takes a session out of the line, or out of the resync made for it; whether it stood there. */
export function stopWaiting(membership: Membership, session: string): boolean {
    const others: JoinRequest[] = [];
    let found = false;
    for (const request of membership.waiting) {
        if (request.session === session) {
            found = true;
        } else {
            others.push(request);
        }
    }
    membership.waiting = others;
    const resync = membership.resync;
    if (resync?.request?.session === session) {
        resync.request.session = undefined;
        return true;
    }
    return found;
}

/** A session has left: the nick it asked for is no wish of its any more. */
export function forgetNickRequests(membership: Membership, session: string): void {
    for (const request of membership.nickRequests) {
        if (request.session === session) {
            request.session = undefined;
        }
    }
}

/** A session's join is answered, and with it those before it. */
export function noteAnswered(membership: Membership, session: string): void {
    for (const request of membership.nickRequests) {
        if (request.session === session) {
            request.isJoin = false;
        }
    }
}

/** Whether a nick change to this nick is on its way. */
export function isNickAsked(membership: Membership, nick: string): boolean {
    for (const request of membership.nickRequests) {
        if (request.nick === nick) {
            return true;
        }
    }
    return false;
}

/** The first nick change of that key, or to that nick, which is not on its way any more. */
export function takeNickRequest(
    membership: Membership,
    field: "key" | "nick",
    value: string | undefined,
): NickRequest | undefined {
    const requests = membership.nickRequests;
    for (const i of $range(1, requests.length)) {
        const request = requests[i - 1];
        if (request !== undefined && request[field] === value) {
            return table.remove<NickRequest>(requests, i);
        }
    }
    return undefined;
}

/**
 * The nick changes that an own presence answers, the one it is the answer to last. Rooms answer in order: those before it
 * are not on their way any more.
 */
export function takeAnsweredRequests(membership: Membership, nick: string, key: string | undefined): NickRequest[] {
    const requests = membership.nickRequests;
    for (const i of $range(1, requests.length)) {
        const request = requests[i - 1];
        if (request !== undefined && request.key === key && request.nick === nick) {
            return takeFirst(requests, i);
        }
    }
    const request = takeNickRequest(membership, "nick", nick) ?? takeNickRequest(membership, "key", key);
    return request === undefined ? [] : [request];
}

function takeFirst(requests: NickRequest[], count: number): NickRequest[] {
    const taken: NickRequest[] = [];
    while (taken.length < count) {
        const request = table.remove<NickRequest>(requests, 1);
        if (request === undefined) {
            break;
        }
        taken.push(request);
    }
    return taken;
}

/** A session is gone: what it asked for is nobody's now. */
export function forgetSession(membership: Membership, session: string): void {
    stopWaiting(membership, session);
    if (membership.request?.session === session) {
        membership.request.session = undefined;
    }
    forgetNickRequests(membership, session);
    for (const [, senders] of membership.unreflected.items()) {
        for (const i of $range(1, senders.length)) {
            if (senders[i - 1] === session) {
                senders[i - 1] = NOBODY;
            }
        }
    }
}

/** Stands for a session that is gone: no session has an empty name. */
const NOBODY = "";

/** Notes who sent a message: its error is for that session. Two sessions may well use the same id. */
export function noteSent(membership: Membership, id: string | undefined, session: string): void {
    const senders = membership.unreflected.get(id ?? "");
    if (senders === undefined) {
        membership.unreflected.set(id ?? "", [session]);
    } else if (senders.length < UNREFLECTED_MESSAGES) {
        senders.push(session);
    }
}

/** Who sent the message that a room reflects or refuses, in the order they were sent; it will do so only once. */
export function takeSender(membership: Membership, id: string | undefined): string | undefined {
    const senders = membership.unreflected.get(id ?? "");
    if (senders === undefined) {
        return undefined;
    }
    const sender = table.remove<string>(senders, 1);
    if (senders.length === 0) {
        membership.unreflected.set(id ?? "", undefined);
    }
    return sender;
}

/** Remembers the presence of an occupant, as far as there is room for it; whether there was. */
export function keepOccupant(membership: Membership, nick: string, held: Held): boolean {
    const size = string.len(held.text);
    forgetOccupant(membership, nick);
    if (
        size > options.maxCachedSize ||
        membership.occupantCount >= options.maxOccupants ||
        membership.occupantSize + size > options.maxRoomSize
    ) {
        membership.incomplete = true;
        return false;
    }
    membership.occupants.set(nick, held);
    membership.occupantCount = membership.occupantCount + 1;
    membership.occupantSize = membership.occupantSize + size;
    return true;
}

export function forgetOccupant(membership: Membership, nick: string): void {
    const held = membership.occupants.get(nick);
    if (held !== undefined) {
        membership.occupants.delete(nick);
        membership.occupantCount = membership.occupantCount - 1;
        membership.occupantSize = membership.occupantSize - string.len(held.text);
    }
}

/** Forgets what the room showed: the next join starts from nothing. */
export function forgetRoom(membership: Membership): void {
    for (const [nick] of membership.occupants) {
        forgetOccupant(membership, nick);
    }
    membership.self = undefined;
    membership.presenceOfRoom = undefined;
    membership.subject = undefined;
    membership.incomplete = false;
    membership.nonAnonymous = false;
    membership.logged = false;
    membership.outdated = false;
}
