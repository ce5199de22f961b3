// Lists of a room's occupants that accounts read together, see occupants.ts: their content at each position, and which
// lists a room has.

import * as options from "../options";
import type { Held } from "./held";

/** A change of a list: what stood there before, and what the room showed; undefined for an occupant that is not there. */
interface Change {
    readonly nick: string;
    readonly before: Held | undefined;
    readonly after: Held | undefined;
}

/** The occupants that a room has shown, for the accounts that read it. */
export interface OccupantList {
    readonly room: string;
    /** After the last change. */
    readonly occupants: LuaMap<string, Held>;
    count: number;
    /** Bytes of the presences, as XML. */
    size: number;
    /** Sum of the marks of the presences: equal lists have equal sums. */
    sum: number;
    /** Number of the last change, and of the last one that all readers have been shown. */
    last: number;
    settled: number;
    /** The changes after that. */
    readonly log: Change[];
    readonly readers: LuaSet<OccupantReader>;
    readerCount: number;
    /** Readers that have not been shown the last change. */
    behind: number;
}

/** What one account has been shown of a room's occupants: a list up to a position, without the account's own nick. */
export interface OccupantReader {
    list?: OccupantList | undefined;
    position: number;
    /** The account's own nick. The other accounts of the list are shown it, this one is not. */
    own?: string | undefined;
}

/** By room, lists with more readers first. */
const lists = new LuaMap<string, OccupantList[]>();

/** A list that no account reads yet. */
export function newList(room: string, occupants: LuaMap<string, Held>): OccupantList {
    const list: OccupantList = {
        room,
        occupants,
        count: 0,
        size: 0,
        sum: 0,
        last: 0,
        settled: 0,
        log: [],
        readers: new LuaSet(),
        readerCount: 0,
        behind: 0,
    };
    for (const [, held] of occupants) {
        count(list, undefined, held);
    }
    register(list);
    return list;
}

/** The lists of a room, those with more readers first. */
export function listsOf(room: string): OccupantList[] {
    let found = lists.get(room);
    if (found === undefined) {
        found = [];
        lists.set(room, found);
    }
    return found;
}

/** Adds a list to those of its room. */
export function register(list: OccupantList): void {
    listsOf(list.room).push(list);
}

/** Whether a room's lists are those of this instance of the module. */
export function isRegistered(list: OccupantList): boolean {
    for (const other of lists.get(list.room) ?? []) {
        if (other === list) {
            return true;
        }
    }
    return false;
}

/** Forgets a list that no account reads any more. */
export function remove(list: OccupantList): void {
    const all = listsOf(list.room);
    for (const i of $range(1, all.length)) {
        if (all[i - 1] === list) {
            table.remove(all, i);
            break;
        }
    }
    if (all.length === 0) {
        lists.delete(list.room);
    }
}

/** Keeps lists with more readers before others: those are what new readers most likely are shown. */
export function sortIn(list: OccupantList): void {
    const all = listsOf(list.room);
    for (const i of $range(2, all.length)) {
        const before = all[i - 2];
        if (all[i - 1] === list && before !== undefined && before.readerCount < list.readerCount) {
            all[i - 2] = list;
            all[i - 1] = before;
            return;
        }
    }
}

/** What a list says of a nick at a position. */
export function entryAt(list: OccupantList, position: number, nick: string): Held | undefined {
    for (const i of $range(position - list.settled + 1, list.log.length)) {
        const later = list.log[i - 1];
        if (later?.nick === nick) {
            return later.before;
        }
    }
    return list.occupants.get(nick);
}

/** All that a list says at a position: the list's own table if that is the end, otherwise a copy. */
export function contentAt(list: OccupantList, position: number): LuaMap<string, Held> {
    return position === list.last ? list.occupants : copyAt(list, position);
}

/** A copy of all that a list says at a position. */
export function copyAt(list: OccupantList, position: number): LuaMap<string, Held> {
    const copy = new LuaMap<string, Held>();
    for (const [nick, held] of list.occupants) {
        copy.set(nick, held);
    }
    for (const i of $range(list.log.length, position - list.settled + 1, -1)) {
        const later = list.log[i - 1];
        if (later?.before !== undefined) {
            copy.set(later.nick, later.before);
        } else if (later !== undefined) {
            copy.delete(later.nick);
        }
    }
    return copy;
}

/** Number and bytes of the occupants that the account was shown. */
export function totalsOf(reader: OccupantReader): LuaMultiReturn<[number, number]> {
    const list = reader.list;
    if (list === undefined) {
        return $multi(0, 0);
    }
    let count = list.count;
    let size = list.size;
    for (const i of $range(reader.position - list.settled + 1, list.log.length)) {
        const later = list.log[i - 1];
        count = count + countOf(later?.before) - countOf(later?.after);
        size = size + sizeOf(later?.before) - sizeOf(later?.after);
    }
    const own = reader.own === undefined ? undefined : entryAt(list, reader.position, reader.own);
    return $multi(count - countOf(own), size - sizeOf(own));
}

/** Adds a change at the end of a list. */
export function append(list: OccupantList, nick: string, after: Held | undefined): void {
    const before = list.occupants.get(nick);
    if (after === undefined) {
        list.occupants.delete(nick);
    } else {
        list.occupants.set(nick, after);
    }
    count(list, before, after);
    list.last = list.last + 1;
    list.log.push({ nick, before, after });
}

function count(list: OccupantList, before: Held | undefined, after: Held | undefined): void {
    list.count = list.count + countOf(after) - countOf(before);
    list.size = list.size + sizeOf(after) - sizeOf(before);
    list.sum = list.sum + markOf(after) - markOf(before);
}

/** Whether a list that several accounts read stays within the limits, and so each of them. */
export function fits(list: OccupantList, before: Held | undefined, after: Held | undefined): boolean {
    return (
        after === undefined ||
        (list.count + 1 - countOf(before) <= options.maxOccupants &&
            list.size + sizeOf(after) - sizeOf(before) <= options.maxRoomSize)
    );
}

/** Whether two lists say the same, but for two nicks. Sums tell most of those apart that do not. */
export function isSame(
    one: OccupantList,
    other: OccupantList,
    own: string | undefined,
    missing: string | undefined,
): boolean {
    const [count, sum] = without(one, own, missing);
    const [otherCount, otherSum] = without(other, own, missing);
    if (count !== otherCount || sum !== otherSum) {
        return false;
    }
    for (const [nick, held] of one.occupants) {
        if (nick !== own && nick !== missing && other.occupants.get(nick) !== held) {
            return false;
        }
    }
    return true;
}

function without(
    list: OccupantList,
    own: string | undefined,
    missing: string | undefined,
): LuaMultiReturn<[number, number]> {
    const first = own === undefined ? undefined : list.occupants.get(own);
    const second = missing === undefined ? undefined : list.occupants.get(missing);
    return $multi(list.count - countOf(first) - countOf(second), list.sum - markOf(first) - markOf(second));
}

function countOf(held: Held | undefined): number {
    return held === undefined ? 0 : 1;
}

/** Bytes of a presence, as XML. */
export function sizeOf(held: Held | undefined): number {
    return held === undefined ? 0 : string.len(held.text);
}

function markOf(held: Held | undefined): number {
    return held === undefined ? 0 : held.mark;
}

/** Readers that have not been shown the last change. */
export function late(list: OccupantList): OccupantReader[] {
    const found: OccupantReader[] = [];
    for (const reader of list.readers) {
        if (reader.position < list.last) {
            found.push(reader);
        }
    }
    return found;
}

/** Any of the readers. */
export function firstOf(readers: LuaSet<OccupantReader>): OccupantReader | undefined {
    for (const reader of readers) {
        return reader;
    }
    return undefined;
}
