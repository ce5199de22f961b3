// Work for many accounts and rooms, so much in a second that neither this server nor the rooms' are flooded.

import * as options from "../options";
import { inTurn } from "../turn";

/** What waits for its turn, and what is to be done with it then. */
export interface Line<T> {
    readonly items: T[];
    readonly serve: (this: void, item: T) => void;
    moving: boolean;
}

/** Seconds between two looks at a line. */
const STEP = 0.1;

/** A line with nobody in it. */
export function newLine<T>(serve: (this: void, item: T) => void): Line<T> {
    return { items: [], serve, moving: false };
}

/** Puts items in a line, in random order. What came last is served first: somebody just logged in and waits for it. */
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
        // An item that fails is logged and does not keep the others from their turn.
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

/** Fisher and Yates'. */
function shuffled<T>(list: T[]): T[] {
    for (const i of $range(list.length, 2, -1)) {
        const j = math.random(i);
        const item = list[i - 1] as T;
        list[i - 1] = list[j - 1] as T;
        list[j - 1] = item;
    }
    return list;
}
