// Pages of one archive or of several. Merges the items of the cursors by time (XEP-0313 4.2, 4.3).

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import type { Step } from "../slices";
import { getMessage } from "../state/messages";
import {
    type Archive,
    type Cursor,
    isAhead,
    type Item,
    openCursors,
    type PageQuery,
    type Place,
    readOn,
    type Walk,
} from "./cursor";

export interface Page {
    readonly items: Item[];
    /** Whether there are no more items in this direction. */
    readonly complete: boolean;
    /** The total number of items, if known. */
    readonly count: number | undefined;
}

/** A page that is read step by step. */
export interface Reading {
    readonly step: Step;
    /** The finished page. Undefined if storage failed, or an id of the query is not in the archives. */
    page: Page | undefined;
    /** Storage failed. */
    failed: boolean;
}

/**
 * First and last items of pages, where clients continue. mod_storage_internal would read the whole archive to find an
 * item by id.
 */
const ends: Cache<Place> = cache.new(256);

/** Number of items to count. For longer archives the count is left out (XEP-0059 2.6). */
const COUNTED = 10000;

/** Bytes of memory after which a page ends. */
const PAGE_WEIGHT = 4194304;

/** Starts to read a page. Each step asks the storage once. */
export function startReading(archives: Archive[], query: PageQuery): Reading {
    const after = newSearch(archives, query.after);
    const before = newSearch(archives, query.before);
    let merge: Merge | undefined;
    const reading: Reading = {
        page: undefined,
        failed: false,
        step: () => {
            if (!after.step() || !before.step()) {
                return false;
            }
            if (isMissing(after) || isMissing(before)) {
                reading.failed = after.failed || before.failed;
                return true;
            }
            merge ??= newMerge(archives, query, after.place, before.place);
            if (!mergeStep(merge)) {
                return false;
            }
            reading.failed = hasFailed(merge.cursors);
            reading.page = reading.failed ? undefined : pageOf(archives, merge);
            return true;
        },
    };
    return reading;
}

function hasFailed(cursors: Cursor[]): boolean {
    for (const cursor of cursors) {
        if (cursor.failed) {
            return true;
        }
    }
    return false;
}

function noteEnd(archives: Archive[], item: Item | undefined): void {
    const archive = item === undefined ? undefined : archives[item.rank - 1];
    if (item !== undefined && archive !== undefined) {
        ends.set(`${archive.key} ${item.id}`, { id: item.id, when: item.when, rank: item.rank, label: item.label });
    }
}

/** The search for an item that a query names. */
interface Search {
    readonly id: string | undefined;
    place: Place | undefined;
    /** Storage failed. */
    failed: boolean;
    readonly step: Step;
}

function newSearch(archives: Archive[], id: string | undefined): Search {
    const search: Search = {
        id,
        place: id === undefined ? undefined : knownEnd(archives, id),
        failed: false,
        step: () => {
            const archive = archives[rank];
            if (id === undefined || search.place !== undefined || archive === undefined) {
                return true;
            }
            rank = rank + 1;
            const [done, message] = getMessage(archive.store, archive.key, id);
            search.failed = search.failed || !done;
            if (message !== undefined && archive.mayRead(message.label)) {
                search.place = { id, when: message.when, rank, label: message.label };
            }
            return search.place !== undefined || archives[rank] === undefined;
        },
    };
    let rank = 0;
    return search;
}

function isMissing(search: Search): boolean {
    return search.id !== undefined && search.place === undefined;
}

function knownEnd(archives: Archive[], id: string): Place | undefined {
    let rank = 0;
    for (const archive of archives) {
        rank = rank + 1;
        const end = ends.get(`${archive.key} ${id}`);
        if (end?.rank === rank && archive.mayRead(end.label)) {
            return end;
        }
    }
    return undefined;
}

/** The walk through the archives of one query, and the items found. */
interface Merge {
    readonly walk: Walk;
    readonly cursors: Cursor[];
    /** In the direction of the walk. */
    readonly items: Item[];
    weight: number;
    /** Items found, or counted. */
    count: number;
    complete: boolean;
    /** Ids of the query that have not been found. */
    readonly missing: LuaSet<string> | undefined;
}

function newMerge(archives: Archive[], query: PageQuery, after: Place | undefined, before: Place | undefined): Merge {
    let missing: LuaSet<string> | undefined;
    if (query.ids !== undefined) {
        missing = new LuaSet();
        for (const id of query.ids) {
            missing.add(id);
        }
    }
    return {
        walk: query.reverse ? { query, from: before, to: after } : { query, from: after, to: before },
        cursors: openCursors(archives, query.ids === undefined ? query.max : query.ids.length),
        items: [],
        weight: 0,
        count: 0,
        complete: false,
        missing,
    };
}

/**
 * Reads more of one archive, or takes the next item of all. Returns true when the page is full, or there are no more
 * items.
 */
function mergeStep(merge: Merge): boolean {
    const walk = merge.walk;
    for (const cursor of merge.cursors) {
        if (cursor.passed === cursor.items.length && !cursor.ended) {
            readOn(cursor, walk, merge.missing);
            return false;
        }
    }
    const most = walk.query.max === 0 ? COUNTED + 1 : walk.query.max;
    while (merge.count < most && merge.weight < PAGE_WEIGHT) {
        const cursor = cursorOfNext(merge);
        if (cursor === undefined) {
            merge.complete = true;
            return true;
        }
        takeItem(merge, cursor);
        if (cursor.passed === cursor.items.length && !cursor.ended) {
            return false;
        }
    }
    merge.complete = cursorOfNext(merge) === undefined;
    return true;
}

/** Returns the cursor at the next item of all archives, in the direction of the walk. */
function cursorOfNext(merge: Merge): Cursor | undefined {
    let best: Item | undefined;
    let cursorOfBest: Cursor | undefined;
    for (const cursor of merge.cursors) {
        const item = cursor.items[cursor.passed];
        if (item !== undefined && (best === undefined || isAhead(best, item, merge.walk.query.reverse))) {
            best = item;
            cursorOfBest = cursor;
        }
    }
    return cursorOfBest;
}

function takeItem(merge: Merge, cursor: Cursor): void {
    const item = cursor.items[cursor.passed];
    cursor.passed = cursor.passed + 1;
    merge.count = merge.count + 1;
    // Counts items: an empty page asks for the count (XEP-0059 2.7).
    if (item !== undefined && merge.walk.query.max !== 0) {
        merge.items.push(item);
        merge.weight = merge.weight + item.weight;
    }
}

function pageOf(archives: Archive[], merge: Merge): Page | undefined {
    for (const cursor of merge.cursors) {
        if (cursor.lost) {
            return undefined;
        }
    }
    if (merge.missing !== undefined && next(merge.missing)[0] !== undefined) {
        return undefined;
    }
    const { query, from, to } = merge.walk;
    if (query.max === 0) {
        return { items: [], complete: merge.count === 0, count: merge.count > COUNTED ? undefined : merge.count };
    }
    const items = query.reverse ? reversed(merge.items) : merge.items;
    noteEnd(archives, items[0]);
    noteEnd(archives, items[items.length - 1]);
    const isAll = merge.complete && from === undefined && to === undefined;
    return { items, complete: merge.complete, count: isAll ? items.length : undefined };
}

function reversed(items: Item[]): Item[] {
    const list: Item[] = [];
    for (const i of $range(items.length, 1, -1)) {
        const item = items[i - 1];
        if (item !== undefined) {
            list.push(item);
        }
    }
    return list;
}
