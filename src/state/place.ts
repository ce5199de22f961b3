// The place of an account in a room, and the one presence that the room has not answered.

import type { InternedStanza } from "./interned";

export const enum Phase {
    /** The account was in the room and will rejoin: a retry is scheduled. */
    Lost = "lost",
    /** A join is in flight, and our own presence has not arrived. */
    Joining = "joining",
    /** Our own presence has arrived. History and subject follow (XEP-0045 7.1). */
    Entering = "entering",
    Joined = "joined",
    /** A leave is in flight, and the room has not confirmed it. */
    Leaving = "leaving",
}

const phases = new LuaSet<string>();
for (const phase of [Phase.Lost, Phase.Joining, Phase.Entering, Phase.Joined, Phase.Leaving]) {
    phases.add(phase);
}

/** Whether this version knows a phase. A reload may hand over a phase of another version. */
export function isKnownPhase(phase: string): boolean {
    return phases.has(phase);
}

/** A session's request to attach, or for another nick. It is queued or part of the operation. */
export interface SessionRequest {
    readonly kind: "join" | "rename";
    /** Cleared when the session ends or leaves. A new session with this full JID must not inherit the request. */
    session: string | undefined;
    /** Gets the errors of queued stanzas. It may have left since. Cleared when the session ends. */
    sender: string | undefined;
    /** The id of the session's presence. */
    readonly id: string | undefined;
    readonly nick: string;
    /** A join of an attached session under the current nick, which may change until its turn. */
    isResync: boolean;
    /** The client's presence as received. */
    readonly stanza: Stanza;
    /** Stanzas that the session has sent since, oldest first. They are sent when the account is in. */
    queued: Stanza[];
    /** Bytes of these, as XML. */
    queuedSize: number;
}

/** An attached session: its last directed presence without addresses, and the id of that presence. */
export interface Attachment {
    readonly presence: Stanza;
    readonly id: string | undefined;
}

/** The presence that an account shows in a room, and its session. */
export interface Shown {
    readonly session: string | undefined;
    readonly presence: InternedStanza | undefined;
}

/** A presence that the room has not answered. An error with another id is not its answer. */
interface Sent {
    readonly id: string;
    readonly nick: string;
    /** Ends the operation if the room does not. */
    timer: Timer;
}

export interface Join extends Sent {
    readonly kind: "join";
    /** Undefined: the account joins by itself. */
    readonly request: SessionRequest | undefined;
    /** Sessions are attached, or the account joins by itself: known occupants are not new to them. */
    readonly isReturn: boolean;
    /** Our presence may arrive without relation to this join. Then no subject follows. */
    isDoubtful: boolean;
    /** The account was not in the room before, as far as is known. So a presence of the room answers this join. */
    readonly isFirst: boolean;
    /** The nick of a leave that was sent before the join, and that the room has not confirmed. */
    readonly left: string | undefined;
    /** When it was sent, by the monotonic clock. */
    readonly since: number;
}

/** A join of an account in the room, for the room's full answer to one session (XEP-0045 7.2.1). */
export interface Resync extends Sent {
    readonly kind: "resync";
    readonly request: SessionRequest;
    readonly shown: LuaSet<string>;
    /**
     * `self`: our own presence arrived without all occupants. The room may have treated the join as a presence update.
     */
    stage: "occupants" | "self" | "history";
}

export interface Rename extends Sent {
    readonly kind: "rename";
    /** Undefined: the account asks by itself, or the request is served without an answer. */
    request: SessionRequest | undefined;
    /** It was sent as a join, which admits an account that is not in the room. */
    readonly isJoin: boolean;
    /** The presence to restore if the room refuses. */
    readonly before: Shown;
    readonly attachmentBefore: Attachment | undefined;
}

export interface Leave extends Sent {
    readonly kind: "leave";
    /** The id of the session's presence. */
    readonly answerId: string | undefined;
}

/** The end of a phase without an operation: a place in the shared queue, or a timer. */
export type Next =
    | { readonly kind: "queue" }
    | { readonly kind: "pause"; readonly timer: Timer }
    /** The room's archive is asked first. */
    | { readonly kind: "archive"; readonly timer: Timer };

export interface Lost {
    readonly phase: Phase.Lost;
    /** Consecutive failed attempts to join or leave. */
    readonly tries: number;
    readonly next: Next;
}

export interface Joining {
    readonly phase: Phase.Joining;
    readonly tries: number;
    readonly operation: Join;
    /** Earlier joins that the room has not answered. Each has its own timeout. */
    readonly earlier: Join[];
    /** A join has timed out: the room may have admitted the account. */
    mayBeIn: boolean;
    /** Sends the next queued request if the room has not answered by then. */
    turn?: Timer | undefined;
    /** Nicks that the room has shown since the earliest unanswered join. */
    shown: LuaSet<string>;
    /** When the room last showed an occupant, by the monotonic clock. */
    shownAt?: number | undefined;
    /** The room has sent a message since the last join, such as a challenge (XEP-0158). */
    isHeard: boolean;
    /** A presence with our nick that arrived without 110. */
    claimed?: InternedStanza | undefined;
    /** The room has removed the account since the last join. A self-ping tells whether that was the answer. */
    removal?: Stanza | undefined;
    /**
     * `now`: the room has changed our nick, and shown no occupant since. So the next own presence answers no join.
     * `before`: the join was sent again for that reason.
     */
    renamed?: "now" | "before" | undefined;
}

export interface Entering {
    readonly phase: Phase.Entering;
    readonly tries: number;
    readonly operation: Join;
    /** A join sent after the one that the room has answered, and not answered yet. */
    readonly later: Join | undefined;
    /** Nicks that the room has shown since the join. */
    readonly shown: LuaSet<string>;
    /** The join, if the own presence may be an answer from before the leave ahead of it. */
    readonly afterLeave: Join | undefined;
    /** Ends the wait for a subject. */
    timer: Timer;
}

/** A presence of the account that the room has not echoed, and what the account showed before. */
export interface Underway {
    readonly id: string;
    readonly before: InternedStanza | undefined;
}

/** Our own presence that a session got with its join: the XML after the name. */
export interface Told {
    readonly text: string;
    /** The number of echoes until the room sends it. */
    echoes: number;
}

/** Whether the room is reachable, while that is in doubt. */
export interface Liveness {
    /** A self-ping is in flight. */
    checking?: boolean;
    /** Consecutive self-pings without an answer: the account may be out, or the room's server unreachable. */
    unanswered: number;
    /** Sends the next self-ping. */
    timer?: Timer | undefined;
    /** Self-pings of sessions that wait for the account's own, by their ids in state/pending.ts. */
    waiting?: string[] | undefined;
}

export interface Joined {
    readonly phase: Phase.Joined;
    tries: number;
    /** When the account was admitted, by the monotonic clock. */
    readonly since: number;
    /** The join, if the room may still confirm a leave that was sent ahead of it. */
    readonly afterLeave?: Join | undefined;
    /** When the room last confirmed, in answer to a self-ping, that the account is in it. */
    confirmedAt?: number;
    liveness?: Liveness | undefined;
    operation?: Resync | Rename | undefined;
    /** A nick change that has timed out. The room may still answer it. */
    late?: Rename | undefined;
    /** Presences under the current nick that the room has not echoed, oldest first. */
    underway?: Underway[] | undefined;
    /** What sessions were told ahead of the room, by full JID. */
    told?: LuaMap<string, Told> | undefined;
}

export interface Leaving {
    readonly phase: Phase.Leaving;
    readonly tries: number;
    /** Undefined: after a start of the server, in the shared queue. */
    readonly operation: Leave | undefined;
    /**
     * The account was in the room under its nick: with a session's join in flight, or settled. Otherwise the nick may
     * belong to another occupant.
     */
    readonly wasIn?: "joining" | "settled" | undefined;
}

/** Replaced as a whole, so that data of a phase ends with it. */
export type Place = Lost | Joining | Entering | Joined | Leaving;

/** Returns the place of an account with a join that was just sent. */
export function joiningBy(
    operation: Join,
    earlier: Join[],
    shown: LuaSet<string>,
    mayBeIn: boolean,
    tries: number,
): Joining {
    return {
        phase: Phase.Joining,
        tries,
        operation,
        earlier,
        mayBeIn,
        shown,
        isHeard: false,
    };
}

/** Whether the account is in the room under its nick, or was when it began to leave. */
export function isIn(place: Place): boolean {
    const isAdmitted = place.phase === Phase.Joined || place.phase === Phase.Entering;
    return isAdmitted || (place.phase === Phase.Leaving && place.wasIn !== undefined);
}

/** Returns a place in the shared queue: the account is lost, or will leave. */
export function inSharedQueue(phase: Phase.Lost | Phase.Leaving, tries = 0): Place {
    return phase === Phase.Lost ? { phase, tries, next: { kind: "queue" } } : { phase, tries, operation: undefined };
}

/** Returns the timers of a place. */
export function timersOf(place: Place): Timer[] {
    if (place.phase === Phase.Lost) {
        return place.next.kind === "queue" ? [] : [place.next.timer];
    }
    const timers: Timer[] = [];
    if (place.operation !== undefined) {
        timers.push(place.operation.timer);
    }
    if (place.phase === Phase.Joining) {
        for (const join of place.earlier) {
            timers.push(join.timer);
        }
        if (place.turn !== undefined) {
            timers.push(place.turn);
        }
    } else if (place.phase === Phase.Entering) {
        timers.push(place.timer);
        if (place.later !== undefined) {
            timers.push(place.later.timer);
        }
    } else if (place.phase === Phase.Joined && place.liveness?.timer !== undefined) {
        timers.push(place.liveness.timer);
    }
    return timers;
}

/** Returns the requests of sessions that the room has not answered, oldest first. */
export function requestsOf(place: Place): SessionRequest[] {
    const requests: SessionRequest[] = [];
    const add = (operation: Join | Resync | Rename | undefined) => {
        if (operation?.request !== undefined) {
            requests.push(operation.request);
        }
    };
    if (place.phase === Phase.Joining) {
        for (const join of place.earlier) {
            add(join);
        }
        add(place.operation);
    } else if (place.phase === Phase.Entering) {
        add(place.later);
    } else if (place.phase === Phase.Joined) {
        add(place.operation);
    }
    return requests;
}
