// Sends history to an attaching session, up to the limits that it asks for (XEP-0045 7.2.14).

import { wallClock } from "../state/clock";
import * as datetime from "util.datetime";
import * as st from "util.stanza";
import { readBlocklist, silences } from "../settings/blocklist";
import { readBuffered } from "./buffer";
import { readBack, type Rest, type Said } from "./read";
import { MUC } from "../namespaces";
import * as options from "../options";
import type { Membership } from "../state/memberships";
import type { SessionRequest } from "../state/place";
import { addDelay, splitOccupant } from "../stanzas";
import { sendTo } from "../send/fork";
import { sendInSlices } from "../send/outlet";
import { noteOver } from "../state/limits";
import { weightOf } from "../weight";

/** The limits of a client's request. All of them apply. */
interface Limits {
    readonly stanzas: number;
    readonly chars: number;
    /** Time in seconds. Earlier messages are left out. */
    readonly since: number;
}

/**
 * Sends the account's history of the room to a session, oldest first. Later messages are not part of it: messages in
 * memory are chosen at once, and the others are older.
 */
export function sendHistory(membership: Membership, request: SessionRequest): void {
    const session = request.session;
    const limits = limitsOf(request.stanza);
    if (session === undefined || limits.stanzas <= 0 || limits.chars <= 0) {
        return;
    }
    const messages: Said[] = [];
    let rest = select(membership, session, limits, messages);
    sendInSlices(session, () => {
        if (rest !== undefined) {
            if (rest.step()) {
                rest = undefined;
            }
            return false;
        }
        const said = messages.pop();
        if (said !== undefined) {
            sendTo(session, delayed(membership.room, said));
        }
        return messages.length === 0;
    });
}

/** Adds messages to a list, newest first. Returns the rest, which is on disk. */
function select(membership: Membership, session: string, limits: Limits, messages: Said[]): Rest | undefined {
    const room = membership.room;
    const [isRead, blocklist] = readBlocklist(membership.username);
    if (!isRead) {
        return undefined;
    }
    let chars = 0;
    let weight = 0;
    const selection = { isEnough: false };
    const take = (said: Said) => {
        const [, nick] = splitOccupant(said.stanza.attr.from ?? "");
        if (blocklist !== undefined && nick !== undefined && silences(blocklist, room, nick)) {
            // The account has blocked the sender, so it would not receive the message from the room.
            return false;
        }
        chars = chars + (limits.chars === math.huge ? 0 : lengthOf(delayed(room, said), session));
        weight = weight + weightOf(said.stanza);
        if (weight > options.maxHistorySize) {
            noteOver("minimix_max_history_size", membership.username, room);
        }
        selection.isEnough =
            messages.length >= limits.stanzas ||
            said.when < limits.since ||
            chars > limits.chars ||
            weight > options.maxHistorySize;
        if (!selection.isEnough) {
            messages.push(said);
        }
        return selection.isEnough;
    };
    readBuffered(membership, take);
    return selection.isEnough ? undefined : readBack(membership, limits.stanzas - messages.length, limits.since, take);
}

function lengthOf(message: Stanza, session: string): number {
    message.attr.to = session;
    return string.len(tostring(message));
}

/** Returns a message of the past as a room sends it, with a delay. */
export function delayed(room: string, said: Said): Stanza {
    const message = st.clone(said.stanza);
    addDelay(message, room, math.floor(said.when));
    return message;
}

function limitsOf(join: Stanza): Limits {
    const x = join.get_child("x", MUC);
    const wish = x?.get_child("history");
    const attr = wish === undefined ? {} : wish.attr;
    const stanzas = tonumber(attr.maxstanzas);
    const chars = tonumber(attr.maxchars);
    const seconds = tonumber(attr.seconds);
    const stamp = attr.since === undefined ? undefined : datetime.parse(attr.since);
    const bounded = chars !== undefined || seconds !== undefined || stamp !== undefined;
    return {
        stanzas: Math.min(stanzas ?? (bounded ? options.maxHistory : options.history), options.maxHistory),
        chars: chars ?? math.huge,
        since: Math.max(stamp ?? 0, seconds === undefined ? 0 : wallClock() - seconds),
    };
}
