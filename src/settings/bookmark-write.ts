// Writes bookmarks for clients that write none (`minimix_bookmark_write`). A join adds a bookmark with
// autojoin, a leave removes the autojoin, and a new nick is stored.
//
// Also writes the notification setting when the user asks for it, independent of the option.

import * as st from "util.stanza";
import { BOOKMARKS, PUBSUB } from "../namespaces";
import * as options from "../options";
import { mayFollowNick, type Setting } from "../state/bookmarks";
import { forEachInSlices } from "../slices";
import { monotonic } from "../state/clock";
import { findMembership, type Membership, occupantJid } from "../state/memberships";
import { canReadMarks, type Edit, editsOf, markedBy, pendingEdits, type PendingEdits, setMark } from "../state/marks";
import { onRecovery } from "../state/outage";
import { save } from "../state/store";
import { hasPep, itemsOf, pepService, readItem, roomOf } from "./bookmarks";
import { withSetting } from "./notify";

type PublishOptions = Record<string, unknown>;

/** XEP-0402 3.3, the same as in mod_bookmarks. */
const PUBLISH_OPTIONS: PublishOptions = {
    persist_items: true,
    max_items: "max",
    send_last_published_item: "never",
    access_model: "whitelist",
};

let writing = false;

/** Whether the module itself is changing PEP now. PEP fires its events before `publish` returns. */
export function isWriting(): boolean {
    return writing;
}

/** First and longest pause between attempts to write a bookmark, in seconds. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 900;

/** Edits a bookmark after an event. What storage does not take is tried again until a later edit replaces it. */
function editItem(username: string, room: string, edits: Edit[]): void {
    const left = writeEdits(username, room, edits);
    if (left.length === 0) {
        settle(username, room);
        return;
    }
    const account = pendingEdits.get(username) ?? { since: monotonic(), rooms: new LuaMap<string, PendingEdits>() };
    const due = monotonic() + FIRST_PAUSE;
    account.rooms.set(room, { username, room, edits: left, pause: FIRST_PAUSE, due });
    pendingEdits.set(username, account);
    retryLater();
}

/** Returns the edits that storage did not take. */
function writeEdits(username: string, room: string, edits: readonly Edit[]): Edit[] {
    const left: Edit[] = [];
    for (const edit of edits) {
        if (left.length > 0 || !writeEdit(username, room, edit)) {
            left.push(edit);
        }
    }
    return left;
}

/** Edits the current item of a room. Returns false if storage failed. */
function writeEdit(username: string, room: string, edit: Edit): boolean {
    if (!hasPep() || !options.bookmarkWrite) {
        return true;
    }
    const [isRead, item] = currentItem(username, room);
    if (!isRead) {
        return false;
    }
    if (edit === "left") {
        return rewrite(username, room, item, "false");
    }
    const membership = findMembership(occupantJid(username), room);
    if (membership === undefined) {
        return true;
    }
    return edit === "joined" ? noteJoin(membership, item) : noteNick(membership, item);
}

/** No edit of this bookmark is pending any more. */
function settle(username: string, room: string): void {
    const account = pendingEdits.get(username);
    account?.rooms.delete(room);
    if (account !== undefined && next(account.rooms)[0] === undefined) {
        pendingEdits.delete(username);
        const seconds = math.floor(monotonic() - account.since);
        module.log("info", "No bookmark of %s is pending any more after %d seconds", username, seconds);
    }
}

let isRetryDue = false;

function retryLater(): void {
    if (!isRetryDue) {
        isRetryDue = true;
        module.add_timer(FIRST_PAUSE, () => {
            isRetryDue = false;
            retryDue();
            return undefined;
        });
    }
}

function retryDue(): void {
    const due: PendingEdits[] = [];
    for (const pending of allPending()) {
        if (pending.due <= monotonic()) {
            due.push(pending);
        }
    }
    forEachInSlices(due, retry);
    if (next(pendingEdits)[0] !== undefined) {
        retryLater();
    }
}

function retry(pending: PendingEdits): void {
    const { username, room, edits } = pending;
    if (editsOf(username, room) !== pending) {
        return;
    }
    pending.pause = Math.min(2 * pending.pause, LONGEST_PAUSE);
    pending.due = monotonic() + pending.pause;
    pending.edits = writeEdits(username, room, edits);
    if (pending.edits.length < edits.length) {
        save(username);
    }
    if (pending.edits.length === 0) {
        settle(username, room);
    }
}

function allPending(): PendingEdits[] {
    const all: PendingEdits[] = [];
    for (const [, { rooms }] of pendingEdits) {
        for (const [, pending] of rooms) {
            all.push(pending);
        }
    }
    return all;
}

/** Tries all pending edits now: storage works again, or the module was reloaded. */
export function retryEdits(): void {
    for (const pending of allPending()) {
        pending.pause = FIRST_PAUSE;
        pending.due = 0;
    }
    retryDue();
}

onRecovery(retryEdits);

/** Drops the edits of a deleted account. */
export function forgetEdits(username: string): void {
    pendingEdits.delete(username);
}

/**
 * Adds a bookmark after a client's join. A client's bookmark is not changed. A removed bookmark is not restored:
 * another device may have joined.
 */
export function bookmarkJoined(membership: Membership): void {
    if (options.bookmarkWrite) {
        editItem(membership.username, membership.room, ["joined"]);
    }
}

function noteJoin(membership: Membership, item: Stanza | undefined): boolean {
    if (!canReadMarks(membership.username)) {
        return false;
    }
    const by = markedBy(membership.username, membership.room);
    let isDone = true;
    if (item === undefined && by !== "user") {
        isDone = create(membership);
    } else if (item !== undefined && by === "us") {
        isDone = rewrite(membership.username, membership.room, item, "true");
        membership.ownBookmark = true;
    }
    return isDone;
}

/** Turns autojoin off after a client's leave. */
export function bookmarkLeft(membership: Membership): void {
    if (options.bookmarkWrite && membership.ownBookmark) {
        editItem(membership.username, membership.room, ["left"]);
    } else {
        settle(membership.username, membership.room);
    }
}

/** Stores the new nick after a client's nick change. */
export function bookmarkRenamed(membership: Membership): void {
    const { username, room } = membership;
    if (options.bookmarkWrite && hasOtherNick(membership) && mayFollowNick(membership)) {
        const edits: Edit[] = [];
        for (const edit of editsOf(username, room)?.edits ?? []) {
            if (edit !== "renamed") {
                edits.push(edit);
            }
        }
        edits.push("renamed");
        editItem(username, room, edits);
    }
}

function hasOtherNick({ bookmark, nick }: Membership): boolean {
    return bookmark !== undefined && bookmark.nick !== nick;
}

function noteNick(membership: Membership, item: Stanza | undefined): boolean {
    const { username, room, nick } = membership;
    return !hasOtherNick(membership) || rewrite(username, room, item, undefined, nick);
}

/**
 * Writes the notification setting into the user's bookmark. Returns whether this worked, undefined without a bookmark.
 */
export function bookmarkNotify(membership: Membership, setting: Setting): boolean | undefined {
    const { username, room } = membership;
    const [isRead, item] = currentItem(username, room);
    if (!isRead) {
        return hasPep() ? false : undefined;
    }
    const conference = item?.get_child("conference", BOOKMARKS);
    if (item === undefined || conference === undefined || readItem(username, room, item) === undefined) {
        return undefined;
    }
    const before = conference.get_child("extensions");
    const edited = st.clone(conference, true);
    for (const tag of conference.tags) {
        if (tag !== before) {
            edited.add_direct_child(st.clone(tag));
        }
    }
    edited.add_direct_child(withSetting(before, setting));
    return publish(username, room, item.attr.id ?? room, edited) === "done";
}

/** Returns whether the read succeeded, and the current item. Writing an earlier copy would undo changes of clients. */
function currentItem(username: string, room: string): LuaMultiReturn<[ok: boolean, item: Stanza | undefined]> {
    const items = itemsOf(username, BOOKMARKS);
    for (const id of items ?? []) {
        if (roomOf(id) === room) {
            return $multi(true, items?.[id]);
        }
    }
    return $multi(items !== undefined, undefined);
}

/**
 * Changes autojoin or nick of a bookmark. Extensions and unknown elements are kept (XEP-0402 3.4). Returns false if
 * storage failed.
 */
function rewrite(
    username: string,
    room: string,
    item: Stanza | undefined,
    autojoin: string | undefined,
    nick?: string,
): boolean {
    const conference = item?.get_child("conference", BOOKMARKS);
    if (
        item === undefined ||
        conference === undefined ||
        (nick === undefined && conference.attr.autojoin === autojoin)
    ) {
        return true;
    }
    const edited = st.clone(conference, true);
    edited.attr.autojoin = autojoin ?? edited.attr.autojoin;
    if (nick !== undefined) {
        edited.tag("nick", { xmlns: BOOKMARKS }).text(nick).up();
    }
    const nickBefore = conference.get_child("nick");
    for (const tag of conference.tags) {
        if (nick === undefined || tag !== nickBefore) {
            edited.add_direct_child(st.clone(tag));
        }
    }
    return publish(username, room, item.attr.id ?? room, edited) !== "failed";
}

/** Creates a bookmark. Returns false if storage failed. */
function create(membership: Membership): boolean {
    const { username, room } = membership;
    const conference = st.stanza("conference", { xmlns: BOOKMARKS, autojoin: "true" });
    conference.tag("nick", { xmlns: BOOKMARKS }).text(membership.nick).up();
    if (membership.password !== undefined) {
        conference.tag("password", { xmlns: BOOKMARKS }).text(membership.password).up();
    }
    const outcome = publish(username, room, room, conference, PUBLISH_OPTIONS);
    membership.ownBookmark = outcome === "done" || undefined;
    if (outcome === "done") {
        setMark(username, room, "us");
    }
    return outcome !== "failed";
}

/** `refused`: others may read the node, for example. `failed`: storage failed. */
type Published = "done" | "refused" | "failed";

/**
 * Publishes a bookmark. Only a new item needs the access options: an older item shows readers of the node nothing new.
 */
function publish(username: string, room: string, id: string, conference: Stanza, config?: PublishOptions): Published {
    const service = pepService(username);
    if (service === undefined) {
        return "failed";
    }
    const item = st.stanza("item", { xmlns: PUBSUB, id }).add_child(conference);
    writing = true;
    const [done, problem] = pcall(publishItem, service, id, item, config);
    writing = false;
    if (!done || problem !== undefined) {
        const isRefused = done && problem !== "internal-server-error";
        const isKnown = !isRefused && pendingEdits.has(username);
        module.log(isKnown ? "debug" : "warn", "Could not bookmark %s for %s: %s", room, username, problem);
        return isRefused ? "refused" : "failed";
    }
    const membership = findMembership(occupantJid(username), room);
    if (membership !== undefined) {
        membership.bookmark = readItem(username, room, item);
    }
    return "done";
}

function publishItem(service: PepService, id: string, item: Stanza, config?: PublishOptions): string | undefined {
    const [done, problem] = service.publish(BOOKMARKS, true, id, item, config);
    return done === true ? undefined : tostring(problem);
}

/** Removes the mark: the user has made or changed the bookmark. */
export function noteMade(username: string, room: string): void {
    settle(username, room);
    if (options.bookmarkWrite && markedBy(username, room) !== undefined) {
        setMark(username, room, undefined);
    }
}

/** Marks that the user has removed the bookmark. */
export function noteRemoved(username: string, room: string): void {
    settle(username, room);
    if (options.bookmarkWrite) {
        setMark(username, room, "user");
    }
}

/** Whether the module has created the bookmark, and the user has not changed it. */
export function isOurs(username: string, room: string): boolean {
    return options.bookmarkWrite && markedBy(username, room) === "us";
}
