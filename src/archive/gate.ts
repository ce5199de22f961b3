// The gate: what rooms, their occupants and their archives may say. Servers vouch for the `from` of a stanza and for
// nothing else (RFC 6120 8.1.2.1): a room speaks for itself and its occupants, and what is wrapped inside a stanza is worth
// no more than the stanza. See docs/security.md.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { CARBONS, DELAY, FORWARD, MAM, MUC_USER, STANZA_ID } from "../namespaces";
import { noteDrop } from "../state/counters";
import { findMembership, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { isDelayBy, stanzaIdBy } from "../stanzas";
import { weightOf } from "../weight";

/** The biggest messages and presences of rooms that are handled, and the biggest IQs, as weightOf() has it. */
const MAX_WEIGHT = 2 * 1024 * 1024;
const MAX_IQ_WEIGHT = 8 * 1024 * 1024;

/** What was looked at last: a room of this server hands one table to every account (muc.lib.lua, broadcast). */
let weighed: Stanza | undefined;
let isTooBig = false;

/** Makes a hook's handler drop what is too big, or nested too deep, to be handled in the time that others can wait. */
export function fromRoom<O extends Origin>(
    handler: (this: void, event: StanzaEvent<O>) => Handled,
): (this: void, event: StanzaEvent<O>) => Handled {
    return (event) => {
        const stanza = event.stanza;
        if (stanza !== weighed) {
            weighed = stanza;
            isTooBig = weightOf(stanza) > (stanza.name === "iq" ? MAX_IQ_WEIGHT : MAX_WEIGHT);
        }
        if (!isTooBig) {
            return handler(event);
        }
        const room = jids.bare(stanza.attr.from ?? "");
        if (findMembership(stanza.attr.to ?? "", room) === undefined) {
            return undefined;
        }
        noteDrop("limit");
        module.log("debug", "Dropping a %s of %s: too many elements or too deep", stanza.name, room);
        return true;
    };
}

/**
 * A live message as it may be passed on: without ids in the name of an account of this server, by which its clients know
 * the messages of their archive (XEP-0359 6). Mostly the same table.
 */
export function withoutOwnIds(stanza: Stanza): Stanza {
    for (const tag of stanza.tags) {
        if (isOwnId(tag)) {
            return st.clone(stanza).maptags((child) => (isOwnId(child) ? undefined : child));
        }
    }
    return stanza;
}

function isOwnId(tag: Stanza): boolean {
    if (tag.name !== "stanza-id" || tag.attr.xmlns !== STANZA_ID) {
        return false;
    }
    const by = jids.prep(tag.attr.by ?? "");
    return by !== undefined && jids.host(by) === module.host;
}

/** Who marks a message as one of the past (XEP-0203): its room, or, as some services do, nobody by name. */
export type Delayed = "by room" | "unnamed" | undefined;

/** What a message says of itself; only while a room answers a join is it the room's word. */
export function delayOf(stanza: Stanza, room: string): Delayed {
    let delayed: Delayed;
    for (const tag of stanza.tags) {
        if (isDelayBy(tag, room)) {
            return "by room";
        }
        if (isUnnamedDelay(tag)) {
            delayed = "unnamed";
        }
    }
    return delayed;
}

function isUnnamedDelay(tag: Stanza): boolean {
    return tag.name === "delay" && tag.attr.xmlns === DELAY && tag.attr.from === undefined;
}

/** Whether the room is answering a join of the account: what is of the past comes now (XEP-0045 7.2.14). */
export function isAnswering(membership: Membership): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined) {
        return place.operation?.kind === "resync";
    }
    return place.phase === Phase.Joining || place.phase === Phase.Entering;
}

/** The form in which a message is kept: it has a delay in the room's name if it is of the past, and none otherwise. */
export function keptForm(stanza: Stanza, room: string, delayed: Delayed, isPast: boolean): Stanza {
    if (isPast && delayed === "unnamed") {
        return st.clone(stanza).maptags((tag) => (isUnnamedDelay(tag) ? named(tag, room) : tag));
    }
    if (!isPast && delayed === "by room") {
        return st.clone(stanza).maptags((tag) => (isDelayBy(tag, room) ? undefined : tag));
    }
    return stanza;
}

function named(delay: Stanza, room: string): Stanza {
    delay.attr.from = room;
    return delay;
}

/**
 * A message that a room's archive hands out, with what the room may say of it; undefined, and counted, where it is not
 * the room's or one of its occupants.
 */
export function fromArchive(membership: Membership, message: Stanza): Stanza | undefined {
    const from = jids.prep(message.attr.from ?? "");
    if (message.attr.type !== "groupchat" || from === undefined || jids.bare(from) !== membership.room) {
        noteDrop("forged");
        module.log("debug", "The archive of %s has a message that is not the room's", membership.room);
        return undefined;
    }
    const copy = st.clone(message);
    copy.attr.xmlns = undefined;
    copy.attr.from = from;
    copy.attr.to = membership.occupant;
    copy.maptags((tag) => takeArchived(membership, tag));
    return copy;
}

function takeArchived(membership: Membership, tag: Stanza): Stanza | undefined {
    const xmlns = tag.attr.xmlns;
    if (xmlns === "jabber:client" || xmlns === undefined) {
        // Within a forwarded message the namespace is another than the stream's, and so is named.
        tag.attr.xmlns = undefined;
        return tag.name === "error" ? undefined : tag;
    }
    if (xmlns === CARBONS || xmlns === MAM || (xmlns === FORWARD && isOfAccount(membership, tag))) {
        return undefined;
    }
    if (xmlns === MUC_USER) {
        // Whose message it is, the room may add (XEP-0313 5.1.2); what it says in its own name, it says when it is so.
        return tag.maptags((child) => (child.name === "item" ? child : undefined));
    }
    const isForeignId = tag.name === "stanza-id" && xmlns === STANZA_ID && tag.attr.by !== membership.room;
    return isForeignId || isDelayBy(tag, membership.room) ? undefined : tag;
}

/** Whether what is forwarded claims to be to or from the account itself. */
function isOfAccount(membership: Membership, forwarded: Stanza): boolean {
    const account = jids.bare(membership.occupant);
    for (const tag of forwarded.tags) {
        if (jids.bare(tag.attr.from ?? "") === account || jids.bare(tag.attr.to ?? "") === account) {
            return true;
        }
    }
    return false;
}

/** The archive's own id of a message, where the message has none by the room. */
export function addArchiveId(message: Stanza, room: string, id: string | undefined): void {
    if (id !== undefined && stanzaIdBy(message, room) === undefined) {
        message.add_direct_child(st.stanza("stanza-id", { xmlns: STANZA_ID, by: room, id }));
    }
}
