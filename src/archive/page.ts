// Pages of an archive, or of several taken together in the order of time (XEP-0313 4.2, 4.3). Storage drivers differ in
// what they make of a query with several conditions, so that all they are asked for is a rough range, chunk by chunk.

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import { findMessages, getMessage, type Messages } from "../state/messages";

/** One of the archives that a query goes through. */
export interface Archive {
    readonly store: Messages;
    /** Under which it is stored. */
    readonly key: string;
    /** The label of the only items that count; undefined if all do. */
    readonly label: string | undefined;
    /** Whether whoever asks may know of an item with this label. */
    holds(this: void, label: string): boolean;
}

export interface PageQuery {
    /** What items have to be, apart from their place. */
    wants(this: void, stanza: Stanza): boolean;
    /** Seconds; both inclusive. */
    readonly start?: number | undefined;
    readonly end?: number | undefined;
    /** Ids of items between which the others are. */
    readonly after?: string | undefined;
    readonly before?: string | undefined;
    readonly ids?: string[] | undefined;
    /** The last items, not the first; in any case oldest first. */
    readonly reverse: boolean;
    readonly max: number;
}

export interface Page {
    readonly items: Item[];
    /** Whether there are no more items in this direction. */
    readonly complete: boolean;
    /** How many items there are in all, where that is known. */
    readonly count: number | undefined;
}

/** Where in the archives an item is: by time, within a second by archive, and there by its id. */
interface Place {
    readonly id: string;
    readonly when: number;
    /** Which of the archives. */
    readonly rank: number;
    readonly label: string;
}

export interface Item extends Place {
    readonly stanza: Stanza;
}

/** A way through the archives, forward or in reverse. */
interface Walk {
    readonly query: PageQuery;
    /** Exclusive, in the direction of the walk. */
    readonly from: Place | undefined;
    readonly to: Place | undefined;
}

/** What a walk has read of one archive. */
interface Cursor {
    readonly archive: Archive;
    readonly rank: number;
    items: Item[];
    /** How many of `items` the walk has passed. */
    passed: number;
    /** How many to read next; it grows, as an account may have got but few of a long log's. */
    chunk: number;
    last: Place | undefined;
    ended: boolean;
    /** The item that it was to start from has been deleted. */
    lost: boolean;
    /** Storage failed. */
    failed: boolean;
}

const LARGEST_CHUNK = 1000;

/** Where pages began and ended, from where clients go on: mod_storage_internal would read all to find an item by its id. */
const ends: Cache<Place> = cache.new(256);

/** Items looked through to count them; of longer archives the count is left out (XEP-0059 2.6). */
const COUNTED = 10000;

/**
 * A page of these archives; undefined if an id that the query names is not in them. The first value is false if storage
 * failed.
 */
export function readPage(archives: Archive[], query: PageQuery): LuaMultiReturn<[ok: boolean, page: Page | undefined]> {
    const [afterRead, after] = findPlace(archives, query.after);
    const [beforeRead, before] = findPlace(archives, query.before);
    if (!afterRead || !beforeRead) {
        return $multi(false, undefined);
    }
    if (
        (after === undefined) !== (query.after === undefined) ||
        (before === undefined) !== (query.before === undefined)
    ) {
        return $multi(true, undefined);
    }
    const walk: Walk = query.reverse ? { query, from: before, to: after } : { query, from: after, to: before };
    const cursors = query.ids === undefined ? openCursors(archives, query.max) : readIds(archives, walk, query.ids);
    if (cursors === undefined) {
        return $multi(true, undefined);
    }
    const page = query.max === 0 ? countItems(cursors, walk) : takePage(cursors, walk);
    for (const cursor of cursors) {
        if (cursor.lost || cursor.failed) {
            return $multi(!cursor.failed, undefined);
        }
    }
    noteEnd(archives, page.items[0]);
    noteEnd(archives, page.items[page.items.length - 1]);
    return $multi(true, page);
}

function noteEnd(archives: Archive[], item: Item | undefined): void {
    const archive = item === undefined ? undefined : archives[item.rank - 1];
    if (item !== undefined && archive !== undefined) {
        ends.set(`${archive.key} ${item.id}`, { id: item.id, when: item.when, rank: item.rank, label: item.label });
    }
}

function findPlace(
    archives: Archive[],
    id: string | undefined,
): LuaMultiReturn<[ok: boolean, place: Place | undefined]> {
    if (id === undefined) {
        return $multi(true, undefined);
    }
    let rank = 0;
    for (const archive of archives) {
        rank = rank + 1;
        const end = ends.get(`${archive.key} ${id}`);
        if (end?.rank === rank && archive.holds(end.label)) {
            return $multi(true, end);
        }
    }
    rank = 0;
    for (const archive of archives) {
        rank = rank + 1;
        const [done, message] = getMessage(archive.store, archive.key, id);
        if (!done) {
            return $multi(false, undefined);
        }
        if (message !== undefined && archive.holds(message.label)) {
            return $multi(true, { id, when: message.when, rank, label: message.label });
        }
    }
    return $multi(true, undefined);
}

function openCursors(archives: Archive[], max: number): Cursor[] {
    const cursors: Cursor[] = [];
    // One more than is asked for tells whether there are more.
    const chunk = max === 0 ? LARGEST_CHUNK : Math.min(max + 1, LARGEST_CHUNK);
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

/** Reads single items; undefined if one of them is not there. */
function readIds(archives: Archive[], walk: Walk, ids: string[]): Cursor[] | undefined {
    const missing = new LuaSet<string>();
    for (const id of ids) {
        missing.add(id);
    }
    const cursors = openCursors(archives, ids.length);
    for (const cursor of cursors) {
        for (const item of read(cursor, { ids, reverse: walk.query.reverse })) {
            if (cursor.archive.holds(item.label)) {
                missing.delete(item.id);
                consider(cursor, walk, item);
            }
            if (walk.from?.id === item.id) {
                cursor.items = [];
            }
        }
        cursor.ended = true;
    }
    return next(missing)[0] === undefined || isFailed(cursors) ? cursors : undefined;
}

function isFailed(cursors: Cursor[]): boolean {
    for (const cursor of cursors) {
        if (cursor.failed) {
            return true;
        }
    }
    return false;
}

function takePage(cursors: Cursor[], walk: Walk): Page {
    const max = walk.query.max;
    const reverse = walk.query.reverse;
    const items: Item[] = [];
    let item = nextItem(cursors, walk);
    while (item !== undefined && items.length < max) {
        if (reverse) {
            table.insert(items, 1, item);
        } else {
            items.push(item);
        }
        item = nextItem(cursors, walk);
    }
    const complete = item === undefined;
    const isAll = complete && walk.from === undefined && walk.to === undefined;
    return { items, complete, count: isAll ? items.length : undefined };
}

/** XEP-0059 2.7: a page of no items asks how many there are. */
function countItems(cursors: Cursor[], walk: Walk): Page {
    let count = 0;
    while (count <= COUNTED && nextItem(cursors, walk) !== undefined) {
        count = count + 1;
    }
    return { items: [], complete: count === 0, count: count > COUNTED ? undefined : count };
}

/** The next item of all archives in the direction of the walk, which is then past it. */
function nextItem(cursors: Cursor[], walk: Walk): Item | undefined {
    let best: Item | undefined;
    let cursorOfBest: Cursor | undefined;
    for (const cursor of cursors) {
        const item = peek(cursor, walk);
        if (item !== undefined && (best === undefined || isAhead(best, item, walk.query.reverse))) {
            best = item;
            cursorOfBest = cursor;
        }
    }
    if (cursorOfBest !== undefined) {
        cursorOfBest.passed = cursorOfBest.passed + 1;
    }
    return best;
}

function peek(cursor: Cursor, walk: Walk): Item | undefined {
    while (cursor.passed === cursor.items.length && !cursor.ended) {
        readOn(cursor, walk);
    }
    return cursor.items[cursor.passed];
}

function readOn(cursor: Cursor, walk: Walk): void {
    const items = read(cursor, rangeQuery(cursor, walk));
    for (const item of items) {
        consider(cursor, walk, item);
        cursor.last = item;
    }
    if (items.length < cursor.chunk) {
        cursor.ended = true;
    }
    cursor.chunk = Math.min(cursor.chunk * 2, LARGEST_CHUNK);
}

function read(cursor: Cursor, query: ArchiveQuery): Item[] {
    const archive = cursor.archive;
    const items: Item[] = [];
    const found = findMessages(archive.store, archive.key, query);
    if (found === undefined) {
        cursor.failed = true;
        return items;
    }
    for (const { id, stanza, when, label } of found) {
        items.push({ id, stanza, when, label, rank: cursor.rank });
    }
    const start = query.after ?? query.before;
    if (items.length === 0 && start !== undefined) {
        // mod_storage_internal of 13.0 does not say so.
        const [done, message] = getMessage(archive.store, archive.key, start);
        cursor.failed = !done;
        cursor.lost = message === undefined;
    }
    return items;
}

/** A second more on either side: mod_storage_internal of 13.0 may start within the second that is asked for. */
function rangeQuery(cursor: Cursor, walk: Walk): ArchiveQuery {
    const start = walk.query.start;
    const end = walk.query.end;
    const reverse = walk.query.reverse;
    const label = cursor.archive.label;
    const from = cursor.last ?? walk.from;
    // Drivers look for the item only among those with the label.
    const id = from?.rank === cursor.rank && (label ?? from.label) === from.label ? from.id : undefined;
    return {
        with: label,
        limit: cursor.chunk,
        reverse,
        // Where an id says where to go on, the time does not: the clock may have been set back since.
        start: roughly(reverse || from === undefined || id !== undefined ? start : Math.max(start ?? 0, from.when), -1),
        end: roughly(
            !reverse || from === undefined || id !== undefined ? end : Math.min(end ?? math.huge, from.when),
            1,
        ),
        after: reverse ? undefined : id,
        before: reverse ? id : undefined,
    };
}

function roughly(seconds: number | undefined, more: number): number | undefined {
    // Drivers of SQL take no infinity.
    return seconds === undefined || math.abs(seconds) === math.huge ? undefined : math.floor(seconds) + more;
}

/** Takes an item that the storage gave into the walk, unless it is outside the range or not wanted. */
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
    const inTime = item.when >= (query.start ?? 0) && item.when <= (query.end ?? math.huge);
    if (inTime && cursor.archive.holds(item.label) && query.wants(item.stanza)) {
        cursor.items.push(item);
    }
}

/** Within its own archive the storage has started behind the place, or as near to it as it can. */
function isPast(place: Place, item: Place, reverse: boolean): boolean {
    return place.rank === item.rank ? place.id !== item.id : isAhead(item, place, reverse);
}

function isAtOrPast(place: Place, item: Place, reverse: boolean): boolean {
    if (place.rank !== item.rank) {
        return isAhead(item, place, reverse);
    }
    return place.id === item.id || (reverse ? item.when < place.when : item.when > place.when);
}

/** Whether `one` is further on in the direction of a walk than `other`, which is of another archive. */
function isAhead(one: Place, other: Place, reverse: boolean): boolean {
    const isLater = one.when > other.when || (one.when === other.when && one.rank > other.rank);
    return isLater !== reverse;
}
