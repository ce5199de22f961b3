// Reads one archive for a query. Storage drivers treat queries with several conditions differently. So they are only
// asked for an approximate range, chunk by chunk.

import { findMessages, getMessage, type Messages } from "../state/messages";

/** An archive that a query reads. */
export interface Archive {
    readonly store: Messages;
    /** The key in the store. */
    readonly key: string;
    /** The label that items must have. Undefined: any label. */
    readonly label: string | undefined;
    /** Whether times in the store never decrease. */
    readonly isOrdered: boolean;
    /** Whether the user may read an item with this label. */
    mayRead(this: void, label: string): boolean;
    /** Returns the time of an item with this label. Without it, the time is that in the store. */
    timeOf?(this: void, label: string, stored: number): number;
}

export interface PageQuery {
    /** Whether the query matches an item, apart from its position. */
    wants(this: void, stanza: Stanza): boolean;
    /** In seconds, both inclusive. */
    readonly start?: number | undefined;
    readonly end?: number | undefined;
    /** Ids of items before and after the page. */
    readonly after?: string | undefined;
    readonly before?: string | undefined;
    readonly ids?: string[] | undefined;
    /** The last items instead of the first. The order is oldest first in both cases. */
    readonly reverse: boolean;
    readonly max: number;
}

/** The position of an item: by time, within a second by archive, and within an archive by id. */
export interface Place {
    readonly id: string;
    readonly when: number;
    /** The index of the archive. */
    readonly rank: number;
    readonly label: string;
}

export interface Item extends Place {
    readonly stanza: Stanza;
    /** The time stamp in seconds. `when` is the time in the store, by which items are ordered. */
    readonly stamp: number;
    /** Approximate memory in bytes. */
    readonly weight: number;
}

/** A walk through the archives, forward or in reverse. */
export interface Walk {
    readonly query: PageQuery;
    /** Exclusive, in the direction of the walk. */
    readonly from: Place | undefined;
    readonly to: Place | undefined;
}

/** The state of a walk in one archive. */
export interface Cursor {
    readonly archive: Archive;
    readonly rank: number;
    items: Item[];
    /** The number of `items` that the walk has passed. */
    passed: number;
    /** Number of items to read next. It grows, because an account may have few items of a long log. */
    chunk: number;
    /** Place of the item that was read last, wanted or not. */
    last: Place | undefined;
    ended: boolean;
    /** The item at the start of the walk has been deleted. */
    lost: boolean;
    /** Storage failed. */
    failed: boolean;
}

/** Number of items to read first: their size is unknown, and mod_storage_sql fetches all of a query at once. */
const FIRST_CHUNK = 16;
const LARGEST_CHUNK = 256;

/** Bytes of memory to read of one archive at a time. */
const READ_WEIGHT = 262144;

export function openCursors(archives: Archive[], max: number): Cursor[] {
    const cursors: Cursor[] = [];
    // One item more than requested shows whether there are more. With many archives, each has a part of the page.
    const share = Math.ceil((4 * (max + 1)) / archives.length);
    const chunk = max === 0 ? FIRST_CHUNK : Math.min(max + 1, share, FIRST_CHUNK);
    let rank = 0;
    for (const archive of archives) {
        rank = rank + 1;
        cursors.push({
            archive,
            rank,
            items: [],
            passed: 0,
            chunk,
            last: undefined,
            ended: false,
            lost: false,
            failed: false,
        });
    }
    return cursors;
}

/** Reads the next items of one archive, or the items that the query names. */
export function readOn(cursor: Cursor, walk: Walk, missing: LuaSet<string> | undefined): void {
    const ids = walk.query.ids;
    // Drops the items that the walk has passed.
    cursor.items = [];
    cursor.passed = 0;
    if (ids !== undefined) {
        readIds(cursor, walk, ids, missing);
        return;
    }
    const { items, weight } = read(cursor, rangeQuery(cursor, walk), READ_WEIGHT);
    for (const item of items) {
        consider(cursor, walk, item);
        cursor.last = item;
    }
    if (weight < READ_WEIGHT && items.length < cursor.chunk) {
        cursor.ended = true;
    }
    const fitting = Math.ceil((READ_WEIGHT * items.length) / Math.max(weight, 1));
    cursor.chunk = Math.min(cursor.chunk * 4, fitting, LARGEST_CHUNK);
}

function readIds(cursor: Cursor, walk: Walk, ids: string[], missing: LuaSet<string> | undefined): void {
    for (const item of read(cursor, { ids, reverse: walk.query.reverse }, math.huge).items) {
        if (cursor.archive.mayRead(item.label)) {
            missing?.delete(item.id);
            consider(cursor, walk, item);
        }
        if (walk.from?.id === item.id) {
            cursor.items = [];
        }
    }
    cursor.ended = true;
}

function read(cursor: Cursor, query: ArchiveQuery, most: number): { items: Item[]; weight: number } {
    const archive = cursor.archive;
    const items: Item[] = [];
    const found = findMessages(archive.store, archive.key, query, most);
    if (found === undefined) {
        cursor.failed = true;
        cursor.ended = true;
        return { items, weight: 0 };
    }
    let weight = 0;
    for (const stored of found) {
        const { id, stanza, when, label } = stored;
        const stamp = archive.timeOf?.(label, when) ?? when;
        items.push({ id, stanza, when, stamp, label, rank: cursor.rank, weight: stored.weight });
        weight = weight + stored.weight;
    }
    const start = query.after ?? query.before;
    if (items.length === 0 && start !== undefined) {
        // mod_storage_internal of 13.0 does not report this.
        const [done, message] = getMessage(archive.store, archive.key, start);
        cursor.failed = !done;
        cursor.lost = done && message === undefined;
    }
    return { items, weight };
}

/**
 * One second more on both sides: mod_storage_internal of 13.0 may start within the requested second. In an ordered
 * archive the walk itself finds its end. With a time SQLite would read and sort the whole rest of the archive.
 */
function rangeQuery(cursor: Cursor, walk: Walk): ArchiveQuery {
    const reverse = walk.query.reverse;
    const isOrdered = cursor.archive.isOrdered;
    const start = isOrdered && reverse ? undefined : walk.query.start;
    const end = isOrdered && !reverse ? undefined : walk.query.end;
    const label = cursor.archive.label;
    const from = cursor.last ?? walk.from;
    // Drivers look for the item only among items with the label.
    const id = from?.rank === cursor.rank && (label ?? from.label) === from.label ? from.id : undefined;
    return {
        with: label,
        limit: cursor.chunk,
        reverse,
        start: roughly(reverse || from === undefined ? start : Math.max(start ?? 0, from.when), -1),
        end: roughly(!reverse || from === undefined ? end : Math.min(end ?? math.huge, from.when), 1),
        after: reverse ? undefined : id,
        before: reverse ? id : undefined,
    };
}

function roughly(seconds: number | undefined, more: number): number | undefined {
    // SQL drivers do not accept infinity.
    return seconds === undefined || math.abs(seconds) === math.huge ? undefined : math.floor(seconds) + more;
}

/** Adds an item to the walk, unless it is outside the range or does not match. */
function consider(cursor: Cursor, walk: Walk, item: Item): void {
    const query = walk.query;
    const from = walk.from;
    const to = walk.to;
    if (cursor.ended || (from !== undefined && !isPast(from, item, query.reverse))) {
        return;
    }
    if (to !== undefined && isAtOrPast(to, item, query.reverse)) {
        cursor.ended = true;
        return;
    }
    const isLate = item.when > (query.end ?? math.huge);
    const isEarly = item.when < (query.start ?? -math.huge);
    if (cursor.archive.isOrdered && (query.reverse ? isEarly : isLate)) {
        cursor.ended = true;
    }
    if (!isLate && !isEarly && cursor.archive.mayRead(item.label) && query.wants(item.stanza)) {
        cursor.items.push(item);
    }
}

/**
 * Whether an item is past a place. In its own archive, the storage has started after the place, or as near as it can.
 */
function isPast(place: Place, item: Place, reverse: boolean): boolean {
    return place.rank === item.rank ? place.id !== item.id : isAhead(item, place, reverse);
}

function isAtOrPast(place: Place, item: Place, reverse: boolean): boolean {
    if (place.rank !== item.rank) {
        return isAhead(item, place, reverse);
    }
    return place.id === item.id || (reverse ? item.when < place.when : item.when > place.when);
}

/** Whether `one` is further in the direction of a walk than `other`, which is in another archive. */
export function isAhead(one: Place, other: Place, reverse: boolean): boolean {
    const isLater = one.when > other.when || (one.when === other.when && one.rank > other.rank);
    return isLater !== reverse;
}
