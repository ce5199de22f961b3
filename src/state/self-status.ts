// Rooms that mark the own presence of occupants with status 110. Older services omit it in all rooms. Memberships keep it
// on disk: after a restart another occupant must not be taken for the account.

import * as cache from "util.cache";

/** Number of rooms to remember. */
const ROOMS = 4096;

/** Rooms that have sent 110 to an account of this server. */
let marking = cache.new<true>(ROOMS);

export function selfMarkingRooms(): cache.Cache<true> {
    return marking;
}

/** Takes over the rooms of the previous instance of the module. */
export function restoreSelfMarkingRooms(saved: cache.Cache<true>): void {
    marking = saved;
}

/** A room has sent an own presence with 110. */
export function noteSelfStatus(room: string): void {
    marking.set(room, true);
}

/** Whether a presence of this room without 110 is another occupant's. */
export function marksSelf(room: string): boolean {
    return marking.get(room) === true;
}
