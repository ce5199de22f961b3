// Common part of stores of records (records.ts) and messages (messages.ts): a driver of Prosody that may fail. Drivers
// return `nil, err` or `false, err`, or raise an error. The module sees three outcomes: a value, nothing stored,
// failed.

import { monotonic } from "./clock";
import { counters } from "./counters";
import { beginOutage, isOutage, onRecovery } from "./outage";

export interface Store<S> {
    readonly name: string;
    /** Opened again after a failure: Prosody replaces a driver that does not load by one that always fails. */
    handle: S | undefined;
    readonly open: (this: void) => S;
    /** Reads an unused key, to find out whether the driver works. */
    readonly tryRead: (this: void, handle: S) => LuaMultiReturn<[unknown, unknown]>;
    /** Whether the driver is not called before the next retry. */
    readsFail: boolean;
    writesFail: boolean;
    /** The key of the last write, if that failed. If the next write fails with another key, no write is tried. */
    failedKey: string | undefined;
    /** Records that cannot be read although others can, and the time of the next attempt. */
    readonly broken: LuaMap<string, number>;
}

/** The key of the host's own record. */
export const HOST = "";

/** A key that no account has, because nodeprep forbids it. */
export const TRIAL = "@";

/** Seconds between two reads of a broken record. */
const BROKEN_PAUSE = 2;

const stores: Store<unknown>[] = [];

/** Declares a store. It is opened at its first use. */
export function newStore<S>(name: string, open: Store<S>["open"], tryRead: Store<S>["tryRead"]): Store<S> {
    const store: Store<S> = {
        name,
        handle: undefined,
        open,
        tryRead,
        readsFail: false,
        writesFail: false,
        failedKey: undefined,
        broken: new LuaMap(),
    };
    stores.push(store as Store<unknown>);
    return store;
}

/** Returns the driver. */
export function handleOf<S>(store: Store<S>): S {
    store.handle ??= store.open();
    return store.handle;
}

/** Whether a driver has returned a value or "nothing stored". */
export function isAnswer(done: boolean, value: unknown, problem: unknown): boolean {
    return done && value !== false && (value !== undefined || problem === undefined || problem === "item-not-found");
}

/** Whether a read of this record, or of all records, has just failed. */
export function isUnreadable<S>(store: Store<S>, key: string): boolean {
    const nextTry = store.broken.get(key);
    return store.readsFail || (nextTry !== undefined && monotonic() < nextTry);
}

/** Records a failed read. Without a key, the list of all keys could not be read. */
export function readFailed<S>(store: Store<S>, key: string | undefined, problem: unknown): void {
    if (key === undefined || !works(store)) {
        store.readsFail = true;
        noteFailure(store.name, key, "read", problem);
        return;
    }
    counters.storageFailures = counters.storageFailures + 1;
    if (!store.broken.has(key)) {
        const owner = key === HOST ? module.host : key;
        module.log("error", "The record of %s in %s cannot be read: %s", owner, store.name, problem);
    }
    store.broken.set(key, monotonic() + BROKEN_PAUSE);
}

/** Records a failed write. The caller keeps the data. */
export function writeFailed<S>(store: Store<S>, key: string, problem: unknown): void {
    store.writesFail = store.failedKey !== undefined && store.failedKey !== key;
    store.failedKey = key;
    noteFailure(store.name, key, "write", problem);
}

/** Whether a store can be read at all. */
function works<S>(store: Store<S>): boolean {
    const [done, value, problem] = tryCall(readTrial, store as Store<unknown>);
    if (problem === COMMIT_FAILED) {
        reconnect();
    }
    return isAnswer(done, value, problem);
}

/** The error of util.sql if a transaction cannot end. */
const COMMIT_FAILED = "commit failed";

interface SqlEngine {
    conn?: { close(): void } | undefined;
}

/** The connections of mod_storage_sql, by address. */
const engines = module.shared<Record<string, SqlEngine>>("/*/sql/connections");

/** The connections in use, by address. */
let connections: Record<string, SqlEngine["conn"]> = {};

/**
 * Refers to the connections in use. Without it, a lost connection is freed before util.sql frees its statements, and
 * LuaDBI crashes the server when these are freed.
 */
export function keepConnections(): void {
    const inUse: Record<string, SqlEngine["conn"]> = {};
    for (const [address, engine] of pairs(engines)) {
        inUse[address] = engine.conn ?? connections[address];
    }
    connections = inUse;
}

onRecovery(keepConnections);

/**
 * Closes the connections of mod_storage_sql, which then connects again. After SQLite was locked, LuaDBI may have no
 * open transaction, and all later ones fail. util.sql does not notice, because the connection is up.
 */
function reconnect(): void {
    for (const [, engine] of pairs(engines)) {
        engine.conn?.close();
        engine.conn = undefined;
    }
}

function readTrial(this: void, store: Store<unknown>): LuaMultiReturn<[unknown, unknown]> {
    return store.tryRead(handleOf(store));
}

function noteFailure(name: string, key: string | undefined, verb: string, problem: unknown): void {
    counters.storageFailures = counters.storageFailures + 1;
    if (!isOutage()) {
        const what = key === undefined || key === HOST ? name : `${name} of ${key}`;
        module.log("error", "Storage fails, retrying: could not %s %s: %s", verb, what, problem);
    }
    beginOutage();
}

/** Enables failed stores again if they can be read. Returns whether all can. */
export function reopenStores(): boolean {
    let result = true;
    for (const store of stores) {
        if (store.readsFail || store.failedKey !== undefined) {
            store.handle = undefined;
            store.writesFail = false;
            store.failedKey = undefined;
        }
        store.readsFail = store.readsFail && !works(store);
        result = result && !store.readsFail;
    }
    return result;
}
