// Numbers of archive entries. They only increase and are never reused, because accounts' ranges refer to them. A lease
// on disk is ahead of the numbers in use. So each start of the server continues after all earlier numbers, whatever the
// clock says. The record also has the first number of each start: a range that was open at SIGKILL ends at the next
// start.

import { wallClock } from "./clock";
import { HOST, readFailed } from "./driver";
import { openRecords, readRecord, writeRecord } from "./records";

interface Lease {
    /** All numbers in use are lower. */
    readonly limit: number;
    /** First numbers of earlier starts of the server, in order, while ranges on disk refer to them. */
    readonly starts: number[] | undefined;
    /** When the server was last known to run, by the wall clock. */
    readonly alive: number | undefined;
}

/** Numbers per write of the lease. */
const LEASE = 100000;

let startNumber = 0;
let lastNumber = 0;
/** The limit on disk, or after the pending write. */
let limit = 0;
let starts: number[] = [];
let alive = 0;

const records = openRecords<Lease>("minimix_numbers", () => ({ limit, starts, alive }));

/**
 * Begins a start of the server: new numbers are higher than all earlier ones. Returns whether the lease could be read.
 */
export function startNumbers(): boolean {
    const [done, lease] = readRecord(records, HOST);
    if (!done) {
        return false;
    }
    if (lease !== undefined && !isWellFormed(lease)) {
        // Without the limit, numbers could repeat.
        readFailed(records.store, HOST, "malformed");
        return false;
    }
    // Without a lease there are no entries, or an earlier version numbered them by the clock.
    startNumber = lease === undefined ? (wallClock() + 1) * 1000 : lease.limit;
    lastNumber = startNumber;
    starts = lease?.starts ?? [];
    alive = lease?.alive ?? wallClock();
    starts.push(startNumber);
    extend();
    return true;
}

function isWellFormed(lease: unknown): boolean {
    const { limit: end, starts: begun, alive: seen } = typeof lease === "object" ? (lease as Partial<Lease>) : {};
    if (!isInteger(end) || (begun !== undefined && typeof begun !== "object")) {
        return false;
    }
    for (const start of begun ?? []) {
        if (!isInteger(start)) {
            return false;
        }
    }
    return seen === undefined || typeof seen === "number";
}

function isInteger(value: unknown): value is number {
    return typeof value === "number" && value % 1 === 0;
}

function extend(): void {
    limit = lastNumber + LEASE;
    writeRecord(records, HOST);
}

/** Whether the lease has been read. */
export function hasNumbers(): boolean {
    return startNumber > 0;
}

/** Returns the first number of this start of the server. */
export function startOfNumbers(): number {
    return startNumber;
}

/** Returns the end of a range that was open in an earlier start. `start` is the first number of that start. */
export function endOfStart(start: number): number {
    for (const other of starts) {
        if (other > start) {
            return other;
        }
    }
    return startNumber;
}

/** Whether ranges on disk may refer to earlier starts. */
export function hasEarlierStarts(): boolean {
    return starts.length > 1;
}

/** Drops the earlier starts, because no range on disk refers to them. */
export function forgetStarts(): void {
    if (hasEarlierStarts()) {
        starts = [startNumber];
        writeRecord(records, HOST);
    }
}

/** Returns the next number, higher than all earlier ones. Undefined while the lease cannot be written. */
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

/** Returns the highest number in use. */
export function newestNumber(): number {
    return lastNumber;
}

/** Returns when the server was last known to run before this start, by the wall clock. */
export function aliveAt(): number {
    return alive;
}

/** Records that the server is running. */
export function noteAlive(when: number): void {
    alive = when;
    writeRecord(records, HOST);
}

/** Data that one instance of the module hands to the next on a reload. */
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
