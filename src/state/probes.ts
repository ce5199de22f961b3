// Presence probes that rooms have not answered. Not all rooms answer them.

import * as cache from "util.cache";
import type { Membership } from "./memberships";

export interface Probe {
    /** Cleared when the session ends. A new session with this full JID must not inherit the probe. */
    session: string | undefined;
    /** The client's id. */
    readonly id: string | undefined;
}

/** Probes by account, room and nick. */
const probes = cache.new<Probe>(1024);

/** Records a session's probe of an occupant. */
export function noteProbe(membership: Membership, nick: string, probe: Probe): void {
    probes.set(keyOf(membership, nick), probe);
}

/** Returns the pending probe of a nick. */
export function findProbe(membership: Membership, nick: string): Probe | undefined {
    return probes.count() === 0 ? undefined : probes.get(keyOf(membership, nick));
}

/** Ends a probe that is answered or has timed out. */
export function endProbe(membership: Membership, nick: string, probe: Probe): void {
    const key = keyOf(membership, nick);
    if (probes.get(key) === probe) {
        probes.set(key, undefined);
    }
}

/** Clears a session that has ended. The answers to its probes are dropped. */
export function disownProbes(session: string): void {
    for (const [, probe] of probes.items()) {
        if (probe.session === session) {
            probe.session = undefined;
        }
    }
}

function keyOf(membership: Membership, nick: string): string {
    return `${membership.occupant} ${membership.room}/${nick}`;
}
