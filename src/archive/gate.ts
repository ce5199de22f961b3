// The gate: checks stanzas of rooms, occupants and archives. Servers guarantee only the `from` of a stanza (RFC 6120
// 8.1.2.1). A room speaks for itself and its occupants. A stanza inside another is no more trustworthy than the outer
// one. See docs/security.md.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { CARBONS, DELAY, FORWARD, MAM, MUC_USER, STANZA_ID } from "../namespaces";
import { silences } from "../settings/blocklist";
import { noteDrop } from "../state/counters";
import type { CatchUp } from "../state/catchup";
import { findMembership, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { isDelayBy, splitOccupant, stanzaIdBy } from "../stanzas";
import { isBrief } from "../text";
import { isHeavier, lightPieces } from "../weight";

/** Largest weight of messages and presences of rooms, and of IQs, for isHeavier(). */
const MAX_WEIGHT = 2 * 1024 * 1024;
const MAX_IQ_WEIGHT = 8 * 1024 * 1024;

/** Pieces of XML that never take more. */
const LIGHT = lightPieces(MAX_WEIGHT);

/** The last stanza that was weighed: a local room passes the same table for every account (muc.lib.lua, broadcast). */
let weighed: Stanza | undefined;
let isTooBig = false;

/** Wraps a hook's handler. Drops stanzas that are too large, or nested too deep, to be handled quickly. */
export function fromRoom<O extends Origin>(
    handler: (this: void, event: StanzaEvent<O>) => Handled,
): (this: void, event: StanzaEvent<O>) => Handled {
    return (event) => {
        const stanza = event.stanza;
        if (stanza !== weighed) {
            weighed = stanza;
            // Most presences are serialised anyway, and a short text is proof that they are light.
            isTooBig =
                (stanza.name !== "presence" || !isBrief(stanza, LIGHT)) &&
                isHeavier(stanza, stanza.name === "iq" ? MAX_IQ_WEIGHT : MAX_WEIGHT);
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
 * Returns a live message without stanza-ids in the name of local accounts. Clients use these ids for their own archive
 * (XEP-0359 6). Without such ids it is the same table.
 */
export function withoutOwnIds(stanza: Stanza): Stanza {
    for (const tag of stanza.tags) {
        if (tag.name === "stanza-id" && isOwnId(tag)) {
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

/** The sender of a delay (XEP-0203): the room, or, with some services, unnamed. */
export type Delayed = "by room" | "unnamed" | undefined;

/** Returns the sender of a message's delay. It is trustworthy only while a room answers a join. */
export function delayOf(stanza: Stanza, room: string): Delayed {
    let delayed: Delayed;
    for (const tag of stanza.tags) {
        if (tag.name === "delay") {
            if (isDelayBy(tag, room)) {
                return "by room";
            }
            delayed = isUnnamedDelay(tag) ? "unnamed" : delayed;
        }
    }
    return delayed;
}

function isUnnamedDelay(tag: Stanza): boolean {
    return tag.name === "delay" && tag.attr.xmlns === DELAY && tag.attr.from === undefined;
}

/** Whether the room is answering a join of the account. Then its history arrives (XEP-0045 7.2.14). */
export function isAnswering(membership: Membership): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined) {
        return place.operation?.kind === "resync";
    }
    return place.phase === Phase.Joining || place.phase === Phase.Entering;
}

/**
 * Returns the form in which a message is stored: with the room's delay if it is history, and otherwise without a delay.
 */
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
 * Returns a message of a room's archive without content that the room may not assert. Undefined, and counted, if the
 * sender is not the room or an occupant.
 */
export function fromArchive(membership: Membership, message: Stanza): Stanza | undefined {
    const from = jids.prep(message.attr.from ?? "");
    if (message.attr.type !== "groupchat" || from === undefined || jids.bare(from) !== membership.room) {
        noteDrop("forged");
        module.log("debug", "Dropping an archived message of %s: it is not from the room", membership.room);
        return undefined;
    }
    const copy = st.clone(message);
    copy.attr.xmlns = undefined;
    copy.attr.from = from;
    copy.attr.to = membership.occupant;
    copy.maptags((tag) => takeArchived(membership, tag));
    return copy;
}

/** Whether the account has blocked the sender. The archive has messages that mod_blocklist would drop. */
export function isSilenced(membership: Membership, catching: CatchUp, message: Stanza): boolean {
    const [, nick] = splitOccupant(message.attr.from ?? "");
    return catching.blocked !== undefined && nick !== undefined && silences(catching.blocked, membership.room, nick);
}

function takeArchived(membership: Membership, tag: Stanza): Stanza | undefined {
    const xmlns = tag.attr.xmlns;
    if (xmlns === "jabber:client" || xmlns === undefined) {
        // A forwarded message has a namespace that differs from the stream's, so it is explicit.
        tag.attr.xmlns = undefined;
        return tag.name === "error" ? undefined : tag;
    }
    if (xmlns === CARBONS || xmlns === MAM || (xmlns === FORWARD && isOfAccount(membership, tag))) {
        return undefined;
    }
    if (xmlns === MUC_USER) {
        // The room may add the sender's JID (XEP-0313 5.1.2). Other content in its namespace must come live.
        return tag.maptags((child) => (child.name === "item" ? child : undefined));
    }
    const isForeignId = tag.name === "stanza-id" && xmlns === STANZA_ID && tag.attr.by !== membership.room;
    return isForeignId || isDelayBy(tag, membership.room) ? undefined : tag;
}

/** Whether a forwarded message claims to be from or to the account itself. */
function isOfAccount(membership: Membership, forwarded: Stanza): boolean {
    const account = jids.bare(membership.occupant);
    for (const tag of forwarded.tags) {
        if (isOf(account, tag.attr.from) || isOf(account, tag.attr.to)) {
            return true;
        }
    }
    return false;
}

function isOf(account: string, address: string | undefined): boolean {
    return jids.bare(jids.prep(address ?? "") ?? "") === account;
}

/** Adds the archive's id of a message, if the message has no id by the room. */
export function addArchiveId(message: Stanza, room: string, id: string | undefined): void {
    if (id !== undefined && stanzaIdBy(message, room) === undefined) {
        message.add_direct_child(st.stanza("stanza-id", { xmlns: STANZA_ID, by: room, id }));
    }
}
