// Entries of a room's log that an account got, as ranges of their numbers.
//
// Invariants: the ranges of a room are in ascending order and do not overlap. Only the last range may be open, and only
// while the account is in the room: then it gets all shared entries. In memory an open range ends at the last entry
// that the account got (Part.position). On disk it has the negative first number of the server's start: the account got
// all entries until that start ended.

/** Both ends are inclusive. Without a last number the range is open. */
export interface Range {
    first: number;
    last?: number | undefined;
}

/** Oldest first. */
export type Ranges = Range[];

/** Largest number of ranges per account and room. The oldest are dropped. */
const MOST = 500;

/** Whether a number is in the ranges. An open range ends at `end`. */
export function includes(ranges: Ranges, end: number, number: number): boolean {
    for (const i of $range(ranges.length, 1, -1)) {
        const range = ranges[i - 1];
        if (range !== undefined && number >= range.first) {
            return number <= (range.last ?? end);
        }
    }
    return false;
}

/** Whether a number is not before all ranges. */
export function isSince(ranges: Ranges, number: number): boolean {
    const first = ranges[0]?.first;
    return first !== undefined && number >= first;
}

/** Inserts a number: into the range that ends with `before`, or as another range. */
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

/** Opens a range for new entries, or reopens the last one if no entry is between it and `first`. */
export function open(ranges: Ranges, first: number): Range {
    const last = ranges[ranges.length - 1];
    if (last?.last !== undefined && last.last >= first - 1) {
        last.last = undefined;
        return last;
    }
    const range: Range = { first };
    ranges.push(range);
    trim(ranges);
    return range;
}

/** Closes an open range at a number. A range without entries is dropped. */
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

/**
 * Removes the ranges that end before a number. One of them stays if private entries may be between it and the next
 * range.
 */
export function prune(ranges: Ranges, least: number): boolean {
    let pruned = false;
    while (ranges[0]?.last !== undefined && ranges[0].last < least && (ranges[1]?.first ?? least) <= least) {
        table.remove(ranges, 1);
        pruned = true;
    }
    return pruned;
}

/** Returns the stored form: first and last of each. `start` is the first number of this start of the server. */
export function pack(ranges: Ranges, start: number): number[] {
    const packed: number[] = [];
    for (const range of ranges) {
        packed.push(range.first);
        packed.push(range.last ?? -start);
    }
    return packed;
}

/**
 * Reads stored ranges. `endOf` returns the end of a range that was open in an earlier start. Undefined if malformed.
 */
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
