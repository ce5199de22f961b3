// Handles the account's block list (XEP-0191). mod_blocklist drops all stanzas of a blocked room before this module. So
// the account must leave a blocked room: no session sees the room, and no client could make the account leave. The same
// applies if the account's own nick is blocked.

import * as jids from "util.jid";
import { leaveUnheard } from "../occupancy/leave";
import { splitOccupant } from "../stanzas";
import { findMembership, type Membership, membershipsOf } from "../state/memberships";
import { type Blocklist, isBlocked, silences } from "../settings/blocklist";
import { save } from "../state/store";
import { forgetOccupant } from "../state/occupants";
import { outdate } from "../state/view";

/** `iq-set/self/urn:xmpp:blocking:block`, before mod_blocklist, so that answers of local rooms still arrive. */
export function onBlock(event: StanzaEvent<ClientSession>): undefined {
    const blocked = jidsIn(event.stanza);
    for (const membership of membershipsOf(event.origin.username)) {
        if (silences(blocked, membership.room, membership.nick)) {
            module.log("info", "%s has blocked %s, leaving", membership.username, membership.room);
            leaveUnheard(membership);
        } else {
            forgetBlocked(membership, blocked);
        }
    }
}

/**
 * `iq-set/self/urn:xmpp:blocking:unblock`: the cache lacks the occupants that were blocked. The room itself answers the
 * next join.
 */
export function onUnblock(event: StanzaEvent<ClientSession>): undefined {
    const unblocked = jidsIn(event.stanza);
    const all = next(unblocked)[0] === undefined;
    for (const membership of membershipsOf(event.origin.username)) {
        for (const [jid] of unblocked) {
            if (splitOccupant(jid)[0] === membership.room) {
                outdate(membership.view);
            }
        }
        if (all) {
            outdate(membership.view);
        }
    }
}

/** Removes blocked occupants from the cache. Their leave would not be seen. */
function forgetBlocked(membership: Membership, blocked: Blocklist): void {
    for (const [jid] of blocked) {
        const [room, nick] = splitOccupant(jid);
        if (room === membership.room && nick !== undefined) {
            forgetOccupant(membership.view, nick);
            if (nick === membership.wantedNick) {
                // The nick now belongs to another occupant, which the account must not follow.
                membership.wantedNick = membership.nick;
                save(membership.username);
            }
        }
    }
}

/**
 * `message/bare` or `message/full`, before mod_blocklist (100). mod_blocklist may answer a private message with an
 * error, and services remove occupants for that (XEP-0045 18.1.2).
 */
export function onPrivateMessage(event: StanzaEvent<Origin>): Handled {
    const attr = event.stanza.attr;
    if (attr.type === "groupchat" || attr.type === "error") {
        return undefined;
    }
    const { from, to } = attr;
    if (from === undefined || to === undefined) {
        return undefined;
    }
    const [room, nick] = splitOccupant(from);
    const membership = findMembership(to, room);
    if (membership === undefined || nick === undefined || !isBlocked(membership.username, room, nick)) {
        return undefined;
    }
    return true;
}

/** Returns the JIDs of a request. Empty if one is invalid, because mod_blocklist then refuses all. */
function jidsIn(iq: Stanza): Blocklist {
    const found: Blocklist = new LuaMap();
    const list = iq.tags[0];
    for (const item of list === undefined ? [] : list.tags) {
        const jid = jids.prep(item.attr.jid ?? "");
        if (jid === undefined) {
            return new LuaMap();
        }
        found.set(jid, true);
    }
    return found;
}
