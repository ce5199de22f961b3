// Limits the rate of work for many accounts and rooms, so that no server is overloaded.

import * as time from "util.time";
import * as options from "../options";
import { inTurn } from "../turn";

/** A queue of items, and the function that handles an item. */
export interface PacedQueue<T> {
    items: T[];
    /** Postponed items, which could not be served at their turn. They follow the others. */
    postponed: T[];
    readonly serve: (this: void, item: T) => void;
    /** Returns the service of an item. */
    readonly serviceOf: (this: void, item: T) => string;
    /** Whether items of a service may be served now. A run asks no further for a service after a refusal. */
    readonly mayServe: (this: void, service: string) => boolean;
    isRunning: boolean;
}

/** Seconds between two runs of a queue, and the time limit of a run. A local room answers during the run. */
const STEP = 0.1;
const SLICE = 0.02;

/** Largest number of items that one run postpones. */
const MAX_POSTPONED = 200;

/** Creates an empty queue. */
export function newPacedQueue<T>(
    serve: (this: void, item: T) => void,
    serviceOf: (this: void, item: T) => string = () => "",
    mayServe: (this: void, service: string) => boolean = () => true,
): PacedQueue<T> {
    return { items: [], postponed: [], serve, serviceOf, mayServe, isRunning: false };
}

/** Adds items to a queue in random order. LIFO, so that the latest login is served first. */
export function addPaced<T>(queue: PacedQueue<T>, items: T[]): void {
    for (const item of shuffled(items)) {
        queue.items.push(item);
    }
    if (!queue.isRunning && queue.items.length > 0) {
        queue.isRunning = true;
        startRuns(queue);
    }
}

function startRuns<T>(queue: PacedQueue<T>): void {
    const most = Math.max(1, options.rejoinRate * STEP);
    let due = 0;
    let before = time.monotonic();
    module.add_timer(STEP, () => {
        const started = time.monotonic();
        // Unused capacity is not carried over, except for a part of an item.
        due = Math.min(due + options.rejoinRate * (started - before), most + 1);
        before = started;
        due = due - serveItems(queue, due, started);
        queue.isRunning = queue.items.length > 0 || queue.postponed.length > 0;
        return queue.isRunning ? pauseAfter(time.monotonic() - started) : undefined;
    });
}

/** Returns the seconds until the next run. If a run takes long, half of the time is left to the rest of the server. */
function pauseAfter(spent: number): number {
    return spent < SLICE ? STEP : spent;
}

/** Serves a number of items within the time limit. Returns how many were served. */
function serveItems<T>(queue: PacedQueue<T>, most: number, started: number): number {
    let served = 0;
    let postponed = 0;
    const busy = new LuaSet<string>();
    while (served + 1 <= most && postponed < MAX_POSTPONED && time.monotonic() - started < SLICE) {
        const item = table.remove<T>(queue.items);
        if (item === undefined) {
            queue.items = queue.postponed;
            queue.postponed = [];
            break;
        }
        const service = queue.serviceOf(item);
        if (!busy.has(service) && queue.mayServe(service)) {
            served = served + 1;
            inTurn(() => {
                queue.serve(item);
            });
        } else {
            busy.add(service);
            postponed = postponed + 1;
            queue.postponed.push(item);
        }
    }
    return served;
}

/** Returns the items in random order (Fisher-Yates). */
function shuffled<T>(list: T[]): T[] {
    for (const i of $range(list.length, 2, -1)) {
        const j = math.random(i);
        const item = list[i - 1] as T;
        list[i - 1] = list[j - 1] as T;
        list[j - 1] = item;
    }
    return list;
}
