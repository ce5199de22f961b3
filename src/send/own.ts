// Sends the account's own presence to its sessions. A room that shows JIDs shows the occupant JID there. A client
// expects its own full JID, as without this module.

import * as st from "util.stanza";
import * as xml from "util.xml";
import { MUC_USER } from "../namespaces";
import type { Membership } from "../state/memberships";
import type { Attachment } from "../state/place";
import { selfOf } from "../state/own-presence";
import { isSameContent } from "../stanzas";
import { textOf } from "../text";
import { fork, sendTo } from "./fork";

/**
 * Sends a presence of the account's own occupant to every attached session except `except`. A session that got the same
 * presence with its join, and nothing else of the account since, is skipped.
 */
export function forkOwn(membership: Membership, presence: Stanza, except?: string): void {
    for (const [session, attachment] of membership.attached) {
        const isTold = presence.attr.type === undefined && isAsTold(membership, attachment);
        attachment.told = undefined;
        if (session !== except && !isTold) {
            sendOwn(membership, session, presence);
        }
    }
}

/** Notes that a session got our own presence with its join, ahead of the room. */
export function noteTold(membership: Membership, session: string | undefined, self: Stanza | undefined): void {
    const attachment = session === undefined ? undefined : membership.attached.get(session);
    if (attachment !== undefined && self !== undefined) {
        attachment.told = textOf(self);
    }
}

/** Whether the room has sent what the session got with its join. Some services change the order of the children. */
function isAsTold(membership: Membership, attachment: Attachment): boolean {
    const told = attachment.told === undefined ? undefined : xml.parse(`<presence${attachment.told}`);
    const self = told === undefined ? undefined : selfOf(membership);
    return told !== undefined && self !== undefined && isSameContent(told, self);
}

/**
 * Sends a presence of another occupant to every attached session. In a room with visible JIDs it may name the account
 * as actor.
 */
export function forkOther(membership: Membership, presence: Stanza): void {
    if (!namesOccupant(membership, presence)) {
        fork(membership, presence);
        return;
    }
    for (const [session] of membership.attached) {
        sendTo(session, addressed(membership, presence, session));
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
