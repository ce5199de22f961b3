// The state machine of a membership: the effect of each input in each phase.
//
//     request → Joining → Entering → Joined → Leaving → none
//                  ↑ ↓                 ↓
//                  Lost ←──────────────┘
//
// `Place` (state/place.ts) is the state of an account, with at most one presence that the room has not answered. It is
// replaced as a whole. Timers and answers to self-pings are inputs too. The functions that set them handle them.

import * as st from "util.stanza";
import * as options from "../options";
import { isBlocked } from "../settings/blocklist";
import { forkOwn } from "../send/own";
import { wasSent, wasSentBeforeLeave } from "../state/sent-presences";
import { isSameNick, isSelf } from "../stanzas";
import { noteDrop } from "../state/counters";
import { type Membership, now } from "../state/memberships";
import { type Entering, type Join, type Joined, type Joining, type Leaving, type Lost } from "../state/place";
import { isIn, Phase, type Place, type SessionRequest } from "../state/place";
import { enqueue, takeJoin } from "../state/queue";
import { save, saveOften } from "../state/store";
import { forgetOccupant } from "../state/occupants";
import { announceIfRenamed, keepSelf } from "./burst";
import * as joined from "./joined";
import * as joining from "./joining";
import { answerProbe } from "./probe";
import { understood } from "./replay";
import { isExpulsion, isTechnical } from "./refusal";
import { lateRename } from "./requests";
import { enter, waitForTurn } from "./enter";
import { hastenLeave, leaveAgain, leaveUnanswered, over } from "./leave";
import { leftBefore, lost, putOutBefore, rejoin, unconfirmedLeave } from "./lost";
import { check } from "./watch";

interface Rules<P extends Place> {
    /** Our own presence arrived. */
    readonly self: (this: void, membership: Membership, place: P, nick: string, stanza: Stanza) => void;
    /** Our own unavailable presence arrived, not as part of a nick change. */
    readonly removed: (this: void, membership: Membership, place: P, stanza: Stanza) => void;
    /** A presence error arrived, from this nick or from the room. Returns whether it answers an operation. */
    readonly refused: (
        this: void,
        membership: Membership,
        place: P,
        nick: string | undefined,
        error: Stanza,
    ) => boolean;
    /** The room's subject arrived. */
    readonly subject: (this: void, membership: Membership, place: P) => void;
    /** Handles a session's request to attach, or for another nick. */
    readonly request: (this: void, membership: Membership, place: P, request: SessionRequest) => void;
}

const lostRules: Rules<Lost> = {
    self: stillIn,
    removed: removedWhileLost,
    refused: isNoAnswer,
    subject: ignore,
    request: rejoinFor,
};

const joiningRules: Rules<Joining> = {
    self: joining.admitted,
    removed: joining.removed,
    refused: joining.refused,
    subject: ignore,
    request: queueUntilTurn,
};

const enteringRules: Rules<Entering> = {
    self: stillIn,
    removed: putOut,
    refused: isNoAnswer,
    subject: joining.complete,
    request: queue,
};

const joinedRules: Rules<Joined> = {
    self: joined.selfShown,
    removed: putOut,
    refused: renameRefused,
    subject: joined.subjectCame,
    request: joined.requested,
};

const leavingRules: Rules<Leaving> = {
    self: admittedLate,
    removed: leaveConfirmed,
    refused: leaveRefused,
    subject: ignore,
    request: enterAfterLeave,
};

const table: Record<Phase, unknown> = {
    [Phase.Lost]: lostRules,
    [Phase.Joining]: joiningRules,
    [Phase.Entering]: enteringRules,
    [Phase.Joined]: joinedRules,
    [Phase.Leaving]: leavingRules,
};

/** Returns the rules of the current phase. */
function rulesOf(membership: Membership): Rules<Place> {
    return table[membership.place.phase] as Rules<Place>;
}

/** Our own presence arrived. */
export function onSelf(membership: Membership, nick: string, stanza: Stanza): void {
    rulesOf(membership).self(membership, membership.place, nick, stanza);
}

/** Our own unavailable presence arrived, not as part of a nick change. */
export function onRemoved(membership: Membership, stanza: Stanza): void {
    rulesOf(membership).removed(membership, membership.place, stanza);
}

/** A presence error arrived. If it answers no operation, it may mean that the account is out. */
export function onRefused(membership: Membership, nick: string | undefined, error: Stanza): void {
    if (!rulesOf(membership).refused(membership, membership.place, nick, error)) {
        if (nick === undefined || !answerProbe(membership, nick, error)) {
            noteDrop("unclaimed");
            module.log(
                "debug",
                "Ignoring a presence error from %s to %s: it answers no presence",
                membership.room,
                membership.username,
            );
        }
        check(membership);
    }
}

/** The room's subject arrived. */
export function onSubject(membership: Membership): void {
    rulesOf(membership).subject(membership, membership.place);
}

/** Handles a session's request to attach, or for another nick. */
export function onRequest(membership: Membership, request: SessionRequest): void {
    rulesOf(membership).request(membership, membership.place, request);
}

/** The room has given the account another nick (XEP-0045 7.6). Valid in every phase. */
export function onRenamed(membership: Membership, nick: string, stanza: Stanza): void {
    const place = membership.place;
    if (place.phase === Phase.Joined) {
        // Each session needs the second presence of the nick change.
        place.told = undefined;
    }
    membership.nick = nick;
    membership.wantedNick = nick;
    forgetOccupant(membership.view, nick);
    saveOften(membership.username);
    forkOwn(membership, stanza);
    if (isBlocked(membership.username, membership.room, nick)) {
        // Our new nick is blocked. Defer the leave: the room is still broadcasting the change.
        check(membership);
    }
}

/**
 * The sessions that get a groupchat message: all; the session with the resync; or those that joined for the first time.
 */
export type Audience = "all" | "requester" | "return";

/**
 * Decides open questions, because a message comes after all occupants. Returns the sessions that get the message. A room
 * that still has the account may send a live message before it gets the join.
 */
export function audienceOf(membership: Membership, isSubject: boolean, isPast: boolean): Audience {
    let place = membership.place;
    if (place.phase === Phase.Joined && place.operation === undefined) {
        return "all";
    }
    const isAnswer = isSubject || isPast;
    if (place.phase === Phase.Joining && place.claimed !== undefined && (isAnswer || !mayStillBeIn(place))) {
        joining.admitClaimed(membership, place);
        place = membership.place;
    }
    if (place.phase === Phase.Entering) {
        return isAnswer && place.operation.isReturn ? "return" : "all";
    }
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    if (operation?.kind !== "resync") {
        return "all";
    }
    if (operation.stage === "self" && isAnswer) {
        joined.answeredAsJoin(membership, operation);
    }
    return isAnswer && operation.stage === "history" ? "requester" : "all";
}

/** Whether the room may still have the account from before the join. */
function mayStillBeIn({ operation, removal }: Joining): boolean {
    return operation.isDoubtful || unconfirmedLeave(operation, removal) !== undefined;
}

function ignore(this: void): void {
    // This input has no effect in this phase.
}

function isNoAnswer(this: void): boolean {
    return false;
}

function stillIn(this: void, membership: Membership, _: Place, nick: string, stanza: Stanza): void {
    if (!isIn(membership.place)) {
        // Otherwise the 303 has told the sessions.
        announceIfRenamed(membership, nick);
    }
    keepSelf(membership, nick, stanza);
    forkOwn(membership, stanza);
}

/** The room has admitted the account late. The leave needs a confirmation now. */
function admittedLate(this: void, membership: Membership, place: Place, nick: string, stanza: Stanza): void {
    if (!membership.established && isOfAccount(membership, stanza)) {
        membership.established = true;
        save(membership.username);
    }
    stillIn(membership, place, nick, stanza);
}

/** Whether a presence is the account's, even if another occupant has its nick. Older services omit 110. */
export function isOfAccount(account: Pick<Membership, "occupant" | "room">, stanza: Stanza): boolean {
    const key = stanza.attr.id;
    const isAnswer = key !== undefined && wasSent(account, key);
    return isAnswer || isSelf(stanza, account.occupant);
}

/** The account was in the room after all, as after a late answer to a join. Only a kick or ban keeps it out. */
function removedWhileLost(this: void, membership: Membership, _: Place, stanza: Stanza): void {
    if (isExpulsion(stanza) && !isTechnical(stanza) && isOfAccount(membership, stanza)) {
        forkOwn(membership, understood(membership, stanza));
        over(membership);
    }
}

function putOut(this: void, membership: Membership, place: Entering | Joined, stanza: Stanza): void {
    const join = joinAfterLeave(place);
    if (isTechnical(stanza)) {
        lost(membership);
    } else if (join !== undefined) {
        leftBefore(membership, join, stanza);
        if (isExpulsion(stanza)) {
            askIfOut(membership, stanza);
        }
    } else {
        forkOwn(membership, stanza);
        if (putOutBefore(membership)) {
            askIfOut(membership, stanza);
        } else {
            over(membership);
        }
    }
}

/** A join is in flight that the room gets after this removal, or has got before it. A self-ping tells. */
function askIfOut(membership: Membership, stanza: Stanza): void {
    if (membership.place.phase === Phase.Joining) {
        joining.removed(membership, membership.place, stanza);
    }
}

/** Returns the join, if an own unavailable presence may confirm a leave that was sent ahead of it. */
export function joinAfterLeave(place: Entering | Joined): Join | undefined {
    const isRecent = place.phase === Phase.Entering || now() - place.since < options.answerTimeout;
    return isRecent ? place.afterLeave : undefined;
}

/** The account is out. After an earlier leave of its own the room may get a join that was sent before the last leave. */
function leaveConfirmed(this: void, membership: Membership, place: Leaving, stanza: Stanza): void {
    const leave = place.operation;
    const key = stanza.attr.id;
    let answer = stanza;
    if (leave !== undefined && key === leave.id && leave.answerId !== leave.id) {
        answer = st.clone(stanza);
        answer.attr.id = leave.answerId;
    }
    forkOwn(membership, answer);
    const isForeign = key === undefined || !wasSent(membership, key);
    // Without an id of ours it may be from before a join in flight: a removal, or the answer to a leave ahead of the join.
    const isBeforeJoin = place.tries === 0 && place.wasIn !== "settled";
    if (isForeign ? isBeforeJoin : wasSentBeforeLeave(membership, key)) {
        leaveAgain(membership);
    } else {
        over(membership);
    }
}

/** An error does not prove that the account is out. The self-ping after the next leave may. */
function leaveRefused(this: void, membership: Membership, place: Leaving): boolean {
    if (place.tries === 0) {
        leaveUnanswered(membership);
    }
    return true;
}

/** A nick change is refused by id, or without an id of ours by nick. A refused resync ends with its self-ping. */
function renameRefused(
    this: void,
    membership: Membership,
    place: Joined,
    nick: string | undefined,
    error: Stanza,
): boolean {
    const key = error.attr.id;
    const late = lateRename(place, key);
    if (late !== undefined) {
        joined.renameRefused(membership, place, late, error);
        return true;
    }
    const operation = place.operation;
    if (operation === undefined) {
        return false;
    }
    const isForeign = key === undefined || key === "" || !wasSent(membership, key);
    const isItsNick = nick === undefined || isSameNick(nick, operation.nick);
    const isAnswer = key === operation.id || (isForeign && isItsNick);
    if (isAnswer && operation.kind === "rename") {
        joined.renameRefused(membership, place, operation, error);
    }
    return isAnswer;
}

function queue(this: void, membership: Membership, _: Place, request: SessionRequest): void {
    enqueue(membership, request);
}

function queueUntilTurn(this: void, membership: Membership, _: Place, request: SessionRequest): void {
    enqueue(membership, request);
    waitForTurn(membership);
}

function rejoinFor(this: void, membership: Membership, _: Place, request: SessionRequest): void {
    enqueue(membership, request);
    const first = membership.established ? undefined : takeJoin(membership);
    if (first !== undefined) {
        // The client's join replaces the server's: the client chooses nick, history and extensions.
        enter(membership, first);
    } else {
        rejoin(membership);
    }
}

/** Cancels an unconfirmed leave, or waits for a leave in flight. */
function enterAfterLeave(this: void, membership: Membership, place: Leaving, request: SessionRequest): void {
    enqueue(membership, request);
    if (place.tries === 0 && place.operation !== undefined) {
        hastenLeave(membership);
        return;
    }
    const first = takeJoin(membership);
    if (first !== undefined) {
        enter(membership, first, [], membership.nick);
    }
}
