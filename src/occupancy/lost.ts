// Failed joins, loss and rejoin: the account is not in a room although it should be.

import * as id from "util.id";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { catchUp, dropQuestion } from "../archive/catchup";
import { fork } from "../send/fork";
import { forkOwn } from "../send/own";
import * as options from "../options";
import { saysNothing, selfPing } from "../send/ping";
import { refusalOf } from "../send/rules";
import { sendPresence } from "../send/upstream";
import { isToJoin, shouldRejoin, noteRefusal } from "../state/bookmarks";
import {
    detachAll,
    dropMembership,
    isAttached,
    isCurrent,
    type Membership,
    setPlace,
    triesOf,
} from "../state/memberships";
import { type Join, type Joining, Phase } from "../state/place";
import { hasQueuedJoin, isAlive, isSuperseded, takeJoin } from "../state/queue";
import { save } from "../state/store";
import { isSameNick } from "../stanzas";
import { after } from "../turn";
import { keepNewNick } from "./burst";
import { beginJoin, enter, limitJoin, newTimedJoin, onJoinTimeout, tryNext } from "./enter";
import { leave, leaveIfUnused, leaveUnheard, over, retryLeave, TRIES_UNTIL_TOLD } from "./leave";
import {
    admittedBy,
    dropOwnJoins,
    endStay,
    isUnheard,
    JOIN_PATIENCE,
    joinInFlight,
    ownJoin,
    pause,
    recall,
    removeJoin,
    sendOwnJoin,
    timeLeft,
} from "./operations";
import { isExpulsion, isTechnical } from "./refusal";
import { refuse, refuseQueue, refuseUnanswered } from "./refuse";
import { sendSubject, technicalRemoval, understood } from "./replay";

/** Attempts after which the account rejoins without an answer of the room's archive. */
const TRIES_FOR_ARCHIVE = 4;

/** Timeout of the catch-up from the room's archive, over all pages, in seconds. */
const ARCHIVE_TIMEOUT = 600;

/**
 * The account is out although it should be in, and will rejoin. Sessions are told only if this takes too long, and may
 * then join by themselves.
 */
export function lost(membership: Membership): void {
    const admitted = admittedBy(membership.place);
    if (admitted !== undefined) {
        sendSubject(membership, admitted.session);
    }
    recall(membership);
    keepNewNick(membership);
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
        if (outcome !== "unreached" || triesOf(membership) >= TRIES_FOR_ARCHIVE) {
            joinAgain(membership);
            return;
        }
        // A slow archive does not speak for the room. The room itself answers a session's join.
        const request = takeJoin(membership);
        if (request === undefined) {
            unreached(membership);
        } else {
            enter(membership, request);
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
    const seconds = Math.min(options.answerTimeout, JOIN_PATIENCE);
    const join = newTimedJoin(membership, ownJoin(membership, false), seconds);
    beginJoin(membership, join, []);
    sendOwnJoin(membership, join);
    makeSure(membership, join);
}

/** This server's rules forbid the automatic join. A client's join has passed the same rules. */
function joinForbidden(membership: Membership, error: Stanza): void {
    const [type, condition] = error.get_error();
    const request = takeJoin(membership);
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
            startOver(membership, join.request?.session);
        }
    });
}

/**
 * The room treated the join as a presence update, as ejabberd does while the account is still in. It will send the
 * occupants only after a leave. `session` has asked for the join. A subject that the room repeats is no news to others.
 */
function startOver(membership: Membership, session: string | undefined): void {
    if (membership.view.subject !== undefined && isAttached(membership, session)) {
        sendSubject(membership, session);
    }
    recall(membership);
    keepNewNick(membership);
    const join = newTimedJoin(membership, ownJoin(membership, true));
    beginJoin(membership, join, []);
    sendPresence(membership, st.presence({ type: "unavailable" }), join.nick, id.medium());
    sendOwnJoin(membership, join);
}

/**
 * The room confirms a leave that was sent ahead of a join. So our own presence before it has answered an earlier join, and
 * the answer to this one follows.
 */
export function leftBefore(membership: Membership, sent: Join, removal: Stanza): void {
    recall(membership);
    keepNewNick(membership);
    membership.wantedNick = sent.nick;
    const join = newTimedJoin(membership, {
        id: sent.id,
        nick: sent.nick,
        request: undefined,
        isReturn: true,
        isDoubtful: false,
        isFirst: false,
        left: unconfirmedLeave(sent, removal),
    });
    beginJoin(membership, join, []);
}

/** Returns the nick of the leave ahead of a join, unless the room has confirmed it with this removal. */
export function unconfirmedLeave({ left }: Join, removal: Stanza | undefined): string | undefined {
    const removed = jids.resource(removal?.attr.from ?? "");
    const isConfirmed = left !== undefined && removed !== undefined && isSameNick(removed, left);
    return isConfirmed ? undefined : left;
}

/**
 * The room has put the account out. It may still answer a session's join that was sent before. Returns whether there is
 * such a join. It is not sent again: the room may have taken it for a presence update before.
 */
export function putOutBefore(membership: Membership): boolean {
    const sent = joinInFlight(membership.place);
    const request = sent?.request;
    if (sent === undefined || request === undefined || !isAlive(request) || isSuperseded(membership, request)) {
        return false;
    }
    noteRefusal(membership);
    endStay(membership);
    const join = newTimedJoin(membership, {
        id: sent.id,
        nick: sent.nick,
        request,
        isReturn: false,
        isDoubtful: false,
        isFirst: false,
        left: undefined,
    });
    beginJoin(membership, join, []);
    save(membership.username);
    return true;
}

/**
 * The room has changed the nick of an account that it had all the time, and lists no occupants. If it took the last join
 * for that change, the account joins again under the new nick. Otherwise the answer to the join follows.
 */
export function onlyRenamed(membership: Membership, place: Joining, nick: string, isLast: boolean): void {
    place.renamed = undefined;
    place.mayBeIn = true;
    membership.established = true;
    save(membership.username);
    if (isLast) {
        membership.wantedNick = place.operation.request === undefined ? membership.wantedNick : nick;
        recall(membership);
        membership.nick = nick;
        joinAgain(membership);
        if (membership.place.phase === Phase.Joining) {
            membership.place.renamed = "before";
        }
    }
}

/** A join has timed out. */
function joinUnanswered(membership: Membership, join: Join): void {
    const place = membership.place;
    if (place.phase !== Phase.Joining) {
        return;
    }
    const kick = kickOf(place);
    if (join !== place.operation) {
        removeJoin(place.earlier, join);
        refuseUnanswered(membership, join.request);
    } else if (timeLeft(place) > 0 && (join.request !== undefined || place.isHeard || kick !== undefined)) {
        limitJoin(membership, join, timeLeft(place));
    } else if (timeLeft(place) > 0) {
        ownJoinUnanswered(membership, place);
    } else if (kick !== undefined) {
        refuseUnanswered(membership, join.request);
        endKicked(membership, place, kick);
    } else if (join.request === undefined && !hasQueuedJoin(membership)) {
        unreached(membership);
    } else {
        place.mayBeIn = true;
        refuseUnanswered(membership, join.request);
        joinFailed(membership, place);
    }
}

onJoinTimeout(joinUnanswered);

/**
 * The room has not answered an automatic join. Sends a self-ping, which a slow room answers after the join. So an answer
 * to the ping shows that the answer to the join is lost. A slow room gets no second join, which all occupants would see.
 */
function ownJoinUnanswered(membership: Membership, place: Joining): void {
    limitJoin(membership, place.operation, Math.min(timeLeft(place), JOIN_PATIENCE));
    const pinged = (condition: string | undefined) => {
        const isPending = membership.place === place && isCurrent(membership) && kickOf(place) === undefined;
        const isReached = condition === undefined || !saysNothing(condition);
        if (isPending && isReached && !tryNext(membership, place)) {
            unreached(membership);
        }
    };
    selfPing(membership, pinged, JOIN_PATIENCE);
}

/** A session's join has failed. Joins again if the account must be in the room. */
export function joinFailed(membership: Membership, place: Joining): void {
    if (tryNext(membership, place)) {
        return;
    }
    const { left, request } = place.operation;
    const hasLeft = left !== undefined && request !== undefined;
    if (hasLeft) {
        // The leave ahead of the join may be lost.
        place.mayBeIn = true;
    }
    if (isToJoin(membership) || (!hasLeft && shouldRejoin(membership))) {
        lost(membership);
    } else {
        giveUp(membership, place);
    }
}

/** Returns the removal if the room has kicked or banned the account since the last join. */
export function kickOf({ removal }: Joining): Stanza | undefined {
    return removal !== undefined && isExpulsion(removal) && !isTechnical(removal) ? removal : undefined;
}

/** A join has failed after a kick, so the account stays out. The room may have admitted it meanwhile, so send a leave. */
export function endKicked(membership: Membership, place: Joining, kick: Stanza): void {
    place.mayBeIn = true;
    if (!tryOthers(membership, place, kick)) {
        noteRefusal(membership);
        endStay(membership);
        giveUp(membership, place);
    }
}

/** The room has removed the account first. `isAnswer`: as its answer to the last join. `mayBeIn`: it may be in by now. */
export function removedAtOnce(
    membership: Membership,
    place: Joining,
    stanza: Stanza,
    isAnswer: boolean,
    mayBeIn = false,
): void {
    const request = place.operation.request;
    if (isAnswer) {
        refuse(membership, request, stanza);
    } else {
        refuseUnanswered(membership, request);
    }
    if (isTechnical(stanza) && (request === undefined || shouldRejoin(membership))) {
        lost(membership);
    } else if (mayBeIn) {
        endKicked(membership, place, stanza);
    } else if (!tryOthers(membership, place, stanza)) {
        over(membership);
    }
}

/** The room has put the account out. Sessions' other joins go on as first ones. Returns whether there is one. */
function tryOthers(membership: Membership, place: Joining, removal: Stanza): boolean {
    forkOwn(membership, understood(membership, removal));
    dropOwnJoins(place.earlier);
    const hasOther = hasQueuedJoin(membership) || place.earlier.length > 0;
    if (hasOther) {
        noteRefusal(membership);
        endStay(membership);
        tryNext(membership, place);
        save(membership.username);
    }
    return hasOther;
}

/** Ends the attempts. After a timeout the room may still have admitted us, so send a leave. */
export function giveUp(membership: Membership, place: Joining): void {
    // A client that was already joined would read the error as a failed nick change.
    fork(membership, technicalRemoval(membership));
    if (place.mayBeIn) {
        detachAll(membership);
        leave(membership, st.presence({ type: "unavailable" }));
    } else {
        over(membership);
    }
}
