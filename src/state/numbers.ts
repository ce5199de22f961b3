// Numbers of archive entries. They grow for ever and are never given out twice: what an account got is kept as ranges of
// them. A lease on disk is ahead of the numbers in use, so that a start of the server goes on behind all earlier ones,
// whatever the clock says. The record also holds where each start began: a range that was open when the server was killed
// ends where the next start began.

import { wallClock } from "./clock";
import { HOST } from "./driver";
import { openRecords, readRecord, writeRecord } from "./records";

interface Lease {
    /** Every number in use is lower. */
    readonly limit: number;
    /** The numbers at which starts of the server began, in order, as far as ranges on disk refer to them. */
    readonly starts: number[] | undefined;
    /** When the server was seen alive last, by the wall clock. */
    readonly alive: number | undefined;
}

/** Numbers that one write is good for. */
const LEASE = 100000;

let startNumber = 0;
let lastNumber = 0;
/** What is on disk, or will be when the record is written. */
let limit = 0;
let starts: number[] = [];
let alive = 0;

const records = openRecords<Lease>("minimix_numbers", () => ({ limit, starts, alive }));

/** Begins a start of the server: what is numbered from now on is higher than all before. Whether the lease could be read. */
export function startNumbers(): boolean {
    const [done, lease] = readRecord(records, HOST);
    if (!done) {
        return false;
    }
    // Without a lease there are no entries, or those of a version that numbered them by the clock.
    startNumber = lease === undefined ? (wallClock() + 1) * 1000 : lease.limit;
    lastNumber = startNumber;
    starts = lease?.starts ?? [];
    alive = lease?.alive ?? wallClock();
    starts.push(startNumber);
    extend();
    return true;
}

function extend(): void {
    limit = lastNumber + LEASE;
    writeRecord(records, HOST);
}

/** Whether the lease has been read. */
export function hasNumbers(): boolean {
    return startNumber > 0;
}

/** What this start of the server found: entries of before are numbered lower, those to come higher. */
export function startOfNumbers(): number {
    return startNumber;
}

/** Where a range ends that has been open since the start of the server at this number, which is over. */
export function endOfStart(start: number): number {
    for (const other of starts) {
        if (other > start) {
            return other;
        }
    }
    return startNumber;
}

/** No range on disk refers to earlier starts any more. */
export function forgetStarts(): void {
    if (starts.length > 1) {
        starts = [startNumber];
        writeRecord(records, HOST);
    }
}

/** The next number, higher than all before, those of earlier starts too; undefined while the lease cannot be written. */
export function nextNumber(): number | undefined {
    if (lastNumber + 1 >= limit) {
        extend();
    }
    if (records.dirty.has(HOST)) {
        return undefined;
    }
    lastNumber = lastNumber + 1;
    return lastNumber;
}

/** The highest number given out. */
export function newestNumber(): number {
    return lastNumber;
}

/** When the server was seen alive last, by the wall clock, as this start found it. */
export function aliveAt(): number {
    return alive;
}

/** Notes that the server is alive. */
export function noteAlive(when: number): void {
    alive = when;
    writeRecord(records, HOST);
}

/** As one instance of the module hands it to the next on a reload. */
export interface Numbers {
    readonly start: number;
    readonly last: number;
    readonly limit: number;
    readonly starts: number[];
    readonly alive: number;
}

export function numbers(): Numbers {
    return { start: startNumber, last: lastNumber, limit, starts, alive };
}

export function restoreNumbers(saved: Numbers): void {
    startNumber = saved.start;
    lastNumber = saved.last;
    limit = saved.limit;
    starts = saved.starts;
    alive = saved.alive;
}
