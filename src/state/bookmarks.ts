// Bookmarks of an account (XEP-0402), and the rooms that refused it, bookmarked or not.

import { monotonic } from "./clock";
import * as options from "../options";
import type { Membership } from "./memberships";

/** When an account wants a push notification for a message (XEP-0492). */
export type Setting = "always" | "on-mention" | "never";

/** A bookmark as stored in the account's PEP node. */
export interface Bookmark {
    readonly autojoin: boolean;
    readonly nick: string | undefined;
    readonly password: string | undefined;
    readonly name: string | undefined;
    /** The notification setting (XEP-0492). */
    readonly notify: Setting | undefined;
}

/** Bookmarks by room. */
export type Bookmarks = LuaMap<string, Bookmark>;

/** Whether the account stays in the room without a session. Bookmarks written by the module do not count. */
export function isAutojoin(membership: Membership): boolean {
    const bookmark = membership.bookmark;
    return bookmark !== undefined && bookmark.autojoin && !membership.ownBookmark;
}

/** Whether the server joins the room by itself. */
export function isToJoin(membership: Membership): boolean {
    return options.autojoin && membership.bookmark?.autojoin === true;
}

/** Whether the account rejoins when it is lost, without a session. */
export function shouldRejoin(membership: Membership): boolean {
    return membership.established === true || isToJoin(membership);
}

/** Whether two bookmarks are equal, or both are missing. */
export function isSameBookmark(one: Bookmark | undefined, other: Bookmark | undefined): boolean {
    if (one === undefined || other === undefined) {
        return one === other;
    }
    return (
        one.autojoin === other.autojoin &&
        one.nick === other.nick &&
        one.password === other.password &&
        one.name === other.name &&
        one.notify === other.notify
    );
}

/** A bookmarked room that refused or removed the account, or that this server's rules forbid. */
export interface Refusal {
    readonly bookmark: Bookmark;
    /** The condition of the error by which this server forbids the join. */
    readonly forbidden: string | undefined;
    /**
     * Whether the room has removed the account. It then stays out after a restart, until the bookmark is edited or a
     * client joins.
     */
    readonly wasIn: boolean;
}

export type Refusals = LuaMap<string, Refusal>;

/** Refusals by account. */
const refusals = new LuaMap<string, Refusals>();

/** Records that the room is not joined again by this bookmark. */
export function noteRefusal(membership: Membership, forbidden?: string): void {
    const bookmark = membership.bookmark;
    if (!bookmark?.autojoin) {
        return;
    }
    setRefusal(membership.username, membership.room, { bookmark, forbidden, wasIn: membership.established === true });
}

function setRefusal(username: string, room: string, refusal: Refusal): void {
    const rooms: Refusals = refusals.get(username) ?? new LuaMap();
    rooms.set(room, refusal);
    refusals.set(username, rooms);
}

/**
 * Whether the room refuses the account with this bookmark. After a refusal, another nick or password may succeed. After
 * a removal, any edit of the bookmark counts as the user's request to return.
 */
export function isRefused(username: string, room: string, bookmark: Bookmark): boolean {
    const refusal = refusals.get(username)?.get(room);
    const refused = refusal?.bookmark;
    if (refusal?.wasIn === true && refused !== undefined) {
        return isSameBookmark(refused, bookmark);
    }
    return refused !== undefined && refused.nick === bookmark.nick && refused.password === bookmark.password;
}

/** Stored bookmarks of rooms that have removed the account, by room. */
export type Refused = Record<string, Bookmark | undefined>;

/**
 * Returns the removals to store. Rooms that refused a join, or that this server forbids, are tried again after a
 * restart.
 */
export function refusedRooms(username: string): Refused | undefined {
    const refused: Refused = {};
    for (const [room, { bookmark, forbidden, wasIn }] of refusalsOf(username)) {
        if (wasIn && forbidden === undefined) {
            refused[room] = bookmark;
        }
    }
    return next(refused)[0] === undefined ? undefined : refused;
}

/** Takes over stored removals. Malformed ones are ignored. */
export function restoreRefused(username: string, refused: unknown): void {
    if (typeof refused !== "object") {
        return;
    }
    for (const [room, bookmark] of pairs(refused as Record<string, unknown>)) {
        if (typeof bookmark === "object") {
            setRefusal(username, room, { bookmark: bookmark as Bookmark, forbidden: undefined, wasIn: true });
        }
    }
}

/** Returns all refusals, for a reload. */
export function allRefusals(): LuaMap<string, Refusals> {
    return refusals;
}

/** Takes over the refusals of the previous instance of the module. */
export function restoreRefusals(saved: LuaMap<string, Refusals>): void {
    for (const [username, rooms] of saved) {
        refusals.set(username, rooms);
    }
}

/** Returns the rooms that an account does not join by their bookmarks. */
export function refusalsOf(username: string): Refusals {
    return refusals.get(username) ?? new LuaMap<string, Refusal>();
}

/** Removes the refusal of a room, or of all rooms. Returns whether there was one. */
export function forgetRefusals(username: string, room?: string): boolean {
    const rooms = refusals.get(username);
    const isNews = room === undefined ? rooms !== undefined : rooms?.has(room) === true;
    if (rooms !== undefined && room !== undefined) {
        rooms.delete(room);
    }
    if (room === undefined || (rooms !== undefined && next(rooms)[0] === undefined)) {
        refusals.delete(username);
    }
    return isNews;
}

/** Largest burst of nick changes between bookmark and room, and seconds until one more is allowed. */
const NICK_CHANGES = 5;
const NICK_PAUSE = 60;

/**
 * Whether nick and bookmark may be synchronised again. Otherwise clients that disagree over the nick would change it in
 * an endless loop.
 */
export function mayFollowNick(membership: Membership): boolean {
    const now = monotonic();
    const free = Math.max(membership.nickFree ?? 0, now);
    if (free - now > (NICK_CHANGES - 1) * NICK_PAUSE) {
        return false;
    }
    membership.nickFree = free + NICK_PAUSE;
    return true;
}
