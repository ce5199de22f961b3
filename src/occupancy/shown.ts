// What the account shows of itself in a room.

import * as st from "util.stanza";
import { VCARD_UPDATE } from "../namespaces";
import * as options from "../options";
import { sendTo } from "../send/fork";
import { ownPresence } from "./replay";
import { bestSession, presenceContent } from "../state/availability";
import { isSameElement } from "../stanzas";
import { type Attachment, attachSession, type JoinRequest, type Membership } from "../state/memberships";
import { sendUpstream } from "../send/upstream";

/**
 * Shows the room the best presence among the attached sessions; whether that was news to it. While a nick change is on
 * its way, a presence to the nick of before would turn it back.
 */
export function showBest(membership: Membership): boolean {
    if (membership.renaming !== undefined) {
        return false;
    }
    const attachment = chooseShown(membership);
    if (attachment === undefined || !noteShown(membership, attachment.presence)) {
        return false;
    }
    const presence = st.clone(attachment.presence);
    presence.attr.to = `${membership.room}/${membership.nick}`;
    presence.attr.id = attachment.id;
    sendUpstream(membership, presence);
    return true;
}

function chooseShown(membership: Membership): Attachment | undefined {
    const best = bestSession(membership);
    if (best === undefined) {
        return undefined;
    }
    membership.shown = best;
    return membership.attached.get(best);
}

/** Notes a presence as shown to the room; whether it was news. */
function noteShown(membership: Membership, presence: Stanza): boolean {
    const shown = membership.shownPresence;
    membership.shownPresence = presence;
    return shown === undefined || !isSameElement(shown, presence);
}

/** What the account has to show now, noted as shown: a join carries it. `request` is of who is about to be the first. */
export function presenceToShow(membership: Membership, request?: JoinRequest): Stanza {
    const attachment = chooseShown(membership);
    let presence: Stanza;
    if (attachment !== undefined) {
        presence = attachment.presence;
    } else if (request !== undefined) {
        presence = presenceContent(request.stanza);
    } else {
        presence = detachedPresence(membership);
    }
    membership.shownPresence = presence;
    return st.clone(presence);
}

/** Shows the room that nobody is there to read, if it does not know yet. */
export function showDetached(membership: Membership): void {
    if (membership.renaming !== undefined) {
        return;
    }
    const presence = detachedPresence(membership);
    membership.shown = undefined;
    membership.shownDetached = true;
    if (noteShown(membership, presence)) {
        const copy = st.clone(presence);
        copy.attr.to = `${membership.room}/${membership.nick}`;
        sendUpstream(membership, copy);
    }
}

/** The avatar stays: others would see it vanish whenever a phone sleeps. */
function detachedPresence(membership: Membership): Stanza {
    const presence = st.presence();
    if (options.detachedShow !== "none") {
        presence.tag("show").text(options.detachedShow).up();
    }
    const update = membership.self?.get_child("x", VCARD_UPDATE);
    if (update !== undefined) {
        presence.add_direct_child(st.clone(update));
    }
    return presence;
}

/** A session's directed presence without `<x/>` (XEP-0045 7.7). Each is answered, by the room or with what it shows. */
export function updatePresence(membership: Membership, session: string, stanza: Stanza): void {
    attachSession(membership, session, presenceContent(stanza), stanza.attr.id);
    if (!showBest(membership) && membership.self !== undefined) {
        const self = ownPresence(membership, membership.self);
        self.attr.id = stanza.attr.id;
        sendTo(session, self);
    }
}
