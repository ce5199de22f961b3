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
export function isWanted(membership: Membership): boolean {
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
}

type Refusals = LuaMap<string, Refusal>;

/** Refusals by account. */
const refusals = new LuaMap<string, Refusals>();

/** Records that the room is not joined again by this bookmark. */
export function noteRefusal(membership: Membership, forbidden?: string): void {
    const bookmark = membership.bookmark;
    if (!bookmark?.autojoin) {
        return;
    }
    const rooms: Refusals = refusals.get(membership.username) ?? new LuaMap();
    rooms.set(membership.room, { bookmark, forbidden });
    refusals.set(membership.username, rooms);
}

/** Whether the room refused the account with the same bookmark. With another nick or password it may succeed. */
export function isRefused(username: string, room: string, bookmark: Bookmark): boolean {
    const rooms = refusals.get(username);
    const refused = rooms?.get(room)?.bookmark;
    return refused !== undefined && refused.nick === bookmark.nick && refused.password === bookmark.password;
}

/** Returns the rooms that an account does not join by their bookmarks. */
export function refusalsOf(username: string): Refusals {
    return refusals.get(username) ?? new LuaMap<string, Refusal>();
}

/** Removes the refusal of a room, or of all rooms. */
export function forgetRefusals(username: string, room?: string): void {
    const rooms = refusals.get(username);
    if (rooms !== undefined && room !== undefined) {
        rooms.delete(room);
    }
    if (room === undefined || (rooms !== undefined && next(rooms)[0] === undefined)) {
        refusals.delete(username);
    }
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
