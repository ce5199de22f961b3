// Sends the account's own presence to its sessions. A room that shows JIDs shows the occupant JID there. A client
// expects its own full JID, as without this module.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import type { Membership } from "../state/memberships";
import type { Attachment } from "../state/place";
import { type RoomView, selfOf } from "../state/view";
import { isSameContent } from "../stanzas";
import { sendTo } from "./fork";

/**
 * Sends a presence of the account's own occupant to every attached session except `except`. A session that got the same
 * presence with its join is skipped.
 */
export function forkOwn(membership: Membership, presence: Stanza, except?: string): void {
    for (const [session, attachment] of membership.attached) {
        const wasTold = presence.attr.type === undefined && takeTold(attachment, membership.view);
        if (session !== except && !wasTold) {
            sendOwn(membership, session, presence);
        }
    }
}

/** Whether the session got this presence with its join. True once for each join. */
function takeTold(attachment: Attachment, view: RoomView): boolean {
    const told = attachment.told;
    const self = told === undefined ? undefined : selfOf(view);
    if (told === undefined || self === undefined || !isSameContent(told, self)) {
        return false;
    }
    attachment.told = undefined;
    return true;
}

/** Sends a presence of the account's own occupant to one session. */
export function sendOwn(membership: Membership, session: string | undefined, presence: Stanza): void {
    const isShown = session !== undefined && showsOccupant(membership, presence);
    sendTo(session, isShown ? addressed(presence, session) : presence);
}

function showsOccupant(membership: Membership, presence: Stanza): boolean {
    const x = presence.get_child("x", MUC_USER);
    return x?.get_child("item")?.attr.jid === membership.occupant;
}

function addressed(presence: Stanza, session: string): Stanza {
    const copy = st.clone(presence);
    const item = copy.get_child("x", MUC_USER)?.get_child("item");
    if (item !== undefined) {
        item.attr.jid = session;
    }
    return copy;
}
