// Bookmarks of a client: XEP-0402, and XEP-0048 in private XML (XEP-0049).
import { type Client, type Element, xml } from "./client.ts";

export const nsBookmarks = "urn:xmpp:bookmarks:1";
const nsPubsub = "http://jabber.org/protocol/pubsub";
const nsLegacy = "storage:bookmarks";

export interface Bookmark {
    autojoin?: boolean;
    nick?: string;
    password?: string;
    name?: string;
    extensions?: Element[];
}

export async function publishBookmark(client: Client, room: string, bookmark: Bookmark): Promise<void> {
    const { extensions } = bookmark;
    const conference = xml(
        "conference",
        { xmlns: nsBookmarks, ...attributesOf(bookmark) },
        ...childrenOf(bookmark),
        extensions && xml("extensions", {}, ...extensions),
    );
    const publish = xml("publish", { node: nsBookmarks }, xml("item", { id: room }, conference));
    await client.iq("set", undefined, xml("pubsub", { xmlns: nsPubsub }, publish, publishOptions()));
}

export async function retractBookmark(client: Client, room: string): Promise<void> {
    const retract = xml("retract", { node: nsBookmarks, notify: "true" }, xml("item", { id: room }));
    await client.iq("set", undefined, xml("pubsub", { xmlns: nsPubsub }, retract));
}

/** Purges the node, or deletes it. */
export async function clearBookmarks(client: Client, command: "purge" | "delete"): Promise<void> {
    const payload = xml("pubsub", { xmlns: `${nsPubsub}#owner` }, xml(command, { node: nsBookmarks }));
    await client.iq("set", undefined, payload);
}

/** Returns the account's bookmarks by room. */
export async function readBookmarks(client: Client): Promise<Map<string, Element>> {
    const items = xml("items", { node: nsBookmarks });
    const answer = await client.iq("get", undefined, xml("pubsub", { xmlns: nsPubsub }, items));
    const found = answer?.getChild("items")?.getChildren("item") ?? [];
    return new Map(found.flatMap((item) => item.getChildElements().map((child) => [String(item.attrs.id), child])));
}

/** Subscribes the client to changes, as `urn:xmpp:bookmarks:1+notify` does. */
export async function followBookmarks(client: Client): Promise<void> {
    const subscribe = xml("subscribe", { node: nsBookmarks, jid: client.jid });
    await client.iq("set", undefined, xml("pubsub", { xmlns: nsPubsub }, subscribe));
}

/** Writes all bookmarks in one item, as older clients do. */
export async function storeLegacyBookmarks(client: Client, bookmarks: Record<string, Bookmark>): Promise<void> {
    const conferences = Object.entries(bookmarks).map(([jid, bookmark]) =>
        xml("conference", { jid, ...attributesOf(bookmark) }, ...childrenOf(bookmark)),
    );
    const storage = xml("storage", { xmlns: nsLegacy }, ...conferences);
    await client.iq("set", undefined, xml("query", { xmlns: "jabber:iq:private" }, storage));
}

function attributesOf({ autojoin, name }: Bookmark): Record<string, string> {
    return { ...(autojoin !== undefined && { autojoin: String(autojoin) }), ...(name !== undefined && { name }) };
}

function childrenOf({ nick, password }: Bookmark): Element[] {
    return [
        ...(nick === undefined ? [] : [xml("nick", {}, nick)]),
        ...(password === undefined ? [] : [xml("password", {}, password)]),
    ];
}

function publishOptions(): Element {
    const options = {
        FORM_TYPE: `${nsPubsub}#publish-options`,
        "pubsub#persist_items": "true",
        "pubsub#max_items": "max",
        "pubsub#send_last_published_item": "never",
        "pubsub#access_model": "whitelist",
    };
    const fields = Object.entries(options).map(([name, value]) => xml("field", { var: name }, xml("value", {}, value)));
    return xml("publish-options", {}, xml("x", { xmlns: "jabber:x:data", type: "submit" }, ...fields));
}
