// Turns. Each hook and each timer of the module runs to its end before anything is sent to a room. A local room answers
// inside module:send(), and its answer must not arrive in the middle of a state change.

import { newFifo, put, take } from "./fifo";

/** Stanzas for rooms, oldest first. They are sent when the turn ends. */
const outbox = newFifo<Stanza>();

let running = false;
let draining = false;

/** Sends a stanza to a room at the end of the current turn. Outside of a turn it is sent at once. */
export function post(stanza: Stanza): void {
    put(outbox, stanza);
    drain();
}

/** Sends the queued stanzas, including those that a room's answer adds meanwhile. */
function drain(): void {
    if (outbox.count === 0 || running || draining) {
        return;
    }
    draining = true;
    let stanza = take(outbox);
    while (stanza !== undefined) {
        route(stanza);
        stanza = take(outbox);
    }
    draining = false;
}

function send(this: void, stanza: Stanza): void {
    module.send(stanza);
}

/** Sends a stanza. An error is that of another module, because handlers of this one are turns. */
function route(stanza: Stanza): void {
    const [ok, problem] = xpcall(send, debug.traceback, stanza);
    if (!ok) {
        module.log("error", "A module failed on a %s to %s: %s", stanza.name, stanza.attr.to, problem);
    }
}

/** Calls a function and logs its error. */
function protect<E>(task: (this: void, argument: E) => void, argument: E): void {
    const [ok, problem] = xpcall(task, debug.traceback, argument);
    if (!ok) {
        logError(problem);
    }
}

function logError(problem: unknown): void {
    module.log("error", "Internal error: %s", problem);
}

/** Runs the task of a timer as a turn. An error is logged and does not end the timer. */
export function inTurn(task: (this: void) => void): void {
    const outer = running;
    running = true;
    protect(task, undefined);
    running = outer;
    drain();
}

/** Runs a task once as a turn, after a number of seconds. */
export function after(seconds: number, task: (this: void) => void): Timer {
    return module.add_timer(seconds, () => {
        inTurn(task);
        return undefined;
    });
}

/**
 * Wraps a hook's handler in a turn. After an error the event counts as handled: Prosody would otherwise send the stanza
 * from the session's own address, or answer a room with an error.
 */
export function turn<E>(handler: (this: void, event: E) => Handled): (this: void, event: E) => Handled {
    return (event) => {
        const outer = running;
        running = true;
        const [ok, result] = xpcall(handler, debug.traceback, event);
        running = outer;
        if (!ok) {
            logError(result);
        }
        if (outbox.count > 0) {
            drain();
        }
        return ok ? result : true;
    };
}

/** The same, for events that pass a test. Others are not handled. */
export function turnIf<E>(
    isWanted: (this: void, event: E) => boolean,
    handler: (this: void, event: E) => Handled,
): (this: void, event: E) => Handled {
    const handle = turn(handler);
    return (event) => (isWanted(event) ? handle(event) : undefined);
}
