// Answers of the room to a join (XEP-0045 7.2): it admits the account, refuses it, or removes it at once.

import { wallClock } from "../state/clock";
import { newestNumber } from "../state/numbers";
import * as jids from "util.jid";
import { bookmarkJoined } from "../settings/bookmark-write";
import { endCatchUp } from "../archive/buffer";
import { closeGap, outcomeOf } from "../archive/catchup";
import { letIn as beginRange, letInAgain as beginRangeSoon } from "../archive/delivered";
import { saysJoined, saysNothing, selfPing } from "../send/ping";
import { save, saveSoon } from "../state/store";
import { MUC, Status } from "../namespaces";
import { forkOwn, sendOwn } from "../send/own";
import { unlockRoom } from "../send/upstream";
import { wasSent, wasSentBeforeLeave } from "../state/sent-presences";
import { hasStatus, isSameNick } from "../stanzas";
import { after } from "../turn";
import { forgetRefusals } from "../state/bookmarks";
import { counters } from "../state/counters";
import { type InternedStanza, stanzaOf } from "../state/interned";
import {
    forgetRoom,
    hasAttached,
    isAttached,
    isCurrent,
    isNickOfOther,
    type Membership,
    noteDetached,
    now,
    setPlace,
} from "../state/memberships";
import { type Entering, type Join, type Joining, Phase, type SessionRequest } from "../state/place";
import { requeue, takeJoin } from "../state/queue";
import { forgetOccupant } from "../state/occupants";
import { marksSelf } from "../state/self-status";
import { announceIfRenamed, forgetOthers, keepSelf } from "./burst";
import { adopt, letIn, proceed } from "./joined";
import { regainNick } from "./nick";
import { isExpulsion, isTemporary, isUnreached } from "./refusal";
import { removeJoin } from "./operations";
import { refuse } from "./refuse";
import { answerTo, sendOccupants, sendSubject, technicalRemoval, understood } from "./replay";
import { enter, tryNext } from "./enter";
import { over } from "./leave";
import {
    endKicked,
    giveUp,
    joinAgain,
    joinFailed,
    kickOf,
    lost,
    makeSure,
    onlyRenamed,
    removedAtOnce,
    unconfirmedLeave,
    unreached,
} from "./lost";

/** Seconds to wait for a self-presence with 110 after one without. Some rooms never send 110. */
const SELF_TIMEOUT = 10;

/** Seconds to wait for the subject after our own presence. Some services send none to a new room. */
const SUBJECT_TIMEOUT = 10;

/** Underscores to append to a nick that is taken, before waiting for it. */
const NICK_TRIES = 3;

/**
 * A presence with a requested nick arrived without 110. Older services omit 110. But it may also belong to another
 * occupant, in the answer to a join for another nick. Our own presence comes last (XEP-0045 7.2.2). The account is in if
 * the room goes on, or sends nothing more.
 */
export function selfClaimed(membership: Membership, place: Joining, interned: InternedStanza): void {
    place.claimed = interned;
    after(SELF_TIMEOUT, () => {
        if (membership.place === place && place.claimed === interned && isCurrent(membership)) {
            admitClaimed(membership, place);
        }
    });
}

/** The room has gone on, so the presence without 110 was our own, unless it is known to be of another occupant. */
export function admitClaimed(membership: Membership, place: Joining): void {
    const interned = place.claimed;
    const stanza = interned === undefined ? undefined : stanzaOf(interned);
    const nick = jids.resource(stanza?.attr.from ?? "");
    place.claimed = undefined;
    const isOther = marksSelf(membership.room) || isNickOfOther(membership, nick ?? "");
    if (stanza !== undefined && nick !== undefined && !isOther) {
        admitted(membership, place, nick, stanza);
    }
}

/** The room has admitted the account: our own presence arrived. History and subject follow. */
export function admitted(membership: Membership, place: Joining, nick: string, stanza: Stanza): void {
    const key = stanza.attr.id;
    if (key !== undefined && wasSentBeforeLeave(membership, key)) {
        // The room sends 110, so an occupant without it is not the account.
        place.claimed = undefined;
        return;
    }
    const join = answeredJoin(place, nick, key);
    if (place.renamed === "now") {
        const isItsNick = join.id === key || isSameNick(join.nick, nick);
        onlyRenamed(membership, place, nick, join === place.operation && isItsNick);
        return;
    }
    const request = join.request;
    const session = request === undefined ? undefined : request.session;
    const isNews = !membership.established || nick !== membership.wantedNick;
    enterRoom(membership, place, join, key);
    announceIfRenamed(membership, nick);
    const isChanged = keepSelf(membership, nick, stanza);
    noteAdmitted(membership, request, nick);
    if (request !== undefined) {
        save(membership.username);
    } else if (isNews) {
        saveSoon(membership.username);
    }
    if (isChanged) {
        forkOwn(membership, stanza, session);
    }
    if (request !== undefined) {
        if (!join.isReturn) {
            // Occupants that the room showed before may have left since.
            forgetOthers(membership, place.shown);
        }
        showRoom(membership, request, stanza);
        letIn(membership, request);
    } else if (hasStatus(stanza, Status.RoomCreated)) {
        unlockRoom(membership);
    }
    noteDetached(membership);
}

/** Returns the join that the room has answered: by id, else by nick, else the last one. */
function answeredJoin(place: Joining, nick: string, key: string | undefined): Join {
    const last = place.operation;
    if (key === last.id) {
        return last;
    }
    for (const join of place.earlier) {
        if (join.id === key) {
            return join;
        }
    }
    if (!isSameNick(last.nick, nick)) {
        for (const join of place.earlier) {
            if (isSameNick(join.nick, nick)) {
                return join;
            }
        }
    }
    return last;
}

/** Moves to Entering. Joins that the room has skipped return to the queue. The last one may still be answered. */
function enterRoom(membership: Membership, place: Joining, join: Join, key: string | undefined): void {
    const passed: SessionRequest[] = [];
    for (const other of place.earlier) {
        if (other !== join && other.request !== undefined) {
            passed.push(other.request);
        }
    }
    requeue(membership, passed);
    const later = join === place.operation ? undefined : place.operation;
    const isInDoubt = unconfirmedLeave(place.operation, place.removal) !== undefined && key !== join.id;
    setPlace(membership, {
        phase: Phase.Entering,
        tries: place.tries,
        operation: join,
        later,
        shown: place.shown,
        afterLeave: isInDoubt && later === undefined ? join : undefined,
        timer: subjectTimer(membership, join),
    });
}

function subjectTimer(membership: Membership, join: Join): Timer {
    return after(SUBJECT_TIMEOUT, () => {
        const place = membership.place;
        if (place.phase === Phase.Entering && place.operation === join) {
            subjectMissing(membership, place);
        }
    });
}

/** Starts the timeout of the subject again after a reload. */
export function awaitSubject(membership: Membership, place: Entering): void {
    place.timer = subjectTimer(membership, place.operation);
}

function noteAdmitted(membership: Membership, request: SessionRequest | undefined, nick: string): void {
    membership.established = true;
    if (membership.since === undefined) {
        membership.since = wallClock();
        membership.sinceNumber = newestNumber();
    }
    forgetRefusals(membership.username, membership.room);
    if (request === undefined) {
        beginRangeSoon(membership);
        counters.rejoins = counters.rejoins + 1;
        return;
    }
    beginRange(membership);
    const x = request.stanza.get_child("x", MUC);
    membership.password = x === undefined ? undefined : x.get_child_text("password");
    membership.laterPassword = undefined;
    membership.wantedNick = nick;
    bookmarkJoined(membership);
}

/** Sends the cached occupants to the session that asked, and the room's own presence at its place. */
function showRoom(membership: Membership, request: SessionRequest, stanza: Stanza): void {
    sendOccupants(membership, request.session);
    sendOwn(membership, request.session, answerTo(request, membership.nick, stanza));
}

function subjectMissing(membership: Membership, place: Entering): void {
    const join = place.operation;
    if (join.isDoubtful) {
        place.timer = after(SUBJECT_TIMEOUT * 10, () => {
            complete(membership, place);
        });
        makeSure(membership, join);
        return;
    }
    const session = join.request === undefined ? undefined : join.request.session;
    if (isAttached(membership, session)) {
        sendSubject(membership, session);
    }
    complete(membership, place);
}

/** The room's answer to the join is complete. */
export function complete(membership: Membership, place: Entering): void {
    const join = place.operation;
    const { tries, later, afterLeave } = place;
    setPlace(membership, { phase: Phase.Joined, tries, since: now(), afterLeave });
    if (join.isReturn) {
        forgetOthers(membership, place.shown);
    }
    if (outcomeOf(membership) === "refused") {
        endCatchUp(membership);
    } else if (membership.catchUp !== undefined) {
        // Messages may have arrived between the archive's answer and the room's.
        closeGap(membership);
    }
    const joined = membership.place;
    if (later !== undefined && joined.phase === Phase.Joined) {
        adopt(membership, joined, later);
    }
    regainNick(membership);
    proceed(membership);
}

/** Handles an error for a join. Returns whether it answers one. */
export function refused(membership: Membership, place: Joining, nick: string | undefined, error: Stanza): boolean {
    const join = refusedJoin(membership, place, nick, error.attr.id);
    if (join === undefined) {
        return false;
    }
    const kick = kickOf(place);
    if (join !== place.operation) {
        failEarlier(membership, place, join, error);
    } else if (kick !== undefined) {
        refuse(membership, join.request, error);
        endKicked(membership, place, kick);
    } else if (join.request === undefined) {
        rejoinRefused(membership, place, error);
    } else {
        joinRefused(membership, place, join.request, error);
    }
    return true;
}

/** The room has refused an earlier join, or removed the account as its answer. The last one may still be answered. */
function failEarlier(membership: Membership, place: Joining, join: Join, answer: Stanza): void {
    removeJoin(place.earlier, join);
    join.timer.stop();
    refuse(membership, join.request, answer);
}

/**
 * Finds the join that an error refuses: by id. An error without an id of ours may refuse the last join only, and not
 * under another nick.
 */
function refusedJoin(
    membership: Membership,
    place: Joining,
    nick: string | undefined,
    key: string | undefined,
): Join | undefined {
    const last = place.operation;
    if (key === last.id) {
        return last;
    }
    for (const join of place.earlier) {
        if (join.id === key) {
            return join;
        }
    }
    const isForeign = key === undefined || key === "" || !wasSent(membership, key);
    return isForeign && (nick === undefined || isSameNick(last.nick, nick)) ? last : undefined;
}

function joinRefused(membership: Membership, place: Joining, request: SessionRequest, error: Stanza): void {
    refuse(membership, request, error);
    if (isTemporary(error)) {
        joinFailed(membership, place);
    } else if (!tryNext(membership, place)) {
        giveUp(membership, place);
    }
}

/** The room has refused an automatic rejoin. Sessions may wait for its end. */
function rejoinRefused(membership: Membership, { operation: join, removal }: Joining, error: Stanza): void {
    const [, condition] = error.get_error();
    if (condition === "conflict" && string.len(join.nick) < string.len(membership.wantedNick) + NICK_TRIES) {
        // The cached occupant with this nick is another one.
        forgetOccupant(membership.view, join.nick);
        membership.nick = `${join.nick}_`;
        joinAgain(membership);
        return;
    }
    if (isUnreached(condition)) {
        unreached(membership);
        return;
    }
    if (condition === "not-authorized" && membership.laterPassword !== undefined) {
        membership.password = membership.laterPassword;
        membership.laterPassword = undefined;
        joinAgain(membership);
        return;
    }
    const next = takeJoin(membership);
    if (next !== undefined) {
        // The client may have a new password or another nick.
        enter(membership, next);
    } else if (isTemporary(error)) {
        lost(membership);
    } else {
        module.log("info", "%s gave up rejoining %s: %s", membership.username, membership.room, condition);
        forkOwn(membership, understood(membership, removal ?? technicalRemoval(membership)));
        over(membership);
    }
}

/**
 * The room removed the account before admitting it. If the account was in before, or has another nick there, the removal
 * may belong to an earlier stay. Then the answer to the join follows, before the answer to a ping.
 */
export function removed(membership: Membership, place: Joining, stanza: Stanza): void {
    place.claimed = undefined;
    place.shown = new LuaSet();
    if (!hasAttached(membership)) {
        forgetRoom(membership);
    }
    const nick = jids.resource(stanza.attr.from ?? "") ?? "";
    const join = answeredJoin(place, nick, stanza.attr.id);
    const isLast = join === place.operation;
    const isAnswer = join.id === stanza.attr.id || isSameNick(join.nick, nick);
    if (isExpulsion(stanza) && place.operation.isFirst && isAnswer) {
        if (isLast) {
            removedAtOnce(membership, place, stanza, true);
        } else {
            failEarlier(membership, place, join, stanza);
        }
    } else if (place.removal === undefined) {
        place.removal = stanza;
        selfPing(membership, (condition) => {
            const isOut = condition !== undefined && !saysJoined(condition) && !saysNothing(condition);
            if (isOut && membership.place === place && isCurrent(membership)) {
                // The room may have admitted it, and changed its nick unheard.
                const mayBeIn = condition === "item-not-found";
                removedAtOnce(membership, place, stanza, isLast && isAnswer, mayBeIn);
            }
        });
    }
}
