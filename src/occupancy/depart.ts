// Sessions that leave a room, or end.

import { bookmarkLeft } from "../settings/bookmark-write";
import { fork, sendTo } from "../send/fork";
import { isAutojoin } from "../state/bookmarks";
import { detachAll, detachSession, isAttached, isUsed, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { abandon, hasPending, pendingJoin, withdraw } from "../state/queue";
import { disownSent } from "../state/sent";
import { sendStanza } from "./outgoing";
import { bounceAll } from "./refuse";
import { ownUnavailable } from "./replay";
import { showBest } from "./shown";
import { leave, leaveIfUnused } from "./leave";
import { rejoin } from "./lost";

/**
 * Handles a directed `unavailable` (XEP-0045 7.14). Returns false if the session is not attached and has no pending
 * join.
 */
export function sessionLeaves(membership: Membership, session: string, stanza: Stanza): boolean {
    if (isAttached(membership, session)) {
        follow(membership, session, withdraw(membership, session));
        detachOrLeave(membership, session, stanza);
        return true;
    }
    const request = pendingJoin(membership, session);
    if (request === undefined) {
        return false;
    }
    withdrawJoin(membership, session, request.nick, stanza);
    return true;
}

/**
 * Withdraws a session's join. The account leaves if no other session needs it. A join that the room is answering may
 * succeed before the leave, so queued stanzas follow it.
 */
function withdrawJoin(membership: Membership, session: string, nick: string, stanza: Stanza): void {
    const place = membership.place;
    const isNeeded = isUsed(membership, session) || isAutojoin(membership);
    const isSent = place.phase === Phase.Joining && place.operation.request !== undefined;
    let queued: Stanza[] = [];
    if (isNeeded || (!isSent && place.phase !== Phase.Leaving)) {
        abandon(membership, session, session);
    } else {
        queued = withdraw(membership, session);
    }
    sendTo(session, ownUnavailable(membership, stanza.attr.id, nick));
    if (isSent && !isNeeded) {
        follow(membership, session, queued);
        bookmarkLeft(membership);
        leave(membership, stanza);
    } else {
        bounceAll(membership, session, queued);
        leaveIfUnused(membership);
    }
}

/** Sends the queued stanzas of a session that leaves. Its presence is of no use any more. */
function follow(membership: Membership, session: string, queued: Stanza[]): void {
    for (const stanza of queued) {
        if (stanza.name !== "presence") {
            sendStanza(membership, session, stanza);
        }
    }
}

/** Detaches the session. The account leaves with the last one, unless the bookmark has autojoin. */
function detachOrLeave(membership: Membership, session: string, stanza: Stanza): void {
    const phase = membership.place.phase;
    if (phase === Phase.Leaving) {
        return;
    }
    const leaves = isLast(membership, session) && !isAutojoin(membership);
    if (!leaves || phase === Phase.Lost) {
        detachSession(membership, session);
        sendTo(session, ownUnavailable(membership, stanza.attr.id));
    }
    if (leaves) {
        bookmarkLeft(membership);
        // The session gets the room's own answer.
        leave(membership, stanza);
    } else {
        showBest(membership);
    }
}

/** Whether no other session is attached or has a pending join. */
function isLast(membership: Membership, session: string): boolean {
    for (const [other] of membership.attached) {
        if (other !== session) {
            return false;
        }
    }
    return !hasPending(membership, session);
}

/** Detaches a session that has gone offline. Returns whether it was attached or had a pending join. */
export function sessionOffline(membership: Membership, session: string): boolean {
    const isPending = pendingJoin(membership, session) !== undefined;
    abandon(membership, session, session);
    return detach(membership, session) || isPending;
}

/** Detaches a session that has ended. The account stays in the room, which is not told. */
export function sessionGone(membership: Membership, session: string): void {
    abandon(membership, session);
    disownSent(membership.sent, session);
    detach(membership, session);
}

function detach(membership: Membership, session: string): boolean {
    if (!isAttached(membership, session)) {
        return false;
    }
    detachSession(membership, session);
    showBest(membership);
    leaveIfUnused(membership);
    return true;
}

/** Cancels an unconfirmed leave and rejoins. Sessions that left stay detached. */
export function takeBack(membership: Membership): void {
    fork(membership, ownUnavailable(membership, undefined));
    detachAll(membership);
    rejoin(membership);
}
