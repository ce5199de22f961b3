// Resumes memberships after a reload. The timers of the previous instance have ended, and its pending answers are lost.

import { closeGap } from "../archive/catchup";
import * as options from "../options";
import { allMemberships, hasAttached, type Membership, queueOf, setPlace } from "../state/memberships";
import { inSharedQueue, type Joined, type Joining, type Leaving, Phase } from "../state/place";
import { hasMoved, move } from "./former";
import { awaitSubject } from "./joining";
import { proceed, renameOverdue, resumeResync } from "./joined";
import { newLeave, RENAME_TIMEOUT } from "./operations";
import { limitJoin, waitForTurn } from "./enter";
import { leaveUnanswered, retryLeave } from "./leave";
import { kickOf, lost, rejoin } from "./lost";
import { checkAfter } from "./watch";
import { after } from "../turn";

/** Seconds over which the self-pings to all rooms are spread. */
const SPREAD = 5;

/** Resumes all memberships. If the previous instance waited for an answer, the room is asked again. */
export function resumeAll(): void {
    for (const membership of allMemberships()) {
        if (hasMoved(membership)) {
            move(membership);
        } else {
            resume(membership);
        }
    }
}

function resume(membership: Membership): void {
    const place = membership.place;
    if (place.phase === Phase.Lost) {
        membership.place = inSharedQueue(Phase.Lost, place.tries);
        rejoin(membership);
    } else if (place.phase === Phase.Leaving) {
        // The room's own answer may still reach a session that waits for it.
        if (hasAttached(membership)) {
            awaitLeave(membership, place);
        } else {
            retryLeave(membership);
        }
    } else if (
        place.phase === Phase.Joining &&
        (place.operation.request !== undefined || kickOf(place) !== undefined)
    ) {
        resumeJoin(membership, place);
    } else if (place.phase === Phase.Entering && !place.operation.isReturn) {
        awaitSubject(membership, place);
    } else if (place.phase === Phase.Joined) {
        resumeJoined(membership, place);
    } else {
        lost(membership);
    }
}

function resumeJoined(membership: Membership, before: Joined): void {
    const operation = before.operation;
    const place: Joined = {
        phase: Phase.Joined,
        tries: 0,
        since: before.since,
        afterLeave: before.afterLeave,
        operation,
        late: before.late,
    };
    setPlace(membership, place);
    if (before.liveness !== undefined) {
        const { unanswered, waiting } = before.liveness;
        place.liveness = { unanswered, waiting };
        checkAfter(membership, place, math.random() * SPREAD, true);
    }
    if (membership.catchUp !== undefined) {
        closeGap(membership);
    }
    if (operation?.kind === "rename") {
        operation.timer = after(RENAME_TIMEOUT, () => {
            renameOverdue(membership, place, operation);
        });
    } else if (operation !== undefined) {
        resumeResync(membership, place, operation);
    } else if (queueOf(membership).length > 0 || membership.shownPresence !== undefined) {
        proceed(membership);
    }
}

/** Waits again for the answer to sessions' joins, or after a kick to the account's own. */
function resumeJoin(membership: Membership, place: Joining): void {
    place.turn = undefined;
    for (const join of place.earlier) {
        limitJoin(membership, join);
    }
    limitJoin(membership, place.operation);
    waitForTurn(membership);
}

/** Waits again for the answer to a leave. */
function awaitLeave(membership: Membership, { tries, wasIn }: Leaving): void {
    const operation = newLeave(membership, options.answerTimeout, leaveUnanswered);
    setPlace(membership, { phase: Phase.Leaving, tries, operation, wasIn });
}
