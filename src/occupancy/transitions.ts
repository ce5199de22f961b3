// Transitions of the account: joins by a session or by itself, loss and rejoin, leave, removal by the room. Each
// transition sets its timeout before anything is sent.

import * as id from "util.id";
import * as st from "util.stanza";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { after } from "../turn";
import { patience } from "../send/ask";
import { catchUp, dropQuestion } from "../archive/catchup";
import { openPart } from "../archive/delivered";
import { refusalOf } from "../send/rules";
import { saysOut, selfPing } from "../send/ping";
import { save } from "../state/store";
import * as options from "../options";
import { fork } from "../send/fork";
import {
    endStay,
    isUnheard,
    newJoin,
    newLeave,
    ownJoin,
    ownTimeLimit,
    pause,
    removeJoin,
    sendOwnJoin,
    timeLeft,
} from "./operations";
import { refuseAll, refuseQueue, refuseUnanswered } from "./refuse";
import { ownUnavailable, technicalRemoval } from "./replay";
import { joinToShow } from "./shown";
import { isWanted, noteRefusal } from "../state/bookmarks";
import {
    detachAll,
    dropMembership,
    forgetRoom,
    hasAttached,
    isCurrent,
    isUsed,
    type Membership,
    setPlace,
    triesOf,
    queueOf,
} from "../state/memberships";
import { type Join, type Joining, Phase, requestsOf, type SessionRequest } from "../state/place";
import { requeue, takeJoin, takeNext } from "../state/queue";

/** Seconds for which an unanswered join may delay the next request. */
export const TURN = 5;

/** Attempts after which the account rejoins without an answer of the room's archive. */
const TRIES_FOR_ARCHIVE = 4;

/** Timeout of the catch-up from the room's archive, over all pages, in seconds. */
const ARCHIVE_TIMEOUT = 600;

/** Attempts after which sessions are told that the account is out: about four minutes. */
const TRIES_UNTIL_TOLD = 8;

/** Longest timeout of the self-ping after a leave, in seconds. */
const PING_TIMEOUT = 60;

/**
 * Sends a session's join to the room. `earlier` are unanswered joins. `unconfirmed` is the nick of a leave that may be
 * lost: a second leave goes first, or an account that is still in would get no occupants and no subject.
 */
export function enter(
    membership: Membership,
    request: SessionRequest,
    earlier: Join[] = [],
    unconfirmed?: string,
): void {
    const isReturn = hasAttached(membership);
    if (!isReturn) {
        forgetRoom(membership);
    }
    const key = presenceIdFor(membership, request.id);
    const isFirst = !membership.established && unconfirmed === undefined;
    const parts = {
        id: key,
        nick: request.nick,
        request,
        isReturn,
        isDoubtful: membership.established === true,
        isFirst,
    };
    const join = newJoin(membership, parts, options.answerTimeout, joinUnanswered);
    beginJoin(membership, join, earlier);
    if (!membership.established) {
        save(membership.username);
    }
    if (unconfirmed !== undefined) {
        sendPresence(membership, st.presence({ type: "unavailable" }), unconfirmed, id.medium());
    }
    sendPresence(membership, joinToShow(membership, request), request.nick, key);
}

function beginJoin(membership: Membership, join: Join, earlier: Join[]): void {
    membership.nick = join.nick;
    const before = membership.place;
    setPlace(membership, {
        phase: Phase.Joining,
        tries: triesOf(membership),
        operation: join,
        earlier,
        mayBeIn: before.phase === Phase.Joining && (before.mayBeIn || before.operation.isOverdue),
        turn: undefined,
    });
    waitForTurn(membership);
}

/** Serves the next request in the queue soon, even if the room has not answered the join before it. */
export function waitForTurn(membership: Membership): void {
    const place = membership.place;
    if (place.phase === Phase.Joining && place.turn === undefined && queueOf(membership).length > 0) {
        place.turn = after(TURN, () => {
            place.turn = undefined;
            if (membership.place === place) {
                takeTurn(membership, place);
            }
        });
    }
}

function takeTurn(membership: Membership, place: Joining): void {
    if (place.operation.isShowing) {
        place.operation.isShowing = false;
        waitForTurn(membership);
        return;
    }
    const request = takeNext(membership);
    if (request !== undefined) {
        place.operation.isOverdue = true;
        place.earlier.push(place.operation);
        enter(membership, request, place.earlier);
    }
}

/** A join has timed out. */
function joinUnanswered(membership: Membership, join: Join): void {
    const place = membership.place;
    if (place.phase !== Phase.Joining) {
        return;
    }
    if (join !== place.operation) {
        removeJoin(place.earlier, join);
        refuseUnanswered(membership, join.request);
    } else if (timeLeft(join) > 0) {
        limitJoin(membership, join, timeLeft(join));
    } else if (join.request === undefined) {
        unreached(membership);
    } else {
        join.isOverdue = true;
        refuseUnanswered(membership, join.request);
        joinFailed(membership, place);
    }
}

/** Restarts the timeout of a join. */
export function limitJoin(membership: Membership, join: Join, seconds = options.answerTimeout): void {
    join.timer = after(seconds, () => {
        joinUnanswered(membership, join);
    });
}

/**
 * Sends the next queued join after a session's join has failed. Without one, an earlier join may still be answered.
 * Returns whether there is either.
 */
export function tryNext(membership: Membership, place: Joining): boolean {
    const request = takeNext(membership);
    if (request !== undefined) {
        enter(membership, request, place.earlier);
        return true;
    }
    const join = table.remove<Join>(place.earlier);
    if (join !== undefined) {
        beginJoin(membership, join, place.earlier);
        return true;
    }
    return false;
}

/** A session's join has failed. Joins again if the account must be in the room. */
export function joinFailed(membership: Membership, place: Joining): void {
    if (tryNext(membership, place)) {
        return;
    }
    if (isWanted(membership)) {
        lost(membership);
    } else {
        giveUp(membership, place);
    }
}

/** Ends the attempts. After a timeout the room may still have admitted us, so send a leave. */
export function giveUp(membership: Membership, place: Joining): void {
    // A client that was already joined would read the error as a failed nick change.
    fork(membership, technicalRemoval(membership));
    if (place.mayBeIn || place.operation.isOverdue) {
        detachAll(membership);
        leave(membership, st.presence({ type: "unavailable" }));
    } else {
        over(membership);
    }
}

/**
 * The account is out although it should be in, and will rejoin. Sessions are told only if this takes too long, and may
 * then join by themselves.
 */
export function lost(membership: Membership): void {
    recall(membership);
    const tries = triesOf(membership) + 1;
    membership.nick = membership.wantedNick;
    setPlace(membership, {
        phase: Phase.Lost,
        tries,
        next: { kind: "pause", timer: rejoinAfter(membership, pause(tries)) },
    });
    dropQuestion(membership);
    if (leaveIfUnused(membership)) {
        return;
    }
    if (isUnheard(membership)) {
        leaveUnheard(membership);
    } else if (tries === TRIES_UNTIL_TOLD) {
        fork(membership, technicalRemoval(membership));
        detachAll(membership);
    }
}

/** The room is unreachable: the account is lost, and pending joins fail. */
export function unreached(membership: Membership): void {
    lost(membership);
    refuseQueue(membership);
    leaveIfUnused(membership);
}

export function rejoinAfter(membership: Membership, seconds: number): Timer {
    return after(seconds, () => {
        rejoin(membership);
    });
}

/** Returns the requests of operations without an answer to the front of the queue. */
function recall(membership: Membership): void {
    requeue(membership, requestsOf(membership.place));
}

/**
 * Rejoins, and fetches missed messages first. Until the archive has answered the account is still lost, and a presence
 * of the room answers no join.
 */
export function rejoin(membership: Membership): void {
    const before = membership.place;
    if (before.phase === Phase.Lost && before.next.kind === "archive") {
        return;
    }
    const timer = after(ARCHIVE_TIMEOUT, () => {
        lost(membership);
    });
    recall(membership);
    setPlace(membership, { phase: Phase.Lost, tries: triesOf(membership), next: { kind: "archive", timer } });
    const place = membership.place;
    if (!membership.established) {
        joinAgain(membership);
        return;
    }
    catchUp(membership, (outcome) => {
        if (membership.place !== place) {
            return;
        }
        if (outcome === "unreached" && triesOf(membership) < TRIES_FOR_ARCHIVE) {
            unreached(membership);
        } else {
            joinAgain(membership);
        }
    });
}

/** Sends the account's own join. */
export function joinAgain(membership: Membership): void {
    const refusal = refusalOf(membership);
    if (refusal !== undefined) {
        joinForbidden(membership, refusal);
        return;
    }
    const join = newJoin(membership, ownJoin(membership, true), ownTimeLimit(membership), joinUnanswered);
    beginJoin(membership, join, []);
    sendOwnJoin(membership, join);
    makeSure(membership, join);
}

/** This server's rules forbid the automatic join. A client's join has passed the same rules. */
function joinForbidden(membership: Membership, error: Stanza): void {
    const [type, condition] = error.get_error();
    const request = takeNext(membership);
    if (request !== undefined) {
        enter(membership, request);
    } else if (type === "wait") {
        lost(membership);
    } else {
        module.log("warn", "This server forbids %s to join %s: %s", membership.username, membership.room, condition);
        noteRefusal(membership, condition);
        fork(membership, technicalRemoval(membership));
        detachAll(membership);
        membership.ending = undefined;
        if (membership.established) {
            retryLeave(membership, 1);
        } else {
            dropMembership(membership);
        }
        save(membership.username);
    }
}

/**
 * Sends a ping after a join. The room answers it after its answer to the join. If no subject has come by then, the room
 * did not treat our presence as a join.
 */
export function makeSure(membership: Membership, join: Join): void {
    selfPing(membership, () => {
        const place = membership.place;
        if (place.phase === Phase.Entering && place.operation === join && isCurrent(membership)) {
            startOver(membership);
        }
    });
}

/**
 * The room treated the join as a presence update, as ejabberd does while the account is still in. It will send the
 * occupants only after a leave.
 */
function startOver(membership: Membership): void {
    recall(membership);
    const join = newJoin(membership, ownJoin(membership, false), options.answerTimeout, joinUnanswered);
    beginJoin(membership, join, []);
    sendPresence(membership, st.presence({ type: "unavailable" }), join.nick, id.medium());
    sendOwnJoin(membership, join);
}

/** Leaves the room. `unavailable` may have a status from the client. */
export function leave(membership: Membership, unavailable: Stanza): void {
    recall(membership);
    membership.ending = undefined;
    const operation = newLeave(membership, options.answerTimeout, leaveUnanswered, unavailable.attr.id);
    setPlace(membership, { phase: Phase.Leaving, tries: 0, operation });
    hastenLeave(membership);
    save(membership.username);
    sendPresence(membership, unavailable, membership.nick, operation.id);
}

/** Shortens the wait for a leave that the room may never confirm, because a session waits. */
export function hastenLeave(membership: Membership): void {
    const place = membership.place;
    const isFirst = place.phase === Phase.Leaving && place.tries === 0 && queueOf(membership).length > 0;
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
    detachAll(membership);
    const request = takeNext(membership);
    if (request !== undefined) {
        enter(membership, request, [], membership.nick);
    } else {
        retryLeave(membership);
    }
}

/** Resends the leave, then self-pings: rooms do not answer a leave from a non-occupant. */
export function retryLeave(membership: Membership, tries = triesOf(membership) + 1): void {
    const operation = newLeave(membership, PING_TIMEOUT, retryLeave);
    setPlace(membership, { phase: Phase.Leaving, tries, operation });
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
        const mayBeIn = membership.established && !isUnheard(membership);
        if (!saysOut(condition) && (mayBeIn || tries < TRIES_UNTIL_TOLD)) {
            const next = newLeave(membership, pause(tries), retryLeave);
            setPlace(membership, { phase: Phase.Leaving, tries, operation: next });
        } else {
            over(membership);
        }
    };
    selfPing(membership, answered, patience(membership));
}

/** The account is out. A waiting session starts a new join. Without one the membership is dropped. */
export function over(membership: Membership): void {
    if (membership.place.phase !== Phase.Leaving) {
        noteRefusal(membership);
    }
    recall(membership);
    endStay(membership);
    const request = takeJoin(membership);
    if (request === undefined) {
        dropMembership(membership);
        save(membership.username);
    } else {
        enter(membership, request);
    }
}
