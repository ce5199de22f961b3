// Addresses under which accounts may still be in rooms after `minimix_resource` has changed. An entry is kept, also
// across restarts, until the room has confirmed the leave.

import * as jids from "util.jid";

/** An account in a room under an address that it no longer uses. */
export interface FormerOccupant {
    readonly username: string;
    readonly room: string;
    readonly occupant: string;
    readonly nick: string;
    /** Leaves sent since the module was loaded. */
    tries: number;
}

export type FormerOccupants = LuaMap<string, FormerOccupant[]>;

/** Former occupants by account. */
export const formerOccupants: FormerOccupants = new LuaMap();

const none: FormerOccupant[] = [];

export function hasFormerOccupants(): boolean {
    return next(formerOccupants)[0] !== undefined;
}

export function formerOccupantsOf(username: string): FormerOccupant[] {
    return formerOccupants.get(username) ?? none;
}

export function allFormerOccupants(): FormerOccupant[] {
    const all: FormerOccupant[] = [];
    for (const [, list] of formerOccupants) {
        for (const former of list) {
            all.push(former);
        }
    }
    return all;
}

/** Finds the entry of an occupant JID in a room. Both are addresses of a stanza. */
export function findFormerOccupant(occupant: string, room: string): FormerOccupant | undefined {
    for (const former of formerOccupantsOf(jids.node(occupant) ?? "")) {
        if (former.occupant === occupant && former.room === room) {
            return former;
        }
    }
    return undefined;
}

export function addFormerOccupant(username: string, room: string, occupant: string, nick: string): void {
    if (findFormerOccupant(occupant, room) === undefined) {
        const list = formerOccupants.get(username) ?? [];
        formerOccupants.set(username, list);
        list.push({ username, room, occupant, nick, tries: 0 });
    }
}

/** Drops an entry: the account is out of the room under that address. */
export function dropFormerOccupant(former: FormerOccupant): void {
    const others: FormerOccupant[] = [];
    for (const other of formerOccupantsOf(former.username)) {
        if (other !== former) {
            others.push(other);
        }
    }
    if (others.length > 0) {
        formerOccupants.set(former.username, others);
    } else {
        formerOccupants.delete(former.username);
    }
}

/** Takes over the entries of the previous instance. Its open questions to rooms are lost. */
export function restoreFormerOccupants(saved: FormerOccupants): void {
    for (const [username, list] of saved) {
        for (const former of list) {
            former.tries = 0;
        }
        formerOccupants.set(username, list);
    }
}
