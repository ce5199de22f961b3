// Sends stanzas of a room to the attached sessions.
//
// All recipients get the same table, as in Prosody's own rooms (muc.lib.lua, route_to_occupant): `to` is changed and
// restored. Code that keeps a stanza must clone it. Sessions with a plain stream get text: the stanza is serialised
// once, and each session gets it with its own `to`.

import * as jids from "util.jid";
import * as st from "util.stanza";
import * as options from "../options";
import { counters, noteDrop } from "../state/counters";
import { type InternedStanza, stanzaOf } from "../state/interned";
import { type Membership, membershipOf } from "../state/memberships";
import { hasJoined } from "../state/sessions";
import { noteOver } from "../state/limits";
import { textOf } from "../text";
import { isBusy, isFull, mustWait, sendBehind, sendInSlices } from "./outlet";

/** Sends a stanza of the room to every attached session except `except`. */
export function fork(membership: Membership, stanza: Stanza, except?: string): void {
    if (membership.detachedAt !== undefined) {
        return;
    }
    const before = counters.copiesOut;
    for (const [fullJid] of membership.attached) {
        if (fullJid !== except) {
            if (!isBusy(fullJid)) {
                sendNow(fullJid, stanza);
            } else if (isFull(fullJid)) {
                noteOver("stanzas that wait for a session", membership.username, membership.room);
            } else {
                sendTo(fullJid, stanza);
            }
        }
    }
    const copies = counters.copiesOut - before;
    if (copies > 1) {
        counters.copiesSaved = counters.copiesSaved + copies - 1;
    }
}

/** Sends a stanza to one session, if it still exists. During a replay in slices the stanza waits behind it. */
export function sendTo(fullJid: string | undefined, stanza: Stanza): void {
    if (fullJid === undefined) {
        return;
    }
    if (!mustWait(fullJid)) {
        sendNow(fullJid, stanza);
    } else if (findSession(fullJid) !== undefined) {
        sendBehind(fullJid, stanza, (copy) => {
            sendNow(fullJid, copy);
        });
    }
}

/** Sends a stanza. `stored` is its text, if known. A filter that adds an element to the stanza makes it outdated. */
function sendNow(fullJid: string, stanza: Stanza, stored?: string): void {
    const session = prosody.full_sessions.get(fullJid);
    if (session === undefined) {
        return;
    }
    counters.copiesOut = counters.copiesOut + 1;
    const tagCount = stanza.tags.length;
    if (!isPlainStream(session)) {
        sendTable(session, stanza);
    } else if (!isFiltered(session) || passesFilters(session, stanza)) {
        const name = stanza.name;
        const address = addressOf(session);
        session.log("debug", "Sending[%s]: <%s%s>", session.type, name, address);
        const text = stored !== undefined && stanza.tags.length === tagCount ? stored : textOf(stanza);
        session.rawsend(`<${name}${address}${text}`);
    }
}

/** Sends a stanza as a table, addressed to the session. */
function sendTable(session: ClientSession, stanza: Stanza): void {
    const attr = stanza.attr;
    const to = attr.to;
    attr.to = session.full_jid;
    session.send(stanza);
    attr.to = to;
}

/** Bytes of presence to write to a stream at once, and to parse at once. */
const BATCH = 65536;
const PARSED = 8192;

/** Sends presences that are stored as text to a session. A plain stream gets many in one write. */
export function sendInterned(
    fullJid: string | undefined,
    presences: LuaIterable<LuaMultiReturn<[string, InternedStanza]>>,
): void {
    if (fullJid === undefined) {
        return;
    }
    const list: InternedStanza[] = [];
    for (const [, interned] of presences) {
        list.push(interned);
    }
    if (list.length === 0) {
        return;
    }
    let sent = 0;
    sendInSlices(fullJid, () => {
        const session = findSession(fullJid);
        if (session === undefined) {
            return true;
        }
        sent = takesText(fullJid) ? writeBatch(session as StreamSession, list, sent) : passBatch(fullJid, list, sent);
        return sent >= list.length;
    });
}

/** Writes some presences, starting at `from`. Returns the index after the last one. */
function writeBatch(session: StreamSession, list: InternedStanza[], from: number): number {
    const start = `<presence${addressOf(session)}`;
    const texts: string[] = [];
    let size = 0;
    let at = from;
    let interned = list[at];
    while (interned !== undefined && size < BATCH) {
        texts.push(start);
        texts.push(interned.text);
        size = size + string.len(interned.text);
        at = at + 1;
        interned = list[at];
    }
    counters.copiesOut = counters.copiesOut + at - from;
    session.log("debug", "Sending[%s]: %d times %s>", session.type, at - from, start);
    session.rawsend(table.concat(texts));
    return at;
}

/**
 * Sends some presences to a session with filters, or without a plain stream, starting at `from`. Returns the index after
 * the last one.
 */
function passBatch(fullJid: string, list: InternedStanza[], from: number): number {
    let size = 0;
    let at = from;
    let interned = list[at];
    while (interned !== undefined && size < PARSED) {
        const stanza = stanzaOf(interned);
        if (stanza !== undefined) {
            sendNow(fullJid, stanza, interned.text);
        }
        size = size + string.len(interned.text);
        at = at + 1;
        interned = list[at];
    }
    return at;
}

/** Whether a session has a plain stream without filters, so that stanzas can be written as text. */
export function takesText(fullJid: string | undefined): boolean {
    const session = findSession(fullJid);
    return session !== undefined && isPlainStream(session) && !isFiltered(session);
}

function isFiltered(session: ClientSession): boolean {
    const filters = session.filters === undefined ? undefined : session.filters["stanzas/out"];
    return filters !== undefined && filters.length > 0;
}

/** Looks up a session. Look it up each time: stream resumption replaces `send`, a resource conflict the session. */
function findSession(fullJid: string | undefined): ClientSession | undefined {
    return fullJid === undefined ? undefined : prosody.full_sessions.get(fullJid);
}

/** A session's JID as the `to` attribute of a stanza. */
const addresses = setmetatable(new LuaMap<ClientSession, string>(), { __mode: "k" });

function addressOf(session: ClientSession): string {
    let address = addresses.get(session);
    if (address === undefined) {
        address = ` to='${st.xml_escape(session.full_jid)}'`;
        addresses.set(session, address);
    }
    return address;
}

/** Whether a `send` function is the plain one from core/sessionmanager.lua, for streams over TCP. */
const plainSends = setmetatable(new LuaMap<ClientSession["send"], boolean>(), { __mode: "k" });

/** Whether a session writes stanzas to its stream as text. BOSH, and modules that wrap `send`, do something else. */
function isPlainStream(session: ClientSession): session is StreamSession {
    if (!options.readyText || session.rawsend === undefined) {
        return false;
    }
    let plain = plainSends.get(session.send);
    if (plain === undefined) {
        const source = debug.getinfo(session.send, "S").source;
        plain = source !== undefined && string.match(source, "core/sessionmanager%.lua$")[0] !== undefined;
        plainSends.set(session.send, plain);
    }
    return plain;
}

/**
 * Runs the filters that core/sessionmanager.lua runs before it writes a stanza, such as stream management and client
 * state. False if a filter keeps the stanza, or replaces it. A replacement is written here.
 */
function passesFilters(session: StreamSession, stanza: Stanza): boolean {
    const attr = stanza.attr;
    const to = attr.to;
    attr.to = session.full_jid;
    const filtered = session.filter("stanzas/out", stanza);
    if (filtered !== undefined && filtered !== stanza) {
        session.rawsend(filtered);
    }
    attr.to = to;
    return filtered === stanza;
}

/**
 * `delivery/failure`, after mod_smacks: a session ended before it acknowledged a stanza. mod_smacks may still deliver a
 * private message. An error would tell the room that the occupant is unreachable, but the account is still in the room.
 */
export function onUndelivered(event: { readonly session: ClientSession; readonly stanza: Stanza }): Handled {
    const session = event.session;
    const from = event.stanza.attr.from;
    if (from === undefined) {
        return undefined;
    }
    const room = jids.bare(from);
    // Errors for stanzas to the bare JID would also come from the occupant. These are presence before the account's
    // join, and private messages that no session in the room could take.
    const isForAccount = event.stanza.name !== "iq" && membershipOf(session, room) !== undefined;
    if (!isForAccount && !hasJoined(session.full_jid, room)) {
        return undefined;
    }
    noteDrop("undelivered");
    return true;
}
