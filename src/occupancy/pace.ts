// Limits the rate of work for many accounts and rooms, so that no server is overloaded.

import * as options from "../options";
import { inTurn } from "../turn";

/** A queue of items, and the function that handles an item. */
export interface Line<T> {
    readonly items: T[];
    readonly serve: (this: void, item: T) => void;
    moving: boolean;
}

/** Seconds between two runs of a queue. */
const STEP = 0.1;

/** Creates an empty queue. */
export function newLine<T>(serve: (this: void, item: T) => void): Line<T> {
    return { items: [], serve, moving: false };
}

/** Adds items to a queue in random order. LIFO, so that the latest login is served first. */
export function lineUp<T>(line: Line<T>, items: T[]): void {
    for (const item of shuffled(items)) {
        line.items.push(item);
    }
    if (!line.moving && line.items.length > 0) {
        line.moving = true;
        move(line);
    }
}

function move<T>(line: Line<T>): void {
    let due = 0;
    module.add_timer(STEP, () => {
        // An item that fails is logged, and does not stop the others.
        due = due + options.rejoinRate * STEP;
        while (due >= 1) {
            const item = table.remove<T>(line.items);
            if (item === undefined) {
                line.moving = false;
                return undefined;
            }
            due = due - 1;
            inTurn(() => {
                line.serve(item);
            });
        }
        return STEP;
    });
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
