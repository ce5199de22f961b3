// What was said before a session attached, as much of it as the session asks for (XEP-0045 7.2.14).

import { wallClock } from "../state/clock";
import * as datetime from "util.datetime";
import * as st from "util.stanza";
import { readBlocklist, silences } from "../settings/blocklist";
import { readHeld } from "./catchup";
import { readBack, type Said } from "./read";
import { MUC } from "../namespaces";
import * as options from "../options";
import type { Membership } from "../state/memberships";
import type { SessionRequest } from "../state/place";
import { addDelay, splitOccupant } from "../stanzas";
import { sendTo } from "../send/fork";

/** What a client asks for; every bound that it names holds. */
interface Limits {
    readonly stanzas: number;
    readonly chars: number;
    /** Nothing said before, in seconds. */
    readonly since: number;
}

/** Sends a session the account's history of the room, oldest first. */
export function sendHistory(membership: Membership, request: SessionRequest): void {
    const limits = limitsOf(request.stanza);
    if (limits.stanzas <= 0 || limits.chars <= 0) {
        return;
    }
    const messages = select(membership, request.session, limits);
    for (const i of $range(messages.length, 1, -1)) {
        const message = messages[i - 1];
        if (message !== undefined) {
            sendTo(request.session, message);
        }
    }
}

/** Newest first. */
function select(membership: Membership, session: string | undefined, limits: Limits): Stanza[] {
    const messages: Stanza[] = [];
    const [isRead, blocklist] = readBlocklist(membership.username);
    if (!isRead) {
        return messages;
    }
    let chars = 0;
    const take = (said: Said) => {
        if (messages.length >= limits.stanzas || said.when < limits.since) {
            return true;
        }
        const [, nick] = splitOccupant(said.stanza.attr.from ?? "");
        if (blocklist !== undefined && nick !== undefined && silences(blocklist, membership.room, nick)) {
            // What the room itself would send of it would not arrive either.
            return false;
        }
        const message = delayed(membership.room, said);
        if (limits.chars !== math.huge) {
            message.attr.to = session;
            chars = chars + string.len(tostring(message));
            if (chars > limits.chars) {
                return true;
            }
        }
        messages.push(message);
        return false;
    };
    readHeld(membership, take);
    if (chars <= limits.chars) {
        readBack(membership, limits.stanzas - messages.length, limits.since, take);
    }
    return messages;
}

/** A message of the past as a room sends it. */
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
