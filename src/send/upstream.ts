// From the account to a room.

import * as cache from "util.cache";
import * as id from "util.id";
import * as st from "util.stanza";
import { post } from "../turn";
import { leaveAsFormer } from "./former";
import { DATAFORM, MUC_OWNER } from "../namespaces";
import * as options from "../options";
import type { Membership } from "../state/memberships";

/**
 * Sends a client's stanza to the room from the account's occupant JID. No origin is given to `module:send`, so that the
 * room's answers come back through this host's events and not straight to a client. A room of this server answers
 * before this returns: write state first.
 */
export function sendUpstream(membership: Membership, stanza: Stanza): void {
    const copy = st.clone(stanza);
    copy.attr.from = membership.occupant;
    leaveAsFormer(membership.username, membership.room);
    post(copy);
}

/** Ids of presences sent a while ago, by account and room. Their errors answer nothing else. */
const sentIds = cache.new<true>(4096);

/** Whether a presence with this id was sent to the room. */
export function wasSent(membership: Membership, presenceId: string): boolean {
    return sentIds.get(`${membership.occupant} ${membership.room} ${presenceId}`) === true;
}

/** The id to send a client's presence with: the client's, unless another presence has it. */
export function presenceIdFor(membership: Membership, wanted: string | undefined): string {
    return wanted === undefined || wanted === "" || wasSent(membership, wanted) ? id.medium() : wanted;
}

/** Sends a presence of the account under an id by which its answer is known. */
export function sendPresence(membership: Membership, presence: Stanza, nick: string, presenceId: string): void {
    const copy = st.clone(presence);
    copy.attr.from = membership.occupant;
    copy.attr.to = `${membership.room}/${nick}`;
    copy.attr.id = presenceId;
    sentIds.set(`${membership.occupant} ${membership.room} ${presenceId}`, true);
    leaveAsFormer(membership.username, membership.room);
    post(copy);
}

/** Whether a domain may have rooms that are ours to join. A host of this server that has accounts has none. */
export function mayHaveRooms(domain: string): boolean {
    const host = prosody.hosts.get(domain);
    return !options.excluded.has(domain) && host?.type !== "local";
}

/**
 * A room that is not persistent is gone with its service, and whoever comes back first makes it anew, locked: it is
 * opened to the others with the service's defaults (XEP-0045 10.1.2).
 */
export function unlockRoom(membership: Membership): void {
    const form = st
        .iq({ type: "set", id: id.medium(), from: membership.occupant, to: membership.room })
        .tag("query", { xmlns: MUC_OWNER })
        .tag("x", { xmlns: DATAFORM, type: "submit" })
        .reset();
    post(form);
}
