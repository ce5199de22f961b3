// Presence probes that rooms still have to answer, which not all of them do.

import * as cache from "util.cache";
import type { Membership } from "./memberships";

interface Probe {
    readonly session: string;
    /** The id that the client gave it. */
    readonly id: string | undefined;
}

/** By account, room and nick. */
const probes = cache.new<Probe>(1024);

/** Notes that a session has asked for the presence of an occupant. */
export function noteProbe(membership: Membership, nick: string, session: string, id: string | undefined): void {
    probes.set(keyOf(membership, nick), { session, id });
}

/** The probe that a presence from this nick answers; it is not pending any more. */
export function takeProbe(membership: Membership, nick: string): Probe | undefined {
    const key = keyOf(membership, nick);
    const probe = probes.get(key);
    if (probe !== undefined) {
        probes.set(key, undefined);
    }
    return probe;
}

function keyOf(membership: Membership, nick: string): string {
    return `${membership.occupant} ${membership.room}/${nick}`;
}
