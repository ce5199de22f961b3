// The archive: each message of a room once for this host, and for each account which of them it got. Messages are
// written as they come, in a Prosody archive store under the room's JID; what an account got is written when it changes
// course (it comes, goes, or misses something), not for each message.

import * as datetime from "util.datetime";
import * as hashes from "util.hashes";
import * as st from "util.stanza";
import type { Archive } from "./cursor";
import { readPage, type Reading, startReading } from "./page";
import type { Step } from "../slices";
import { weightOf } from "../weight";
import { MUC_USER, OCCUPANT_ID, STANZA_ID } from "../namespaces";
import * as options from "../options";
import { counters } from "../state/counters";
import {
    addRecent,
    dropLog,
    type Entry,
    fillRecent,
    logOf,
    logs,
    OPEN,
    type Part,
    type Past,
    type Ranges,
    type RoomLog,
    RECENT,
} from "../state/logs";
import { nextNumber, startNumbers, startOfNumbers } from "../state/numbers";
import { type Account, accounts, findAccount, type Membership, type Parts } from "../state/memberships";
import { delayBy, isDelayBy, isSameElement, isWorthKeeping, stanzaIdBy } from "../stanzas";
import { includes, insert, isOpen, prune } from "../state/ranges";
import { addMissed, hasPersonalArchive, startReadingRoom } from "./personal";

/** What was said in each room; `with` holds an entry's number and, for an entry of one account alone, whose. */
const store = module.open_store("minimix_archive", "archive");

/** What each account got of each room. */
const partsStore = module.open_store<Parts>("minimix_parts", "keyval");

/** Seconds between a message and the look for accounts that have not got it. */
const SETTLE = 1;

/**
 * Entries that are read at a time to find some message of the past among them, bytes of memory after which no more are, and
 * for how many seconds they are held. Going back in time reads others, and is done a few times only.
 */
const PAST = 200;
const PAST_WEIGHT = 524288;
const PAST_KEPT = 60;
const STEPS_BACK = 10;

/** Bytes of memory of the newest entries that are read at once. */
const RECENT_WEIGHT = 524288;

/** Namespaces of what rooms add to a message, and their archives may or may not keep. */
const added = new LuaSet<string>();
added.add(MUC_USER);
added.add(OCCUPANT_ID);
added.add(STANZA_ID);

/** How many times its XML a kept message may take as a tree. */
const TREE = 8;

/** Seconds that a room's clock may differ from ours. */
const SKEW = 10;

/** The account is in the room, or asks for what it has missed there. */
export function openPart(membership: Membership): void {
    if (options.archive !== true || membership.part !== undefined) {
        return;
    }
    const log = logOf(membership.room);
    const part: Part = { open: isOpen(rangesOf(membership)), position: log.last };
    membership.part = part;
    membership.log = log;
    log.readers.set(membership.username, membership);
    // An open range of an earlier start goes on if nothing was said to others meanwhile.
    if (part.open && log.last !== startOfNumbers()) {
        part.position = startOfNumbers();
        stop(membership, part);
        saveParts(membership.username);
        part.position = log.last;
    }
}

/**
 * The room has let the account in. The range that covers what it is told from now on is written at once, so that a killed
 * server knows of it; a message needs no write but its own.
 */
export function letIn(membership: Membership): void {
    openPart(membership);
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined || part.open) {
        return;
    }
    const ranges = rangesOf(membership);
    if ((ranges[ranges.length - 1] ?? 0) >= log.last) {
        ranges[ranges.length - 1] = OPEN;
    } else {
        ranges.push(log.last + 1);
        ranges.push(OPEN);
    }
    part.open = true;
    part.position = log.last;
    saveParts(membership.username);
}

/**
 * At a start of the server, before anything is stored: open ranges end where the last start did for all but the accounts
 * that go back to their rooms.
 */
export function closeOpen(): void {
    if (options.archive !== true) {
        return;
    }
    startNumbers();
    for (const username of usersOf(partsStore)) {
        const account = findAccount(username);
        const parts = storedParts(username, account);
        let changed = false;
        for (const [room, ranges] of pairs(parts)) {
            const membership = account === undefined ? undefined : account.memberships.get(room);
            if (isOpen(ranges) && !membership?.established) {
                ranges[ranges.length - 1] = startOfNumbers();
                changed = true;
            }
        }
        if (changed) {
            partsStore.set(username, parts);
        }
    }
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
 * Takes down a message that an account was shown; whether it is worth that and the account has not had it before. A room
 * of this server hands the same table to every account (muc.lib.lua, broadcast), so that all but the first only look at
 * what was taken down last.
 */
export function takeDown(membership: Membership, stanza: Stanza): boolean {
    if (options.archive === "mam") {
        const past = pastOf(membership.room, stanza);
        // mod_mam has taken down what is said now.
        return past === undefined || addMissed(membership, stanza, past);
    }
    const log = membership.log;
    const part = membership.part;
    if (log === undefined || part === undefined) {
        return false;
    }
    if (log.source !== stanza || isAnothers(log.current, membership)) {
        log.source = stanza;
        log.current = isWorthKeeping(stanza) ? entryFor(log, membership, part, stanza) : undefined;
    }
    const entry = log.current;
    return entry !== undefined && receive(membership, log, part, entry);
}

function isAnothers(entry: Entry | undefined, membership: Membership): boolean {
    return entry?.owner !== undefined && entry.owner !== membership.username;
}

function entryFor(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    const past = pastOf(log.room, stanza);
    return past === undefined
        ? newEntry(log, membership, part, stanza)
        : pastEntry(log, membership, part, stanza, past);
}

/** Whether what comes of the past is later than all that the account has had. */
function isLater(membership: Membership): boolean {
    return membership.catchUp?.appendOutOfOrder === true;
}

/** When a message of the past was said, in seconds. */
function pastOf(room: string, stanza: Stanza): number | undefined {
    const stamp = delayBy(stanza, room);
    const past = stamp === undefined ? undefined : datetime.parse(stamp);
    return past === undefined ? undefined : math.floor(past);
}

/** The entry that another account's copy made already, or one of its own. */
function newEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza): Entry | undefined {
    let owner: string | undefined;
    let same: Entry | undefined;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry === undefined || entry.number <= part.position) {
            break;
        }
        if (entry.owner === undefined || entry.owner === membership.username) {
            if (isSameElement(entry.stanza, stanza, "to")) {
                same = entry;
            } else if (isSameMessage(log, entry.stanza, stanza)) {
                // The room shows this account something else: a gateway, for instance.
                owner = membership.username;
            }
        }
    }
    if (same !== undefined) {
        return same;
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

/**
 * A message of the past has its place in the log, where another account's copy may have put it, or at the end: it cannot
 * be put in before others. Undefined if the account has it already, or there is no place for it.
 */
function pastEntry(log: RoomLog, membership: Membership, part: Part, stanza: Stanza, when: number): Entry | undefined {
    fill(log);
    const content = withoutDelay(log, stanza);
    const archiveId = stanzaIdBy(content, log.room);
    const isWanted = (entry: Entry) => isSamePast(log, membership, part, entry, content);
    const entry = findEntry(log.recent, isWanted) ?? findPast(log, membership, archiveId, when, isWanted);
    if (entry !== undefined) {
        return entry.owner === undefined ? entry : undefined;
    }
    const newest = log.recent[log.recent.length - 1];
    const earliest = newest === undefined ? 0 : newest.when;
    if (when < earliest && !isLater(membership)) {
        return undefined;
    }
    // The log goes by time.
    return append(log, content, Math.min(Math.max(when, earliest), os.time()), undefined);
}

/**
 * What an account has already comes again as the room's archive writes it; what it has not may be what another account
 * was shown in its place.
 */
function isSamePast(log: RoomLog, membership: Membership, part: Part, entry: Entry, content: Stanza): boolean {
    if (isAnothers(entry, membership)) {
        return false;
    }
    return (
        isSameElement(entry.stanza, content) ||
        (isSameMessage(log, entry.stanza, content) &&
            (isFor(membership.username, rangesOf(membership), part, entry) ||
                isSameElement(asSaid(entry.stanza), asSaid(content))))
    );
}

/** Without what the room adds. */
function asSaid(stanza: Stanza): Stanza {
    const said = st.clone(stanza);
    said.maptags((tag) => (added.has(tag.attr.xmlns ?? "") ? undefined : tag));
    return said;
}

type IsWanted = (this: void, entry: Entry) => boolean;

function findEntry(entries: Entry[], isWanted: IsWanted): Entry | undefined {
    for (const entry of entries) {
        if (isWanted(entry)) {
            return entry;
        }
    }
    return undefined;
}

/**
 * Among the entries that are not held in memory. An account that catches up goes through them in their order, so that
 * some are read at a time, from the one that is looked for.
 */
function findPast(
    log: RoomLog,
    membership: Membership,
    archiveId: string | undefined,
    when: number,
    isWanted: IsWanted,
): Entry | undefined {
    const oldest = log.recent[0];
    if (oldest === undefined || when > oldest.when + SKEW) {
        return undefined;
    }
    const past = pastFrom(log, membership, when);
    if (past === undefined) {
        return undefined;
    }
    const entry = archiveId === undefined ? undefined : past.ids.get(archiveId);
    if (entry !== undefined && isWanted(entry)) {
        return entry;
    }
    return findEntry(archiveId === undefined || entry !== undefined ? past.entries : past.others, isWanted);
}

/** The entries from some time on, as far as they are looked through. */
function pastFrom(log: RoomLog, membership: Membership, when: number): Past | undefined {
    // The results of an archive stand in the order of time (XEP-0313 4.2); one that does not is new, or not looked for.
    const from = Math.max(when, membership.catchUp?.latest ?? 0);
    const past = log.past;
    if (past !== undefined && from >= past.from && from < past.to) {
        return past;
    }
    const isBack = past !== undefined && from < past.from;
    const stepsBack = (past?.stepsBack ?? 0) + (isBack ? 1 : 0);
    if (stepsBack > STEPS_BACK && membership.catchUp === undefined) {
        return undefined;
    }
    log.past = readPast(log, from, stepsBack);
    return log.past;
}

function readPast(log: RoomLog, from: number, stepsBack: number): Past {
    const past: Past = {
        from,
        to: math.huge,
        stepsBack,
        until: os.time() + PAST_KEPT,
        weight: 0,
        entries: [],
        others: [],
        ids: new LuaMap(),
    };
    let before: number | undefined;
    let isAll = true;
    for (const [id, stanza, when, label] of find(log.room, { start: from - SKEW, limit: PAST })) {
        const entry = storedEntry(id, stanza, when, label, before);
        addPast(log, past, entry);
        if (entry.owner === undefined) {
            before = entry.number;
        }
        if (past.weight > PAST_WEIGHT) {
            isAll = false;
            break;
        }
    }
    const last = isAll && past.entries.length < PAST ? undefined : past.entries[past.entries.length - 1];
    if (last !== undefined) {
        past.to = Math.max(last.when - SKEW, from + 1);
    }
    module.add_timer(PAST_KEPT, () => {
        if (log.past !== undefined && os.time() >= log.past.until) {
            log.past = undefined;
        }
        return undefined;
    });
    return past;
}

function addPast(log: RoomLog, past: Past, entry: Entry): void {
    const archiveId = entry.owner === undefined ? stanzaIdBy(entry.stanza, log.room) : undefined;
    past.entries.push(entry);
    past.weight = past.weight + entry.size;
    if (archiveId === undefined) {
        past.others.push(entry);
    } else {
        past.ids.set(archiveId, entry);
    }
}

/** A copy to keep: without the address, and without the delay by which a room marks what is past. */
function withoutDelay(log: RoomLog, stanza: Stanza): Stanza {
    const content = st.clone(stanza);
    content.attr.to = undefined;
    content.maptags((tag) => (isDelayBy(tag, log.room) ? undefined : tag));
    return content;
}

function append(log: RoomLog, stanza: Stanza, when: number, owner: string | undefined): Entry | undefined {
    const size = weightOf(stanza);
    if (string.len(tostring(stanza)) > options.maxKeptSize || size > TREE * Math.max(options.maxKeptSize, 1024)) {
        module.log("debug", "A message of %s is too big to be kept", log.room);
        return undefined;
    }
    const number = nextNumber();
    const label = string.format("%d", number);
    const id = write(log.room, stanza, when, owner === undefined ? label : `${label} ${owner}`);
    if (id === undefined) {
        return undefined;
    }
    const entry: Entry = { number, before: owner === undefined ? log.last : undefined, owner, id, when, stanza, size };
    addRecent(log, entry);
    if (log.past?.to === math.huge) {
        addPast(log, log.past, entry);
        if (log.past.weight > 2 * PAST_WEIGHT) {
            log.past = undefined;
        }
    }
    if (owner === undefined) {
        log.last = number;
        settleSoon(log);
    }
    return entry;
}

function write(room: string, stanza: Stanza, when: number, label: string): string | undefined {
    const key = keyOf(room);
    let [id, problem] = store.append(key, undefined, stanza, when, label);
    if (id === undefined && problem === "quota-limit" && store.caps?.quota !== undefined) {
        // As mod_mam does: the oldest make room. More of them at a time, as all others are written anew.
        store.delete(key, { truncate: math.floor(store.caps.quota * 0.9) });
        [id, problem] = store.append(key, undefined, stanza, when, label);
    }
    if (id === undefined) {
        module.log("error", "Could not store a message of %s: %s", room, problem);
    } else {
        counters.archiveWrites = counters.archiveWrites + 1;
    }
    return id;
}

/** Storage drivers make a file name of it, which has an end. */
function keyOf(room: string): string {
    return string.len(room) <= 80 ? room : hashes.sha1(room, true);
}

/** Up to which number an open range goes. Without a part it is of an earlier start of the server. */
function endOf(part: Part | undefined): number {
    return part === undefined ? startOfNumbers() : part.position;
}

/** Notes that an account got an entry; whether it was new to it. */
function receive(membership: Membership, log: RoomLog, part: Part, entry: Entry): boolean {
    if (entry.owner !== undefined) {
        noteOwn(membership, log, entry);
        return true;
    }
    if (entry.number <= part.position) {
        return receivePast(membership, log, part, entry);
    }
    if (!part.open || entry.before !== part.position) {
        if (part.open) {
            stop(membership, part);
        }
        start(membership, part, entry);
        saveParts(membership.username);
    }
    part.position = entry.number;
    return true;
}

/** An account that was shown nothing but what others were not has a part in the log as well. */
function noteOwn(membership: Membership, log: RoomLog, entry: Entry): void {
    const ranges = rangesOf(membership);
    if (ranges.length === 0) {
        ranges.push(entry.number);
        ranges.push(entry.number);
        markChanged(membership);
        settleSoon(log);
    }
}

/** What a room shows of its past may have been said while the account was out. */
function receivePast(membership: Membership, log: RoomLog, part: Part, entry: Entry): boolean {
    const ranges = rangesOf(membership);
    if (includes(ranges, endOf(part), entry.number)) {
        return false;
    }
    insert(ranges, entry.number, entry.before);
    markChanged(membership);
    settleSoon(log);
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
    if (isOpen(ranges) && (ranges[ranges.length - 2] ?? 0) > part.position) {
        // Nothing was said while it was open.
        ranges.pop();
        ranges.pop();
    } else if (isOpen(ranges)) {
        ranges[ranges.length - 1] = part.position;
    }
    part.open = false;
    markChanged(membership);
}

/**
 * Some time after a message, accounts that did not get it have missed it: their part ends before it. Who got what is
 * written then.
 */
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
    endMissed(log);
    writeChanged();
}

function endMissed(log: RoomLog): void {
    for (const [, membership] of log.readers) {
        const part = membership.part;
        if (part !== undefined && part.open && part.position !== log.last) {
            stop(membership, part);
        }
    }
}

/** Accounts whose parts are to be written. */
const changed = new LuaSet<string>();

function markChanged(membership: Membership): void {
    changed.add(membership.username);
}

/** Writes what is not written yet. Accounts are not waited for: who gets the last message yet goes on where it was. */
export function saveChanged(): undefined {
    for (const [, log] of logs) {
        if (log.settling) {
            endMissed(log);
        }
    }
    writeChanged();
}

function writeChanged(): void {
    for (const username of changed) {
        saveParts(username);
    }
}

function saveParts(username: string): void {
    changed.delete(username);
    const account = findAccount(username);
    if (account?.parts !== undefined && !options.anonymous) {
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
    const first = log.recent[0];
    const entries: Entry[] = [];
    let count = 0;
    let weight = 0;
    for (const [id, stanza, when, label] of find(log.room, { reverse: true, limit: RECENT })) {
        weight = weight + weightOf(stanza);
        if (weight > RECENT_WEIGHT) {
            count = RECENT;
            break;
        }
        count = count + 1;
        const entry = storedEntry(id, stanza, when, label, undefined);
        if (first === undefined || entry.number < first.number) {
            table.insert(entries, 1, entry);
        }
    }
    fillRecent(log, entries, count < RECENT);
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

function storedEntry(id: string, stanza: Stanza, when: number, label: string, before: number | undefined): Entry {
    const [number, owner] = parseLabel(label);
    return { number, before, owner, id, when, stanza, size: weightOf(stanza) };
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
    const membership = account?.memberships.get(room);
    const part = membership?.part;
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
    return owner === undefined ? includes(ranges, endOf(part), number) : owner === username;
}

/** Rooms of whose log an account got something, the ones it has left included; where it got something last, comes first. */
export function roomsRead(username: string): string[] {
    const rooms: string[] = [];
    const parts = storedParts(username, findAccount(username));
    for (const [room] of pairs(parts)) {
        rooms.push(room);
    }
    table.sort(rooms, (one, other) => {
        const last = lastOf(parts[one]);
        const lastOfOther = lastOf(parts[other]);
        return last === lastOfOther ? one < other : last > lastOfOther;
    });
    return rooms;
}

/** An open range has no end. */
function lastOf(ranges: Ranges | undefined): number {
    const last = ranges?.[ranges.length - 1] ?? 1;
    return last === OPEN ? math.huge : last;
}

function storedParts(username: string, account: Account | undefined): Parts {
    return account === undefined ? (partsStore.get(username)[0] ?? {}) : partsOf(account);
}

/** Something an account was told. */
export interface Said {
    /** In seconds. */
    readonly when: number;
    readonly stanza: Stanza;
}

/**
 * What an account was told last in its room, newest first: so many messages, and none from before `since`. `visit`
 * returns true to end it. What is not in memory is left to the step that is given back.
 */
export function readBack(
    membership: Membership,
    most: number,
    since: number,
    visit: (this: void, said: Said) => boolean,
): Step | undefined {
    if (options.archive === "mam") {
        return visitLater(startReadingRoom(membership, most, since), visit);
    }
    const log = membership.log;
    const part = membership.part;
    const archive = archiveOf(membership.username, membership.room);
    if (log === undefined || part === undefined || archive === undefined) {
        return undefined;
    }
    fill(log);
    const ranges = rangesOf(membership);
    // Disk is cleared now and then only.
    const earliest = Math.max(since, os.time() - options.archiveExpiresAfter);
    let left = most;
    for (const i of $range(log.recent.length, 1, -1)) {
        const entry = log.recent[i - 1];
        if (entry !== undefined && isFor(membership.username, ranges, part, entry)) {
            if (left === 0 || entry.when < earliest || visit(entry)) {
                return undefined;
            }
            left = left - 1;
        }
    }
    const oldest = log.recent[0];
    if (oldest === undefined || log.whole || left <= 0) {
        return undefined;
    }
    return visitLater(startReadingBefore(archive, oldest, left, earliest), visit);
}

function visitLater(reading: Reading, visit: (this: void, said: Said) => boolean): Step {
    return () => {
        if (!reading.step()) {
            return false;
        }
        visitBack(reading.page?.items ?? [], visit);
        return true;
    };
}

function isFor(username: string, ranges: Ranges, part: Part, entry: Entry): boolean {
    return entry.owner === undefined ? includes(ranges, endOf(part), entry.number) : entry.owner === username;
}

/** Of the entries before one that may be another account's. */
function startReadingBefore(archive: Archive, entry: Entry, most: number, since: number): Reading {
    const earlier: Archive = {
        store,
        key: archive.key,
        label: undefined,
        holds: (label) => parseLabel(label)[0] < entry.number && archive.holds(label),
    };
    return startReading([earlier], { wants: () => true, start: since, end: entry.when, reverse: true, max: most });
}

function visitBack(messages: Said[], visit: (this: void, said: Said) => boolean): void {
    for (const i of $range(messages.length, 1, -1)) {
        const message = messages[i - 1];
        if (message !== undefined && visit(message)) {
            return;
        }
    }
}

/** What an account was told last in its room, since it came there. */
export function newestOf(membership: Membership): Said | undefined {
    let newest: Said | undefined;
    const rest = readBack(membership, 1, membership.since ?? 0, (said) => {
        newest = said;
        return true;
    });
    while (rest?.() === false) {
        // One message is not much to read.
    }
    return newest;
}

/** Whether what the account misses in its room can be made up for. */
export function isKept(membership: Membership): boolean {
    return options.archive === "mam" ? hasPersonalArchive() : membership.part !== undefined;
}

/** Deletes what has passed its time; and the logs of rooms of which no account has a part any more. */
export function expire(): void {
    saveChanged();
    if (options.archiveExpiresAfter !== math.huge) {
        const before = os.time() - options.archiveExpiresAfter;
        for (const key of usersOf(store)) {
            store.delete(key, { end: before });
        }
        const oldest = new LuaMap<string, number>();
        for (const username of usersOf(partsStore)) {
            prunePart(username, oldest);
        }
    }
    deleteUnread();
}

/** Forgets what an account got of messages that are deleted; `oldest` holds the number of each room's first entry. */
function prunePart(username: string, oldest: LuaMap<string, number>): void {
    const account = findAccount(username);
    const parts = storedParts(username, account);
    let pruned = false;
    for (const [room, ranges] of pairs(parts)) {
        const membership = account?.memberships.get(room);
        const kept = prune(ranges, oldest.get(room) ?? oldestOf(room, oldest));
        const isNeeded = kept.length > 0 || membership?.part !== undefined;
        if (!isNeeded || kept.length < ranges.length) {
            parts[room] = isNeeded ? kept : undefined;
            pruned = true;
        }
    }
    if (pruned) {
        partsStore.set(username, next(parts)[0] === undefined ? undefined : parts);
    }
}

function oldestOf(room: string, known: LuaMap<string, number>): number {
    let oldest = math.huge;
    for (const [, , , label] of find(room, { limit: 1 })) {
        oldest = parseLabel(label)[0];
    }
    known.set(room, oldest);
    return oldest;
}

function deleteUnread(): void {
    const wanted = new LuaSet<string>();
    for (const [, account] of accounts) {
        addKeys(wanted, account.username);
    }
    for (const username of usersOf(partsStore)) {
        addKeys(wanted, username);
    }
    for (const key of usersOf(store)) {
        if (!wanted.has(key)) {
            store.delete(key);
        }
    }
}

function addKeys(wanted: LuaSet<string>, username: string): void {
    for (const room of roomsRead(username)) {
        wanted.add(keyOf(room));
    }
}

/** Deletes what was for one account alone. Its parts go with the rest of its data (core/usermanager.lua, delete_user). */
export function deleteOwn(username: string): void {
    for (const room of roomsRead(username)) {
        const key = keyOf(room);
        const own: Archive = { store, key, label: undefined, holds: (label) => parseLabel(label)[1] === username };
        let page = readPage([own], { wants: () => true, reverse: false, max: math.huge });
        while (page?.items[0] !== undefined) {
            for (const item of page.items) {
                store.delete(key, { key: item.id });
            }
            page = page.complete ? undefined : readPage([own], { wants: () => true, reverse: false, max: math.huge });
        }
    }
}

/** As a list: some drivers read as they go, and some list the host's own record as "" or as a function. */
function usersOf(of: { users(): LuaIterable<unknown> }): string[] {
    const list: string[] = [];
    // mod_storage_memory's iterator has a state of its own, which only a loop takes along.
    for (const value of of.users()) {
        if (typeof value === "string" && value !== "") {
            list.push(value);
        }
    }
    return list;
}
