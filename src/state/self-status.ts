// Rooms that mark the own presence of occupants with status 110. Older services omit it in all rooms.

import * as cache from "util.cache";

/** Number of rooms to remember. */
const ROOMS = 4096;

/** Rooms that have sent 110 to an account of this server. */
const marking = cache.new<true>(ROOMS);

/** A room has sent an own presence with 110. */
export function noteSelfStatus(room: string): void {
    marking.set(room, true);
}

/** Whether a presence of this room without 110 is another occupant's. */
export function marksSelf(room: string): boolean {
    return marking.get(room) === true;
}
