// Bookmarks for clients that make none themselves (`minimix_bookmark_write`): a room that is joined gets one with
// autojoin, a room that is left loses its autojoin, a new nick is noted. And what a user has us write, whatever the option.

import * as st from "util.stanza";
import { BOOKMARKS, PUBSUB } from "../namespaces";
import * as options from "../options";
import { mayFollowNick, type Setting } from "../state/bookmarks";
import type { Membership } from "../state/memberships";
import { itemsOf, pepService, readItem, roomOf } from "./bookmarks";
import { withSetting } from "./notify";

type PublishOptions = Record<string, unknown>;

/** XEP-0402 3.3, and the same in mod_bookmarks. */
const PUBLISH_OPTIONS: PublishOptions = {
    persist_items: true,
    max_items: "max",
    send_last_published_item: "never",
    access_model: "whitelist",
};

/** Who had the last word on a room's bookmark, if it was us who made it or the user who removed it; in seconds, when. */
interface Mark {
    readonly by: "us" | "user";
    readonly when: number;
}

type Marks = Record<string, Mark | undefined>;

const MAX_MARKS = 256;

const marksStore = module.open_store<Marks>("minimix_bookmarks", "keyval");

let writing = false;

/** Whether what happens in PEP at this moment is our own doing: its events come before `publish` returns. */
export function isWriting(): boolean {
    return writing;
}

/**
 * The account was let in at a client's request. A bookmark that a client has written is left as it is, and one that was
 * removed is not brought back: it may be another device that goes into the room again.
 */
export function bookmarkJoined(membership: Membership): void {
    if (!options.bookmarkWrite) {
        return;
    }
    const item = currentItem(membership);
    const by = markedBy(membership.username, membership.room);
    if (item === undefined && by !== "user") {
        membership.ownBookmark = create(membership) || undefined;
    } else if (item !== undefined && by === "us") {
        rewrite(membership, item, "true");
        membership.ownBookmark = true;
    }
}

/** The account leaves at a client's request. */
export function bookmarkLeft(membership: Membership): void {
    if (options.bookmarkWrite && membership.ownBookmark) {
        rewrite(membership, currentItem(membership), "false");
    }
}

/** The account has another nick at a client's request. */
export function bookmarkRenamed(membership: Membership): void {
    const bookmark = membership.bookmark;
    const isNews = bookmark !== undefined && bookmark.nick !== membership.nick;
    if (options.bookmarkWrite && isNews && mayFollowNick(membership)) {
        rewrite(membership, currentItem(membership), undefined, membership.nick);
    }
}

/** Notes what the user wants to be woken for in a bookmark of theirs; whether it could be written, undefined without one. */
export function bookmarkNotify(membership: Membership, setting: Setting): boolean | undefined {
    const { username, room } = membership;
    const item = currentItem(membership);
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
    return publish(membership, item.attr.id ?? room, edited);
}

/** The item as it stands: what is written is never what was kept from before. */
function currentItem(membership: Membership): Stanza | undefined {
    const service = pepService(membership.username);
    const items = service === undefined ? undefined : itemsOf(service, BOOKMARKS);
    if (items === undefined) {
        return undefined;
    }
    for (const id of items) {
        if (roomOf(id) === membership.room) {
            return items[id];
        }
    }
    return undefined;
}

/** Changes autojoin or the nick of a bookmark, and nothing else: extensions and what is unknown stay (XEP-0402 3.4). */
function rewrite(membership: Membership, item: Stanza | undefined, autojoin: string | undefined, nick?: string): void {
    const conference = item?.get_child("conference", BOOKMARKS);
    if (
        item === undefined ||
        conference === undefined ||
        (nick === undefined && conference.attr.autojoin === autojoin)
    ) {
        return;
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
    publish(membership, item.attr.id ?? membership.room, edited);
}

/** Whether it could be made; not, for instance, where the node is open to others. */
function create(membership: Membership): boolean {
    const conference = st.stanza("conference", { xmlns: BOOKMARKS, autojoin: "true" });
    conference.tag("nick", { xmlns: BOOKMARKS }).text(membership.nick).up();
    if (membership.password !== undefined) {
        conference.tag("password", { xmlns: BOOKMARKS }).text(membership.password).up();
    }
    if (!publish(membership, membership.room, conference, PUBLISH_OPTIONS)) {
        return false;
    }
    setMark(membership.username, membership.room, "us");
    return true;
}

/** Options are for a new item: an older one tells no more to whoever may read the node than it did before. */
function publish(membership: Membership, id: string, conference: Stanza, config?: PublishOptions): boolean {
    const service = pepService(membership.username);
    if (service === undefined) {
        return false;
    }
    const item = st.stanza("item", { xmlns: PUBSUB, id }).add_child(conference);
    writing = true;
    const [done, problem] = pcall(publishItem, service, id, item, config);
    writing = false;
    if (!done || problem !== undefined) {
        module.log("warn", "Could not bookmark %s for %s: %s", membership.room, membership.username, problem);
        return false;
    }
    membership.bookmark = readItem(membership.username, membership.room, item);
    return true;
}

function publishItem(service: PepService, id: string, item: Stanza, config?: PublishOptions): string | undefined {
    const [done, problem] = service.publish(BOOKMARKS, true, id, item, config);
    return done === true ? undefined : tostring(problem);
}

/** The user has made or changed a bookmark. */
export function noteMade(username: string, room: string): void {
    if (options.bookmarkWrite && markedBy(username, room) !== undefined) {
        setMark(username, room, undefined);
    }
}

/** The user has removed a bookmark. */
export function noteRemoved(username: string, room: string): void {
    if (options.bookmarkWrite) {
        setMark(username, room, "user");
    }
}

/** Whether we made a room's bookmark, and nobody has changed it since. */
export function isOurs(username: string, room: string): boolean {
    return options.bookmarkWrite && markedBy(username, room) === "us";
}

function markedBy(username: string, room: string): Mark["by"] | undefined {
    const mark = marksOf(username)[room];
    return mark?.by;
}

function marksOf(username: string): Marks {
    return marksStore.get(username)[0] ?? {};
}

function setMark(username: string, room: string, by: Mark["by"] | undefined): void {
    const marks = marksOf(username);
    marks[room] = by === undefined ? undefined : { by, when: os.time() };
    forgetOldest(marks);
    marksStore.set(username, marks);
}

function forgetOldest(marks: Marks): void {
    let count = 0;
    let oldest: string | undefined;
    let since = math.huge;
    for (const [room, mark] of pairs(marks)) {
        count = count + 1;
        if (mark.when < since) {
            oldest = room;
            since = mark.when;
        }
    }
    if (oldest !== undefined && count > MAX_MARKS) {
        marks[oldest] = undefined;
    }
}
