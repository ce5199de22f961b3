// Queues stanzas of a session to a room while its join is pending.

import * as st from "util.stanza";
import { noteDrop } from "../state/counters";
import type { Membership } from "../state/memberships";
import { queueStanza, pendingJoin } from "../state/queue";

/** Queues a stanza of a session with a pending join. Undefined without a pending join. */
export function queueUntilJoined(membership: Membership, session: ClientSession, stanza: Stanza): Handled {
    const request = pendingJoin(membership, session.full_jid);
    if (request === undefined) {
        return undefined;
    }
    const type = stanza.attr.type;
    if (!queueStanza(request, st.clone(stanza)) && type !== "error" && type !== "result") {
        noteDrop("limit");
        session.send(st.error_reply(stanza, "wait", "resource-constraint", undefined, membership.room));
    }
    return true;
}
