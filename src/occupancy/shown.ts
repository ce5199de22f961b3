// What the account shows of itself in a room.

import * as st from "util.stanza";
import { VCARD_UPDATE } from "../namespaces";
import * as options from "../options";
import { sendTo } from "../send/fork";
import { ownPresence } from "./replay";
import { bestSession, presenceContent } from "../state/availability";
import { hold } from "../state/held";
import { selfOf } from "../state/view";
import { attachSession, type Membership } from "../state/memberships";
import { type Attachment, Phase, type SessionRequest } from "../state/place";
import { presenceIdFor, sendPresence } from "../send/upstream";

/**
 * Whether the room may be shown another presence. During an operation it may not: to the nick of before it would turn a
 * nick change back. What was not shown meanwhile is shown when the operation ends.
 */
function mayShow(membership: Membership): boolean {
    const place = membership.place;
    return place.phase === Phase.Joined && place.operation === undefined;
}

/** Shows the room the best presence among the attached sessions. Returns whether that was news to it. */
export function showBest(membership: Membership): boolean {
    const attachment = mayShow(membership) ? chooseShown(membership) : undefined;
    if (attachment === undefined || !noteShown(membership, attachment.presence)) {
        return false;
    }
    show(membership, attachment.presence, attachment.id);
    return true;
}

function show(membership: Membership, presence: Stanza, id: string | undefined): void {
    sendPresence(membership, presence, membership.nick, presenceIdFor(membership, id));
}

function chooseShown(membership: Membership): Attachment | undefined {
    const best = bestSession(membership);
    if (best === undefined) {
        return undefined;
    }
    membership.shown = best;
    return membership.attached.get(best);
}

/** Notes a presence as shown to the room. Returns whether it was news. */
function noteShown(membership: Membership, presence: Stanza): boolean {
    const shown = membership.shownPresence;
    membership.shownPresence = hold(presence);
    return shown !== membership.shownPresence;
}

/** What the account has to show now, noted as shown: a join carries it. `request` is of the session that asks for it. */
export function presenceToShow(membership: Membership, request?: SessionRequest): Stanza {
    const attachment = chooseShown(membership);
    let presence: Stanza;
    if (attachment !== undefined) {
        presence = attachment.presence;
    } else if (request !== undefined) {
        presence = presenceContent(request.stanza);
    } else {
        presence = detachedPresence(membership);
    }
    membership.shownPresence = hold(presence);
    return st.clone(presence);
}

/** Shows the room that no session is there, unless it knows. */
export function showDetached(membership: Membership): void {
    if (!mayShow(membership)) {
        return;
    }
    const presence = detachedPresence(membership);
    membership.shown = undefined;
    membership.shownDetached = true;
    if (noteShown(membership, presence)) {
        show(membership, presence, undefined);
    }
}

/** The avatar stays: others would see it vanish whenever a phone sleeps. */
function detachedPresence(membership: Membership): Stanza {
    const presence = st.presence();
    if (options.detachedShow !== "none") {
        presence.tag("show").text(options.detachedShow).up();
    }
    const self = selfOf(membership.view);
    const update = self === undefined ? undefined : self.get_child("x", VCARD_UPDATE);
    if (update !== undefined) {
        presence.add_direct_child(st.clone(update));
    }
    return presence;
}

/** A session's directed presence without `<x/>` (XEP-0045 7.7). Each is answered, by the room or with what it shows. */
export function updatePresence(membership: Membership, session: string, stanza: Stanza): void {
    attachSession(membership, session, presenceContent(stanza), stanza.attr.id);
    const self = showBest(membership) ? undefined : ownPresence(membership);
    if (self !== undefined) {
        self.attr.id = stanza.attr.id;
        sendTo(session, self);
    }
}
