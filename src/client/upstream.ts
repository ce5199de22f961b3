// From the account to a room.

import * as st from "util.stanza";
import type { Membership } from "../state/memberships";

/**
 * Sends a client's stanza to the room from the account's occupant JID. No origin is given to `module:send`, so that the
 * room's answers come back through this host's events and not straight to a client. A room of this server answers
 * before this returns: write state first.
 */
export function sendUpstream(membership: Membership, stanza: Stanza): void {
    const copy = st.clone(stanza);
    copy.attr.from = membership.occupant;
    module.send(copy);
}

/** A presence of the account in its room. */
export function presenceFor(membership: Membership, type: "unavailable" | undefined): Stanza {
    return st.presence({ type, to: `${membership.room}/${membership.nick}` });
}
