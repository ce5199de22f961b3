// Reads one archive for a query. Storage drivers treat queries with several conditions differently. So they are only
// asked for an approximate range, chunk by chunk.

import {
    type Content,
    findMessages,
    findMore,
    findSome,
    type Found,
    getMessage,
    type Messages,
    type Stored,
} from "../state/messages";

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
    wants(this: void, content: Content): boolean;
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
    readonly content: Content;
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
    /** Number of items to query next. It grows, because an account may have few items of a long log. */
    chunk: number;
    /** Number of items that the current query still may return. */
    left: number;
    /** Results of the current query. Undefined if it is finished, or the driver cannot continue it. */
    rest: ArchiveResults | undefined;
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
const READ_WEIGHT = 131072;

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
            left: 0,
            rest: undefined,
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
    const isNew = cursor.rest === undefined;
    const found = findNext(cursor, walk);
    const messages = messagesOf(cursor, found?.messages);
    for (const message of messages) {
        const item = itemOf(cursor, message);
        consider(cursor, walk, item);
        cursor.last = item;
    }
    const isCut = found?.isCut === true;
    cursor.left = (isNew ? cursor.chunk : cursor.left) - messages.length;
    cursor.ended = cursor.ended || (!isCut && cursor.left > 0);
    cursor.rest = found?.rest;
    if (cursor.rest === undefined) {
        // A query that cannot be continued must not fetch more than is read of it.
        cursor.chunk = isCut ? messages.length : Math.min(cursor.chunk * 4, LARGEST_CHUNK);
    }
}

/** Continues the current query, or makes the next one. Undefined if the driver failed. */
function findNext(cursor: Cursor, walk: Walk): Found | undefined {
    const { store, key } = cursor.archive;
    if (cursor.rest !== undefined) {
        return findMore(store, key, cursor.rest, READ_WEIGHT);
    }
    const query = rangeQuery(cursor, walk);
    const found = findSome(store, key, query, READ_WEIGHT);
    if (found?.messages.length === 0) {
        noteLost(cursor, query);
    }
    return found;
}

function readIds(cursor: Cursor, walk: Walk, ids: string[], missing: LuaSet<string> | undefined): void {
    const { store, key } = cursor.archive;
    for (const message of messagesOf(cursor, findMessages(store, key, { ids, reverse: walk.query.reverse }))) {
        if (cursor.archive.mayRead(message.label)) {
            missing?.delete(message.id);
            consider(cursor, walk, itemOf(cursor, message));
        }
        if (walk.from?.id === message.id) {
            cursor.items = [];
        }
    }
    cursor.ended = true;
}

/** Returns what was found. Ends the walk if the driver failed. */
function messagesOf(cursor: Cursor, found: Stored[] | undefined): Stored[] {
    if (found === undefined) {
        cursor.failed = true;
        cursor.ended = true;
    }
    return found ?? [];
}

function itemOf(cursor: Cursor, { id, content, when, label, weight }: Stored): Item {
    const stamp = cursor.archive.timeOf?.(label, when) ?? when;
    return { id, content, when, stamp, label, rank: cursor.rank, weight };
}

/** Finds out whether the item at the start of a query is gone: mod_storage_internal of 13.0 does not report this. */
function noteLost(cursor: Cursor, query: ArchiveQuery): void {
    const start = query.after ?? query.before;
    if (start !== undefined) {
        const [done, message] = getMessage(cursor.archive.store, cursor.archive.key, start);
        cursor.failed = !done;
        cursor.lost = done && message === undefined;
    }
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
    if (!isLate && !isEarly && cursor.archive.mayRead(item.label) && query.wants(item.content)) {
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
