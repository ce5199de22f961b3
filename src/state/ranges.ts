// Which entries of a log an account got, as ranges of their numbers.

import { OPEN, type Ranges } from "./logs";

/** Whether the account gets what comes. */
export function isOpen(ranges: Ranges): boolean {
    return ranges.length > 0 && ranges[ranges.length - 1] === OPEN;
}

/** Whether a number is in the ranges, of which an open one goes up to `end`. */
export function includes(ranges: Ranges, end: number, number: number): boolean {
    for (const i of $range(1, ranges.length, 2)) {
        const first = ranges[i - 1] ?? 0;
        const last = ranges[i] ?? 0;
        if (number >= first && number <= (last === OPEN ? end : last)) {
            return true;
        }
    }
    return false;
}

/** Adds a number that is not the last one: to the range that ends with the one `before` it, or as a range of its own. */
export function insert(ranges: Ranges, number: number, before: number | undefined): void {
    let at = ranges.length;
    while (at > 0 && (ranges[at - 2] ?? 0) > number) {
        at = at - 2;
    }
    if (at > 0 && ranges[at - 1] === before) {
        ranges[at - 1] = number;
    } else {
        table.insert(ranges, at + 1, number);
        table.insert(ranges, at + 2, number);
    }
}

/** The ranges without those that end before a number. */
export function prune(ranges: Ranges, least: number): Ranges {
    const kept: Ranges = [];
    for (const i of $range(1, ranges.length, 2)) {
        const first = ranges[i - 1] ?? 0;
        const last = ranges[i] ?? 0;
        if (last === OPEN || last >= least) {
            kept.push(first);
            kept.push(last);
        }
    }
    return kept;
}
