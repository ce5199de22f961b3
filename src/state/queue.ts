// Requests of sessions that wait for their turn, and what the sessions have sent meanwhile.

import { requestsOf, type SessionRequest } from "./place";
import { type Membership, queueOf } from "./memberships";

/** Stanzas that are held for one session, and their bytes as XML. */
const MAX_HELD = 100;
const MAX_HELD_SIZE = 262144;

/** A request with nothing held yet. */
export function newRequest(
    kind: SessionRequest["kind"],
    session: string | undefined,
    id: string | undefined,
    nick: string,
    stanza: Stanza,
): SessionRequest {
    return { kind, session, id, nick, isResync: false, stanza, held: [], heldSize: 0 };
}

/** Puts a request at the end of the queue. A join replaces an earlier one of its session, which may be in flight. */
export function enqueue(membership: Membership, request: SessionRequest): void {
    if (request.kind === "join" && request.session !== undefined) {
        for (const stanza of takeHeld(membership, request.session)) {
            holdStanza(request, stanza);
        }
        removeFromQueue(membership, request.session);
    }
    membership.queue ??= [];
    membership.queue.push(request);
}

/** Puts requests whose answers will not come back to the front of the queue, unless the session has a newer one. */
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

/** An empty queue takes no memory. */
function setQueue(membership: Membership, requests: SessionRequest[]): void {
    membership.queue = requests.length === 0 ? undefined : requests;
}

/** Whether a request still matters: its session waits, or has sent something before it ended. */
function isAlive(request: SessionRequest): boolean {
    return request.session !== undefined || request.held.length > 0;
}

/** The first request in the queue, which is not in it any more. */
export function takeNext(membership: Membership): SessionRequest | undefined {
    const queue = membership.queue;
    if (queue === undefined) {
        return undefined;
    }
    const request = table.remove<SessionRequest>(queue, 1);
    setQueue(membership, queue);
    return request;
}

/** The first join in the queue. Nick changes before it were of sessions that are not in the room any more. */
export function takeJoin(membership: Membership): SessionRequest | undefined {
    let request = takeNext(membership);
    while (request !== undefined && request.kind !== "join") {
        request = takeNext(membership);
    }
    return request;
}

/** All requests in the queue, which is empty then. */
export function takeAll(membership: Membership): readonly SessionRequest[] {
    const requests = queueOf(membership);
    membership.queue = undefined;
    return requests;
}

/** The newest join of a session that has not been answered. */
export function pendingJoin(membership: Membership, session: string): SessionRequest | undefined {
    return newestOf(queueOf(membership), session) ?? newestOf(requestsOf(membership.place), session);
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

/** Whether the session has asked for something else since: the answer to this request does not count. */
export function isSuperseded(membership: Membership, request: SessionRequest): boolean {
    const newer = request.session === undefined ? undefined : newestOf(queueOf(membership), request.session);
    return request.kind === "join" && newer !== undefined && newer !== request;
}

/** Whether a session waits to be let in, other than this one. */
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

/** Forgets what a session has asked for. Returns what was held for it. */
export function withdraw(membership: Membership, session: string): Stanza[] {
    const held = takeHeld(membership, session);
    removeFromQueue(membership, session);
    disown(membership, session);
    return held;
}

/** The session is gone. What it has sent goes out still, if the room lets the account in. */
export function abandon(membership: Membership, session: string): void {
    const others: SessionRequest[] = [];
    for (const request of queueOf(membership)) {
        const isOwn = request.session === session;
        if (isOwn) {
            request.session = undefined;
        }
        if (!isOwn || (request.kind === "join" && isAlive(request))) {
            others.push(request);
        }
    }
    setQueue(membership, others);
    disown(membership, session);
}

function disown(membership: Membership, session: string): void {
    for (const request of requestsOf(membership.place)) {
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

/** What is held for a session, which is held no longer. */
function takeHeld(membership: Membership, session: string): Stanza[] {
    const request = pendingJoin(membership, session);
    if (request === undefined) {
        return [];
    }
    const held = request.held;
    request.held = [];
    request.heldSize = 0;
    return held;
}

/** Holds a stanza until the session is in. Returns false if there is no room for it. */
export function holdStanza(request: SessionRequest, stanza: Stanza): boolean {
    const size = request.heldSize + string.len(tostring(stanza));
    if (request.held.length >= MAX_HELD || size > MAX_HELD_SIZE) {
        return false;
    }
    request.held.push(stanza);
    request.heldSize = size;
    return true;
}
