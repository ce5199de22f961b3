// Is the account still in its rooms? Quiet rooms are asked, and those behind a link that broke (XEP-0410).

import * as jids from "util.jid";
import { lost, pause, rejoin, retryLeave } from "../occupancy";
import { allMemberships, isCurrent, type Membership, Phase, setTimer } from "../state/memberships";
import { catchUp } from "./catchup";
import { saysJoined, saysNothing, selfPing } from "./ping";

/** Asks the room whether the account is in it, and brings it back if not. */
export function check(membership: Membership): void {
    if (membership.checking || membership.phase !== Phase.Joined) {
        return;
    }
    membership.checking = true;
    selfPing(membership, (condition) => {
        membership.checking = false;
        if (isCurrent(membership) && membership.phase === Phase.Joined) {
            checked(membership, condition);
        }
    });
}

function checked(membership: Membership, condition: string | undefined): void {
    if (condition === undefined || saysJoined(condition)) {
        reached(membership);
    } else if (saysNothing(condition)) {
        membership.unanswered = membership.unanswered + 1;
        checkAfter(membership, pause(membership.unanswered));
    } else {
        module.log("info", "%s is out of %s (%s) and goes back", membership.username, membership.room, condition);
        lost(membership);
    }
}

/** The account was in the room all the time. What the room said while it was out of reach may have been lost. */
function reached(membership: Membership): void {
    if (membership.unanswered > 0) {
        membership.unanswered = 0;
        catchUp(membership, () => undefined);
    }
}

function checkAfter(membership: Membership, seconds: number): void {
    setTimer(membership, seconds, () => {
        check(membership);
    });
}

/** Looks after the rooms that have said nothing since the last call, spread over so many seconds. */
export function checkQuiet(spread: number): void {
    for (const membership of allMemberships()) {
        if (membership.heard) {
            membership.heard = false;
        } else if (membership.phase === Phase.Joined && membership.unanswered === 0) {
            checkAfter(membership, math.random() * spread);
        }
    }
}

/** Seconds within which the rooms of a server are asked after its link broke. */
const AFTER_LINK = 5;

/** `s2sin-destroyed` and `s2sout-destroyed`: the server on the other end may have gone, and the account with it. */
export function onLinkGone(event: { readonly session: S2sSession }): undefined {
    const remote = event.session.direction === "outgoing" ? event.session.to_host : event.session.from_host;
    if (remote === undefined) {
        return;
    }
    for (const membership of allMemberships()) {
        if (jids.host(membership.room) === remote && membership.phase === Phase.Joined && membership.unanswered === 0) {
            checkAfter(membership, 1 + math.random() * AFTER_LINK);
        }
    }
}

/** Memberships handed out at a time when the account comes back to its rooms, ten times a second. */
const STEP = 0.1;

/**
 * Brings the accounts back to the rooms they were in when the server stopped, and finishes the leaves that were under
 * way: so many a second, in random order, so that neither this server nor the rooms' are flooded.
 */
export function bringBack(perSecond: number): void {
    const memberships = shuffled(allMemberships());
    if (memberships.length === 0) {
        return;
    }
    module.log("info", "Coming back to %d rooms", memberships.length);
    let due = 0;
    module.add_timer(0, () => {
        due = due + perSecond * STEP;
        while (due >= 1) {
            const membership = table.remove<Membership>(memberships);
            if (membership === undefined) {
                return undefined;
            }
            due = due - 1;
            comeBack(membership);
        }
        return STEP;
    });
}

/** Unless a session's join has been quicker. */
function comeBack(membership: Membership): void {
    if (!isCurrent(membership) || membership.timer !== undefined) {
        return;
    }
    if (membership.phase === Phase.Lost) {
        rejoin(membership);
    } else if (membership.phase === Phase.Leaving) {
        retryLeave(membership);
    }
}

function shuffled<T>(list: T[]): T[] {
    const result: T[] = [];
    for (const item of list) {
        table.insert(result, math.random(result.length + 1), item);
    }
    return result;
}
