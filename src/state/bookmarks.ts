// What an account has bookmarked of a room (XEP-0402), and the rooms that did not want it, bookmarked or not.

import { monotonic } from "./clock";
import * as options from "../options";
import type { Membership } from "./memberships";

/** When an account wants a push notification for a message (XEP-0492). */
export type Setting = "always" | "on-mention" | "never";

/** A bookmark as it stands in the account's PEP node. */
export interface Bookmark {
    readonly autojoin: boolean;
    readonly nick: string | undefined;
    readonly password: string | undefined;
    readonly name: string | undefined;
    /** What it asks to be notified of (XEP-0492). */
    readonly notify: Setting | undefined;
}

/** Bookmarks by room. */
export type Bookmarks = LuaMap<string, Bookmark>;

/** Whether the account is to stay in the room when no session is there. What we bookmarked says nothing of the kind. */
export function isAutojoin(membership: Membership): boolean {
    const bookmark = membership.bookmark;
    return bookmark !== undefined && bookmark.autojoin && !membership.ownBookmark;
}

/** Whether the server is to join the room by itself. */
export function isToJoin(membership: Membership): boolean {
    return options.autojoin && membership.bookmark?.autojoin === true;
}

/** Whether the account is to be in the room though no session asks for it: brought back when lost. */
export function isWanted(membership: Membership): boolean {
    return membership.established === true || isToJoin(membership);
}

/** Whether two bookmarks say the same, or neither is there. */
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

/** A bookmarked room that refused the account or threw it out, or that this server forbids it to join. */
export interface Refusal {
    readonly bookmark: Bookmark;
    /** The condition of the error with which this server forbids it. */
    readonly forbidden: string | undefined;
}

type Refusals = LuaMap<string, Refusal>;

/** By account and room. */
const refusals = new LuaMap<string, Refusals>();

/** The room is not joined again for this bookmark. */
export function noteRefusal(membership: Membership, forbidden?: string): void {
    const bookmark = membership.bookmark;
    if (!bookmark?.autojoin) {
        return;
    }
    const rooms: Refusals = refusals.get(membership.username) ?? new LuaMap();
    rooms.set(membership.room, { bookmark, forbidden });
    refusals.set(membership.username, rooms);
}

/** Whether the room did not want the account by this very bookmark; under another nick or with another password it may. */
export function isRefused(username: string, room: string, bookmark: Bookmark): boolean {
    const rooms = refusals.get(username);
    const refused = rooms?.get(room)?.bookmark;
    return refused !== undefined && refused.nick === bookmark.nick && refused.password === bookmark.password;
}

/** The rooms that an account is not joined to for their bookmarks. */
export function refusalsOf(username: string): Refusals {
    return refusals.get(username) ?? new LuaMap<string, Refusal>();
}

/** Forgets the refusal of a room, or of all. */
export function forgetRefusals(username: string, room?: string): void {
    const rooms = refusals.get(username);
    if (rooms !== undefined && room !== undefined) {
        rooms.delete(room);
    }
    if (room === undefined || (rooms !== undefined && next(rooms)[0] === undefined)) {
        refusals.delete(username);
    }
}

/** Changes of nick that a bookmark may bring about, or a bookmark be changed by, one after the other; seconds per further one. */
const NICK_CHANGES = 5;
const NICK_PAUSE = 60;

/**
 * Whether nick and bookmark may follow each other once more. Clients that disagree over the nick would otherwise drive
 * the account from one to the other without end.
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
