// Turns. Each hook and each timer of the module runs to its end before anything is sent to a room. A local room answers
// inside module:send(), and its answer must not arrive in the middle of a state change.

/** Stanzas for rooms, oldest first. They are sent when the turn ends. */
const outbox: Stanza[] = [];

let running = false;
let draining = false;

/** Sends a stanza to a room at the end of the current turn. Outside of a turn it is sent at once. */
export function post(stanza: Stanza): void {
    outbox.push(stanza);
    drain();
}

/** Sends the queued stanzas, including those that a room's answer adds meanwhile. */
function drain(): void {
    if (running || draining) {
        return;
    }
    draining = true;
    let stanza = table.remove<Stanza>(outbox, 1);
    while (stanza !== undefined) {
        protect(send, stanza);
        stanza = table.remove<Stanza>(outbox, 1);
    }
    draining = false;
}

function send(this: void, stanza: Stanza): void {
    module.send(stanza);
}

/** Calls a function and logs its error. Returns whether it succeeded, and the result. */
function protect<E, R>(task: (this: void, argument: E) => R, argument: E): LuaMultiReturn<[boolean, R | undefined]> {
    const [ok, result] = xpcall(task, debug.traceback, argument);
    if (!ok) {
        module.log("error", "Internal error: %s", result);
        return $multi(false, undefined);
    }
    return $multi(true, result);
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
        const [ok, result] = protect(handler, event);
        running = outer;
        drain();
        return ok ? result : true;
    };
}
