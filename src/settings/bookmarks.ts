// Reads the account's bookmarks (XEP-0402) from its PEP, through mod_pep's service object. Stanzas could come from any
// sender and are not trusted. mod_bookmarks keeps the bookmarks of XEP-0048 and XEP-0049 in the same node.

import * as jids from "util.jid";
import { hasModule } from "../host";
import { mayHaveRooms } from "../send/upstream";
import { BOOKMARKS, NICK } from "../namespaces";
import * as options from "../options";
import type { Bookmark, Bookmarks } from "../state/bookmarks";
import { openRecords, readRecord } from "../state/records";
import { readSetting } from "./notify";

/** mod_pep's list of nodes. Read-only. */
const nodes = openRecords<Record<string, unknown>>("pep", () => undefined);

/** Whether accounts of this host have bookmarks. */
export function hasPep(): boolean {
    return !options.anonymous && hasModule("pep");
}

/** Returns the account's PEP service. Undefined without mod_pep, on an anonymous host, or if storage failed. */
export function pepService(username: string): PepService | undefined {
    if (!hasPep()) {
        return undefined;
    }
    const pep = prosody.hosts.get(module.host)?.modules.get("pep") as PepModule;
    const [done, service] = tryCall(serviceOf, pep, username);
    if (!done) {
        module.log("debug", "Could not read the PEP nodes of %s: %s", username, service);
        return undefined;
    }
    // For an unknown account mod_pep returns a service without an owner. The account may exist while storage fails.
    return (service as PepService).config.pep_username === username ? (service as PepService) : undefined;
}

function serviceOf(this: void, pep: PepModule, username: string): PepService {
    return pep.get_pep_service(username);
}

/** Returns the items of a node, an empty list if the node does not exist. Undefined if they cannot be read. */
export function itemsOf(username: string, node: string): PepItems | undefined {
    const service = pepService(username);
    if (service === undefined) {
        return undefined;
    }
    const [done, found, items] = tryCall(getItems, service, node);
    if (done && found === true) {
        return items as PepItems;
    }
    if (done && items === "item-not-found" && !isNode(username, node)) {
        return [] as unknown as PepItems;
    }
    module.log("debug", "Could not read %s of %s: %s", node, username, done ? items : found);
    return undefined;
}

function getItems(this: void, service: PepService, node: string): LuaMultiReturn<[boolean, PepItems | string]> {
    return service.get_items(node, true);
}

/** Whether storage may have a node that mod_pep does not know. After a failed read mod_pep treats a node as empty. */
function isNode(username: string, node: string): boolean {
    const [done, known] = readRecord(nodes, username);
    return !done || (typeof known === "object" && known[node] !== undefined);
}

/** Reads all bookmarks of an account, or those of one room. Undefined if they cannot be read. */
export function bookmarksOf(username: string, only?: string): Bookmarks | undefined {
    const items = itemsOf(username, BOOKMARKS);
    if (items === undefined) {
        return undefined;
    }
    const bookmarks: Bookmarks = new LuaMap();
    for (const id of items) {
        const room = roomOf(id);
        const isMeant = room !== undefined && (only === undefined || room === only);
        const bookmark = isMeant ? readItem(username, room, items[id]) : undefined;
        if (room !== undefined && bookmark !== undefined && isToCount(bookmark, bookmarks.get(room), id === room)) {
            bookmarks.set(room, bookmark);
        }
    }
    return bookmarks;
}

/** Ids of items may differ in case and mean the same room. The account stays while one of them has autojoin. */
function isToCount(bookmark: Bookmark, other: Bookmark | undefined, isPrepped: boolean): boolean {
    return bookmark.autojoin === other?.autojoin ? isPrepped : other === undefined || bookmark.autojoin;
}

/** Reads the current bookmark of a room. The membership has the last known one. */
export function readBookmark(username: string, room: string): Bookmark | undefined {
    return bookmarksOf(username, room)?.get(room);
}

/** Returns the room of an item. The id is the room's JID (XEP-0402 2), in any normalisation. */
export function roomOf(id: string): string | undefined {
    const room = jids.prep(id);
    const isRoom =
        room !== undefined &&
        jids.node(room) !== undefined &&
        jids.resource(room) === undefined &&
        mayHaveRooms(jids.host(room));
    return isRoom ? room : undefined;
}

/** Largest number of children of an item's elements that are read, and longest name and password in bytes. */
const MAX_CHILDREN = 64;
const MAX_TEXT = 1023;

/** Parses an item. Undefined if it is not a bookmark, or was published by another entity. */
export function readItem(username: string, room: string, item: Stanza | undefined): Bookmark | undefined {
    const conference = item?.get_child("conference", BOOKMARKS);
    if (item === undefined || conference === undefined || !isBy(username, item.attr.publisher)) {
        return undefined;
    }
    if (conference.tags.length > MAX_CHILDREN) {
        module.log("debug", "Ignoring a bookmark of %s for %s: too many elements", username, room);
        return undefined;
    }
    const autojoin = conference.attr.autojoin;
    const extensions = conference.get_child("extensions");
    return {
        autojoin: autojoin === "true" || autojoin === "1",
        nick: preppedNick(room, conference.get_child_text("nick")),
        password: ofFairLength(conference.get_child_text("password")),
        name: ofFairLength(conference.attr.name),
        notify: extensions === undefined ? undefined : readSetting(extensions),
    };
}

/** Returns a text, or undefined if it is too long to be kept in memory and in each record. */
function ofFairLength(text: string | undefined): string | undefined {
    return text === undefined || string.len(text) > MAX_TEXT ? undefined : text;
}

/** Whether the account itself published an item, or this server for it. */
export function isBy(username: string, publisher: string | true | undefined): boolean {
    return publisher === undefined || publisher === true || jids.bare(publisher) === jids.join(username, module.host);
}

/**
 * Returns the nick for a bookmark without one (XEP-0402 2): the user's nickname (XEP-0172), or else the name of the
 * account.
 */
export function defaultNick(username: string, room: string): string {
    const items = itemsOf(username, NICK);
    const last = items?.[0] === undefined ? undefined : items[items[0]];
    return preppedNick(room, last?.get_child_text("nick", NICK)) ?? username;
}

function preppedNick(room: string, nick: string | undefined): string | undefined {
    const address = nick === undefined ? undefined : jids.prep(`${room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}
