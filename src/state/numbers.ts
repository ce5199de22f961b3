// Numbers of archive entries. They grow for ever and are never given out twice: what an account got is kept as ranges of
// them. A lease on disk is ahead of the numbers in use, so that a start of the server goes on behind all earlier ones,
// whatever the clock says.

interface Lease {
    /** Every number in use is lower. */
    readonly limit: number;
}

const store = module.open_store<Lease>("minimix_numbers", "keyval");

/** Numbers that one write is good for. */
const LEASE = 100000;

let startNumber = 0;
let lastNumber = 0;
let limit = 0;

/** A start of the server: what is numbered from now on is higher than all before. */
export function startNumbers(): void {
    const [lease] = store.get(undefined);
    // Without a lease there are no entries, or those of a version that numbered them by the clock.
    startNumber = lease === undefined ? (os.time() + 1) * 1000 : lease.limit;
    lastNumber = startNumber;
    extend();
}

function extend(): void {
    limit = lastNumber + LEASE;
    store.set(undefined, { limit });
}

/** What this start of the server found: entries of before are numbered lower, those to come higher. */
export function startOfNumbers(): number {
    return startNumber;
}

/** The next number, higher than all before, those of earlier starts of the server too. */
export function nextNumber(): number {
    lastNumber = lastNumber + 1;
    if (lastNumber >= limit) {
        extend();
    }
    return lastNumber;
}

/** The highest number given out. */
export function newestNumber(): number {
    return lastNumber;
}

/** As one instance of the module hands it to the next on a reload. */
export interface Numbers {
    readonly start: number;
    readonly last: number;
    readonly limit: number;
}

export function numbers(): Numbers {
    return { start: startNumber, last: lastNumber, limit };
}

export function restoreNumbers(saved: Numbers): void {
    startNumber = saved.start;
    lastNumber = saved.last;
    limit = saved.limit;
}
