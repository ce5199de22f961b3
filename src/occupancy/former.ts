// Memberships under a former address. They leave there, and join again under the present address (O5).

import { fork } from "../send/fork";
import { leaveOnce } from "../send/former";
import type { FormerOccupant } from "../state/former";
import { type Membership, occupantJid } from "../state/memberships";
import { Phase } from "../state/place";
import { save } from "../state/store";
import { addPaced, newPacedQueue } from "./pace";
import { refuseAll } from "./refuse";
import { ownUnavailable } from "./replay";
import { over } from "./leave";
import { lost } from "./lost";

const queue = newPacedQueue(leaveOnce);

/** Leaves rooms under former addresses, at a limited rate. A join of the account there does not wait for this. */
export function leaveFormerAddresses(formers: FormerOccupant[]): void {
    if (formers.length > 0) {
        module.log("info", "minimix_resource has changed: leaving %d rooms under former addresses", formers.length);
        addPaced(queue, formers);
    }
}

/** Whether a membership from before a reload uses a former address. */
export function hasMoved(membership: Membership): boolean {
    return membership.occupant !== occupantJid(membership.username);
}

/** Moves a membership to the present address, under which it is not in the room yet. */
export function move(membership: Membership): void {
    membership.occupant = occupantJid(membership.username);
    save(membership.username);
    refuseAll(membership);
    if (membership.established && membership.place.phase !== Phase.Leaving) {
        lost(membership);
    } else {
        fork(membership, ownUnavailable(membership, undefined));
        over(membership);
    }
}
