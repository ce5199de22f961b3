// Presences of a room's occupants, stored once for all accounts that have seen the same. Such accounts share one list,
// each up to its own position. A change that another account has already seen costs a comparison and a counter. An
// account that sees something else gets another list. Lists that become equal are merged. Only the content decides: no
// account reads an entry that the room has not sent to it.

import * as options from "../options";
import { type InternedStanza, restoreInterned } from "./interned";
import {
    add,
    append,
    changeAfter,
    contentAt,
    copyAt,
    entryAt,
    firstOf,
    fits,
    isSame,
    isRegistered,
    late,
    listsOf,
    newList,
    type OccupantList,
    type OccupantReader,
    register,
    remove,
    replace,
    sizeOf,
    sortIn,
    totalsOf,
} from "./occupant-list";

/** Largest number of changes that a reader may be behind. */
const MAX_BEHIND = 64;

/** Number of lists of the same room to compare with: those with the most readers. */
const MAX_COMPARED = 4;

/** Returns the presence of an occupant that the account has seen. */
export function findOccupant(reader: OccupantReader, nick: string): InternedStanza | undefined {
    const list = reader.list;
    if (list === undefined || nick === reader.own) {
        return undefined;
    }
    return entryAt(list, reader.position, nick);
}

/**
 * Iterates over all occupants that the account has seen, by nick. Only forgetOccupant() may change the list meanwhile.
 */
export function eachOccupant(reader: OccupantReader): LuaIterable<LuaMultiReturn<[string, InternedStanza]>> {
    const list = reader.list;
    const own = reader.own;
    const occupants = list === undefined ? undefined : contentAt(list, reader.position);
    let nick: string | undefined;
    let interned: InternedStanza | undefined;
    const step = () => {
        if (occupants !== undefined) {
            [nick, interned] = next(occupants, nick);
            if (nick !== undefined && nick === own) {
                [nick, interned] = next(occupants, nick);
            }
        }
        return $multi(nick, interned);
    };
    return step as unknown as LuaIterable<LuaMultiReturn<[string, InternedStanza]>>;
}

/** Returns the number of occupants that the account has seen. */
export function countOccupants(reader: OccupantReader): number {
    return totalsOf(reader)[0];
}

/**
 * Caches the presence of an occupant. Returns false if there is no space; then no presence of the occupant is cached.
 */
export function keepOccupant(room: string, reader: OccupantReader, nick: string, interned: InternedStanza): boolean {
    if (reader.own === nick) {
        reader.own = undefined;
    }
    if (keepAlone(reader, nick, interned) || passChange(reader, nick, interned)) {
        return true;
    }
    const before = findOccupant(reader, nick);
    if (before === interned) {
        return true;
    }
    if (!hasSpace(reader, before, interned)) {
        change(room, reader, nick, before, undefined);
        return false;
    }
    change(room, reader, nick, before, interned);
    return true;
}

/**
 * Changes a list that only this account reads, as in most joins. Without other readers it needs no log. The own presence
 * ends the list, and only then it is compared with others. Returns false if the ordinary way has to decide.
 */
function keepAlone(reader: OccupantReader, nick: string, interned: InternedStanza): boolean {
    const list = reader.list;
    if (list?.readerCount !== 1 || reader.position !== list.last || reader.own !== undefined) {
        return false;
    }
    const before = list.occupants.get(nick);
    if (before === interned) {
        return true;
    }
    if (interned.isHeavy === true || interned.text.length > options.maxCachedSize) {
        return false;
    }
    if (before === undefined) {
        return add(list, nick, interned);
    }
    if (!fits(list, before, interned)) {
        return false;
    }
    replace(list, nick, before, interned);
    return true;
}

/** Removes an occupant that has left. */
export function forgetOccupant(reader: OccupantReader, nick: string): void {
    const list = reader.list;
    if (list === undefined || passChange(reader, nick, undefined)) {
        return;
    }
    change(list.room, reader, nick, findOccupant(reader, nick), undefined);
}

/** Sets the account's own nick, which no other occupant has from now on. */
export function setOwnNick(reader: OccupantReader, nick: string): void {
    const before = reader.own;
    reader.own = nick;
    if (before !== undefined && before !== nick) {
        // Other readers of the list have seen it.
        forgetOccupant(reader, before);
    }
    skipOwn(reader);
    if (before !== nick && reader.list !== undefined) {
        settleIfDone(reader.list);
    }
}

/** Removes all occupants. */
export function forgetOccupants(reader: OccupantReader): void {
    if (reader.list !== undefined) {
        leave(reader, reader.list);
    }
    reader.list = undefined;
    reader.own = undefined;
}

/** Takes over a reader of the previous instance of the module. */
export function restoreReader(reader: OccupantReader): void {
    const list = reader.list;
    if (list !== undefined && !isRegistered(list)) {
        register(list);
        if (list.behind === 0) {
            // Earlier versions kept an empty log.
            list.behind = undefined;
            list.log = undefined;
        }
        for (const [, interned] of list.occupants) {
            restoreInterned(interned);
        }
    }
}

/** Whether an account stays within the limits with the presence. */
function hasSpace(reader: OccupantReader, before: InternedStanza | undefined, interned: InternedStanza): boolean {
    const [count, size] = totalsOf(reader);
    const others = before === undefined ? count : count - 1;
    return (
        sizeOf(interned) <= options.maxCachedSize &&
        interned.isHeavy !== true &&
        others < options.maxOccupants &&
        size - sizeOf(before) + sizeOf(interned) <= options.maxRoomSize
    );
}

/** Moves a reader on if the room sends the list's next change. Returns whether it does. */
function passChange(reader: OccupantReader, nick: string, interned: InternedStanza | undefined): boolean {
    if (reader.position === reader.list?.last) {
        return false;
    }
    skipOwn(reader);
    const list = reader.list;
    if (list === undefined || reader.position === list.last) {
        return false;
    }
    const later = changeAfter(list, reader.position);
    if (later?.nick !== nick || later.after !== interned) {
        return false;
    }
    moveOn(reader, list);
    return true;
}

/** Moves a reader past changes of its own nick. */
function skipOwn(reader: OccupantReader): void {
    const list = reader.list;
    while (list !== undefined && reader.position < list.last) {
        const later = changeAfter(list, reader.position);
        if (later === undefined || later.nick !== reader.own) {
            return;
        }
        moveOn(reader, list);
        if (reader.list !== list) {
            return;
        }
    }
}

function moveOn(reader: OccupantReader, list: OccupantList): void {
    reader.position = reader.position + 1;
    if (reader.position === list.last) {
        noteUpToDate(list);
    }
}

/** A reader has seen the last change, or has left. */
function noteUpToDate(list: OccupantList): void {
    const behind = (list.behind ?? 0) - 1;
    list.behind = behind > 0 ? behind : undefined;
    settleIfDone(list);
}

/** Drops the changes when all readers have seen them, and merges the list with an equal one. */
function settleIfDone(list: OccupantList): void {
    if (list.behind === undefined) {
        list.log = undefined;
        merge(list);
    }
}

/** Handles a presence that is not the next change of the reader's list. */
function change(
    room: string,
    reader: OccupantReader,
    nick: string,
    before: InternedStanza | undefined,
    after: InternedStanza | undefined,
): void {
    if (before === after) {
        return;
    }
    let list = reader.list;
    if (list === undefined) {
        list = newList(room, new LuaMap());
        enter(reader, list);
    } else if (reader.position < list.last || (list.readerCount > 1 && !fits(list, before, after))) {
        const copy = newList(room, copyAt(list, reader.position));
        leave(reader, list);
        enter(reader, copy);
        list = copy;
    }
    if (list.readerCount === 1) {
        replace(list, nick, list.occupants.get(nick), after);
        merge(list);
        return;
    }
    append(list, nick, after);
    reader.position = list.last;
    if ((list.log?.length ?? 0) > MAX_BEHIND) {
        splitOff(list);
    }
}

/** Gives readers that are too far behind other lists: one for each position. */
function splitOff(list: OccupantList): void {
    const copies = new LuaMap<number, OccupantList>();
    for (const reader of late(list)) {
        skipOwn(reader);
        const position = reader.position;
        if (reader.list === list && position < list.last) {
            let copy = copies.get(position);
            if (copy === undefined) {
                copy = newList(list.room, copyAt(list, position));
                copies.set(position, copy);
            }
            leave(reader, list);
            enter(reader, copy);
        }
    }
}

/** Lets an account read a list, from its end. */
function enter(reader: OccupantReader, list: OccupantList): void {
    reader.list = list;
    reader.position = list.last;
    list.readers.add(reader);
    list.readerCount = list.readerCount + 1;
    sortIn(list);
}

function leave(reader: OccupantReader, list: OccupantList): void {
    list.readers.delete(reader);
    list.readerCount = list.readerCount - 1;
    if (list.readerCount === 0) {
        remove(list);
        return;
    }
    if (reader.position < list.last) {
        noteUpToDate(list);
    }
}

/** Merges a list with an equal one of the room, if all its readers are at the end. */
function merge(list: OccupantList): void {
    const all = listsOf(list.room);
    if (all.length < 2) {
        return;
    }
    for (const i of $range(1, Math.min(all.length, MAX_COMPARED + 1))) {
        const other = all[i - 1];
        // Equal lists differ by two nicks at most, see moveReader().
        const isOther = other !== undefined && other !== list;
        if (isOther && Math.abs(other.count - list.count) <= 2 && other.behind === undefined) {
            const isLarger = other.readerCount >= list.readerCount;
            if (isLarger ? moveReaders(list, other) : moveReaders(other, list)) {
                return;
            }
        }
    }
}

/** Moves the readers of one list to another with the same content. Returns whether there were any. */
function moveReaders(from: OccupantList, to: OccupantList): boolean {
    let moved = false;
    for (const reader of from.readers) {
        if (!moveReader(reader, from, to)) {
            return moved;
        }
        moved = true;
    }
    return moved;
}

/**
 * Moves a reader to another list. A list with one reader may lack that account's nick, or have an old entry for it.
 * Then the other reader's entry is added.
 */
function moveReader(reader: OccupantReader, from: OccupantList, to: OccupantList): boolean {
    const only = to.readerCount === 1 ? firstOf(to.readers) : undefined;
    const missing = only?.own === reader.own ? undefined : only?.own;
    if (!isSame(from, to, reader.own, missing)) {
        return false;
    }
    const interned = missing === undefined ? undefined : from.occupants.get(missing);
    const old = missing === undefined ? undefined : to.occupants.get(missing);
    if (!fits(to, old, interned)) {
        return false;
    }
    leave(reader, from);
    if (missing !== undefined && old !== interned) {
        replace(to, missing, old, interned);
    }
    enter(reader, to);
    return true;
}
