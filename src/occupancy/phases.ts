// The account's coming and going in a room: in by a session's join or by itself, lost and brought back, out by a leave
// or by the room. Every change of a membership's phase is made here.

import * as id from "util.id";
import * as st from "util.stanza";
import { presenceToShow, showBest } from "./shown";
import { regainNick } from "./nick";
import { resyncComplete, serveWaiting } from "./serve";
import { sendUpstream } from "../send/upstream";
import { bookmarkJoined } from "../settings/bookmark-write";
import { patience } from "../send/ask";
import { isBlocked } from "../settings/blocklist";
import { endCatchUp, flush } from "../archive/buffer";
import { catchUp, closeGap, dropQuestion, historySince, isAsking, outcomeOf } from "../archive/catchup";
import { closePart, letIn, openPart } from "../archive/log";
import { saysJoined, saysNothing, selfPing } from "../send/ping";
import { save, saveSoon } from "../state/store";
import { MUC } from "../namespaces";
import * as options from "../options";
import { fork, sendTo, takesText } from "../send/fork";
import { occupantGone, ownUnavailable, sendSubject, technicalRemoval } from "./replay";
import { presenceContent } from "../state/availability";
import { forgetRefusals, isWanted, noteRefusal } from "../state/bookmarks";
import { counters } from "../state/counters";
import {
    attachSession,
    detachAll,
    detachSession,
    dropMembership,
    endRenaming,
    forgetOccupant,
    forgetRoom,
    hasAttached,
    isAttached,
    isCurrent,
    isUsed,
    type JoinRequest,
    type Membership,
    newResync,
    type NickRequest,
    nextWaiting,
    Phase,
    type Resync,
    setTimer,
    stopTimer,
    stopWaiting,
    wait,
} from "../state/memberships";

/** Seconds between our own presence and the subject; not every service sends one to a new room. */
const SUBJECT_TIMEOUT = 10;

/** Tries after which the account goes back to a room though the room's archive has not answered. */
const TRIES_FOR_ARCHIVE = 4;

/** Seconds that the account waits at first to be let in again, see patience(). Big rooms take their time. */
const JOIN_PATIENCE = 15;

/** The longest pause between two tries, in seconds. */
const LONGEST_PAUSE = 900;

/** Seconds after which the account is back for good: who is thrown out again at once has to be the more patient. */
const STEADY = 60;

/** Tries after which sessions are told that the account is out: some four minutes. */
const TRIES_UNTIL_TOLD = 8;

/** Underscores put behind a nick that is taken, before waiting for it to be free. */
const NICK_TRIES = 3;

/**
 * A session's join goes to the room. The one who asked is attached already: the answers are for it. `unconfirmed` is the
 * address of a leave that may not have arrived: who is in the room still would be shown neither the others nor a subject.
 */
export function enter(membership: Membership, request: JoinRequest, unconfirmed?: string): void {
    membership.phase = Phase.Joining;
    membership.claimed = undefined;
    membership.request = request;
    membership.nick = request.nick;
    const presence = presenceContent(request.stanza);
    membership.batched = !hasAttached(membership) && takesText(request.session);
    if (hasAttached(membership)) {
        // They have not seen the account go, and see only what has changed.
        membership.resync = newResync(undefined);
    } else {
        membership.resync = undefined;
        forgetRoom(membership);
    }
    if (request.session !== undefined) {
        // It asks anew, and not once more for what it asked before.
        stopWaiting(membership, request.session);
        request.isBack = isAttached(membership, request.session);
        attachSession(membership, request.session, presence, request.id);
    }
    membership.newcomer = request.session;
    membership.shown = request.session;
    membership.shownPresence = presence;
    if (!membership.established) {
        save(membership.username);
    }
    setTimer(membership, options.answerTimeout, () => {
        joinUnanswered(membership, request);
    });
    if (unconfirmed !== undefined) {
        sendUpstream(membership, st.presence({ type: "unavailable", id: id.medium(), to: unconfirmed }));
    }
    sendUpstream(membership, request.stanza);
}

/** The account takes back a leave that the room has not confirmed. */
export function enterAfterLeave(membership: Membership, request: JoinRequest): void {
    enter(membership, request, ownAddress(membership));
}

/** The room stayed silent. It may have let us in all the same, so it is told that nobody waits any more. */
function joinUnanswered(membership: Membership, request: JoinRequest): void {
    detachAsking(membership, request);
    refuse(membership, request);
    if (isWanted(membership)) {
        lost(membership);
    } else {
        leave(membership, st.presence({ type: "unavailable" }));
    }
}

function detachAsking(membership: Membership, request: JoinRequest): void {
    if (request.session !== undefined && request.isBack !== true) {
        detachSession(membership, request.session);
    }
}

/** The room let the account in: our own presence came. History and subject follow. */
export function joinAccepted(membership: Membership): void {
    const request = membership.request;
    if (request !== undefined) {
        const x = request.stanza.get_child("x", MUC);
        membership.password = x?.get_child_text("password");
        membership.wantedNick = membership.nick;
    } else {
        counters.rejoins = counters.rejoins + 1;
    }
    const isNews = !membership.established || membership.nick !== membership.wantedNick;
    membership.request = undefined;
    membership.phase = Phase.Entering;
    membership.established = true;
    membership.since ??= os.time();
    letIn(membership);
    membership.unanswered = 0;
    forgetRefusals(membership.username, membership.room);
    if (request !== undefined) {
        bookmarkJoined(membership);
        save(membership.username);
    } else if (isNews) {
        saveSoon(membership.username);
    }
    awaitSubject(membership);
}

function awaitSubject(membership: Membership): void {
    setTimer(membership, SUBJECT_TIMEOUT, () => {
        const resync = membership.resync;
        if (resync?.isDoubtful) {
            makeSure(membership, resync);
            return;
        }
        if (isAttached(membership, membership.newcomer)) {
            sendSubject(membership, membership.newcomer);
        }
        joinComplete(membership);
    });
}

/** All that a room sends on a join has come. */
export function joinComplete(membership: Membership): void {
    stopTimer(membership);
    membership.phase = Phase.Joined;
    if (membership.tries > 0) {
        setTimer(membership, STEADY, () => {
            membership.tries = 0;
        });
    }
    membership.newcomer = undefined;
    const resync = membership.resync;
    membership.resync = undefined;
    if (resync !== undefined) {
        forgetOthers(membership, resync);
    }
    showBest(membership);
    if (outcomeOf(membership) === "refused") {
        endCatchUp(membership);
    } else if (membership.catchUp !== undefined) {
        // Something may have been said between the archive's answer and the room's.
        closeGap(membership);
    }
    regainNick(membership);
    serveWaiting(membership);
}

/** Who was there before and has not been shown again has gone meanwhile. */
export function forgetOthers(membership: Membership, resync: Resync): void {
    // Whoever had the nick meanwhile is not to be taken for the account, which has it now.
    forgetOccupant(membership, membership.nick);
    for (const [nick] of membership.occupants) {
        if (!resync.shown.has(nick)) {
            forgetOccupant(membership, nick);
            fork(membership, occupantGone(membership, nick));
        }
    }
}

/** The room refused a join. */
export function joinRefused(membership: Membership, error: Stanza): void {
    const request = membership.request;
    if (request === undefined) {
        if (error.attr.id === undefined || error.attr.id === membership.joinId) {
            rejoinRefused(membership, error);
        }
        return;
    }
    if (error.attr.id !== undefined && request.id !== undefined && error.attr.id !== request.id) {
        // The answer to the join before, once more.
        return;
    }
    const answer = st.clone(error);
    answer.attr.id = request.id;
    sendTo(request.session, answer);
    detachAsking(membership, request);
    membership.request = undefined;
    const next = nextWaiting(membership);
    if (next !== undefined) {
        enter(membership, next);
    } else if (isWanted(membership) && isTemporary(error)) {
        lost(membership);
    } else {
        // Who has been in the room before takes the error for that of a nick change.
        fork(membership, technicalRemoval(membership));
        over(membership);
    }
}

/** Nobody asked for the join but we ourselves, after the account was lost; sessions may wait for its end. */
function rejoinRefused(membership: Membership, error: Stanza): void {
    const [, condition] = error.get_error();
    if (condition === "conflict" && string.len(membership.nick) < string.len(membership.wantedNick) + NICK_TRIES) {
        // Whom the room has shown under the nick is another.
        forgetOccupant(membership, membership.nick);
        membership.nick = `${membership.nick}_`;
        joinAgain(membership);
        return;
    }
    if (condition === "remote-server-not-found" || condition === "remote-server-timeout") {
        refuseWaiting(membership);
        lost(membership);
        return;
    }
    const next = nextWaiting(membership);
    if (next !== undefined) {
        // It may know better: a new password, another nick.
        enter(membership, next);
        return;
    }
    if (isTemporary(error)) {
        lost(membership);
        return;
    }
    module.log("info", "%s cannot be brought back to %s: %s", membership.username, membership.room, condition);
    fork(membership, technicalRemoval(membership));
    over(membership);
}

/** What did not reach the room for us would not for them. */
function refuseWaiting(membership: Membership): void {
    const waiting = membership.waiting;
    membership.waiting = [];
    for (const request of waiting) {
        refuse(membership, request);
    }
}

function refuse(membership: Membership, request: JoinRequest): void {
    sendTo(
        request.session,
        st.error_reply(request.stanza, "wait", "remote-server-timeout", undefined, membership.room),
    );
}

/** Nobody will be let in by this instance of the module. */
export function refuseAll(membership: Membership): void {
    resyncLost(membership);
    renamesLost(membership);
    const request = membership.request;
    if (request !== undefined) {
        detachAsking(membership, request);
        refuse(membership, request);
        membership.request = undefined;
    }
    refuseWaiting(membership);
}

/** What rooms say to those they do not want (XEP-0045 7.2, 10.9). */
const refusals = new LuaSet<string>();
for (const condition of ["forbidden", "gone", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized"]) {
    refusals.add(condition);
}
refusals.add("registration-required");

/** Whether a refused join may succeed another time; a room may be locked, or full, or its server just starting. */
function isTemporary(error: Stanza): boolean {
    const [type, condition, text] = error.get_error();
    return type === "wait" || condition === undefined || !refusals.has(condition) || isBounce(text);
}

/** mod_s2s passes on why a server was not reached under that server's own condition, which may be any. */
function isBounce(text: string | undefined): boolean {
    return text !== undefined && string.find(text, "Server-to-server connection failed", 1, true)[0] === 1;
}

/**
 * The account is out of the room without anybody's will, and will be back. Its sessions learn of it only when that takes
 * too long; then they may try themselves.
 */
export function lost(membership: Membership): void {
    if (leaveIfUnused(membership)) {
        return;
    }
    if (isUnheard(membership)) {
        leaveUnheard(membership);
        return;
    }
    membership.phase = Phase.Lost;
    membership.request = undefined;
    resyncLost(membership);
    renamesLost(membership);
    dropQuestion(membership);
    membership.nick = membership.wantedNick;
    membership.tries = membership.tries + 1;
    if (membership.tries === TRIES_UNTIL_TOLD) {
        fork(membership, technicalRemoval(membership));
        detachAll(membership);
    }
    setTimer(membership, pause(membership.tries), () => {
        rejoin(membership);
    });
}

/** Seconds to wait after so many tries: 1 s, doubled up to 15 min, give or take a quarter, so that not all come at once. */
export function pause(tries: number): number {
    return Math.min(2 ** Math.min(tries - 1, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2);
}

/** The account joins by itself, and finds out what was said and what has changed since it was in the room. */
export function rejoin(membership: Membership): void {
    if (!isAsking(membership) || membership.phase !== Phase.Lost || membership.timer !== undefined) {
        goBack(membership);
    }
}

/** Until the room's archive has answered the account is still lost: what the room says of it answers no join. */
function goBack(membership: Membership): void {
    stopTimer(membership);
    membership.phase = Phase.Lost;
    membership.request = undefined;
    if (membership.established) {
        catchUp(membership, (outcome) => {
            if (membership.phase !== Phase.Lost) {
                return;
            }
            if (outcome === "unreached" && membership.tries < TRIES_FOR_ARCHIVE) {
                refuseWaiting(membership);
                lost(membership);
                return;
            }
            joinAgain(membership);
        });
    } else {
        joinAgain(membership);
    }
}

function joinAgain(membership: Membership): void {
    membership.phase = Phase.Joining;
    membership.claimed = undefined;
    const resync = newResync(undefined);
    resync.isDoubtful = true;
    membership.resync = resync;
    setTimer(membership, Math.min(options.answerTimeout, JOIN_PATIENCE * 2 ** Math.min(membership.tries, 10)), () => {
        refuseWaiting(membership);
        lost(membership);
    });
    sendUpstream(membership, joinPresence(membership));
    makeSure(membership, resync);
}

/** A ping is answered after all that the room sends on a join. Without a subject by then it has not answered one. */
function makeSure(membership: Membership, resync: Resync): void {
    selfPing(membership, () => {
        if (membership.resync === resync && membership.phase === Phase.Entering) {
            startOver(membership);
        }
    });
}

/**
 * The room took the join for a presence update, as ejabberd does when the account is in the room still: it has not shown
 * the room, and it will not unless the account leaves first.
 */
function startOver(membership: Membership): void {
    const resync = newResync(undefined);
    membership.phase = Phase.Joining;
    membership.claimed = undefined;
    membership.resync = resync;
    setTimer(membership, options.answerTimeout, () => {
        lost(membership);
    });
    const unavailable = st.presence({ type: "unavailable", to: ownAddress(membership) });
    sendUpstream(membership, unavailable);
    sendUpstream(membership, joinPresence(membership));
}

function joinPresence(membership: Membership): Stanza {
    const presence = presenceToShow(membership);
    presence.attr.to = ownAddress(membership);
    membership.joinId = id.medium();
    presence.attr.id = membership.joinId;
    const x = st.stanza("x", { xmlns: MUC });
    const since = historySince(membership);
    // mod_muc, which gets it as it is where it is of this server, asks for children with their namespace.
    x.tag("history", since === undefined ? { xmlns: MUC, maxstanzas: "0" } : { xmlns: MUC, since }).up();
    if (membership.password !== undefined) {
        x.tag("password", { xmlns: MUC }).text(membership.password).up();
    }
    presence.add_direct_child(x);
    return presence;
}

function ownAddress(membership: Membership): string {
    return `${membership.room}/${membership.nick}`;
}

/** The account goes out of the room; `unavailable` may carry a client's parting words. */
export function leave(membership: Membership, unavailable: Stanza): void {
    membership.phase = Phase.Leaving;
    membership.ending = false;
    membership.request = undefined;
    membership.resync = undefined;
    membership.tries = 0;
    save(membership.username);
    setTimer(membership, options.answerTimeout, () => {
        leaveUnanswered(membership, unavailable.attr.id);
    });
    const presence = st.clone(unavailable);
    presence.attr.to = ownAddress(membership);
    sendUpstream(membership, presence);
}

/** Leaves a room of which nothing will be heard any more, its answer included; nor will anybody be let in. */
export function leaveUnheard(membership: Membership): void {
    refuseAll(membership);
    fork(membership, ownUnavailable(membership, undefined));
    detachAll(membership);
    membership.phase = Phase.Leaving;
    membership.ending = false;
    membership.tries = 0;
    save(membership.username);
    retryLeave(membership);
}

/** Whether the account has blocked what the room tells it of itself. */
export function isUnheard(membership: Membership): boolean {
    return isBlocked(membership.username, membership.room, membership.nick);
}

/** The account goes if only sessions keep it in the room, and none is there; whether it does. */
export function leaveIfUnused(membership: Membership): boolean {
    if (!membership.ending || isUsed(membership)) {
        return false;
    }
    leave(membership, st.presence({ type: "unavailable" }));
    return true;
}

/** A leave that the room has not confirmed is taken back by the account itself. Who left has left. */
export function takeBack(membership: Membership): void {
    fork(membership, ownUnavailable(membership, undefined));
    detachAll(membership);
    rejoin(membership);
}

/** Nobody waits for ever, but an occupant that the room still shows is a leak: the leave is tried until confirmed. */
function leaveUnanswered(membership: Membership, leaveId: string | undefined): void {
    fork(membership, ownUnavailable(membership, leaveId));
    detachAll(membership);
    const next = nextWaiting(membership);
    if (next !== undefined) {
        enterAfterLeave(membership, next);
    } else {
        retryLeave(membership);
    }
}

/** An error came back for a leave: the room was not reached, or has no such occupant. */
export function leaveRefused(membership: Membership, error: Stanza): void {
    if (!isTemporary(error)) {
        fork(membership, ownUnavailable(membership, error.attr.id));
        over(membership);
    } else if (membership.tries === 0) {
        leaveUnanswered(membership, error.attr.id);
    }
}

/** Leaves again, and asks whether it is out: a room says nothing to the leave of who is not in it. */
export function retryLeave(membership: Membership): void {
    stopTimer(membership);
    membership.phase = Phase.Leaving;
    membership.tries = membership.tries + 1;
    if (membership.established) {
        // After a start of the server: the account is in the room still, or gets to know that it is not.
        openPart(membership);
    }
    sendUpstream(membership, st.presence({ type: "unavailable", to: ownAddress(membership) }));
    const answered = (condition: string | undefined) => {
        // With a timer it is another leave, of an account that was in the room once more.
        if (membership.phase !== Phase.Leaving || membership.timer !== undefined || !isCurrent(membership)) {
            return;
        }
        const unknown = condition === undefined || saysJoined(condition) || saysNothing(condition);
        const mayBeIn = membership.established && !isUnheard(membership);
        if (unknown && (mayBeIn || membership.tries < TRIES_UNTIL_TOLD)) {
            setTimer(membership, pause(membership.tries), () => {
                retryLeave(membership);
            });
        } else {
            over(membership);
        }
    };
    selfPing(membership, answered, patience(membership));
}

/** The answer to a repeated join will not come any more: whom it was for has to wait for another. */
function resyncLost(membership: Membership): void {
    const resync = membership.resync;
    const request = resync === undefined || resync.selfShown ? undefined : resync.request;
    if (request?.session !== undefined) {
        table.insert(membership.waiting, 1, request);
    }
    membership.resync = undefined;
}

/** Nick changes are not answered any more; those that came as joins are joins now. */
function renamesLost(membership: Membership): void {
    endRenaming(membership);
    let request = table.remove<NickRequest>(membership.nickRequests, 1);
    while (request !== undefined) {
        if (request.session !== undefined && request.isJoin) {
            wait(membership, request);
        }
        request = table.remove<NickRequest>(membership.nickRequests, 1);
    }
}

/** The account is not in the room (any more). Whoever waits to join starts anew; without them nothing is left. */
export function over(membership: Membership): void {
    stopTimer(membership);
    if (membership.phase !== Phase.Leaving) {
        noteRefusal(membership);
    }
    membership.ending = false;
    flush(membership);
    closePart(membership);
    forgetRoom(membership);
    membership.since = undefined;
    detachAll(membership);
    membership.established = false;
    resyncLost(membership);
    renamesLost(membership);
    const next = nextWaiting(membership);
    if (next === undefined) {
        dropMembership(membership);
        save(membership.username);
    } else {
        enter(membership, next);
    }
}

/**
 * Goes on with a membership of the module before a reload. The questions that one had asked are nobody's now, and the
 * timers it had set have ended.
 */
export function resume(membership: Membership): void {
    const request = membership.request;
    if (membership.phase === Phase.Lost) {
        goBack(membership);
    } else if (membership.phase === Phase.Leaving) {
        resumeLeave(membership);
    } else if (request !== undefined) {
        setTimer(membership, options.answerTimeout, () => {
            joinUnanswered(membership, request);
        });
    } else if (
        membership.phase === Phase.Joining ||
        (membership.phase === Phase.Entering && membership.resync !== undefined)
    ) {
        lost(membership);
    } else if (membership.phase === Phase.Entering) {
        awaitSubject(membership);
    } else {
        resumeJoined(membership);
    }
}

/** The room's own answer may still come to who waits for it. */
function resumeLeave(membership: Membership): void {
    if (hasAttached(membership)) {
        setTimer(membership, options.answerTimeout, () => {
            leaveUnanswered(membership, undefined);
        });
    } else {
        retryLeave(membership);
    }
}

function resumeJoined(membership: Membership): void {
    membership.tries = 0;
    if (membership.catchUp !== undefined) {
        closeGap(membership);
    }
    if (membership.resync !== undefined) {
        resyncLost(membership);
        resyncComplete(membership);
    }
}
