// Sends the account's own presence to its sessions. A room that shows JIDs shows the occupant JID there. A client
// expects its own full JID, as without this module.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import type { Membership } from "../state/memberships";
import { fork, sendTo } from "./fork";

/** Sends a presence of the account's own occupant to every attached session, except `except` and those that know it. */
export function forkOwn(membership: Membership, presence: Stanza, except?: string, knowing?: LuaSet<string>): void {
    for (const [session] of membership.attached) {
        if (session !== except && knowing?.has(session) !== true) {
            sendOwn(membership, session, presence);
        }
    }
}

/**
 * Sends a presence of another occupant to every attached session except `except`. In a room with visible JIDs it may
 * name the account as actor.
 */
export function forkOther(membership: Membership, presence: Stanza, except?: string): void {
    if (membership.detachedAt !== undefined) {
        return;
    }
    if (!namesOccupant(membership, presence)) {
        fork(membership, presence, except);
        return;
    }
    for (const [session] of membership.attached) {
        if (session !== except) {
            sendTo(session, addressed(membership, presence, session));
        }
    }
}

/** Sends a presence of the account's own occupant to one session. */
export function sendOwn(membership: Membership, session: string | undefined, presence: Stanza): void {
    const isNamed = session !== undefined && namesOccupant(membership, presence);
    sendTo(session, isNamed ? addressed(membership, presence, session) : presence);
}

function itemOf(presence: Stanza): Stanza | undefined {
    return presence.get_child("x", MUC_USER)?.get_child("item");
}

function namesOccupant(membership: Membership, presence: Stanza): boolean {
    const item = itemOf(presence);
    return item?.attr.jid === membership.occupant || item?.get_child("actor")?.attr.jid === membership.occupant;
}

function addressed(membership: Membership, presence: Stanza, session: string): Stanza {
    const copy = st.clone(presence);
    const item = itemOf(copy);
    for (const element of [item, item?.get_child("actor")]) {
        if (element?.attr.jid === membership.occupant) {
            element.attr.jid = session;
        }
    }
    return copy;
}
