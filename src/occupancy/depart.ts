// Sessions that leave a room, or are gone.

import { bookmarkLeft } from "../settings/bookmark-write";
import { fork, sendTo } from "../send/fork";
import { isAutojoin } from "../state/bookmarks";
import { detachAll, detachSession, isAttached, isUsed, type Membership } from "../state/memberships";
import { Phase } from "../state/place";
import { abandon, hasPending, pendingJoin, withdraw } from "../state/queue";
import { disownSent } from "../state/sent";
import { bounceAll } from "./refuse";
import { ownUnavailable } from "./replay";
import { showBest } from "./shown";
import { leave, leaveIfUnused, rejoin } from "./transitions";

/** A directed `unavailable` (XEP-0045 7.14). Returns false if the session is neither in the room nor about to be. */
export function sessionLeaves(membership: Membership, session: string, stanza: Stanza): boolean {
    if (isAttached(membership, session)) {
        bounceAll(membership, session, withdraw(membership, session));
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

/** The account joins only because sessions have asked for it: without them its join is taken back. */
function withdrawJoin(membership: Membership, session: string, nick: string, stanza: Stanza): void {
    const place = membership.place;
    const isAsked = place.phase === Phase.Joining && place.operation.request !== undefined;
    bounceAll(membership, session, withdraw(membership, session));
    sendTo(session, ownUnavailable(membership, stanza.attr.id, nick));
    if (isAsked && !isUsed(membership) && !isAutojoin(membership)) {
        bookmarkLeft(membership);
        leave(membership, stanza);
    } else {
        leaveIfUnused(membership);
    }
}

/** The session goes, and with the last one the account, unless it autojoins. */
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
        // The room's own answer is the session's to see.
        leave(membership, stanza);
    } else {
        showBest(membership);
    }
}

/** Whether no other session is in the room, or about to be. */
function isLast(membership: Membership, session: string): boolean {
    for (const [other] of membership.attached) {
        if (other !== session) {
            return false;
        }
    }
    return !hasPending(membership, session);
}

/** The session has gone offline without a word to the room. Returns whether it was in the room, or about to be. */
export function sessionOffline(membership: Membership, session: string): boolean {
    const isPending = pendingJoin(membership, session) !== undefined;
    bounceAll(membership, session, withdraw(membership, session));
    return detach(membership, session) || isPending;
}

/** The session is no more. The account stays in the room, which hears nothing of it. */
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
