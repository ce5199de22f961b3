// Questions about stanzas that util.stanza has no answer to.

import * as datetime from "util.datetime";
import * as encodings from "util.encodings";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { DELAY, HINTS, MUC_USER, STANZA_ID, type Status } from "./namespaces";

/** Whether a presence carries a status code of XEP-0045 15.6; codes may stand in any order. */
export function hasStatus(stanza: Stanza, code: Status): boolean {
    const x = stanza.get_child("x", MUC_USER);
    return x?.get_child_with_attr("status", undefined, "code", code) !== undefined;
}

/** Whether two nicks are the same once prepared: some services write them in small letters, or in another normal form. */
export function isSameNick(one: string, other: string): boolean {
    return one === other || prepared(one) === prepared(other);
}

function prepared(nick: string): string {
    return encodings.stringprep.nodeprep(nick) ?? encodings.stringprep.resourceprep(nick) ?? nick;
}

/** Whether two elements say the same: name, attributes, children, in this order. `ignored` is an attribute of theirs. */
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

/** Whether two presences of an occupant say the same, whatever the order of their children. */
export function isSameContent(one: Stanza, other: Stanza): boolean {
    if (one.attr.from !== other.attr.from || one.tags.length !== other.tags.length) {
        return false;
    }
    for (const tag of one.tags) {
        const counterpart = other.get_child(tag.name, tag.attr.xmlns);
        if (counterpart === undefined || !isSameElement(tag, counterpart)) {
            return false;
        }
    }
    return true;
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

/** The room and the nick of an occupant JID. What is sent to all accounts of this host comes from the same one. */
export function splitOccupant(jid: string): LuaMultiReturn<[room: string, nick: string | undefined]> {
    if (jid !== splitJid) {
        splitJid = jid;
        splitRoom = jids.bare(jid);
        splitNick = jids.resource(jid);
    }
    return $multi(splitRoom, splitNick);
}

/** The id that a room gave a message (XEP-0359). */
export function stanzaIdBy(stanza: Stanza, room: string): string | undefined {
    const element = stanza.get_child_with_attr("stanza-id", STANZA_ID, "by", room);
    return element?.attr.id;
}

/** The stamp by which a room marks a message of the past (XEP-0045 7.2.14); undefined for what is said now. */
export function delayBy(stanza: Stanza, room: string): string | undefined {
    for (const tag of stanza.tags) {
        if (isDelayBy(tag, room)) {
            return tag.attr.stamp;
        }
    }
    return undefined;
}

/** Marks a message as one of the past, in the name of its room. */
export function addDelay(stanza: Stanza, room: string, when: number): void {
    stanza.add_direct_child(st.stanza("delay", { xmlns: DELAY, from: room, stamp: datetime.datetime(when) }));
}

/** Whether an element is a delay in a room's name (XEP-0045 7.2.14); one by somebody else says nothing of the room's past. */
export function isDelayBy(tag: Stanza, room: string): boolean {
    return tag.name === "delay" && tag.attr.xmlns === DELAY && tag.attr.from === room;
}

/** Whether a message of a room is worth keeping: what mod_mam's `should_store` says of messages of other types. */
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

/** Payload by which a message without a body is kept: the element's name, or true for all of the namespace. */
const kept = new LuaMap<string, string | true>();
kept.set(HINTS, "store");
kept.set("urn:xmpp:eme:0", "encryption");
kept.set("urn:xmpp:receipts", true);
kept.set("urn:xmpp:chat-markers:0", true);
kept.set("urn:xmpp:jingle-message:0", true);
kept.set("urn:xmpp:jingle-message:1", true);
