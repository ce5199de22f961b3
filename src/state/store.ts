// Memberships on disk: one record per account in the store "minimix". account-record.ts has its form. It is written when
// a membership begins, changes or ends. Until an account's record has been read, its rooms are unknown and nothing is
// written.

import * as jids from "util.jid";
import * as options from "../options";
import { forEachInSlices } from "../slices";
import { type AccountRecord, hasFormerAddress, loadRooms, recordOf } from "./account-record";
import { monotonic } from "./clock";
import { membersOf } from "./keys";
import { isOccupantJid } from "./memberships";
import { hasNumbers, startNumbers } from "./numbers";
import { beginOutage, onRetry, type Progress } from "./outage";
import { listRecords, openRecords, readRecord, writeRecord } from "./records";

const records = openRecords<AccountRecord>("minimix", recordOf);

let closed = false;

/** Stops all writes: the following changes are not the user's. */
export function close(): void {
    saveLate();
    closed = true;
}

/**
 * Writes an account's memberships. When this returns the data is on disk, so it survives SIGKILL before a client is
 * told. If storage fails, the write is repeated until it succeeds.
 */
export function save(username: string): void {
    if (options.anonymous || closed || !isKnown(username)) {
        return;
    }
    late.delete(username);
    writeRecord(records, username);
}

/** Accounts with a record to write. */
const late = new LuaSet<string>();

/** Seconds until it is written. */
const LATE = 5;

/** Whether a write of these records is scheduled. save() may have written them all before. */
let isSaveDue = false;

/**
 * Writes an account's memberships soon, for changes that no client was told of. An account that joins many rooms by
 * itself needs few writes.
 */
export function saveSoon(username: string): void {
    if (!isSaveDue) {
        isSaveDue = true;
        module.add_timer(LATE, () => {
            isSaveDue = false;
            saveLate();
            return undefined;
        });
    }
    late.add(username);
}

/** Accounts with a record that saveOften() has just written. */
const justSaved = new LuaSet<string>();

/**
 * Writes changes that a client can make at a high rate. The first change is written at once, and the following ones
 * soon, because a write blocks the server. SIGKILL may lose the latest nick changes, but no membership.
 */
export function saveOften(username: string): void {
    if (justSaved.has(username)) {
        saveSoon(username);
        return;
    }
    if (next(justSaved)[0] === undefined) {
        module.add_timer(LATE, () => {
            for (const other of justSaved) {
                justSaved.delete(other);
            }
            return undefined;
        });
    }
    justSaved.add(username);
    save(username);
}

/** Writes the pending records. */
export function saveLate(): undefined {
    for (const username of membersOf(late)) {
        save(username);
    }
}

/** Whether the list of accounts has been read. An anonymous host stores none. */
let isListed = options.anonymous;

/** Accounts with a record that could not be read yet. */
const unread = new LuaSet<string>();

/** Accounts that have ended before their record could be read. */
const ended = new LuaSet<string>();

/** Whether the rooms of an account are known: its record has been read, or it has none. */
export function isKnown(username: string): boolean {
    return isListed && !unread.has(username);
}

/** Whether an address belongs to an account with unknown rooms. Stanzas of rooms to it must be dropped. */
export function isTooEarly(jid: string): boolean {
    return !isAllKnown() && isOccupantJid(jid) && !isKnown(jids.node(jid) ?? "");
}

/** Whether the rooms of all accounts are known. */
export function isAllKnown(): boolean {
    return isListed && next(unread)[0] === undefined;
}

type Listener = (this: void, usernames: string[]) => void;

/** Receives the accounts with records that have been read, in one or more calls. */
let onLoaded: Listener | undefined;

/**
 * Reads all memberships, and continues until storage answers. Each is lost at first. `loaded` gets the accounts that
 * were read, at once and later.
 */
export function load(loaded: Listener): void {
    onLoaded = loaded;
    if (options.anonymous) {
        startNumbers();
        loaded([]);
    } else if (loadUntil(math.huge) !== "done") {
        beginOutage();
    }
}

/** Data that one instance of the module hands to the next on a reload. */
export interface Loading {
    readonly isListed: boolean;
    readonly unread: LuaSet<string>;
    readonly ended?: LuaSet<string>;
}

export function loading(): Loading {
    return { isListed, unread, ended };
}

/** Continues the loading of the previous instance. */
export function restoreLoading(saved: Loading | undefined, loaded: Listener): void {
    onLoaded = loaded;
    isListed = saved?.isListed ?? true;
    for (const username of saved?.unread ?? new LuaSet<string>()) {
        unread.add(username);
    }
    for (const username of saved?.ended ?? new LuaSet<string>()) {
        ended.add(username);
    }
    if (loadUntil(0) !== "done") {
        beginOutage();
    }
}

function loadUntil(deadline: number): Progress {
    if (onLoaded === undefined || isAllKnown()) {
        return "done";
    }
    if (!isListed) {
        const usernames = hasNumbers() || startNumbers() ? listRecords(records) : undefined;
        if (usernames === undefined) {
            return "failing";
        }
        for (const username of usernames) {
            unread.add(username);
        }
        isListed = true;
        for (const username of membersOf(ended)) {
            if (isKnown(username)) {
                ended.delete(username);
            }
        }
    }
    return readUnread(deadline, onLoaded);
}

function readUnread(deadline: number, loaded: Listener): Progress {
    const done: string[] = [];
    let result: Progress = "done";
    for (const username of membersOf(unread)) {
        if (monotonic() > deadline) {
            result = "more";
            break;
        }
        const [isRead, record] = readRecord(records, username);
        if (isRead) {
            unread.delete(username);
            loadAccount(username, record);
            done.push(username);
        } else if (records.store.readsFail) {
            result = "failing";
            break;
        }
    }
    loaded(done);
    if (result === "done") {
        readBrokenAfter(FIRST_PAUSE);
    }
    return result;
}

/** First and longest pause in seconds before records are read again that are broken although others are not. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 900;

let isReadDue = false;

function readBrokenAfter(seconds: number): void {
    if (isReadDue || isAllKnown()) {
        return;
    }
    isReadDue = true;
    module.add_timer(seconds, () => {
        isReadDue = false;
        forEachInSlices(membersOf(unread), isKnownNow, () => {
            readBrokenAfter(Math.min(seconds * 2, LONGEST_PAUSE));
        });
        return undefined;
    });
}

onRetry(loadUntil);

/** Whether an account's rooms are known, after another attempt to read a broken record. */
export function isKnownNow(username: string): boolean {
    if (!isKnown(username) && isListed && onLoaded !== undefined) {
        const [isRead, record] = readRecord(records, username);
        if (isRead) {
            unread.delete(username);
            loadAccount(username, record);
            onLoaded([username]);
        }
    }
    return isKnown(username);
}

/** Notes that an account has ended. If its rooms are unknown, takeEnded() returns it once they are. */
export function noteEnded(username: string): void {
    if (!isKnownNow(username)) {
        ended.add(username);
    }
}

/** Returns those of the accounts that have ended before their rooms were known, once. */
export function takeEnded(usernames: string[]): string[] {
    const gone: string[] = [];
    for (const username of usernames) {
        if (ended.has(username)) {
            ended.delete(username);
            gone.push(username);
        }
    }
    return gone;
}

/** A malformed record affects its account or room only. */
function loadAccount(username: string, record: AccountRecord | undefined): void {
    if (record === undefined) {
        return;
    }
    const [done, problem] = pcall(loadRooms, username, record);
    if (!done) {
        module.log("warn", "Ignoring the rooms of %s: malformed record in minimix: %s", username, problem);
    } else if (hasFormerAddress(record)) {
        save(username);
    }
}
