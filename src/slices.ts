// Runs long work in slices of some milliseconds, so that the server handles other events in between.

import * as time from "util.time";
import { type Fifo, newFifo, put, take } from "./fifo";
import { inTurn } from "./turn";

/** Does a part of some work, at most a millisecond or two. Returns true when the work is done. */
export type Step = (this: void) => boolean;

/** Length of a slice in seconds. */
const SLICE = 0.005;

/**
 * Length of a slice after which a pause follows, in seconds. The pause is as long as the rest of the slice. A step that
 * reads storage may take some time, and others need two turns of the main loop to receive and to send a message.
 */
const LONG_SLICE = 0.01;

/** Unfinished work, in the order of the next steps. */
const work = newFifo<Step>();

let scheduled = false;
let slicing = false;

/** Seconds of work in this turn of the main loop, and when it ended. One read of a socket may start several slices. */
let spent = 0;
let ended = 0;

/** Starts some work. One slice runs at once, if there is time, and the rest later, in turn with other work. */
export function inSlices(step: Step): void {
    if (time.monotonic() - ended > SLICE) {
        spent = 0;
    }
    if (scheduled || slicing || spent >= SLICE) {
        inLaterSlices(step);
    } else {
        put(work, step);
        slice();
    }
}

/** Starts some work after the current event. */
export function inLaterSlices(step: Step): void {
    put(work, step);
    if (!scheduled && !slicing) {
        schedule(0);
    }
}

/** Longest time in seconds to finish all work. */
const FINISH = 5;

/** Finishes all work before the module is unloaded or the server stops. What takes too long is dropped. */
export function finishSlices(): undefined {
    const deadline = time.monotonic() + FINISH;
    let step = take(work);
    while (step !== undefined && time.monotonic() < deadline) {
        takeStep(step);
        step = take(work);
    }
}

function slice(): void {
    const started = time.monotonic() - spent;
    slicing = true;
    let step = take(work);
    while (step !== undefined) {
        takeStep(step);
        step = time.monotonic() - started < SLICE ? take(work) : undefined;
    }
    slicing = false;
    ended = time.monotonic();
    spent = ended - started;
    if (work.count > 0) {
        schedule(Math.max(spent - LONG_SLICE, 0));
    }
}

function schedule(seconds: number): void {
    scheduled = true;
    module.add_timer(seconds, () => {
        scheduled = false;
        spent = 0;
        slice();
        return undefined;
    });
}

/** Runs a step. If it fails, only its own work ends. */
function takeStep(step: Step): void {
    if (!endsWith(step)) {
        put(work, step);
    }
}

/** Runs a step as a turn. Returns whether the work has ended, also if the step fails. */
function endsWith(step: Step): boolean {
    const outcome = { done: true };
    inTurn(() => {
        outcome.done = step();
    });
    return outcome.done;
}

/** Runs a task for each item of a list, one step per item, and then `done`. */
export function forEachInSlices<T>(items: T[], task: (this: void, item: T) => void, done?: (this: void) => void): void {
    let at = 0;
    inSlices(() => {
        const item = items[at];
        at = at + 1;
        if (item !== undefined) {
            task(item);
            return false;
        }
        done?.();
        return true;
    });
}

/** Queues of work by key. Work with the same key runs one after the other. */
export interface Queues {
    /** Adds work to a queue. It starts when all earlier work with this key is done. */
    add(this: void, key: string, step: Step): void;
    /** Unfinished work by key. */
    readonly pending: LuaMap<string, Fifo<Step>>;
    /** Whether a step with this key runs right now. */
    isRunning(this: void, key: string): boolean;
    /** Drops the work with this key. */
    drop(this: void, key: string): void;
}

export function newQueues(): Queues {
    const queues = new LuaMap<string, Fifo<Step>>();
    let running: string | undefined;
    return {
        pending: queues,
        isRunning: (key) => running === key,
        add: (key, step) => {
            const queue = queues.get(key);
            if (queue !== undefined) {
                put(queue, step);
                return;
            }
            const added = newFifo<Step>();
            put(added, step);
            queues.set(key, added);
            inSlices(() => {
                const first = added.items.get(added.first);
                if (queues.get(key) !== added || first === undefined) {
                    return true;
                }
                running = key;
                const isDone = endsWith(first);
                running = undefined;
                if (isDone) {
                    take(added);
                }
                if (added.count > 0) {
                    return false;
                }
                queues.delete(key);
                return true;
            });
        },
        drop: (key) => {
            queues.delete(key);
        },
    };
}
