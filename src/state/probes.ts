// Presence probes that rooms still have to answer, which not all of them do.

import * as cache from "util.cache";
import type { Membership } from "./memberships";

export interface Probe {
    readonly session: string;
    /** The id that the client gave it. */
    readonly id: string | undefined;
}

/** By account, room and nick. */
const probes = cache.new<Probe>(1024);

/** Notes that a session has asked for the presence of an occupant. */
export function noteProbe(membership: Membership, nick: string, probe: Probe): void {
    probes.set(keyOf(membership, nick), probe);
}

/** The probe of this nick that is pending. */
export function findProbe(membership: Membership, nick: string): Probe | undefined {
    return probes.count() === 0 ? undefined : probes.get(keyOf(membership, nick));
}

/** The probe is answered, or has reached its time limit. */
export function endProbe(membership: Membership, nick: string, probe: Probe): void {
    const key = keyOf(membership, nick);
    if (probes.get(key) === probe) {
        probes.set(key, undefined);
    }
}

function keyOf(membership: Membership, nick: string): string {
    return `${membership.occupant} ${membership.room}/${nick}`;
}
