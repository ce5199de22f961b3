// Tests on stanzas that util.stanza does not have.

import * as datetime from "util.datetime";
import * as encodings from "util.encodings";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { DELAY, HINTS, MUC_USER, STANZA_ID, Status } from "./namespaces";

/** Whether a presence has a status code of XEP-0045 15.6, in any position. */
export function hasStatus(stanza: Stanza, code: Status): boolean {
    const x = stanza.get_child("x", MUC_USER);
    if (x === undefined) {
        return false;
    }
    // get_child_with_attr() would create a function for each call.
    for (const tag of x.tags) {
        if (tag.attr.code === code && tag.name === "status" && (tag.attr.xmlns ?? MUC_USER) === MUC_USER) {
            return true;
        }
    }
    return false;
}

/** Whether a presence is the account's own: it has status 110, or the account's JID. Older services omit 110. */
export function isSelf(stanza: Stanza, jid: string): boolean {
    const x = stanza.get_child("x", MUC_USER);
    if (x === undefined) {
        return false;
    }
    for (const { attr, name } of x.tags) {
        const isMark = (attr.code === Status.Self && name === "status") || (attr.jid === jid && name === "item");
        if (isMark && (attr.xmlns ?? MUC_USER) === MUC_USER) {
            return true;
        }
    }
    return false;
}

/** Whether a presence has any status code. */
export function hasAnyStatus(stanza: Stanza): boolean {
    return stanza.get_child("x", MUC_USER)?.get_child("status") !== undefined;
}

/** The last nick that others were compared with, and its prepared form: a room's occupants are compared with the account. */
let rawNick = "";
let preparedNick = "";

/** Whether two nicks are equal after preparation. Some services change the case or the normalisation of nicks. */
export function isSameNick(one: string, other: string): boolean {
    if (one === other) {
        return true;
    }
    if (other !== rawNick) {
        rawNick = other;
        preparedNick = prepared(other);
    }
    return prepared(one) === preparedNick;
}

function prepared(nick: string): string {
    return encodings.stringprep.nodeprep(nick) ?? encodings.stringprep.resourceprep(nick) ?? nick;
}

/**
 * Whether two elements have the same name, attributes and children, in this order. `ignored` is an attribute to ignore.
 */
export function isSameElement(one: Stanza, other: Stanza, ignored?: string): boolean {
    if (one.name !== other.name || !isSameAttributes(one.attr, other.attr, ignored)) {
        return false;
    }
    const children = one as unknown as (Stanza | string | undefined)[];
    const others = other as unknown as (Stanza | string | undefined)[];
    if (children.length !== others.length) {
        return false;
    }
    for (const i of $range(0, children.length - 1)) {
        const child = children[i];
        const counterpart = others[i];
        if (typeof child === "object" && typeof counterpart === "object") {
            if (!isSameElement(child, counterpart)) {
                return false;
            }
        } else if (child !== counterpart) {
            return false;
        }
    }
    return true;
}

/** Whether two presences of an occupant are equal, in any order of their children. Removes their status codes. */
export function hasSameContent(one: Stanza, other: Stanza): boolean {
    if (one.attr.from !== other.attr.from || one.tags.length !== other.tags.length) {
        return false;
    }
    removeCodes(one);
    removeCodes(other);
    for (const tag of one.tags) {
        if (!hasElement(other, tag)) {
            return false;
        }
    }
    return true;
}

/** Removes the status codes (XEP-0045 15.6). A presence to one occupant may have more of them than the next. */
function removeCodes(presence: Stanza): void {
    presence.get_child("x", MUC_USER)?.maptags((tag) => (tag.name === "status" ? undefined : tag));
}

function hasElement(presence: Stanza, element: Stanza): boolean {
    for (const tag of presence.tags) {
        if (isSameElement(tag, element)) {
            return true;
        }
    }
    return false;
}

function isSameAttributes(one: Stanza["attr"], other: Stanza["attr"], ignored: string | undefined): boolean {
    for (const [name, value] of pairs(one)) {
        if (other[name] !== value && name !== ignored) {
            return false;
        }
    }
    for (const [name] of pairs(other)) {
        if (one[name] === undefined && name !== ignored) {
            return false;
        }
    }
    return true;
}

let splitJid = "";
let splitRoom = "";
let splitNick: string | undefined;
let splitPrefix = "/";

/**
 * Splits an occupant JID into room and nick. Keeps the last result: copies of one message have the same sender, and a room
 * sends all its occupants in a row.
 */
export function splitOccupant(jid: string): LuaMultiReturn<[room: string, nick: string | undefined]> {
    if (jid !== splitJid) {
        const length = splitPrefix.length;
        if (length > 1 && jid.length > length && string.sub(jid, 1, length) === splitPrefix) {
            splitNick = string.sub(jid, length + 1);
        } else {
            const [node, host, resource] = jids.split(jid);
            splitRoom = node === undefined ? (host ?? "") : `${node}@${host ?? ""}`;
            splitNick = resource;
            splitPrefix = `${splitRoom}/`;
        }
        splitJid = jid;
    }
    return $multi(splitRoom, splitNick);
}

/** Returns the id that a room has given a message (XEP-0359). */
export function stanzaIdBy(stanza: Stanza, room: string): string | undefined {
    const element = stanza.get_child_with_attr("stanza-id", STANZA_ID, "by", room);
    return element?.attr.id;
}

/** Returns the time stamp of a message from the room's history (XEP-0045 7.2.14). Undefined for a live message. */
export function delayBy(stanza: Stanza, room: string): string | undefined {
    for (const tag of stanza.tags) {
        if (isDelayBy(tag, room)) {
            return tag.attr.stamp;
        }
    }
    return undefined;
}

/** Adds the room's delay to a message of the history. */
export function addDelay(stanza: Stanza, room: string, when: number): void {
    stanza.add_direct_child(st.stanza("delay", { xmlns: DELAY, from: room, stamp: datetime.datetime(when) }));
}

/**
 * Whether an element is a delay added by the room (XEP-0045 7.2.14). Delays by other entities say nothing about
 * history.
 */
export function isDelayBy(tag: Stanza, room: string): boolean {
    return tag.name === "delay" && tag.attr.xmlns === DELAY && tag.attr.from === room;
}

/** Whether a message of a room is archived. The criteria are those of mod_mam's `should_store` for other types. */
export function isWorthKeeping(stanza: Stanza): boolean {
    if (
        stanza.get_child("no-store", HINTS) !== undefined ||
        stanza.get_child("no-permanent-store", HINTS) !== undefined
    ) {
        return false;
    }
    for (const tag of stanza.tags) {
        const keep = kept.get(tag.attr.xmlns ?? "");
        if (keep === true || keep === tag.name || tag.name === "body") {
            return true;
        }
    }
    return false;
}

/**
 * Payload for which a message without a body is archived: the name of the element, or true for any of the namespace.
 */
const kept = new LuaMap<string, string | true>();
kept.set(HINTS, "store");
kept.set("urn:xmpp:eme:0", "encryption");
kept.set("urn:xmpp:receipts", true);
kept.set("urn:xmpp:chat-markers:0", true);
kept.set("urn:xmpp:jingle-message:0", true);
kept.set("urn:xmpp:jingle-message:1", true);
