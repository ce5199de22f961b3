// Which entries of a room's log an account got, as ranges of their numbers.
//
// Invariants: ranges of one room are in ascending order and do not overlap. Only the last one may be open, and only while
// the account is in the room: all entries for everyone get into it as they are delivered. In memory an open range ends at
// the last entry that the account got (Part.position). On disk it has the negative number of the start of the server at
// which it was open, since the account got everything until that start was over.

/** Both ends inclusive; without a last one the range is open. */
export interface Range {
    first: number;
    last: number | undefined;
}

/** Oldest first. */
export type Ranges = Range[];

/** Ranges that one account keeps of one room; the oldest are given up. */
const MOST = 500;

/** Whether a number is in the ranges, of which an open one goes up to `end`. */
export function includes(ranges: Ranges, end: number, number: number): boolean {
    for (const i of $range(ranges.length, 1, -1)) {
        const range = ranges[i - 1];
        if (range !== undefined && number >= range.first) {
            return number <= (range.last ?? end);
        }
    }
    return false;
}

/** Adds a number: to the range that ends with the number `before` it, or as a range of its own. */
export function insert(ranges: Ranges, number: number, before: number | undefined): void {
    let at = ranges.length;
    while (at > 0 && (ranges[at - 1]?.first ?? 0) > number) {
        at = at - 1;
    }
    const range = ranges[at - 1];
    if (range?.last !== undefined && range.last === before) {
        range.last = number;
    } else {
        table.insert(ranges, at + 1, { first: number, last: number });
        trim(ranges);
    }
}

/** Opens a range for what comes, or the last one again if there is nothing between that and `first`. */
export function open(ranges: Ranges, first: number): Range {
    const last = ranges[ranges.length - 1];
    if (last?.last !== undefined && last.last >= first - 1) {
        last.last = undefined;
        return last;
    }
    const range: Range = { first, last: undefined };
    ranges.push(range);
    trim(ranges);
    return range;
}

/** Ends an open range at a number. A range without entries is dropped. */
export function close(ranges: Ranges, end: number): void {
    const last = ranges[ranges.length - 1];
    if (last === undefined || last.last !== undefined) {
        return;
    }
    last.last = end;
    if (last.first > end) {
        ranges.pop();
    }
}

function trim(ranges: Ranges): void {
    if (ranges.length > MOST) {
        table.remove(ranges, 1);
    }
}

/** Removes the ranges that end before a number. */
export function prune(ranges: Ranges, least: number): boolean {
    let pruned = false;
    while (ranges[0]?.last !== undefined && ranges[0].last < least) {
        table.remove(ranges, 1);
        pruned = true;
    }
    return pruned;
}

/** As they are stored: first and last of each; `start` is where this start of the server began. */
export function pack(ranges: Ranges, start: number): number[] {
    const packed: number[] = [];
    for (const range of ranges) {
        packed.push(range.first);
        packed.push(range.last ?? -start);
    }
    return packed;
}

/** Reads stored ranges. `endOf` gives the end of a range that was open at a start. Undefined if they are malformed. */
export function unpack(packed: unknown, endOf: (this: void, start: number) => number): Ranges | undefined {
    if (typeof packed !== "object") {
        return undefined;
    }
    const ranges: Ranges = [];
    for (const i of $range(1, (packed as number[]).length, 2)) {
        const first = (packed as unknown[])[i - 1];
        const last = (packed as unknown[])[i];
        if (typeof first !== "number" || typeof last !== "number") {
            return undefined;
        }
        // Versions without starts wrote 0 for an open range.
        const end = last > 0 ? last : endOf(-last);
        if (first <= end) {
            ranges.push({ first, last: end });
        }
    }
    return ranges;
}
