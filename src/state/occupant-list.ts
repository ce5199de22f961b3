// Shared lists of a room's occupants, see occupants.ts: the content at each position, and the lists of each room.

import * as options from "../options";
import type { InternedStanza } from "./interned";

/** A change of a list: the entry before and after. Undefined means no occupant. */
export interface Change {
    readonly nick: string;
    readonly before: InternedStanza | undefined;
    readonly after: InternedStanza | undefined;
}

/** A list of occupants that several accounts share. */
export interface OccupantList {
    readonly room: string;
    /** The content after the last change. */
    readonly occupants: LuaMap<string, InternedStanza>;
    count: number;
    /** Bytes of the presences, as XML. */
    size: number;
    /** Sum of the presences' marks. Equal lists have equal sums. */
    sum: number;
    /** The number of the last change that several readers see. */
    last: number;
    readonly readers: LuaSet<OccupantReader>;
    readerCount: number;
    /** The last changes, which some readers have not seen. */
    log?: Change[] | undefined;
    /** Number of readers that have not seen the last change. Undefined: all have. Then there is no log. */
    behind?: number | undefined;
}

/** The occupants that one account has seen: a list up to a position, without the account's own nick. */
export interface OccupantReader {
    list?: OccupantList | undefined;
    position: number;
    /** The account's own nick. Other readers of the list see it, this one does not. */
    own?: string | undefined;
}

/** Lists by room. Lists with more readers come first. */
const lists = new LuaMap<string, OccupantList[]>();

/** Creates a list without readers. */
export function newList(room: string, occupants: LuaMap<string, InternedStanza>): OccupantList {
    const list: OccupantList = {
        room,
        occupants,
        count: 0,
        size: 0,
        sum: 0,
        last: 0,
        readers: new LuaSet(),
        readerCount: 0,
    };
    for (const [, interned] of occupants) {
        count(list, undefined, interned);
    }
    register(list);
    return list;
}

/** Returns the lists of a room. Lists with more readers come first. */
export function listsOf(room: string): OccupantList[] {
    let found = lists.get(room);
    if (found === undefined) {
        found = [];
        lists.set(room, found);
    }
    return found;
}

/** Adds a list to its room. */
export function register(list: OccupantList): void {
    listsOf(list.room).push(list);
}

/** Whether a list belongs to this instance of the module. */
export function isRegistered(list: OccupantList): boolean {
    for (const other of lists.get(list.room) ?? []) {
        if (other === list) {
            return true;
        }
    }
    return false;
}

/** Removes a list without readers. */
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

/** Moves a list to its place by number of readers. New readers most likely see a list with many. */
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

const NO_CHANGES: readonly Change[] = [];

/** Returns the change after a position. */
export function changeAfter(list: OccupantList, position: number): Change | undefined {
    const log = list.log ?? NO_CHANGES;
    return log[log.length - list.last + position];
}

/** Returns the entry for a nick at a position. */
export function entryAt(list: OccupantList, position: number, nick: string): InternedStanza | undefined {
    const log = list.log ?? NO_CHANGES;
    for (const i of $range(log.length - list.last + position + 1, log.length)) {
        const later = log[i - 1];
        if (later?.nick === nick) {
            return later.before;
        }
    }
    return list.occupants.get(nick);
}

/** Returns the content at a position: the list's own table at the end, otherwise a copy. */
export function contentAt(list: OccupantList, position: number): LuaMap<string, InternedStanza> {
    return position === list.last ? list.occupants : copyAt(list, position);
}

/** Returns a copy of the content at a position. */
export function copyAt(list: OccupantList, position: number): LuaMap<string, InternedStanza> {
    const copy = new LuaMap<string, InternedStanza>();
    for (const [nick, interned] of list.occupants) {
        copy.set(nick, interned);
    }
    const log = list.log ?? NO_CHANGES;
    for (const i of $range(log.length, log.length - list.last + position + 1, -1)) {
        const later = log[i - 1];
        if (later?.before !== undefined) {
            copy.set(later.nick, later.before);
        } else if (later !== undefined) {
            copy.delete(later.nick);
        }
    }
    return copy;
}

/** Returns number and bytes of the occupants that the account has seen. */
export function totalsOf(reader: OccupantReader): LuaMultiReturn<[number, number]> {
    const list = reader.list;
    if (list === undefined) {
        return $multi(0, 0);
    }
    let total = list.count;
    let size = list.size;
    const log = list.log ?? NO_CHANGES;
    for (const i of $range(log.length - list.last + reader.position + 1, log.length)) {
        const later = log[i - 1];
        total = total + countOf(later?.before) - countOf(later?.after);
        size = size + sizeOf(later?.before) - sizeOf(later?.after);
    }
    const own = reader.own === undefined ? undefined : entryAt(list, reader.position, reader.own);
    return $multi(total - countOf(own), size - sizeOf(own));
}

/** Adds an entry for a nick without one, if the list stays within the limits. Returns whether it does. */
export function add(list: OccupantList, nick: string, interned: InternedStanza): boolean {
    const number = list.count + 1;
    const size = list.size + interned.text.length;
    if (number > options.maxOccupants || size > options.maxRoomSize) {
        return false;
    }
    list.occupants.set(nick, interned);
    list.count = number;
    list.size = size;
    list.sum = list.sum + interned.mark;
    return true;
}

/** Replaces an entry. Readers that have not seen the last change would miss it. */
export function replace(
    list: OccupantList,
    nick: string,
    before: InternedStanza | undefined,
    after: InternedStanza | undefined,
): void {
    if (after === undefined) {
        list.occupants.delete(nick);
    } else {
        list.occupants.set(nick, after);
    }
    count(list, before, after);
}

/** Appends a change to a list that one of several readers has seen. */
export function append(list: OccupantList, nick: string, after: InternedStanza | undefined): void {
    const before = list.occupants.get(nick);
    replace(list, nick, before, after);
    list.last = list.last + 1;
    list.behind = list.readerCount - 1;
    list.log ??= [];
    list.log.push({ nick, before, after });
}

function count(list: OccupantList, before: InternedStanza | undefined, after: InternedStanza | undefined): void {
    if (before !== undefined) {
        list.count = list.count - 1;
        list.size = list.size - before.text.length;
        list.sum = list.sum - before.mark;
    }
    if (after !== undefined) {
        list.count = list.count + 1;
        list.size = list.size + after.text.length;
        list.sum = list.sum + after.mark;
    }
}

/** Whether a list stays within the limits after a change. */
export function fits(
    list: OccupantList,
    before: InternedStanza | undefined,
    after: InternedStanza | undefined,
): boolean {
    if (after === undefined) {
        return true;
    }
    const number = before === undefined ? list.count + 1 : list.count;
    const size = before === undefined ? list.size : list.size - before.text.length;
    return number <= options.maxOccupants && size + after.text.length <= options.maxRoomSize;
}

/** Whether two lists are equal, ignoring two nicks. Sums rule out most unequal ones. */
export function isSame(
    one: OccupantList,
    other: OccupantList,
    own: string | undefined,
    missing: string | undefined,
): boolean {
    const [oneCount, sum] = without(one, own, missing);
    const [otherCount, otherSum] = without(other, own, missing);
    if (oneCount !== otherCount || sum !== otherSum) {
        return false;
    }
    for (const [nick, interned] of one.occupants) {
        if (nick !== own && nick !== missing && other.occupants.get(nick) !== interned) {
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

function countOf(interned: InternedStanza | undefined): number {
    return interned === undefined ? 0 : 1;
}

/** Returns the bytes of a presence, as XML. */
export function sizeOf(interned: InternedStanza | undefined): number {
    return interned === undefined ? 0 : interned.text.length;
}

function markOf(interned: InternedStanza | undefined): number {
    return interned === undefined ? 0 : interned.mark;
}

/** Number of readers that have not seen the last change. */
export function late(list: OccupantList): OccupantReader[] {
    const found: OccupantReader[] = [];
    for (const reader of list.readers) {
        if (reader.position < list.last) {
            found.push(reader);
        }
    }
    return found;
}

/** Returns any reader. */
export function firstOf(readers: LuaSet<OccupantReader>): OccupantReader | undefined {
    return next(readers)[0] as OccupantReader | undefined;
}
