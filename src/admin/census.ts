// Counts accounts, memberships and pending IQs.

import { accounts } from "../state/memberships";
import { pendingIqs } from "../state/pending";
import { Phase } from "../state/place";

export interface Census {
    readonly accounts: number;
    readonly memberships: number;
    readonly byPhase: LuaMap<Phase, number>;
    /** Attached sessions. A session counts once for each room. */
    readonly attached: number;
    readonly pendingIqs: number;
}

/** Phases in the order in which a membership passes them. */
export const phases = [Phase.Joining, Phase.Entering, Phase.Joined, Phase.Lost, Phase.Leaving];

/** Counts accounts, memberships, attached sessions and pending IQs. */
export function takeCensus(): Census {
    const byPhase = new LuaMap<Phase, number>();
    for (const phase of phases) {
        byPhase.set(phase, 0);
    }
    let members = 0;
    let memberships = 0;
    let attached = 0;
    for (const [, account] of accounts) {
        members = members + 1;
        for (const [, membership] of account.memberships) {
            memberships = memberships + 1;
            const phase = membership.place.phase;
            byPhase.set(phase, (byPhase.get(phase) ?? 0) + 1);
            attached = attached + size(membership.attached);
        }
    }
    return { accounts: members, memberships, byPhase, attached, pendingIqs: size(pendingIqs) };
}

function size(map: object): number {
    let count = 0;
    let [key] = next(map);
    while (key !== undefined) {
        count = count + 1;
        [key] = next(map, key);
    }
    return count;
}
