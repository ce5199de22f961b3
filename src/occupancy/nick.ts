// What the account is called in a room.

import * as id from "util.id";
import * as st from "util.stanza";
import { isBlocked } from "../settings/blocklist";
import { MUC } from "../namespaces";
import * as options from "../options";
import { sendTo } from "../send/fork";
import { presenceContent } from "../state/availability";
import { noteOver } from "../state/limits";
import {
    attachSession,
    beginRenaming,
    endRenaming,
    isAttached,
    type JoinRequest,
    type Membership,
    type NickRequest,
    noteAnswered,
    Phase,
} from "../state/memberships";
import { presenceToShow, showBest } from "./shown";
import { serve } from "./serve";
import { sendUpstream } from "../send/upstream";

/** Seconds that a room has to answer a nick change; the answer may be lost. */
const RENAMING_TIMEOUT = 10;

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
        renamingUnanswered(membership);
    });
    presence.attr.to = `${membership.room}/${nick}`;
    sendUpstream(membership, presence);
}

/** The answer is lost, or late. Whose nick change came as a join is in under the nick that the account has. */
export function renamingUnanswered(membership: Membership): void {
    if (membership.phase !== Phase.Joined) {
        return;
    }
    showBest(membership);
    const requests = membership.nickRequests;
    for (const i of $range(requests.length, 1, -1)) {
        const request = requests[i - 1];
        const session = request?.session;
        if (request !== undefined && session !== undefined && request.isJoin && isAttached(membership, session)) {
            noteAnswered(membership, session);
            serve(membership, request);
        }
    }
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
    if (session !== undefined && attachment?.id === request.key && before !== undefined) {
        membership.attached.set(session, before);
    }
    membership.shown = request.before.session;
    membership.shownPresence = request.before.presence;
    renamingAnswered(membership);
}

/** The account asks for the nick it would have if that were free, where it is. */
export function regainNick(membership: Membership): void {
    const wanted = membership.wantedNick;
    if (membership.phase === Phase.Joined && membership.nick !== wanted && !membership.occupants.has(wanted)) {
        askForNick(membership, wanted);
    }
}

/** The account asks for another nick, of itself. If the room refuses, that is for nobody to know. */
export function askForNick(membership: Membership, nick: string): void {
    if (isBlocked(membership.username, membership.room, nick)) {
        return;
    }
    sendRenaming(membership, nick, presenceToShow(membership));
}
