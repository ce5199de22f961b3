// Outages of Prosody's storage. An outage begins with the first failure and ends when nothing waits to be written or
// read. Meanwhile drivers are called at retries only, because a call may block the server.

import { inTurn } from "../turn";
import { monotonic } from "./clock";

/** First and longest pause between retries, in seconds. */
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 10;

/** Seconds of work in one slice, and between two slices. */
const SLICE = 0.02;
const SLICE_PAUSE = 0.05;

interface Outage {
    readonly since: number;
    pause: number;
}

let outage: Outage | undefined;

/** Whether data waits to be written or read because storage failed. */
export function isOutage(): boolean {
    return outage !== undefined;
}

/** Begins an outage, unless there is one. */
export function beginOutage(): void {
    if (outage === undefined) {
        outage = { since: monotonic(), pause: FIRST_PAUSE };
        retryAfter(outage, FIRST_PAUSE);
    }
}

function retryAfter(current: Outage, seconds: number): void {
    module.add_timer(seconds, () => {
        if (outage === current) {
            inTurn(() => {
                retry(current);
            });
        }
        return undefined;
    });
}

/** The progress of a task. `more`: the time was up. */
export type Progress = "done" | "more" | "failing";

/** A task of a retry. It must stop at the deadline, by monotonic(). */
type Task = (this: void, deadline: number) => Progress;

const tasks: Task[] = [];
const listeners: ((this: void) => void)[] = [];

/**
 * Registers a task that is called at each retry until all tasks are done. Tasks are called in the order of
 * registration.
 */
export function onRetry(task: Task): void {
    tasks.push(task);
}

/** Registers a listener that is called when an outage is over. */
export function onRecovery(listener: (this: void) => void): void {
    listeners.push(listener);
}

function retry(current: Outage): void {
    const progress = runTasks(monotonic() + SLICE);
    if (progress === "done") {
        endOutage(current);
    } else if (progress === "failing") {
        current.pause = Math.min(current.pause * 2, LONGEST_PAUSE);
        retryAfter(current, current.pause);
    } else {
        current.pause = FIRST_PAUSE;
        retryAfter(current, SLICE_PAUSE);
    }
}

function runTasks(deadline: number): Progress {
    let result: Progress = "done";
    for (const task of tasks) {
        const [done, progress] = tryCall(task, deadline);
        if (!done) {
            module.log("error", "Internal error: %s", progress);
        }
        if (!done || progress === "failing") {
            result = "failing";
        } else if (progress === "more" && result === "done") {
            result = "more";
        }
    }
    return result;
}

function endOutage(current: Outage): void {
    outage = undefined;
    module.log("info", "Storage works again after %d seconds", math.floor(monotonic() - current.since));
    for (const listener of listeners) {
        listener();
    }
}

/** Retries now, before the server stops or the module is unloaded. */
export function retryNow(): undefined {
    if (outage !== undefined) {
        runTasks(math.huge);
    }
}
