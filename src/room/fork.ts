// From one stanza of the room to the sessions that joined it.
//
// A stanza is lent, as Prosody's own rooms lend theirs (muc.lib.lua, route_to_occupant): `to` is swapped and put back, and
// whoever wants to keep the stanza clones it. For sessions that are plain streams it is written as text once, and each
// session is sent that text with its own `to`.

import * as jids from "util.jid";
import * as st from "util.stanza";
import * as options from "../options";
import type { Held } from "../state/held";
import type { Membership } from "../state/memberships";
import { hasJoined } from "../state/sessions";
import { textOf } from "../text";

/** Hands a stanza of the room to every attached session, but for one that gets it otherwise. */
export function fork(membership: Membership, stanza: Stanza, except?: string): void {
    for (const [fullJid] of membership.attached) {
        if (fullJid !== except) {
            sendTo(fullJid, stanza);
        }
    }
}

/** Sends a stanza to one session, if it is there still. */
export function sendTo(fullJid: string | undefined, stanza: Stanza): void {
    // A session's `send` is replaced on stream resumption and the session itself on a resource conflict: look both up.
    const session = fullJid === undefined ? undefined : prosody.full_sessions.get(fullJid);
    if (session !== undefined) {
        lend(session, stanza, undefined);
    }
}

/** Sends a session a presence that is held as text already. */
export function sendHeld(fullJid: string | undefined, held: Held): void {
    const session = fullJid === undefined ? undefined : prosody.full_sessions.get(fullJid);
    if (session !== undefined) {
        lend(session, held.stanza, held.text);
    }
}

function lend(session: ClientSession, stanza: Stanza, text: string | undefined): void {
    const attr = stanza.attr;
    const to = attr.to;
    attr.to = session.full_jid;
    if (!isPlainStream(session)) {
        session.send(stanza);
    } else if (passesFilters(session, stanza)) {
        writeText(session, stanza.name, text ?? textOf(stanza));
    }
    attr.to = to;
}

/** By function: whether a session's `send` is the one that core/sessionmanager.lua gives to streams over TCP. */
const plainSends = setmetatable(new LuaMap<ClientSession["send"], boolean>(), { __mode: "k" });

/** Whether what a session sends is what is written to its stream. BOSH, or a module that wraps `send`, has its own way. */
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
 * Runs what core/sessionmanager.lua runs on a stanza before writing it: stream management, client state, whatever else
 * has hooked in. False if they keep the stanza, or make another of it, which then is written as it is.
 */
function passesFilters(session: StreamSession, stanza: Stanza): boolean {
    const filters = session.filters === undefined ? undefined : session.filters["stanzas/out"];
    if (filters === undefined || filters.length === 0) {
        return true;
    }
    const filtered = session.filter("stanzas/out", stanza);
    if (filtered === stanza) {
        return true;
    }
    if (filtered !== undefined) {
        session.rawsend(filtered);
    }
    return false;
}

function writeText(session: StreamSession, name: string, text: string): void {
    const start = `<${name} to='${st.xml_escape(session.full_jid)}'`;
    session.log("debug", "Sending[%s]: %s>", session.type, start);
    session.rawsend(start + string.sub(text, string.len(name) + 2));
}

/**
 * `delivery/failure`, after mod_smacks has had its say, which may still deliver a private message: a session died before
 * it acknowledged a stanza. An error for it would tell the room of an occupant out of reach; the account is not.
 */
export function onUndelivered(event: { readonly session: ClientSession; readonly stanza: Stanza }): Handled {
    const session = event.session;
    const from = event.stanza.attr.from;
    return from !== undefined && hasJoined(session.full_jid, jids.bare(from)) ? true : undefined;
}
