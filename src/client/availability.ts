// What the account shows of itself in a room: presence and nick.

import * as id from "util.id";
import * as st from "util.stanza";
import { isBlocked } from "../keep/blocklist";
import { MUC, VCARD_UPDATE } from "../namespaces";
import * as options from "../options";
import { sendTo } from "../room/fork";
import { ownPresence } from "../room/replay";
import { bestSession, presenceContent } from "../state/availability";
import { isSameElement } from "../stanzas";
import {
    type Attachment,
    attachSession,
    beginRenaming,
    endRenaming,
    type JoinRequest,
    type Membership,
    type NickRequest,
    Phase,
} from "../state/memberships";
import { noteOver } from "../state/limits";
import { sendUpstream } from "./upstream";

/** Seconds that a room has to answer a nick change; the answer may be lost. */
const RENAMING_TIMEOUT = 10;

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
    const update = membership.self === undefined ? undefined : membership.self.get_child("x", VCARD_UPDATE);
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

/** A session's presence to another nick is a nick change of the account (XEP-0045 7.6). Its error is for that session. */
export function changeNick(membership: Membership, request: JoinRequest): void {
    const session = request.session;
    if (membership.nickRequests.length >= options.maxNickRequests) {
        noteOver("minimix_max_nick_requests", membership.username, membership.room);
        sendTo(session, st.error_reply(request.stanza, "wait", "resource-constraint", undefined, membership.room));
        return;
    }
    const key = request.id === undefined || isOnItsWay(membership, request.id) ? id.medium() : request.id;
    membership.nickRequests.push({
        key,
        isJoin: request.stanza.get_child("x", MUC) !== undefined,
        session,
        id: request.id,
        nick: request.nick,
        stanza: request.stanza,
        before: { session: membership.shown, presence: membership.shownPresence },
        attachmentBefore: session === undefined ? undefined : membership.attached.get(session),
    });
    if (session !== undefined) {
        attachSession(membership, session, presenceContent(request.stanza), key);
    }
    const change = presenceToShow(membership);
    change.attr.id = key;
    sendRenaming(membership, request.nick, change);
}

function sendRenaming(membership: Membership, nick: string, presence: Stanza): void {
    beginRenaming(membership, nick, RENAMING_TIMEOUT, () => {
        if (membership.phase === Phase.Joined) {
            showBest(membership);
        }
    });
    presence.attr.to = `${membership.room}/${nick}`;
    sendUpstream(membership, presence);
}

/** The room has answered a nick change: what was not shown meanwhile is, after the last one. */
export function renamingAnswered(membership: Membership): void {
    if (membership.renaming !== undefined && membership.nickRequests.length === 0) {
        endRenaming(membership);
        showBest(membership);
    }
}

function isOnItsWay(membership: Membership, key: string): boolean {
    for (const request of membership.nickRequests) {
        if (request.key === key) {
            return true;
        }
    }
    return false;
}

/** The room refused a nick, and the presence that came with it; unless the session has shown another one since. */
export function nickRefused(membership: Membership, request: NickRequest): void {
    const session = request.session;
    const attachment = session === undefined ? undefined : membership.attached.get(session);
    const before = request.attachmentBefore;
    if (session !== undefined && attachment !== undefined && attachment.id === request.key && before !== undefined) {
        membership.attached.set(session, before);
    }
    membership.shown = request.before.session;
    membership.shownPresence = request.before.presence;
    renamingAnswered(membership);
}

/** The account asks for another nick, of itself. If the room refuses, that is for nobody to know. */
export function askForNick(membership: Membership, nick: string): void {
    if (isBlocked(membership.username, membership.room, nick)) {
        return;
    }
    sendRenaming(membership, nick, presenceToShow(membership));
}
