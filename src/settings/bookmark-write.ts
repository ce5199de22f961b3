// Writes bookmarks for clients that write none (`minimix_bookmark_write`). A join adds a bookmark with
// autojoin, a leave removes the autojoin, and a new nick is stored.
//
// Also writes the notification setting when the user asks for it, independent of the option.

import * as st from "util.stanza";
import { BOOKMARKS, PUBSUB } from "../namespaces";
import * as options from "../options";
import { mayFollowNick, type Setting } from "../state/bookmarks";
import { forEachInSlices } from "../slices";
import { isCurrent, type Membership } from "../state/memberships";
import { canReadMarks, markedBy, setMark } from "../state/marks";
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

/** An edit of a bookmark. Returns false if storage failed. */
type Edit = (this: void, item: Stanza | undefined) => boolean;

/** Seconds until edits that failed are tried again. */
const PAUSE = 20;

/** Edits to try again, by account and room. A later edit of the same bookmark replaces an earlier one. */
const failed = new LuaMap<string, LuaMap<string, () => void>>();

function drop(username: string, room: string): void {
    const edits = failed.get(username);
    edits?.delete(room);
    if (edits !== undefined && next(edits)[0] === undefined) {
        failed.delete(username);
    }
}

/** Edits the current item of a room. Returns false if storage failed, and the edit is tried again. */
function editItem(membership: Membership, edit: Edit): boolean {
    const { username, room } = membership;
    drop(username, room);
    const [isRead, item] = currentItem(membership);
    if (!hasPep() || (isRead && edit(item))) {
        return true;
    }
    retryLater();
    const edits = failed.get(username) ?? new LuaMap<string, () => void>();
    failed.set(username, edits);
    edits.set(room, () => {
        retrying = true;
        if (editItem(membership, edit)) {
            save(username);
        }
        retrying = false;
    });
    return false;
}

/** Whether an edit is being tried again. Its first failure has been logged. */
let retrying = false;
let isRetryDue = false;

function retryLater(): void {
    if (!isRetryDue) {
        isRetryDue = true;
        module.add_timer(PAUSE, () => {
            isRetryDue = false;
            retryAll();
            return undefined;
        });
    }
}

function retryAll(): void {
    const bookmarks: { username: string; room: string }[] = [];
    for (const [username, edits] of failed) {
        for (const [room] of edits) {
            bookmarks.push({ username, room });
        }
    }
    forEachInSlices(bookmarks, ({ username, room }) => {
        failed.get(username)?.get(room)?.();
    });
}

/** Drops the edits of a deleted account. */
export function forgetEdits(username: string): void {
    failed.delete(username);
}

/**
 * Adds a bookmark after a client's join. A client's bookmark is not changed. A removed bookmark is not restored:
 * another device may have joined.
 */
export function bookmarkJoined(membership: Membership): void {
    if (options.bookmarkWrite) {
        editItem(membership, (item) => !isCurrent(membership) || noteJoin(membership, item));
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
        isDone = rewrite(membership, item, "true");
        membership.ownBookmark = true;
    }
    return isDone;
}

/** Turns autojoin off after a client's leave. */
export function bookmarkLeft(membership: Membership): void {
    drop(membership.username, membership.room);
    if (options.bookmarkWrite && membership.ownBookmark) {
        editItem(membership, (item) => rewrite(membership, item, "false"));
    }
}

/** Stores the new nick after a client's nick change. */
export function bookmarkRenamed(membership: Membership): void {
    const bookmark = membership.bookmark;
    const isNews = bookmark !== undefined && bookmark.nick !== membership.nick;
    if (options.bookmarkWrite && isNews && mayFollowNick(membership)) {
        rewrite(membership, currentItem(membership)[1], undefined, membership.nick);
    }
}

/**
 * Writes the notification setting into the user's bookmark. Returns whether this worked, undefined without a bookmark.
 */
export function bookmarkNotify(membership: Membership, setting: Setting): boolean | undefined {
    const { username, room } = membership;
    const [isRead, item] = currentItem(membership);
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
    return publish(membership, item.attr.id ?? room, edited) === "done";
}

/** Returns whether the read succeeded, and the current item. Writing an earlier copy would undo changes of clients. */
function currentItem(membership: Membership): LuaMultiReturn<[ok: boolean, item: Stanza | undefined]> {
    const items = itemsOf(membership.username, BOOKMARKS);
    for (const id of items ?? []) {
        if (roomOf(id) === membership.room) {
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
    membership: Membership,
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
    return publish(membership, item.attr.id ?? membership.room, edited) !== "failed";
}

/** Creates a bookmark. Returns false if storage failed. */
function create(membership: Membership): boolean {
    const conference = st.stanza("conference", { xmlns: BOOKMARKS, autojoin: "true" });
    conference.tag("nick", { xmlns: BOOKMARKS }).text(membership.nick).up();
    if (membership.password !== undefined) {
        conference.tag("password", { xmlns: BOOKMARKS }).text(membership.password).up();
    }
    const outcome = publish(membership, membership.room, conference, PUBLISH_OPTIONS);
    membership.ownBookmark = outcome === "done" || undefined;
    if (outcome === "done") {
        setMark(membership.username, membership.room, "us");
    }
    return outcome !== "failed";
}

/** `refused`: others may read the node, for example. `failed`: storage failed. */
type Published = "done" | "refused" | "failed";

/**
 * Publishes a bookmark. Only a new item needs the access options: an older item shows readers of the node nothing new.
 */
function publish(membership: Membership, id: string, conference: Stanza, config?: PublishOptions): Published {
    const service = pepService(membership.username);
    if (service === undefined) {
        return "failed";
    }
    const item = st.stanza("item", { xmlns: PUBSUB, id }).add_child(conference);
    writing = true;
    const [done, problem] = pcall(publishItem, service, id, item, config);
    writing = false;
    if (!done || problem !== undefined) {
        const isByStorage = problem === "internal-server-error";
        module.log(
            isByStorage && retrying ? "debug" : "warn",
            "Could not bookmark %s for %s: %s",
            membership.room,
            membership.username,
            problem,
        );
        return done && !isByStorage ? "refused" : "failed";
    }
    membership.bookmark = readItem(membership.username, membership.room, item);
    return "done";
}

function publishItem(service: PepService, id: string, item: Stanza, config?: PublishOptions): string | undefined {
    const [done, problem] = service.publish(BOOKMARKS, true, id, item, config);
    return done === true ? undefined : tostring(problem);
}

/** Removes the mark: the user has made or changed the bookmark. */
export function noteMade(username: string, room: string): void {
    drop(username, room);
    if (options.bookmarkWrite && markedBy(username, room) !== undefined) {
        setMark(username, room, undefined);
    }
}

/** Marks that the user has removed the bookmark. */
export function noteRemoved(username: string, room: string): void {
    drop(username, room);
    if (options.bookmarkWrite) {
        setMark(username, room, "user");
    }
}

/** Whether the module has created the bookmark, and the user has not changed it. */
export function isOurs(username: string, room: string): boolean {
    return options.bookmarkWrite && markedBy(username, room) === "us";
}
