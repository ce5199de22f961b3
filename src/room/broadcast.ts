// Presence that a room broadcasts. The first account appends it to the list of occupants. Most other accounts have no
// session and nothing in flight, and read the same list: they only move on in it. A local room passes the same table for
// all accounts (muc.lib.lua, publicise_occupant_status). A remote room sends a copy to each.

import * as st from "util.stanza";
import { hasAnyStatus, isSameElement, isSameNick } from "../stanzas";
import { counters } from "../state/counters";
import { intern } from "../state/interned";
import { findMembership, type Membership, now } from "../state/memberships";
import { type Change, changeAfter, type OccupantList } from "../state/occupant-list";
import { Phase } from "../state/place";

/** A presence, and the change of a list that it is. */
interface Broadcast {
    readonly from: string | undefined;
    readonly type: string | undefined;
    readonly room: string;
    readonly nick: string;
    readonly list: OccupantList;
    readonly change: Change;
    /** The position of accounts that have not seen it. */
    readonly position: number;
    /** Number of copies that accounts have seen. */
    copies: number;
}

/** Broadcasts of one occupant: a room has one table for moderators and one for other occupants. */
let broadcasts = new LuaMap<Stanza, Broadcast>();
let broadcastCount = 0;
let sender: string | undefined;

/** Largest number of tables. */
const MOST = 4;

/** The last broadcast that was noted. */
let latest: Broadcast | undefined;

/** A broadcast in copies, and its content. A table of the room could be changed. */
let copied: Broadcast | undefined;
let content = st.presence();

/** Number of copies after which a further one is expected. Later copies are compared with the content. */
const EXPECTED = 2;

/** Wraps a hook's handler. Accounts that only move on in a shared list do not reach it. */
export function passing(
    handler: (this: void, event: StanzaEvent<Origin>) => Handled,
): (this: void, event: StanzaEvent<Origin>) => Handled {
    return (event) => {
        const stanza = event.stanza;
        const broadcast = broadcasts.get(stanza) ?? (copied === undefined ? undefined : likeCopied(copied, stanza));
        return broadcast !== undefined && passOn(broadcast, stanza) ? true : handler(event);
    };
}

/** Returns the broadcast in copies if a presence is one. */
function likeCopied(broadcast: Broadcast, stanza: Stanza): Broadcast | undefined {
    const isCopy = broadcast.from === stanza.attr.from && isSameElement(content, stanza, "to");
    return isCopy ? broadcast : undefined;
}

/**
 * Moves an account on, if the broadcast is the next change of its list, and means nothing else to the account. Returns
 * whether it does. Raises no error, because it runs outside of a turn.
 */
function passOn(broadcast: Broadcast, stanza: Stanza): boolean {
    const { from, to, type } = stanza.attr;
    if (to === undefined || from !== broadcast.from || type !== broadcast.type) {
        return false;
    }
    const membership = findMembership(to, broadcast.room);
    if (membership === undefined) {
        return false;
    }
    const { place, view } = membership;
    const { list, nick, position } = broadcast;
    if (
        view.list !== list ||
        view.position !== position ||
        membership.detachedAt === undefined ||
        place.phase !== Phase.Joined ||
        place.operation !== undefined ||
        place.late !== undefined ||
        nick === membership.nick ||
        nick === membership.wantedNick ||
        nick === view.own ||
        view.selfNick !== undefined ||
        view.offline !== undefined ||
        (broadcast.change.before === undefined && isSameNick(nick, membership.nick))
    ) {
        return false;
    }
    if (position + 1 === list.last) {
        const behind = list.behind ?? 0;
        if (behind <= 1) {
            // The last reader settles the list.
            return false;
        }
        list.behind = behind - 1;
    }
    view.position = position + 1;
    membership.heardAt = now();
    counters.copiesIn = counters.copiesIn + 1;
    return true;
}

/**
 * Notes a presence that an account has just seen, if it is a change that other accounts have not seen. A presence with a
 * status code may mean more to them, such as a ban.
 */
export function noteBroadcast(membership: Membership, nick: string, stanza: Stanza): void {
    const { list, position } = membership.view;
    if (list?.behind === undefined) {
        return;
    }
    const { from, type } = stanza.attr;
    const change = changeAfter(list, position - 1);
    const after = type === undefined ? intern(stanza) : undefined;
    if (change?.nick !== nick || change.after !== after || hasAnyStatus(stanza)) {
        return;
    }
    if (latest?.change === change) {
        noteCopy(latest, stanza);
    } else {
        latest = { from, type, room: membership.room, nick, list, change, position: position - 1, copies: 1 };
        remember(stanza, latest);
    }
}

function remember(stanza: Stanza, broadcast: Broadcast): void {
    if (broadcast.from !== sender || broadcastCount >= MOST) {
        broadcasts = new LuaMap();
        broadcastCount = 0;
        sender = broadcast.from;
    }
    broadcastCount = broadcastCount + 1;
    broadcasts.set(stanza, broadcast);
}

function noteCopy(broadcast: Broadcast, stanza: Stanza): void {
    broadcast.copies = broadcast.copies + 1;
    if (broadcast.copies === EXPECTED && broadcasts.get(stanza) !== broadcast) {
        content = st.clone(stanza);
        content.attr.to = undefined;
        copied = broadcast;
    }
}
