// Queued requests of sessions, and the stanzas that the sessions have sent meanwhile.

import { isSameNick } from "../stanzas";
import { Phase, requestsOf, type SessionRequest } from "./place";
import { isAttached, type Membership, queueOf } from "./memberships";

/** Largest number of stanzas queued for one session, and of their bytes as XML. */
const MAX_QUEUED = 100;
const MAX_QUEUED_SIZE = 262144;

/** Creates a request without queued stanzas. */
export function newRequest(
    kind: SessionRequest["kind"],
    session: string | undefined,
    id: string | undefined,
    nick: string,
    stanza: Stanza,
): SessionRequest {
    return { kind, session, sender: session, id, nick, isResync: false, stanza, queued: [], queuedSize: 0 };
}

/** Removes the queued requests of a join's session: the newer wish counts. Takes over the stanzas that they delay. */
export function replaceQueued(membership: Membership, request: SessionRequest): void {
    if (request.kind === "join" && request.session !== undefined) {
        for (const stanza of takeQueued(membership, request.session)) {
            queueStanza(request, stanza);
        }
        removeFromQueue(membership, request.session);
    }
}

/** Adds a request to the queue. A join replaces an earlier one of its session, which may be in flight. */
export function enqueue(membership: Membership, request: SessionRequest): void {
    replaceQueued(membership, request);
    membership.queue ??= [];
    membership.queue.push(request);
}

/** Returns requests without an answer to the front of the queue, unless the session has a newer one. */
export function requeue(membership: Membership, requests: SessionRequest[]): void {
    const queue: SessionRequest[] = [];
    for (const request of requests) {
        if (!isSuperseded(membership, request) && isAlive(request)) {
            queue.push(request);
        }
    }
    for (const request of queueOf(membership)) {
        queue.push(request);
    }
    setQueue(membership, queue);
}

/** Sets the queue. An empty queue takes no memory. */
function setQueue(membership: Membership, requests: SessionRequest[]): void {
    membership.queue = requests.length === 0 ? undefined : requests;
}

/** Whether a request still matters: its session waits, or has sent stanzas before it ended. */
export function isAlive(request: SessionRequest): boolean {
    return request.session !== undefined || request.queued.length > 0;
}

/** Removes and returns the first request in the queue. */
export function takeNext(membership: Membership): SessionRequest | undefined {
    const queue = membership.queue;
    if (queue === undefined) {
        return undefined;
    }
    const request = table.remove<SessionRequest>(queue, 1);
    setQueue(membership, queue);
    return request;
}

/**
 * Removes and returns the first join in the queue, or the first one under another nick than `except`. Nick changes wait
 * until the account is in the room.
 */
export function takeJoin(membership: Membership, except?: string): SessionRequest | undefined {
    const queue = membership.queue ?? [];
    for (const i of $range(1, queue.length)) {
        const request = queue[i - 1];
        if (request?.kind === "join" && (except === undefined || !isSameNick(request.nick, except))) {
            table.remove(queue, i);
            setQueue(membership, queue);
            return request;
        }
    }
    return undefined;
}

/** Whether a join is in the queue. */
export function hasQueuedJoin(membership: Membership): boolean {
    for (const { kind } of queueOf(membership)) {
        if (kind === "join") {
            return true;
        }
    }
    return false;
}

/** Removes and returns all requests. */
export function takeAll(membership: Membership): readonly SessionRequest[] {
    const requests = queueOf(membership);
    membership.queue = undefined;
    return requests;
}

/** Returns the newest unanswered join of a session. */
export function pendingJoin(membership: Membership, session: string): SessionRequest | undefined {
    return newestOf(queueOf(membership), session) ?? newestOf(requestsOf(membership.place), session);
}

/** Whether a session's stanzas go to the room now. If it leaves and joins again, they wait for the join. */
export function isServed(membership: Membership, session: string): boolean {
    const isLeaving = membership.place.phase === Phase.Leaving;
    return isAttached(membership, session) && !(isLeaving && pendingJoin(membership, session) !== undefined);
}

function newestOf(requests: readonly SessionRequest[], session: string): SessionRequest | undefined {
    let found: SessionRequest | undefined;
    for (const request of requests) {
        if (request.session === session && request.kind === "join") {
            found = request;
        }
    }
    return found;
}

/** Whether the session has sent a newer request, so that the answer to this one does not count. */
export function isSuperseded(membership: Membership, request: SessionRequest): boolean {
    const newer = request.session === undefined ? undefined : newestOf(queueOf(membership), request.session);
    return request.kind === "join" && newer !== undefined && newer !== request;
}

/** Whether another session than `except` has a pending join. */
export function hasPending(membership: Membership, except?: string): boolean {
    for (const requests of [queueOf(membership), requestsOf(membership.place)]) {
        for (const request of requests) {
            if (request.session !== undefined && request.session !== except && request.kind === "join") {
                return true;
            }
        }
    }
    return false;
}

/** Removes the requests of a session. Returns its queued stanzas. */
export function withdraw(membership: Membership, session: string): Stanza[] {
    const queued = takeQueued(membership, session);
    removeFromQueue(membership, session);
    disown(membership, session);
    return queued;
}

/**
 * A session has left, or ended. Its queued stanzas are still sent if the room admits the account. `sender` gets their
 * errors.
 */
export function abandon(membership: Membership, session: string, sender?: string): void {
    const others: SessionRequest[] = [];
    for (const request of queueOf(membership)) {
        const isOwn = request.session === session;
        if (!isOwn || (request.kind === "join" && request.queued.length > 0)) {
            others.push(request);
        }
    }
    for (const requests of [others, requestsOf(membership.place)]) {
        for (const request of requests) {
            if (request.sender === session) {
                request.sender = sender;
            }
        }
    }
    disownAll(others, session);
    setQueue(membership, others);
    disown(membership, session);
}

function disown(membership: Membership, session: string): void {
    const place = membership.place;
    disownAll(requestsOf(place), session);
    const late = place.phase === Phase.Joined ? place.late?.request : undefined;
    if (late !== undefined) {
        disownAll([late], session);
    }
}

function disownAll(requests: readonly SessionRequest[], session: string): void {
    for (const request of requests) {
        if (request.session === session) {
            request.session = undefined;
        }
    }
}

function removeFromQueue(membership: Membership, session: string): void {
    const others: SessionRequest[] = [];
    for (const request of queueOf(membership)) {
        if (request.session !== session) {
            others.push(request);
        }
    }
    setQueue(membership, others);
}

/** Removes and returns the queued stanzas of a session. */
function takeQueued(membership: Membership, session: string): Stanza[] {
    const request = pendingJoin(membership, session);
    if (request === undefined) {
        return [];
    }
    const queued = request.queued;
    request.queued = [];
    request.queuedSize = 0;
    return queued;
}

/** Queues a stanza until the session is attached. Returns false if there is no space. */
export function queueStanza(request: SessionRequest, stanza: Stanza): boolean {
    const size = request.queuedSize + string.len(tostring(stanza));
    if (request.queued.length >= MAX_QUEUED || size > MAX_QUEUED_SIZE) {
        return false;
    }
    request.queued.push(stanza);
    request.queuedSize = size;
    return true;
}
