// The archive: each message of a room once for this host, and for each account which of them it got. Messages are
// written as they come, in a Prosody archive store under the room's JID; what an account got is written when it changes
// course (it comes, goes, or misses something), not for each message.

import * as datetime from "util.datetime";
import * as hashes from "util.hashes";
import * as st from "util.stanza";
import type { Archive } from "../client/archive-page";
import * as options from "../options";
import {
    addRecent,
    dropLog,
    type Entry,
    fillRecent,
    logOf,
    nextNumber,
    OPEN,
    type Part,
    type Ranges,
    type RoomLog,
    RECENT,
    START,
} from "../state/logs";
import { type Account, accounts, findAccount, type Membership, type Parts } from "../state/memberships";
import { delayBy, isDelayBy, isSameElement, isWorthKeeping, stanzaIdBy } from "../stanzas";

/** What was said in each room; `with` holds an entry's number and, for an entry of one account alone, whose. */
const store = module.open_store("minimix_archive", "archive");

/** What each account got of each room. */
const partsStore = module.open_store<Parts>("minimix_parts", "keyval");

/** Seconds between a message and the look for accounts that have not got it. */
const SETTLE = 1;

/** The account came into the room: what is said from now on is for it. */
export function openPart(membership: Membership): void {
    if (options.archive !== true || membership.part !== undefined) {
        return;
    }
    const log = logOf(membership.room);
    const open = isOpen(rangesOf(membership));
    // An open range of an earlier start goes on if nothing was said to others meanwhile.
    membership.part = { open, position: open ? START : log.last };
    membership.log = log;
    log.readers.set(membership.username, membership);
}

/** The account is out of the room. */
export function closePart(membership: Membership): void {
    const log = membership.log;
    const part = membership.part;
    membership.log = undefined;
    membership.part = undefined;
    if (log === undefined || part === undefined) {
        return;
    }
    log.readers.delete(membership.username);
    if (next(log.readers)[0] === undefined) {
        dropLog(log);
    }
    if (part.open) {
        stop(membership, part);
        saveParts(membership.username);
    }
}

/**
 * Takes down a message that an account was shown. Gives its entry if it is worth one and the account has not had it
 * before. A room of this server hands the same table to every account (muc.lib.lua, broadcast), so that all but the
 * first only look at what was taken down last.
 */
export function takeDown(membership: Membership, stanza: Stanza): Entry | undefined {
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined) {
        return undefined;
    }
    if (log.source !== stanza || isAnothers(log.current, membership)) {
        log.source = stanza;
        log.current = isWorthKeeping(stanza) ? entryFor(log, membership, part, stanza) : undefined;
    }
    const entry = log.current;
    if (entry === undefined || !receive(membership, log, part, entry)) {
        return undefined;
    }
    return entry;
}

function isAnothers(entry: Entry | undefined, membership: Membership): boolean {
    return entry !== undefined && entry.owner !== undefined && entry.owner !== membership.username;
}

function entryFor(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    const stamp = delayBy(stanza, log.room);
    const past = stamp === undefined ? undefined : datetime.parse(stamp);
    return past === undefined ? newEntry(log, membership, part, stanza) : pastEntry(log, stanza, past);
}

/** The entry that another account's copy made already, or one of its own. */
function newEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    let owner: string | undefined;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry === undefined || entry.number <= part.position) {
            break;
        }
        if (entry.owner === undefined || entry.owner === membership.username) {
            if (isSameElement(entry.stanza, stanza, "to")) {
                return entry;
            }
            if (isSameMessage(log, entry.stanza, stanza)) {
                // The room shows this account something else: a gateway, for instance.
                owner = membership.username;
            }
        }
    }
    const content = st.clone(stanza);
    content.attr.to = undefined;
    return append(log, content, os.time(), owner);
}

function isSameMessage(log: RoomLog, one: Stanza, other: Stanza): boolean {
    const id = stanzaIdBy(one, log.room) ?? one.attr.id;
    return (
        id !== undefined && one.attr.from === other.attr.from && id === (stanzaIdBy(other, log.room) ?? other.attr.id)
    );
}

/** A message of the past has its place in the log, at the end at the latest; it cannot be put in before others. */
function pastEntry(log: RoomLog, stanza: Stanza, when: number): Entry | undefined {
    fill(log);
    const content = withoutDelay(log, stanza);
    let newest: Entry | undefined;
    for (const entry of log.recent) {
        if (
            entry.owner === undefined &&
            (isSameElement(entry.stanza, content) || isSameMessage(log, entry.stanza, content))
        ) {
            return entry;
        }
        newest = entry;
    }
    return newest === undefined || newest.when <= when ? append(log, content, when, undefined) : undefined;
}

/** A copy to keep: without the address, and without the delay by which a room marks what is past. */
function withoutDelay(log: RoomLog, stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.to = undefined;
    content.maptags((tag) => (isDelayBy(tag, log.room) ? undefined : tag));
    return content;
}

function append(log: RoomLog, stanza: Stanza, when: number, owner: string | undefined): Entry | undefined {
    const number = nextNumber();
    const label = string.format("%d", number);
    const id = write(log.room, stanza, when, owner === undefined ? label : `${label} ${owner}`);
    if (id === undefined) {
        return undefined;
    }
    const entry: Entry = { number, before: owner === undefined ? log.last : undefined, owner, id, when, stanza };
    addRecent(log, entry);
    if (owner === undefined) {
        log.last = number;
        settleSoon(log);
    }
    return entry;
}

function write(room: string, stanza: Stanza, when: number, label: string): string | undefined {
    const key = keyOf(room);
    let [id, problem] = store.append(key, undefined, stanza, when, label);
    if (id === undefined && problem === "quota-limit" && store.caps !== undefined && store.caps.quota !== undefined) {
        // As mod_mam does: the oldest make room.
        store.delete(key, { truncate: math.floor(store.caps.quota * 0.99) });
        [id, problem] = store.append(key, undefined, stanza, when, label);
    }
    if (id === undefined) {
        module.log("error", "Could not store a message of %s: %s", room, problem);
    }
    return id;
}

/** Storage drivers make a file name of it, which has an end. */
function keyOf(room: string): string {
    return string.len(room) <= 80 ? room : hashes.sha1(room, true);
}

/** Notes that an account got an entry; whether it was new to it. */
function receive(membership: Membership, log: RoomLog, part: Part, entry: Entry): boolean {
    if (entry.owner !== undefined) {
        return true;
    }
    if (entry.number <= part.position) {
        return receivePast(membership, part, entry);
    }
    if (!part.open || entry.before !== part.position) {
        if (part.open) {
            stop(membership, part);
        }
        start(membership, part, entry);
        settleSoon(log);
    }
    part.position = entry.number;
    return true;
}

/** What a room shows of its past may have been said while the account was out. */
function receivePast(membership: Membership, part: Part, entry: Entry): boolean {
    const ranges = rangesOf(membership);
    if (includes(ranges, part, entry.number)) {
        return false;
    }
    insert(ranges, entry);
    markChanged(membership);
    return true;
}

function start(membership: Membership, part: Part, entry: Entry): void {
    const ranges = rangesOf(membership);
    const last = ranges.length - 1;
    if (last > 0 && ranges[last] === entry.before) {
        ranges[last] = OPEN;
    } else {
        ranges.push(entry.number);
        ranges.push(OPEN);
    }
    part.open = true;
    markChanged(membership);
}

function stop(membership: Membership, part: Part): void {
    const ranges = rangesOf(membership);
    if (isOpen(ranges)) {
        ranges[ranges.length - 1] = part.position;
    }
    part.open = false;
    markChanged(membership);
}

function isOpen(ranges: Ranges): boolean {
    return ranges.length > 0 && ranges[ranges.length - 1] === OPEN;
}

/** Whether an account got an entry. Without a part it is not in the room, and an open range is of an earlier start. */
function includes(ranges: Ranges, part: Part | undefined, number: number): boolean {
    for (const i of $range(1, ranges.length, 2)) {
        const first = ranges[i - 1] ?? 0;
        const last = ranges[i] ?? 0;
        const end = last === OPEN ? (part === undefined ? START : part.position) : last;
        if (number >= first && number <= end) {
            return true;
        }
    }
    return false;
}

/** Adds one entry that is not the last: to the range that ends before it, or as a range of its own. */
function insert(ranges: Ranges, entry: Entry): void {
    let at = ranges.length;
    while (at > 0 && (ranges[at - 2] ?? 0) > entry.number) {
        at = at - 2;
    }
    if (at > 0 && ranges[at - 1] === entry.before) {
        ranges[at - 1] = entry.number;
    } else {
        table.insert(ranges, at + 1, entry.number);
        table.insert(ranges, at + 2, entry.number);
    }
}

/** Some time after a message, accounts that did not get it have missed it: their part ends before it. */
function settleSoon(log: RoomLog): void {
    if (log.settling) {
        return;
    }
    log.settling = true;
    module.add_timer(SETTLE, () => {
        log.settling = false;
        settle(log);
        return undefined;
    });
}

function settle(log: RoomLog): void {
    for (const [, membership] of log.readers) {
        const part = membership.part;
        if (part !== undefined && part.open && part.position !== log.last) {
            stop(membership, part);
        }
    }
    saveChanged();
}

/** Accounts whose parts are to be written. */
const changed = new LuaSet<string>();

function markChanged(membership: Membership): void {
    changed.add(membership.username);
}

/** Writes what is not written yet. */
export function saveChanged(): undefined {
    for (const username of changed) {
        saveParts(username);
    }
}

function saveParts(username: string): void {
    changed.delete(username);
    const account = findAccount(username);
    if (account !== undefined && account.parts !== undefined && !options.anonymous) {
        partsStore.set(username, account.parts);
    }
}

function partsOf(account: Account): Parts {
    account.parts ??= partsStore.get(account.username)[0] ?? {};
    return account.parts;
}

function rangesOf(membership: Membership): Ranges {
    const account = accounts.get(membership.occupant);
    if (account === undefined) {
        return [];
    }
    const parts = partsOf(account);
    let ranges = parts[membership.room];
    if (ranges === undefined) {
        ranges = [];
        parts[membership.room] = ranges;
    }
    return ranges;
}

/** Reads the newest entries of before this start of the server, once they are needed. */
function fill(log: RoomLog): void {
    if (log.filled) {
        return;
    }
    log.filled = true;
    const first = log.recent[0];
    const entries: Entry[] = [];
    for (const [id, stanza, when, label] of find(log.room, { reverse: true, limit: RECENT })) {
        const entry = storedEntry(id, stanza, when, label);
        if (first === undefined || entry.number < first.number) {
            table.insert(entries, 1, entry);
        }
    }
    fillRecent(log, entries);
}

type Results = LuaIterable<LuaMultiReturn<[string, Stanza, number, string]>>;

function find(room: string, query: ArchiveQuery): Results {
    const [results, problem] = store.find(keyOf(room), query);
    if (results !== undefined) {
        return results;
    }
    if (problem !== "item-not-found") {
        module.log("error", "Could not read the archive of %s: %s", room, problem);
    }
    return nothing as unknown as Results;
}

function nothing(): undefined {
    return undefined;
}

function storedEntry(id: string, stanza: Stanza, when: number, label: string): Entry {
    const [number, owner] = parseLabel(label);
    return { number, before: undefined, owner, id, when, stanza };
}

/** The entry's number and, of an entry of one account alone, whose it is. */
function parseLabel(label: string): LuaMultiReturn<[number, string | undefined]> {
    const [digits, owner] = string.match(label, "^(%d+) ?(.*)$");
    return $multi(tonumber(digits) ?? 0, owner === "" ? undefined : owner);
}

/** What an account got of a room's log, left rooms included; undefined if it never was in the room. */
export function archiveOf(username: string, room: string): Archive | undefined {
    const account = findAccount(username);
    const ranges = storedParts(username, account)[room];
    const membership = account === undefined ? undefined : account.memberships.get(room);
    const part = membership === undefined ? undefined : membership.part;
    if (ranges === undefined && part === undefined) {
        return undefined;
    }
    return {
        store,
        key: keyOf(room),
        label: undefined,
        holds: (label) => mayRead(username, ranges ?? [], part, label),
    };
}

function mayRead(username: string, ranges: Ranges, part: Part | undefined, label: string): boolean {
    const [number, owner] = parseLabel(label);
    return owner === undefined ? includes(ranges, part, number) : owner === username;
}

/** What an account may read of a room's log, in its order. `visit` returns true to end it. */
function read(
    membership: Membership,
    ranges: Ranges,
    query: ArchiveQuery,
    visit: (this: void, entry: Entry) => boolean,
): void {
    for (const [id, stanza, when, label] of find(membership.room, query)) {
        if (
            mayRead(membership.username, ranges, membership.part, label) &&
            visit(storedEntry(id, stanza, when, label))
        ) {
            return;
        }
    }
}

/** Rooms of whose log an account got something, the ones it has left included. */
export function roomsRead(username: string): string[] {
    const rooms: string[] = [];
    for (const [room] of pairs(storedParts(username, findAccount(username)))) {
        rooms.push(room);
    }
    table.sort(rooms);
    return rooms;
}

function storedParts(username: string, account: Account | undefined): Parts {
    return account === undefined ? (partsStore.get(username)[0] ?? {}) : partsOf(account);
}

/**
 * What an account got last in its room, newest first. `visit` returns true to end it. Reads from disk only what is not
 * in memory.
 */
export function readBack(membership: Membership, visit: (this: void, entry: Entry) => boolean): void {
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined) {
        return;
    }
    fill(log);
    const ranges = rangesOf(membership);
    let oldest: string | undefined;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry !== undefined) {
            oldest = entry.id;
            const isOwn = entry.owner === membership.username;
            if ((isOwn || (entry.owner === undefined && includes(ranges, part, entry.number))) && visit(entry)) {
                return;
            }
        }
    }
    if (oldest !== undefined && log.recent.length >= RECENT) {
        read(membership, ranges, { reverse: true, before: oldest }, visit);
    }
}

/** What an account got last in its room. */
export function newestEntry(membership: Membership): Entry | undefined {
    let newest: Entry | undefined;
    readBack(membership, (entry) => {
        newest = entry;
        return true;
    });
    return newest;
}

/** Deletes what has passed its time; and the logs of rooms of which no account has a part any more. */
export function expire(): void {
    if (options.archiveExpiresAfter !== math.huge) {
        const before = os.time() - options.archiveExpiresAfter;
        for (const key of stringsOf(store.users())) {
            store.delete(key, { end: before });
        }
    }
    deleteUnread();
}

function deleteUnread(): void {
    const wanted = new LuaSet<string>();
    for (const username of stringsOf(partsStore.users())) {
        for (const room of roomsRead(username)) {
            wanted.add(keyOf(room));
        }
    }
    for (const key of stringsOf(store.users())) {
        if (!wanted.has(key)) {
            store.delete(key);
        }
    }
}

/** As a list: some drivers read as they go, and some list the host's own record as "" or as a function. */
function stringsOf(iterator: LuaIterable<unknown>): string[] {
    const list: string[] = [];
    for (const value of iterator) {
        if (typeof value === "string" && value !== "") {
            list.push(value);
        }
    }
    return list;
}
