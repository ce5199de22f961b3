// Sends joins: of sessions, in the order of the queue. The timeout is set before anything is sent.

import * as id from "util.id";
import * as st from "util.stanza";
import * as options from "../options";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { forgetRoom, hasAttached, isCurrent, type Membership, now, setPlace, triesOf } from "../state/memberships";
import { type Join, type Joining, joiningBy, Phase, type SessionRequest } from "../state/place";
import { hasQueuedJoin, takeJoin } from "../state/queue";
import { save } from "../state/store";
import { after } from "../turn";
import { selfPing } from "../send/ping";
import { type JoinParts, newJoin } from "./operations";
import { joinToShow } from "./shown";

/** Seconds for which an unanswered join may delay the next request. */
export const TURN = 5;

type TimeoutHandler = (this: void, membership: Membership, join: Join) => void;

let onTimeout: TimeoutHandler | undefined;

/** Registers the handler of joins that time out. It may send other joins, so this file cannot import it. */
export function onJoinTimeout(handler: TimeoutHandler): void {
    onTimeout = handler;
}

/** A join has timed out. */
function timedOut(this: void, membership: Membership, join: Join): void {
    onTimeout?.(membership, join);
}

/** Creates a join with a timeout in seconds. */
export function newTimedJoin(membership: Membership, parts: JoinParts, seconds = options.answerTimeout): Join {
    return newJoin(membership, parts, seconds, timedOut);
}

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
    // The room may have begun to answer an earlier join. Then it takes this one for a nick change, and repeats no occupants.
    if (!isReturn && earlier.length === 0) {
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
        left: unconfirmed ?? leaveBefore(earlier),
    };
    const join = newTimedJoin(membership, parts);
    disown(earlier, request.session);
    beginJoin(membership, join, earlier, shownSince(membership, earlier));
    if (!membership.established) {
        save(membership.username);
    }
    if (unconfirmed !== undefined) {
        sendPresence(membership, st.presence({ type: "unavailable" }), unconfirmed, id.medium());
    }
    sendPresence(membership, joinToShow(membership, request), request.nick, key);
}

/** Returns the nick of a leave that was sent ahead of these unanswered joins. */
function leaveBefore(joins: Join[]): string | undefined {
    return joins[joins.length - 1]?.left;
}

/** Returns the nicks that the room has shown since the first of these unanswered joins. */
function shownSince({ place }: Membership, joins: Join[]): LuaSet<string> | undefined {
    return joins.length > 0 && place.phase === Phase.Joining ? place.shown : undefined;
}

/** The session of these joins has sent a newer one. The room's answer to that one counts. */
function disown(joins: Join[], session: string | undefined): void {
    for (const { request } of joins) {
        if (request !== undefined && request.session === session) {
            request.session = undefined;
        }
    }
}

/** Makes a join the operation of an account that is not in the room. `shown` are nicks of an answer that has begun. */
export function beginJoin(membership: Membership, join: Join, earlier: Join[], shown = new LuaSet<string>()): void {
    membership.nick = join.nick;
    const before = membership.place;
    const mayBeIn = before.phase === Phase.Joining && before.mayBeIn;
    setPlace(membership, joiningBy(join, earlier, shown, mayBeIn, triesOf(membership)));
    waitForTurn(membership);
}

/** Serves the next request in the queue soon, even if the room has not answered the join before it. */
export function waitForTurn(membership: Membership): void {
    const place = membership.place;
    if (place.phase === Phase.Joining && place.turn === undefined && hasQueuedJoin(membership)) {
        place.turn = after(TURN, () => {
            place.turn = undefined;
            if (membership.place === place) {
                takeTurn(membership, place);
            }
        });
    }
}

function takeTurn(membership: Membership, place: Joining): void {
    // A presence without 110 that may be our own answers the join, see selfClaimed().
    const isAnswering = place.shownAt !== undefined && now() - place.shownAt < TURN;
    if (isAnswering || place.claimed !== undefined) {
        waitForTurn(membership);
        return;
    }
    const request = takeJoin(membership, place.operation.nick);
    if (request !== undefined) {
        enterNext(membership, place, request);
    } else {
        askFirst(membership, place);
    }
}

function enterNext(membership: Membership, place: Joining, request: SessionRequest): void {
    place.mayBeIn = true;
    place.earlier.push(place.operation);
    enter(membership, request, place.earlier);
    if (membership.place.phase === Phase.Joining) {
        membership.place.removal = place.removal;
    }
}

/**
 * The next join has the nick of the unanswered one. Sends a self-ping, which a slow room answers after the join. Then the
 * answer serves both sessions, and other occupants see no second join.
 */
function askFirst(membership: Membership, place: Joining): void {
    selfPing(membership, () => {
        const isPending = membership.place === place && isCurrent(membership);
        const request = isPending ? takeJoin(membership) : undefined;
        if (request !== undefined) {
            enterNext(membership, place, request);
        }
    });
}

/** Restarts the timeout of a join. */
export function limitJoin(membership: Membership, join: Join, seconds = options.answerTimeout): void {
    join.timer = after(seconds, () => {
        timedOut(membership, join);
    });
}

/**
 * Sends the next queued join after a session's join has failed. Without one, an earlier join may still be answered.
 * Returns whether there is either.
 */
export function tryNext(membership: Membership, place: Joining): boolean {
    const request = takeJoin(membership);
    if (request !== undefined) {
        enter(membership, request, place.earlier);
        return true;
    }
    const join = table.remove<Join>(place.earlier);
    if (join !== undefined) {
        beginJoin(membership, join, place.earlier, place.shown);
        return true;
    }
    return false;
}
