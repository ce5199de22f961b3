// The account is in the room. Sessions attach under its nick, and request other nicks. One presence is in flight at a
// time. Requests that need another one wait in the queue.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { closeGap } from "../archive/catchup";
import { selfPing, saysJoined, saysNothing } from "../send/ping";
import { bookmarkRenamed } from "../settings/bookmark-write";
import * as options from "../options";
import { sendTo } from "../send/fork";
import { forkOwn, sendOwn } from "../send/own";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { after } from "../turn";
import { selfOf } from "../state/view";
import { presenceContent } from "../state/availability";
import { noteOver } from "../state/limits";
import { attachSession, isAttached, isCurrent, type Membership } from "../state/memberships";
import { knownNick, queueOf, setAttachment } from "../state/memberships";
import { type Join, type Joined, Phase, type Rename, type Resync, type SessionRequest } from "../state/place";
import { enqueue, isSuperseded, newRequest, replaceQueued, requeue, takeNext } from "../state/queue";
import { areAllShown, forgetOthers, isRenamed, keepSelf } from "./burst";
import { endOperation, JOIN_PATIENCE, RESYNC_TIMEOUT, startRename, startResync } from "./operations";
import { sendStanza } from "./outgoing";
import { sendProbe } from "./probe";
import { bounce, bounceAll } from "./refuse";
import { replay, selfPresence, sendOccupants, sendSubject } from "./replay";
import { isAnswerTo, isInView, isRename, isServedAtOnce, notePassword } from "./requests";
import { joinToShow, presenceToShow, selfToBe, showBest, updatePresence } from "./shown";
import { TURN } from "./enter";
import { lost } from "./lost";
import { endUnderway, noteTold, takeTold } from "./underway";

/** Handles a session's request to attach, or for another nick. */
export function requested(membership: Membership, place: Joined, request: SessionRequest): void {
    const operation = place.operation;
    if (operation === undefined) {
        serveRequest(membership, place, request);
        return;
    }
    if (operation.kind === "rename" && isServedAtOnce(membership, request)) {
        if (operation.request !== undefined && operation.request.session === request.session) {
            // The newer request counts. The nick change is no longer the answer to a join.
            operation.request.session = undefined;
        }
        replaceQueued(membership, request);
        serveRequest(membership, place, request);
        return;
    }
    if (queueOf(membership).length + 1 >= options.maxNickRequests && isAttached(membership, request.session)) {
        noteOver("minimix_max_nick_requests", membership.username, membership.room);
        const error = st.error_reply(request.stanza, "wait", "resource-constraint", undefined, membership.room);
        sendTo(request.session, error);
        return;
    }
    request.isResync = request.kind === "join" && request.nick === membership.nick;
    enqueue(membership, request);
    if (operation.kind === "resync" && queueOf(membership).length === 1) {
        // An unanswered join must not delay the next one.
        operation.timer.stop();
        operation.timer = after(TURN, () => {
            resyncUnanswered(membership, place, operation);
        });
    }
}

/** Serves queued requests until one needs an answer of the room. Then shows the postponed presence. */
export function proceed(membership: Membership): void {
    let place = membership.place;
    while (place.phase === Phase.Joined && place.operation === undefined) {
        const request = takeNext(membership);
        if (request === undefined) {
            showBest(membership);
            return;
        }
        serveRequest(membership, place, request);
        place = membership.place;
    }
}

function serveRequest(membership: Membership, place: Joined, request: SessionRequest): void {
    const session = request.session;
    const isJoin = request.kind === "join";
    if (isJoin && session === undefined) {
        release(membership, request);
    } else if (!isJoin && session !== undefined && !isAttached(membership, session)) {
        // The account was put out since, and the session has not joined again.
        bounce(membership, session, request.stanza, "modify", "not-acceptable");
    } else if (request.nick !== membership.nick && isRename(membership, request)) {
        rename(membership, place, request.nick, request);
    } else if (isJoin) {
        serve(membership, place, request);
    } else if (session !== undefined) {
        updatePresence(membership, session, request.stanza);
    }
}

/** Attaches a session under the account's nick: from the cache, or by a join if the cache cannot serve it. */
function serve(membership: Membership, place: Joined, request: SessionRequest): void {
    notePassword(membership, request);
    if (isInView(membership, request)) {
        serveFromView(membership, request);
    } else {
        resync(membership, place, request);
    }
}

function serveFromView(membership: Membership, request: SessionRequest): void {
    const self = selfToBe(membership, request);
    replay(membership, request, self);
    attach(membership, request);
    showBest(membership);
    noteTold(membership, request.session, self);
    release(membership, request);
}

/** Attaches a session: it gets the room's traffic from now on, and its queued stanzas are sent. */
export function letIn(membership: Membership, request: SessionRequest): void {
    attach(membership, request);
    release(membership, request);
}

function attach(membership: Membership, request: SessionRequest): void {
    if (request.session !== undefined) {
        attachSession(membership, request.session, presenceContent(request.stanza), undefined);
    }
}

/** Sends the stanzas that a session has queued since its join, in order. */
function release(membership: Membership, request: SessionRequest): void {
    const queued = request.queued;
    request.queued = [];
    request.queuedSize = 0;
    for (const stanza of queued) {
        const session = request.session;
        if (session !== undefined && !isAttached(membership, session)) {
            bounce(membership, session, stanza, "modify", "not-acceptable");
        } else if (stanza.name !== "presence") {
            sendStanza(membership, request.sender, stanza);
        } else if (session !== undefined) {
            presenceSent(membership, session, stanza);
        }
    }
}

/** Handles a presence without `<x/>` of an attached session: a probe, a nick change, or a presence update. */
export function presenceSent(membership: Membership, session: string, stanza: Stanza): void {
    if (stanza.attr.type === "probe") {
        sendProbe(membership, session, stanza);
        return;
    }
    const place = membership.place;
    if (place.phase === Phase.Leaving) {
        bounce(membership, session, stanza, "modify", "not-acceptable");
        return;
    }
    const nick = jids.resource(stanza.attr.to ?? "");
    if (nick === undefined || nick === knownNick(membership)) {
        updatePresence(membership, session, stanza);
        return;
    }
    const request = newRequest("rename", session, stanza.attr.id, nick, st.clone(stanza));
    if (place.phase === Phase.Joined) {
        requested(membership, place, request);
    } else {
        enqueue(membership, request);
    }
}

/** Resync: sends a join of an account in the room, to get the room's full answer for one session (XEP-0045 7.2.1). */
function resync(membership: Membership, place: Joined, request: SessionRequest): void {
    const operation = startResync(membership, place, presenceIdFor(membership, request.id), request, resyncUnanswered);
    if (membership.view.stale === "outdated") {
        membership.view.stale = undefined;
    }
    if (isAttached(membership, request.session)) {
        // The join contains the presence that the session shows from now on.
        attachSession(membership, request.session ?? "", presenceContent(request.stanza), undefined);
    }
    sendPresence(membership, joinToShow(membership, request), operation.nick, operation.id);
    awaitResync(membership, place, operation);
}

/** Waits again for the answer to a resync, after a reload. */
export function resumeResync(membership: Membership, place: Joined, operation: Resync): void {
    operation.timer = after(RESYNC_TIMEOUT, () => {
        resyncUnanswered(membership, place, operation);
    });
    awaitResync(membership, place, operation);
}

/** Sends a self-ping after the join. The room answers it after its answer to the join. */
function awaitResync(membership: Membership, place: Joined, operation: Resync): void {
    selfPing(membership, (condition) => {
        if (place.operation !== operation || membership.place !== place || !isCurrent(membership)) {
            return;
        }
        if (condition === undefined || saysJoined(condition) || saysNothing(condition)) {
            resyncUnanswered(membership, place, operation);
        } else {
            lost(membership);
        }
    });
}

/**
 * Serves the session from the cache. Some services do not answer a repeated join: ejabberd treats it as a presence
 * update.
 */
function resyncUnanswered(membership: Membership, place: Joined, operation: Resync): void {
    endOperation(place);
    if (operation.stage === "history") {
        sendSubject(membership, operation.request.session);
    } else {
        serveFromView(membership, operation.request);
    }
    proceed(membership);
}

/**
 * Our own presence ends the list of occupants. If a known occupant is missing, the room did not treat our presence as a
 * join.
 */
function resyncSelf(membership: Membership, operation: Resync): void {
    if (areAllShown(membership, operation.shown)) {
        occupantsShown(membership, operation);
    } else {
        operation.stage = "self";
    }
}

/** History or a subject follows, so the room has treated the presence as a join. */
export function answeredAsJoin(membership: Membership, operation: Resync): void {
    forgetOthers(membership, operation.shown);
    occupantsShown(membership, operation);
}

function occupantsShown(membership: Membership, operation: Resync): void {
    const request = operation.request;
    operation.stage = "history";
    const self = selfPresence(membership, request, selfOf(membership));
    sendOccupants(membership, request.session);
    if (self !== undefined) {
        sendOwn(membership, request.session, self);
    }
    letIn(membership, request);
}

/** The subject ends the room's answer to a join. */
export function subjectCame(membership: Membership, place: Joined): void {
    const operation = place.operation;
    if (operation?.kind === "resync" && operation.stage === "history") {
        endOperation(place);
        // The room may have lost the account, and admitted it again by this join.
        closeGap(membership);
        proceed(membership);
    }
}

/** Asks the room for another nick (XEP-0045 7.6), for a session or, without a request, for the account itself. */
export function rename(membership: Membership, place: Joined, nick: string, request?: SessionRequest): void {
    const session = request === undefined ? undefined : request.session;
    const key = presenceIdFor(membership, request === undefined ? undefined : request.id);
    startRename(membership, place, { id: key, nick, request, isJoin: false }, renameOverdue);
    if (session !== undefined && request !== undefined) {
        attachSession(membership, session, presenceContent(request.stanza), key);
    }
    sendPresence(membership, presenceToShow(membership), nick, key);
}

/**
 * A nick change has timed out. A self-ping, which a slow room answers after it, shows that its answer is lost. Until then a
 * presence under the old nick would revert the change.
 */
export function renameOverdue(membership: Membership, place: Joined, operation: Rename): void {
    const pinged = () => {
        if (membership.place === place && place.operation === operation && isCurrent(membership)) {
            renameUnanswered(membership, place, operation);
        }
    };
    selfPing(membership, pinged, JOIN_PATIENCE);
}

/** The answer is lost or late. A session that asked by a join attaches under the current nick. */
function renameUnanswered(membership: Membership, place: Joined, operation: Rename): void {
    place.late = operation;
    endOperation(place);
    const request = operation.request;
    if (request?.kind === "join") {
        // A late error must not reach a session that is in.
        operation.request = undefined;
        if (!isSuperseded(membership, request)) {
            serve(membership, place, request);
        }
    }
    proceed(membership);
}

/**
 * Serves the request of a nick change whose 303 was lost, and those that waited for it. A lost account rejoins first. If
 * the room has put the account out under the new nick, the stanzas that waited for the request fail.
 */
export function proceedAfter(membership: Membership, request: SessionRequest | undefined): void {
    const place = membership.place;
    const isHere = place.phase === Phase.Joined && isCurrent(membership);
    if (request !== undefined && isHere && place.operation === undefined && !isSuperseded(membership, request)) {
        serve(membership, place, request);
    } else if (request !== undefined && (isHere || place.phase === Phase.Lost)) {
        requeue(membership, [request]);
    } else if (request !== undefined) {
        bounceAll(membership, request.sender, request.queued);
    }
    if (isHere) {
        proceed(membership);
    }
}

/** Our own presence has arrived. */
export function selfShown(membership: Membership, place: Joined, nick: string, stanza: Stanza): void {
    const operation = place.operation;
    const wasRenamed = isRenamed(membership, nick);
    const isEcho = endUnderway(membership, place, stanza.attr.id);
    const isNews = keepSelf(membership, nick, stanza);
    const knowing = takeTold(membership, place, isEcho);
    if (operation?.kind === "rename" && isAnswerTo(operation, nick, stanza)) {
        renamed(membership, place, operation, stanza);
    } else if (operation?.kind === "resync" && operation.stage !== "history" && !wasRenamed) {
        if (isNews) {
            forkOwn(membership, stanza, operation.request.session, knowing);
        }
        if (!isEcho) {
            resyncSelf(membership, operation);
        }
    } else {
        forkOwn(membership, stanza, undefined, knowing);
    }
}

/** Answers a nick change that came as a join by a replay, which contains the own presence. */
function renamed(membership: Membership, place: Joined, operation: Rename, stanza: Stanza): void {
    const request = operation.request;
    endOperation(place);
    place.late = undefined;
    if (request === undefined) {
        forkOwn(membership, stanza);
    } else {
        bookmarkRenamed(membership);
        forkOwn(membership, stanza, request.kind === "join" ? request.session : undefined);
        if (request.kind === "join") {
            serve(membership, place, request);
        }
    }
    proceed(membership);
}

/** The room refused the nick and the presence with it, unless the session has shown another presence since. */
export function renameRefused(membership: Membership, place: Joined, operation: Rename, error: Stanza): void {
    const request = operation.request;
    const session = request === undefined ? undefined : request.session;
    const attachment = session === undefined ? undefined : membership.attached.get(session);
    const before = operation.attachmentBefore;
    if (operation === place.late) {
        place.late = undefined;
    } else {
        endOperation(place);
        membership.shown = operation.before.session;
        membership.shownPresence = operation.before.presence;
    }
    if (session !== undefined && before !== undefined && attachment?.id === operation.id) {
        setAttachment(membership, session, before);
    }
    if (request?.kind === "join" && before === undefined) {
        serve(membership, place, request);
    } else if (request !== undefined) {
        const answer = st.clone(error);
        answer.attr.id = request.id;
        sendTo(session, answer);
        release(membership, request);
    }
    proceed(membership);
}

/** Takes over an unanswered join after another join has succeeded. The room treats it as a nick change or a resync. */
export function adopt(membership: Membership, place: Joined, join: Join): void {
    const request = join.request;
    if (request === undefined) {
        return;
    }
    if (join.nick === membership.nick) {
        const operation = startResync(membership, place, join.id, request, resyncUnanswered);
        awaitResync(membership, place, operation);
    } else {
        startRename(membership, place, { id: join.id, nick: join.nick, request, isJoin: true }, renameOverdue);
    }
}
