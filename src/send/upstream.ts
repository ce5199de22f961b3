// Sends stanzas of the account to rooms.

import * as id from "util.id";
import * as st from "util.stanza";
import { post } from "../turn";
import { leaveAsFormer } from "./former";
import { DATAFORM, MUC_OWNER } from "../namespaces";
import * as options from "../options";
import { type Membership } from "../state/memberships";
import { noteSentPresence, wasSent } from "../state/sent-presences";

/**
 * Sends a client's stanza to the room from the occupant JID. The caller has no further use for the stanza: as in plain
 * MUC, the room gets the table that the stream's parser has made.
 *
 * `module:send` gets no origin, so that answers come back through events of this host, and not directly to a client. A
 * local room answers before this returns: change the state first.
 */
export function sendUpstream(membership: Membership, stanza: Stanza): void {
    stanza.attr.from = membership.occupant;
    leaveAsFormer(membership.username, membership.room);
    post(stanza);
}

/** Returns the id for a client's presence: the client's own id, unless another presence has it. */
export function presenceIdFor(membership: Membership, wanted: string | undefined): string {
    return wanted === undefined || wanted === "" || wasSent(membership, wanted) ? id.medium() : wanted;
}

/** Sends a presence of the account with an id that identifies the answer. */
export function sendPresence(membership: Membership, presence: Stanza, nick: string, presenceId: string): void {
    const copy = st.clone(presence);
    copy.attr.from = membership.occupant;
    copy.attr.to = `${membership.room}/${nick}`;
    copy.attr.id = presenceId;
    noteSentPresence(membership, copy.attr.type, presenceId);
    leaveAsFormer(membership.username, membership.room);
    post(copy);
}

/** Whether a domain may have rooms for the account to join. Local hosts with accounts have none. */
export function mayHaveRooms(domain: string): boolean {
    const host = prosody.hosts.get(domain);
    return !options.excluded.has(domain) && host?.type !== "local";
}

/**
 * Unlocks a new room with the service's default configuration (XEP-0045 10.1.2).
 *
 * A room that is not persistent ends with its service. The first occupant to rejoin creates it again, and a new room is
 * locked.
 */
export function unlockRoom(membership: Membership): void {
    const form = st
        .iq({ type: "set", id: id.medium(), from: membership.occupant, to: membership.room })
        .tag("query", { xmlns: MUC_OWNER })
        .tag("x", { xmlns: DATAFORM, type: "submit" })
        .reset();
    post(form);
}
