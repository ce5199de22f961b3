// The account's bookmarks (XEP-0402): a node in its PEP, read and written through mod_pep's service object, never taken
// from a stanza, which anybody may have sent. mod_bookmarks keeps those of XEP-0048 and XEP-0049 in the same node.

import * as jids from "util.jid";
import { mayHaveRooms } from "../send/upstream";
import { BOOKMARKS, NICK } from "../namespaces";
import * as options from "../options";
import type { Bookmark, Bookmarks } from "../state/bookmarks";
import { readSetting } from "./notify";

/** The account's PEP service; undefined without mod_pep, or where nothing of an account is kept. */
export function pepService(username: string): PepService | undefined {
    if (options.anonymous) {
        return undefined;
    }
    const host = prosody.hosts.get(module.host);
    const pep = host?.modules.get("pep");
    return pep === undefined ? undefined : (pep as PepModule).get_pep_service(username);
}

/** The items of a node, none where there is no such node; undefined if they cannot be read. */
export function itemsOf(service: PepService, node: string): PepItems | undefined {
    const [done, items] = pcall(getItems, service, node);
    if (!done) {
        module.log("error", "Could not read the bookmarks of %s: %s", service.config.pep_username, items);
        return undefined;
    }
    return items;
}

function getItems(service: PepService, node: string): PepItems {
    const [found, items] = service.get_items(node, true);
    return found ? items : ([] as unknown as PepItems);
}

/** All bookmarks of an account; undefined if they cannot be read. */
export function bookmarksOf(username: string): Bookmarks | undefined {
    const service = pepService(username);
    const items = service === undefined ? undefined : itemsOf(service, BOOKMARKS);
    if (items === undefined) {
        return undefined;
    }
    const bookmarks: Bookmarks = new LuaMap();
    for (const id of items) {
        const room = roomOf(id);
        const bookmark = room === undefined ? undefined : readItem(username, room, items[id]);
        if (room !== undefined && bookmark !== undefined && isToCount(bookmark, bookmarks.get(room), id === room)) {
            bookmarks.set(room, bookmark);
        }
    }
    return bookmarks;
}

/** Ids may differ in case and be of one room. The account stays in it while one of the items has autojoin. */
function isToCount(bookmark: Bookmark, other: Bookmark | undefined, isPrepped: boolean): boolean {
    return bookmark.autojoin === other?.autojoin ? isPrepped : other === undefined || bookmark.autojoin;
}

/** The account's bookmark of a room as it stands now; as it was last seen, it is in the membership. */
export function readBookmark(username: string, room: string): Bookmark | undefined {
    const bookmarks = bookmarksOf(username);
    return bookmarks?.get(room);
}

/** The room that an item is about: its id is the room's JID (XEP-0402 2), written as it may be. */
export function roomOf(id: string): string | undefined {
    const room = jids.prep(id);
    const isRoom =
        room !== undefined &&
        jids.node(room) !== undefined &&
        jids.resource(room) === undefined &&
        mayHaveRooms(jids.host(room));
    return isRoom ? room : undefined;
}

/** What an item says; undefined if it is no bookmark, or not the account's own. */
export function readItem(username: string, room: string, item: Stanza | undefined): Bookmark | undefined {
    const conference = item?.get_child("conference", BOOKMARKS);
    if (item === undefined || conference === undefined || !isBy(username, item.attr.publisher)) {
        return undefined;
    }
    const autojoin = conference.attr.autojoin;
    const extensions = conference.get_child("extensions");
    return {
        autojoin: autojoin === "true" || autojoin === "1",
        nick: preppedNick(room, conference.get_child_text("nick")),
        password: conference.get_child_text("password"),
        name: conference.attr.name,
        notify: extensions === undefined ? undefined : readSetting(extensions),
    };
}

/** Whether something was published by the account itself, or by this server on its behalf. */
export function isBy(username: string, publisher: string | true | undefined): boolean {
    return publisher === undefined || publisher === true || jids.bare(publisher) === jids.join(username, module.host);
}

/** XEP-0402 2: without a nick in the bookmark it is the user's nickname (XEP-0172); without that, the name part. */
export function defaultNick(username: string, room: string): string {
    const service = pepService(username);
    const items = service === undefined ? undefined : itemsOf(service, NICK);
    const last = items?.[0] === undefined ? undefined : items[items[0]];
    return preppedNick(room, last?.get_child_text("nick", NICK)) ?? username;
}

function preppedNick(room: string, nick: string | undefined): string | undefined {
    const address = nick === undefined ? undefined : jids.prep(`${room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}
