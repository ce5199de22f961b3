// Where an account stands in a room, and the one presence of its that the room has yet to answer.

import type { Held } from "./held";

export const enum Phase {
    /** It was in the room and will be again: the next try is a matter of time. */
    Lost = "lost",
    /** A join is in flight; our own presence has not come back. */
    Joining = "joining",
    /** Our own presence came; history and subject follow (XEP-0045 7.1). */
    Entering = "entering",
    Joined = "joined",
    /** A leave is in flight; the room has not confirmed it. */
    Leaving = "leaving",
}

const phases = new LuaSet<string>();
for (const phase of [Phase.Lost, Phase.Joining, Phase.Entering, Phase.Joined, Phase.Leaving]) {
    phases.add(phase);
}

/** Whether this version knows a phase; another one may have handed it over on a reload. */
export function isKnownPhase(phase: string): boolean {
    return phases.has(phase);
}

/** A session asks to be in the room, or for another nick. It waits in the queue or is part of the operation. */
export interface SessionRequest {
    readonly kind: "join" | "rename";
    /** Undefined once the session is gone or has left, so that a new session with its JID does not inherit the request. */
    session: string | undefined;
    /** The id that the session's presence had. */
    readonly id: string | undefined;
    readonly nick: string;
    /** A join of a session in the room under the account's nick, whatever that is when its turn comes. */
    isResync: boolean;
    /** The client's presence as it came. */
    readonly stanza: Stanza;
    /** What the session has sent since, oldest first. It goes out once the session is in. */
    held: Stanza[];
    /** Bytes of these, as XML. */
    heldSize: number;
}

/** A session in a room: the presence it last directed there, bare of addresses, and that presence's id. */
export interface Attachment {
    readonly presence: Stanza;
    readonly id: string | undefined;
    /** Our own presence as the session was shown it with its join, before the room has said so. */
    told?: Stanza | undefined;
}

/** What an account shows a room, and the session it is of. */
export interface Shown {
    readonly session: string | undefined;
    readonly presence: Held | undefined;
}

/** A presence that the room has yet to answer. An error with the id of another one is not the answer. */
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
    /** Sessions are attached, or the account joins by itself: what they know of the room is not news. */
    readonly isReturn: boolean;
    /** Our presence may come back for another reason than this join, in which case no subject follows. */
    readonly isDoubtful: boolean;
    /** Nicks that the room has shown since. */
    shown: LuaSet<string>;
    /** Presence with our nick that came without 110. */
    claimed: Held | undefined;
    /** When it was sent, by the monotonic clock. */
    readonly since: number;
    /** It was not answered in time. */
    isOverdue: boolean;
    /** The room has shown an occupant since the last look. */
    isShowing: boolean;
    /** The room has sent a message since, such as a challenge (XEP-0158). */
    isHeard: boolean;
    /** The account was not in the room before, as far as is known: what the room says of it answers this join. */
    readonly isFirst: boolean;
    /** The room has put the account out since, and is asked whether that was its answer. */
    isRemoved: boolean;
}

/** A join of an account that is in the room: a full answer for one session alone (XEP-0045 7.2.1). */
export interface Resync extends Sent {
    readonly kind: "resync";
    readonly request: SessionRequest;
    readonly shown: LuaSet<string>;
    /** `self`: our own presence came, though not all occupants. The room may have taken the join for a presence update. */
    stage: "occupants" | "self" | "history";
}

export interface Rename extends Sent {
    readonly kind: "rename";
    /** Undefined: the account asks by itself. */
    readonly request: SessionRequest | undefined;
    /** What is restored if the room refuses. */
    readonly before: Shown;
    readonly attachmentBefore: Attachment | undefined;
}

export interface Leave extends Sent {
    readonly kind: "leave";
    /** The id that the session's presence had. */
    readonly answerId: string | undefined;
}

/** What ends a phase in which the room has been asked nothing: a turn in the line of all accounts, or a timer. */
export type Next =
    | { readonly kind: "line" }
    | { readonly kind: "pause"; readonly timer: Timer }
    /** The room's archive is asked first. */
    | { readonly kind: "archive"; readonly timer: Timer };

export interface Lost {
    readonly phase: Phase.Lost;
    /** Tries to join or leave that have failed, one after the other. */
    readonly tries: number;
    readonly next: Next;
}

export interface Joining {
    readonly phase: Phase.Joining;
    readonly tries: number;
    readonly operation: Join;
    /** Joins sent before, to which the room has said nothing yet. Each has its own time limit. */
    readonly earlier: Join[];
    /** A join before this one was not answered in time: the room may have let the account in. */
    readonly mayBeIn: boolean;
    /** Tries the next in the queue if the room has said nothing by then. */
    turn: Timer | undefined;
}

export interface Entering {
    readonly phase: Phase.Entering;
    readonly tries: number;
    readonly operation: Join;
    /** Sent after the join that the room has answered, and not answered yet. */
    readonly later: Join | undefined;
    /** Ends the wait for a subject. */
    timer: Timer;
}

export interface Joined {
    readonly phase: Phase.Joined;
    tries: number;
    /** When the account was let in, by the monotonic clock. */
    readonly since: number;
    operation?: Resync | Rename | undefined;
    /** A nick change that was not answered in time. The room may still do so. */
    late?: Rename | undefined;
}

export interface Leaving {
    readonly phase: Phase.Leaving;
    readonly tries: number;
    /** Undefined: after a start of the server, in the line of all accounts. */
    readonly operation: Leave | undefined;
}

/** Replaced as a whole: what belongs to one phase ends with it. */
export type Place = Lost | Joining | Entering | Joined | Leaving;

/** A place in the line of all accounts: the account is lost, or about to leave, and has its turn to come. */
export function inLine(phase: Phase.Lost | Phase.Leaving, tries = 0): Place {
    return phase === Phase.Lost ? { phase, tries, next: { kind: "line" } } : { phase, tries, operation: undefined };
}

/** The timers that go on as long as the place is the account's. */
export function timersOf(place: Place): Timer[] {
    if (place.phase === Phase.Lost) {
        return place.next.kind === "line" ? [] : [place.next.timer];
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
    }
    return timers;
}

/** The requests of sessions whose presence the room has yet to answer, oldest first. */
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
