// Queues, first in first out. Taking the first item of a list would move all others.

export interface Fifo<T> {
    readonly items: LuaMap<number, T>;
    /** The index of the oldest item. */
    first: number;
    count: number;
}

/** Creates an empty queue. */
export function newFifo<T>(): Fifo<T> {
    return { items: new LuaMap(), first: 1, count: 0 };
}

/** Adds an item as the newest one. */
export function put<T>(fifo: Fifo<T>, item: T): void {
    fifo.items.set(fifo.first + fifo.count, item);
    fifo.count = fifo.count + 1;
}

/** Removes and returns the oldest item. */
export function take<T>(fifo: Fifo<T>): T | undefined {
    if (fifo.count === 0) {
        return undefined;
    }
    const first = fifo.first;
    const item = fifo.items.get(first);
    fifo.items.delete(first);
    fifo.count = fifo.count - 1;
    // An empty queue starts again at 1, so that a short one stays in the table's array.
    fifo.first = fifo.count === 0 ? 1 : first + 1;
    return item;
}
