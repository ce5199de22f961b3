// Sends stanzas of the account to rooms.

import * as cache from "util.cache";
import * as id from "util.id";
import * as st from "util.stanza";
import { post } from "../turn";
import { leaveAsFormer } from "./former";
import { DATAFORM, MUC_OWNER } from "../namespaces";
import * as options from "../options";
import { type Membership } from "../state/memberships";

/**
 * Sends a client's stanza to the room from the occupant JID.
 *
 * `module:send` gets no origin, so that answers come back through events of this host, and not directly to a client. A
 * local room answers before this returns: change the state first.
 */
export function sendUpstream(membership: Membership, stanza: Stanza): void {
    const copy = st.clone(stanza);
    copy.attr.from = membership.occupant;
    leaveAsFormer(membership.username, membership.room);
    post(copy);
}

/** The presences sent last, numbered, by account, room and id. An error with such an id answers that presence only. */
const sent = cache.new<number>(4096);

/** The last leave of each account and room, by its number. */
const leaves = cache.new<number>(4096);

let lastNumber = 0;

function numberOf(membership: Membership, presenceId: string): number | undefined {
    return sent.get(`${membership.occupant} ${membership.room} ${presenceId}`);
}

/** Whether a presence with this id was sent to the room. */
export function wasSent(membership: Membership, presenceId: string): boolean {
    return numberOf(membership, presenceId) !== undefined;
}

/** Whether a presence with this id was sent to the room before the account last left it. */
export function wasSentBeforeLeave(membership: Membership, presenceId: string): boolean {
    const left = leaves.get(`${membership.occupant} ${membership.room}`);
    const number = numberOf(membership, presenceId);
    return left !== undefined && number !== undefined && number < left;
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
    noteSent(membership, copy.attr.type, presenceId);
    leaveAsFormer(membership.username, membership.room);
    post(copy);
}

function noteSent(membership: Membership, type: string | undefined, presenceId: string): void {
    lastNumber = lastNumber + 1;
    sent.set(`${membership.occupant} ${membership.room} ${presenceId}`, lastNumber);
    if (type === "unavailable") {
        leaves.set(`${membership.occupant} ${membership.room}`, lastNumber);
    }
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
