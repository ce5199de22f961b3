// What the account shows of itself in a room: presence and nick.

import * as id from "util.id";
import * as st from "util.stanza";
import { sendTo } from "../room/fork";
import { bestSession, presenceContent } from "../state/availability";
import type { JoinRequest, Membership } from "../state/memberships";
import { sendUpstream } from "./upstream";

/** Shows the room the best presence among the attached sessions; whether that was news to it. */
export function showBest(membership: Membership): boolean {
    const best = bestSession(membership);
    if (best === undefined) {
        return false;
    }
    const attachment = membership.attached.get(best);
    if (attachment === undefined) {
        return false;
    }
    membership.shown = best;
    const text = tostring(attachment.presence);
    if (text === membership.shownText) {
        return false;
    }
    membership.shownText = text;
    const presence = st.clone(attachment.presence);
    presence.attr.to = `${membership.room}/${membership.nick}`;
    presence.attr.id = attachment.id;
    sendUpstream(membership, presence);
    return true;
}

/** A session's directed presence without `<x/>` (XEP-0045 7.7). Each is answered, by the room or with what it shows. */
export function updatePresence(membership: Membership, session: string, stanza: Stanza): void {
    membership.attached.set(session, { presence: presenceContent(stanza), id: stanza.attr.id });
    if (!showBest(membership) && membership.self !== undefined) {
        const self = st.clone(membership.self);
        self.attr.id = stanza.attr.id;
        sendTo(session, self);
    }
}

/** A session's presence to another nick is a nick change of the account (XEP-0045 7.6). Its error is for that session. */
export function changeNick(membership: Membership, request: JoinRequest): void {
    const key = request.id ?? id.medium();
    membership.nickRequests.set(key, request);
    const presence = presenceContent(request.stanza);
    membership.attached.set(request.session, { presence, id: key });
    const change = st.clone(presence);
    change.attr.to = `${membership.room}/${request.nick}`;
    change.attr.id = key;
    sendUpstream(membership, change);
}
