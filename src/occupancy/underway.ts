// Presences of an account in the room that the room has not repeated to it (echoed). A session that attaches meanwhile
// gets our own presence as the last of them will show it. It does not get the echoes of these presences again.

import * as st from "util.stanza";
import { parse } from "../parse";
import { wasSent } from "../state/sent-presences";
import { hasSameContent } from "../stanzas";
import type { InternedStanza } from "../state/interned";
import type { Membership } from "../state/memberships";
import { type Joined, Phase, type Told, type Underway } from "../state/place";
import { selfOf } from "../state/view";
import { textOf } from "../text";

/** Presences to remember. A room that echoes none must not let the list grow. */
const LONGEST_LIST = 16;

/** Notes a presence that is about to be sent. `before` is what the account has shown until then. */
export function noteUnderway(place: Joined, id: string, before: InternedStanza | undefined): void {
    place.underway ??= [];
    place.underway.push({ id, before });
    if (place.underway.length > LONGEST_LIST) {
        takeFirst(place, place.underway, 1);
    }
}

function isUnderway(place: Joined): boolean {
    return place.underway !== undefined && place.underway.length > 0;
}

/** Returns the oldest presence that the room has not echoed. The cached own presence is older. */
export function firstUnderway(membership: Membership): Underway | undefined {
    const place = membership.place;
    return place.phase === Phase.Joined ? place.underway?.[0] : undefined;
}

/** Notes our own presence that a session got with its join. It counts while a presence is underway. */
export function noteTold(membership: Membership, session: string | undefined, self: Stanza | undefined): void {
    const place = membership.place;
    if (place.phase !== Phase.Joined || session === undefined) {
        return;
    }
    if (self !== undefined && place.underway !== undefined && isUnderway(place)) {
        place.told ??= new LuaMap();
        place.told.set(session, { text: textOf(self), echoes: place.underway.length });
    } else {
        place.told?.delete(session);
    }
}

/**
 * Whether our own presence is an echo, or the answer of the operation, by its id. Without an id of ours its content
 * decides: an echo differs from the cached presence.
 */
export function isEcho(membership: Membership, place: Joined, stanza: Stanza): boolean {
    const id = stanza.attr.id;
    const list = place.underway ?? [];
    if (id === undefined || !wasSent(membership, id)) {
        const self = selfOf(membership);
        return list.length > 0 && (self === undefined || !hasSameContent(st.clone(stanza), self));
    }
    for (const underway of list) {
        if (underway.id === id) {
            return true;
        }
    }
    return place.operation?.id === id;
}

/** Takes our own presence off the list if it is an echo. Returns whether it is. */
export function endUnderway(membership: Membership, place: Joined, id: string | undefined): boolean {
    const list = place.underway;
    if (list === undefined || list.length === 0) {
        return false;
    }
    if (place.operation !== undefined && id === place.operation.id) {
        // The answer to a later presence.
        takeFirst(place, list, list.length);
        return false;
    }
    for (const i of $range(1, list.length)) {
        if (list[i - 1]?.id === id) {
            takeFirst(place, list, i);
            return true;
        }
    }
    if (id !== undefined && wasSent(membership, id)) {
        return false;
    }
    // Some services return no id, or another.
    takeFirst(place, list, 1);
    return true;
}

function takeFirst(place: Joined, list: Underway[], count: number): void {
    let left = count;
    while (left > 0) {
        table.remove(list, 1);
        left -= 1;
    }
    for (const [, told] of place.told ?? new LuaMap<string, Told>()) {
        told.echoes -= count;
    }
    if (list.length === 0) {
        place.underway = undefined;
    }
}

/**
 * Returns the sessions that know an own presence from their join: the echo of an earlier one, or what they were told.
 * The cache already has it.
 */
export function takeTold(membership: Membership, place: Joined, isEcho: boolean): LuaSet<string> | undefined {
    const all = place.told;
    if (all === undefined || next(all)[0] === undefined) {
        return undefined;
    }
    const knowing = new LuaSet<string>();
    const self = selfOf(membership);
    for (const [session, told] of all) {
        const isEarlier = isEcho && told.echoes > 0;
        if (isEarlier || isTold(told, self)) {
            knowing.add(session);
        }
        if (!isEarlier) {
            all.delete(session);
        }
    }
    if (next(all)[0] === undefined) {
        place.told = undefined;
    }
    return knowing;
}

/** Some services change the order of the children. */
function isTold(told: Told, self: Stanza | undefined): boolean {
    const stanza = parse("presence", told.text);
    return stanza !== undefined && self !== undefined && hasSameContent(stanza, self);
}
