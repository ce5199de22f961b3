// Leaves rooms, and repeats the leave until the room confirms it. The timeout is set before anything is sent.

import * as st from "util.stanza";
import { openPart } from "../archive/delivered";
import * as options from "../options";
import { patience } from "../send/ask";
import { fork } from "../send/fork";
import { saysOut, selfPing } from "../send/ping";
import { sendPresence } from "../send/upstream";
import { noteRefusal } from "../state/bookmarks";
import { detachAll, dropMembership, isCurrent, isUsed, type Membership, setPlace, triesOf } from "../state/memberships";
import { isIn, type Leaving, Phase, type Place } from "../state/place";
import { hasQueuedJoin, takeJoin } from "../state/queue";
import { save } from "../state/store";
import { after } from "../turn";
import { enter, TURN } from "./enter";
import { endStay, isUnheard, joinInFlight, newLeave, pause, recall } from "./operations";
import { bounceQueue, refuseAll } from "./refuse";
import { ownUnavailable } from "./replay";

/** Attempts after which sessions are told that the account is out: about four minutes. */
export const TRIES_UNTIL_TOLD = 8;

/** Longest timeout of the self-ping after a leave, in seconds. */
const PING_TIMEOUT = 60;

/** Leaves the room. `unavailable` may have a status from the client. */
export function leave(membership: Membership, unavailable: Stanza): void {
    recall(membership);
    membership.ending = undefined;
    const before = membership.place;
    if (before.phase === Phase.Joining && next(before.shown)[0] !== undefined) {
        // The room has begun to answer the join, so it has admitted the account.
        membership.established = true;
    }
    const operation = newLeave(membership, options.answerTimeout, leaveUnanswered, unavailable.attr.id);
    setPlace(membership, { phase: Phase.Leaving, tries: 0, operation, wasIn: stayIn(before) });
    hastenLeave(membership);
    save(membership.username);
    sendPresence(membership, unavailable, membership.nick, operation.id);
}

/** Returns how the account is in the room, or was when it began to leave. */
function stayIn(place: Place): Leaving["wasIn"] {
    if (place.phase === Phase.Leaving) {
        return place.wasIn;
    }
    if (!isIn(place)) {
        return undefined;
    }
    return joinInFlight(place) === undefined ? "settled" : "joining";
}

/** Shortens the wait for a leave that the room may never confirm, because a session waits. */
export function hastenLeave(membership: Membership): void {
    const place = membership.place;
    const isFirst = place.phase === Phase.Leaving && place.tries === 0 && hasQueuedJoin(membership);
    if (isFirst && place.operation !== undefined) {
        place.operation.timer.stop();
        place.operation.timer = after(TURN, () => {
            leaveUnanswered(membership);
        });
    }
}

/** Leaves a blocked room: its answer will not arrive, so fail pending joins now. */
export function leaveUnheard(membership: Membership): void {
    refuseAll(membership);
    fork(membership, ownUnavailable(membership, undefined));
    detachAll(membership);
    membership.ending = undefined;
    retryLeave(membership, 1);
    save(membership.username);
}

/** Leaves the room if only sessions keep the account there, and none is left. Returns whether it does. */
export function leaveIfUnused(membership: Membership): boolean {
    if (!membership.ending || isUsed(membership)) {
        return false;
    }
    leave(membership, st.presence({ type: "unavailable" }));
    return true;
}

/** Tells the sessions now, but retries the leave until confirmed: a stale occupant is a leak. */
export function leaveUnanswered(membership: Membership): void {
    const place = membership.place;
    const leaving = place.phase === Phase.Leaving ? place.operation : undefined;
    fork(membership, ownUnavailable(membership, leaving === undefined ? undefined : leaving.answerId));
    leaveAgain(membership);
}

/** The sessions know that they are out, but the account may be in. A waiting session's join follows after a leave. */
export function leaveAgain(membership: Membership): void {
    detachAll(membership);
    const request = takeJoin(membership);
    if (request !== undefined) {
        enter(membership, request, [], membership.nick);
    } else {
        retryLeave(membership);
    }
}

/**
 * Resends the leave, then self-pings: rooms do not answer a leave from a non-occupant. `isMissing`: the room has no
 * occupant with the nick.
 */
export function retryLeave(membership: Membership, tries = triesOf(membership) + 1, isMissing = false): void {
    const operation = newLeave(membership, PING_TIMEOUT, retryLeave);
    const wasIn = stayIn(membership.place);
    setPlace(membership, { phase: Phase.Leaving, tries, operation, wasIn });
    const place = membership.place;
    if (membership.established) {
        // After a start of the server the account may still be in the room.
        openPart(membership);
    }
    sendPresence(membership, st.presence({ type: "unavailable" }), membership.nick, operation.id);
    const answered = (condition: string | undefined) => {
        if (membership.place !== place || !isCurrent(membership)) {
            return;
        }
        if (condition === "item-not-found" && !isMissing) {
            // The leave was lost, and the account has another nick. Or the room does not exist.
            retryLeave(membership, tries, true);
            return;
        }
        const mayBeIn = membership.established && !isUnheard(membership);
        if (!saysOut(condition) && (mayBeIn || tries < TRIES_UNTIL_TOLD)) {
            const next = newLeave(membership, pause(tries), retryLeave);
            setPlace(membership, { phase: Phase.Leaving, tries, operation: next, wasIn });
        } else {
            over(membership);
        }
    };
    selfPing(membership, answered, patience(membership));
}

/**
 * Whether the room may still admit the account: by a join in flight without a session, or by one that has timed out, also
 * before a restart.
 */
function mayStillEnter(place: Place): boolean {
    return joinInFlight(place) !== undefined || place.phase === Phase.Lost;
}

/**
 * The account is out. A waiting session starts a new join. Without one the membership is dropped. If the room may still
 * admit the account, a leave comes first.
 */
export function over(membership: Membership): void {
    const place = membership.place;
    if (place.phase !== Phase.Leaving) {
        noteRefusal(membership);
    }
    recall(membership);
    endStay(membership);
    if (!hasQueuedJoin(membership)) {
        bounceQueue(membership);
    }
    if (mayStillEnter(place)) {
        // Wait: a local room is still sending the removal to its occupants, and expects no presence meanwhile.
        const operation = newLeave(membership, 0, leaveAgain);
        setPlace(membership, { phase: Phase.Leaving, tries: 0, operation });
        save(membership.username);
        return;
    }
    const request = takeJoin(membership);
    if (request === undefined) {
        dropMembership(membership);
        save(membership.username);
    } else {
        enter(membership, request);
    }
}
