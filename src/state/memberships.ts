// The accounts of this host, their memberships, and which sessions are attached to which room.
// Plain data and the functions that change it; nothing here knows a Prosody event or sends a stanza.

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import * as jids from "util.jid";
import * as options from "../options";

/** Where the account stands in the room. */
export const enum Phase {
    /** The join is on its way; our own presence has not come back. */
    Joining = "joining",
    /** Our own presence came; history and subject follow (XEP-0045 7.1). */
    Entering = "entering",
    Joined = "joined",
    /** The leave is on its way; the room has not confirmed it. */
    Leaving = "leaving",
}

/** A session's wish to be in the room under a nick. */
export interface JoinRequest {
    readonly session: string;
    readonly id: string | undefined;
    readonly nick: string;
    /** The client's presence as it came. */
    readonly stanza: Stanza;
}

/** A session in a room: the presence it last directed there, bare of addresses, and that presence's id. */
export interface Attachment {
    readonly presence: Stanza;
    readonly id: string | undefined;
}

/** A full replay asked of the room itself on behalf of one session; without one when that session is gone. */
export interface Resync {
    request: JoinRequest | undefined;
    /** Nicks the room has shown since. */
    readonly shown: LuaSet<string>;
    selfShown: boolean;
    readonly timer: Timer;
}

/** One account in one room. */
export interface Membership {
    readonly username: string;
    /** The account's address towards the room. */
    readonly occupant: string;
    readonly room: string;
    phase: Phase;
    nick: string;
    /** The session-to-room map: full JIDs of the sessions that have joined this room. */
    readonly attached: LuaMap<string, Attachment>;
    /** The session whose presence the room shows, and that presence as text. */
    shown: string | undefined;
    shownText: string | undefined;
    /** The join that is on its way, and those who wait for its end. */
    request: JoinRequest | undefined;
    waiting: JoinRequest[];
    /** Ends what is on its way when the room stays silent. */
    timer: Timer | undefined;
    resync: Resync | undefined;
    /** Nick changes on their way, by the id they were sent with. */
    readonly nickRequests: LuaMap<string, JoinRequest>;
    /** Messages that the room has not reflected yet: their ids, and the session each came from. */
    readonly unreflected: Cache<string>;

    // What the room showed the account.
    /** Last presence of each other occupant, by nick. */
    readonly occupants: LuaMap<string, Stanza>;
    self: Stanza | undefined;
    /** Presence of the room itself: its avatar and capabilities. */
    roomPresence: Stanza | undefined;
    subject: Stanza | undefined;
    nonAnonymous: boolean;
    logged: boolean;
}

export interface Account {
    readonly username: string;
    readonly memberships: LuaMap<string, Membership>;
}

/** Errors come back at once or never; older messages are forgotten. */
const UNREFLECTED_MESSAGES = 64;

/** By occupant JID, which is what stanzas from rooms are addressed to. */
export type Accounts = LuaMap<string, Account>;
const accounts: Accounts = new LuaMap();

/** The address the account uses towards rooms. Nothing else in the module knows its shape. */
export function occupantJid(username: string): string {
    return jids.join(username, module.host, options.resource);
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

/** All memberships of an account, as a list: handlers may drop memberships while going through it. */
export function membershipsOf(username: string): Membership[] {
    const list: Membership[] = [];
    const account = accounts.get(occupantJid(username));
    if (account !== undefined) {
        for (const [, membership] of account.memberships) {
            list.push(membership);
        }
    }
    return list;
}

/** A new membership, about to join. */
export function createMembership(username: string, room: string, nick: string): Membership {
    const occupant = occupantJid(username);
    let account = accounts.get(occupant);
    if (account === undefined) {
        account = { username, memberships: new LuaMap() };
        accounts.set(occupant, account);
    }
    const membership: Membership = {
        username,
        occupant,
        room,
        phase: Phase.Joining,
        nick,
        attached: new LuaMap(),
        shown: undefined,
        shownText: undefined,
        request: undefined,
        waiting: [],
        timer: undefined,
        resync: undefined,
        nickRequests: new LuaMap(),
        unreflected: cache.new(UNREFLECTED_MESSAGES),
        occupants: new LuaMap(),
        self: undefined,
        roomPresence: undefined,
        subject: undefined,
        nonAnonymous: false,
        logged: false,
    };
    account.memberships.set(room, membership);
    return membership;
}

/** Forgets a membership, and the account when it was the last. */
export function dropMembership(membership: Membership): void {
    const account = accounts.get(membership.occupant);
    if (account === undefined) {
        return;
    }
    stopTimers(membership);
    account.memberships.delete(membership.room);
    if (isEmpty(account.memberships)) {
        accounts.delete(membership.occupant);
    }
}

/** Stops whatever waits for an answer of the room. */
export function stopTimers(membership: Membership): void {
    if (membership.timer !== undefined) {
        membership.timer.stop();
        membership.timer = undefined;
    }
    if (membership.resync !== undefined) {
        membership.resync.timer.stop();
        membership.resync = undefined;
    }
}

export function isAttached(membership: Membership, session: string): boolean {
    return membership.attached.get(session) !== undefined;
}

export function hasAttached(membership: Membership): boolean {
    return !isEmpty(membership.attached);
}

function isEmpty(map: object): boolean {
    return next(map)[0] === undefined;
}

/** Puts a request in line, in place of an earlier one of the same session. */
export function wait(membership: Membership, request: JoinRequest): void {
    stopWaiting(membership, request.session);
    membership.waiting.push(request);
}

/** Takes a session out of the line; whether it stood there. */
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
    return found;
}

/** Forgets what the room showed: another join starts from nothing. */
export function forgetRoom(membership: Membership): void {
    for (const [nick] of membership.occupants) {
        membership.occupants.delete(nick);
    }
    membership.self = undefined;
    membership.roomPresence = undefined;
    membership.subject = undefined;
    membership.nonAnonymous = false;
    membership.logged = false;
}

/** Everything there is, to be handed to the next instance of the module on reload. */
export function saveAccounts(): Accounts {
    return accounts;
}

/** Takes over what the instance before a reload had. */
export function restoreAccounts(saved: Accounts): void {
    for (const [occupant, account] of saved) {
        accounts.set(occupant, account);
    }
}
