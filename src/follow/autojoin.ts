// Follows the account's bookmarks (XEP-0402). Rooms with autojoin are joined without a client, and a changed bookmark
// changes the membership.

import { takeBack } from "../occupancy/depart";
import { monotonic } from "../state/clock";
import { requestNick } from "../occupancy/nick";
import { BOOKMARKS } from "../namespaces";
import { isUnheard } from "../occupancy/operations";
import { leaveIfUnused } from "../occupancy/leave";
import * as options from "../options";
import { type Bookmark, forgetRefusals, isRefused, isSameBookmark, isToJoin, mayFollowNick } from "../state/bookmarks";
import { membersOf } from "../state/keys";
import { noteOver } from "../state/limits";
import {
    createMembership,
    findAccount,
    findMembership,
    hasSession,
    isCurrent,
    type Membership,
    membershipsOf,
    occupantJid,
} from "../state/memberships";
import { Phase } from "../state/place";
import { isInactive } from "./accounts";
import { isBlocked, readBlocklist } from "../settings/blocklist";
import { isOurs, isWriting, noteMade, noteRemoved } from "../settings/bookmark-write";
import { bookmarksOf, defaultNick, hasPep, isBy, readItem, roomOf } from "../settings/bookmarks";
import { addPaced, newPacedQueue } from "../occupancy/pace";
import { isKnown, save } from "../state/store";
import { forEachInSlices } from "../slices";
import { comeSoon } from "../occupancy/watch";

/** `item-added/pep-service`: mod_pep creates an account's service at its first use. */
export function onService(event: PepItem): undefined {
    const events = event.item.service.events;
    module.hook_object_event(events, `item-published/${BOOKMARKS}`, onPublished, -1);
    module.hook_object_event(events, "item-retracted", onRetracted, -1);
    module.hook_object_event(events, "node-purged", onEmptied, -1);
    module.hook_object_event(events, "node-deleted", onEmptied, -1);
}

/** `item-removed/pep-service`: mod_pep drops the service, and creates another when it is needed. */
export function onServiceGone(event: PepItem): undefined {
    const events = event.item.service.events;
    module.unhook_object_event(events, `item-published/${BOOKMARKS}`, onPublished);
    module.unhook_object_event(events, "item-retracted", onRetracted);
    module.unhook_object_event(events, "node-purged", onEmptied);
    module.unhook_object_event(events, "node-deleted", onEmptied);
}

function onPublished(event: PepItemEvent): undefined {
    const username = event.service.config.pep_username;
    const room = roomOf(event.id);
    if (room !== undefined && isUsersDoing(event)) {
        noteMade(username, room);
        bookmarkChanged(username, room, bookmarkOf(username, room, readItem(username, room, event.item)));
    }
}

function onRetracted(event: PepItemEvent): undefined {
    const username = event.service.config.pep_username;
    const room = roomOf(event.id);
    if (room !== undefined && isUsersDoing(event)) {
        removed(username, room);
    }
}

/** Follows the removal of a bookmark, unless there is another of the room. */
function removed(username: string, room: string): void {
    const bookmark = bookmarkOf(username, room, undefined);
    if (bookmark === undefined) {
        noteRemoved(username, room);
    }
    bookmarkChanged(username, room, bookmark);
}

/** Combines all items of a room. `changed` is used if they cannot be read. */
function bookmarkOf(username: string, room: string, changed: Bookmark | undefined): Bookmark | undefined {
    const bookmarks = bookmarksOf(username, room);
    return bookmarks === undefined ? changed : bookmarks.get(room);
}

/** `node-purged` and `node-deleted`. */
function onEmptied(event: PepEvent): undefined {
    const username = event.service.config.pep_username;
    if (isUsersDoing(event)) {
        if (forgetRefusals(username)) {
            save(username);
        }
        forEachInSlices(membershipsOf(username), (membership) => {
            if (membership.bookmark !== undefined && isCurrent(membership)) {
                removed(username, membership.room);
            }
        });
    }
}

/** Whether the user changed bookmarks, or another module of this server for the user. */
function isUsersDoing(event: PepEvent): boolean {
    return event.node === BOOKMARKS && !isWriting() && isBy(event.service.config.pep_username, event.actor);
}

function bookmarkChanged(username: string, room: string, bookmark: Bookmark | undefined): void {
    const membership = findMembership(occupantJid(username), room);
    if (!isKnown(username)) {
        early.add(username);
        return;
    }
    if (membership === undefined && !readBlocklist(username)[0]) {
        followLater(username);
        return;
    }
    if (membership === undefined) {
        const fresh = membershipFor(username, room, bookmark, membershipsOf(username).length);
        if (fresh !== undefined) {
            save(username);
            comeSoon([fresh]);
        }
        return;
    }
    // A published bookmark belongs to its publisher.
    const wasOwn = membership.ownBookmark;
    membership.ownBookmark = undefined;
    if (update(membership, bookmark) || wasOwn) {
        save(username);
    }
    stay(membership);
}

/** Cancels an unconfirmed leave, because the bookmark asks to stay. */
function stay(membership: Membership): void {
    const isTakenBack = membership.place.phase === Phase.Leaving && isToJoin(membership);
    if (isTakenBack && !isUnheard(membership)) {
        takeBack(membership);
    }
}

/**
 * Returns a membership to be joined. Undefined if the bookmark does not ask for it, or a join would fail again. `count`
 * is the number of rooms that the account is in.
 */
function membershipFor(
    username: string,
    room: string,
    bookmark: Bookmark | undefined,
    count: number,
): Membership | undefined {
    if (!bookmark?.autojoin) {
        if (forgetRefusals(username, room)) {
            save(username);
        }
        return undefined;
    }
    const nick = bookmark.nick ?? defaultNick(username, room);
    if (!options.autojoin || isRefused(username, room, bookmark) || isBlocked(username, room, nick)) {
        return undefined;
    }
    if (count >= options.maxRooms) {
        noteOver("minimix_max_rooms", username, room);
        return undefined;
    }
    const membership = createMembership(username, room, nick);
    membership.password = bookmark.password;
    membership.bookmark = bookmark;
    membership.ownBookmark = isOurs(username, room) || undefined;
    membership.detachedAt = monotonic();
    return membership;
}

/** Takes over a bookmark. Returns whether it has changed. */
function update(membership: Membership, bookmark: Bookmark | undefined): boolean {
    const before = membership.bookmark;
    if (isSameBookmark(before, bookmark)) {
        return false;
    }
    membership.bookmark = bookmark;
    if (bookmark?.autojoin) {
        switchedOn(membership, before, bookmark);
    } else if (bookmark === undefined || before?.autojoin) {
        switchedOff(membership);
    }
    return true;
}

function switchedOn(membership: Membership, before: Bookmark | undefined, bookmark: Bookmark): void {
    membership.ending = undefined;
    // Only changed values apply. Otherwise the membership has the newer ones.
    if (before !== undefined && bookmark.password !== undefined && bookmark.password !== before.password) {
        membership.password = bookmark.password;
    }
    if (before !== undefined && bookmark.nick !== undefined && bookmark.nick !== before.nick) {
        followNick(membership, bookmark.nick);
    }
}

function followNick(membership: Membership, nick: string): void {
    if (nick === membership.nick || !mayFollowNick(membership)) {
        return;
    }
    if (membership.place.phase === Phase.Joined || membership.place.phase === Phase.Entering) {
        requestNick(membership, nick);
        return;
    }
    membership.wantedNick = nick;
    if (membership.place.phase === Phase.Lost) {
        membership.nick = nick;
    }
}

function switchedOff(membership: Membership): void {
    membership.ownBookmark = undefined;
    if (membership.place.phase !== Phase.Leaving) {
        membership.ending = true;
        leaveIfUnused(membership);
    }
}

/** Seconds for clients to join first, because a room sends history to the session that joins. */
const GRACE = 5;

/** `resource-bind`, after mod_bookmarks (0) has converted bookmarks of older forms. */
export function onLogin(event: { readonly session: ClientSession }): undefined {
    const fresh = follow(event.session.username);
    if (fresh.length > 0) {
        module.add_timer(GRACE, () => {
            comeSoon(fresh);
            return undefined;
        });
    }
}

const queue = newPacedQueue((username: string) => {
    comeSoon(follow(username));
});

/**
 * Follows the bookmarks of accounts that are in rooms. Other accounts follow when they log in: many have no bookmarks,
 * or have not been used for years. Accounts that logged in before storage was read follow here.
 */
export function followAll(usernames: string[]): void {
    const wanted: string[] = [];
    for (const username of usernames) {
        const account = findAccount(username);
        if (account === undefined ? hasSession(username) : !isInactive(account)) {
            wanted.push(username);
        }
    }
    for (const username of early) {
        early.delete(username);
        wanted.push(username);
    }
    addPaced(queue, wanted);
}

/** Seconds until bookmarks and block lists that could not be read are read again. */
const UNREAD_PAUSE = 20;

/** Accounts with bookmarks or a block list that could not be read. */
const unread = new LuaSet<string>();

function followLater(username: string): void {
    if (!hasPep() || unread.has(username)) {
        return;
    }
    if (next(unread)[0] === undefined) {
        module.add_timer(UNREAD_PAUSE, () => {
            const usernames = membersOf(unread);
            for (const other of usernames) {
                unread.delete(other);
            }
            addPaced(queue, usernames);
            return undefined;
        });
    }
    unread.add(username);
}

/** Accounts that logged in before their rooms were known. */
const early = new LuaSet<string>();

/**
 * Applies an account's bookmarks to its memberships, because they may have changed unnoticed. Returns the memberships
 * to be joined.
 */
function follow(username: string): Membership[] {
    if (!isKnown(username)) {
        early.add(username);
        return [];
    }
    const bookmarks = readBlocklist(username)[0] ? bookmarksOf(username) : undefined;
    if (bookmarks === undefined) {
        followLater(username);
        return [];
    }
    let changed = false;
    for (const membership of membershipsOf(username)) {
        changed = update(membership, bookmarks.get(membership.room)) || changed;
        stay(membership);
    }
    const fresh: Membership[] = [];
    const before = membershipsOf(username).length;
    for (const [room, bookmark] of bookmarks) {
        if (findMembership(occupantJid(username), room) === undefined) {
            const membership = membershipFor(username, room, bookmark, before + fresh.length);
            if (membership !== undefined) {
                fresh.push(membership);
            }
        }
    }
    if (changed || fresh.length > 0) {
        save(username);
    }
    return fresh;
}
