// What the account does not want to hear of (XEP-0191). mod_blocklist drops all that comes from a blocked room before this
// module sees it, so that the account must not be in one: nobody would see it there, and no client could make it leave.
// The same goes for a room in which the account's own nick is blocked.

import * as jids from "util.jid";
import { leaveUnheard } from "../occupancy/transitions";
import { splitOccupant } from "../stanzas";
import { findMembership, type Membership, membershipsOf } from "../state/memberships";
import { type Blocklist, isBlocked, silences } from "../settings/blocklist";
import { save } from "../state/store";
import { forgetOccupant } from "../state/occupants";
import { outdate } from "../state/view";

/** `iq-set/self/urn:xmpp:blocking:block`, before mod_blocklist: what rooms of this server answer is still heard. */
export function onBlock(event: StanzaEvent<ClientSession>): undefined {
    const blocked = jidsIn(event.stanza);
    for (const membership of membershipsOf(event.origin.username)) {
        if (silences(blocked, membership.room, membership.nick)) {
            module.log("info", "%s has blocked %s and leaves it", membership.username, membership.room);
            leaveUnheard(membership);
        } else {
            forgetBlocked(membership, blocked);
        }
    }
}

/** `iq-set/self/urn:xmpp:blocking:unblock`: who joins next is to see who was not seen, which the room knows. */
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

/** Of a blocked occupant nothing is heard, not even that it goes: who joins later does not see it. */
function forgetBlocked(membership: Membership, blocked: Blocklist): void {
    for (const [jid] of blocked) {
        const [room, nick] = splitOccupant(jid);
        if (room === membership.room && nick !== undefined) {
            forgetOccupant(membership.view, nick);
            if (nick === membership.wantedNick) {
                // It is another's, whom the account is not to follow.
                membership.wantedNick = membership.nick;
                save(membership.username);
            }
        }
    }
}

/**
 * `message/bare` or `message/full`, before mod_blocklist (100), which may answer a private message with an error: services
 * throw out occupants for one (XEP-0045 18.1.2).
 */
export function onPrivateMessage(event: StanzaEvent<Origin>): Handled {
    const attr = event.stanza.attr;
    const { from, to } = attr;
    if (attr.type === "groupchat" || attr.type === "error" || from === undefined || to === undefined) {
        return undefined;
    }
    const [room, nick] = splitOccupant(from);
    const membership = findMembership(to, room);
    if (membership === undefined || nick === undefined || !isBlocked(membership.username, room, nick)) {
        return undefined;
    }
    return true;
}

/** None where one is none: mod_blocklist refuses them all then. */
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
