// Ids of the presences sent to rooms. They survive a reload, because rooms may answer them afterwards.

import * as cache from "util.cache";
import type { Membership } from "./memberships";

export interface SentPresences {
    /** The presences sent last, numbered, by account, room and id. An error with such an id answers that presence only. */
    readonly ids: cache.Cache<number>;
    /** The last leave of each account and room, by its number. */
    readonly leaves: cache.Cache<number>;
    lastNumber: number;
}

let sent: SentPresences = { ids: cache.new<number>(4096), leaves: cache.new<number>(4096), lastNumber: 0 };

export function sentPresences(): SentPresences {
    return sent;
}

/** Takes over the ids of the previous instance of the module. */
export function restoreSentPresences(saved: SentPresences): void {
    sent = saved;
}

/** The address of an account in a room. */
type Occupancy = Pick<Membership, "occupant" | "room">;

function numberOf({ occupant, room }: Occupancy, presenceId: string): number | undefined {
    return sent.ids.get(`${occupant} ${room} ${presenceId}`);
}

/** Whether a presence with this id was sent to the room. */
export function wasSent(occupancy: Occupancy, presenceId: string): boolean {
    return numberOf(occupancy, presenceId) !== undefined;
}

/** Whether a presence with this id was sent to the room before the account last left it. */
export function wasSentBeforeLeave(membership: Membership, presenceId: string): boolean {
    const left = sent.leaves.get(`${membership.occupant} ${membership.room}`);
    const number = numberOf(membership, presenceId);
    return left !== undefined && number !== undefined && number < left;
}

/** Notes that a presence is about to be sent to the room. */
export function noteSentPresence(membership: Membership, type: string | undefined, presenceId: string): void {
    sent.lastNumber = sent.lastNumber + 1;
    sent.ids.set(`${membership.occupant} ${membership.room} ${presenceId}`, sent.lastNumber);
    if (type === "unavailable") {
        sent.leaves.set(`${membership.occupant} ${membership.room}`, sent.lastNumber);
    }
}
