// What the stores of records (records.ts) and of messages (messages.ts) have in common: a driver of Prosody's that may fail.
// Drivers answer `nil, err` or `false, err`, or raise an error. The rest of the module sees three outcomes: a value,
// nothing there, failed.

import { monotonic } from "./clock";
import { counters } from "./counters";
import { beginOutage, isOutage } from "./outage";

export interface Store<S> {
    readonly name: string;
    /** Opened again after a failure: Prosody replaces a driver that does not load by one that fails for ever. */
    handle: S | undefined;
    readonly open: (this: void) => S;
    /** Reads a key that nothing is stored under, in order to know whether the driver works. */
    readonly tryRead: (this: void, handle: S) => LuaMultiReturn<[unknown, unknown]>;
    /** Whether the driver is not called before the next retry. */
    readsFail: boolean;
    writesFail: boolean;
    /** The key of the last write, if that failed. If the next one fails under another key, no write is tried. */
    failedKey: string | undefined;
    /** Records that cannot be read though others can, and when the next try is. */
    readonly broken: LuaMap<string, number>;
}

/** The key of the host's own record. */
export const HOST = "";

/** A key that no account has, since nodeprep forbids it. */
export const TRIAL = "@";

/** Seconds between two reads of a record that is broken. */
const BROKEN_PAUSE = 60;

const stores: Store<unknown>[] = [];

/** A store that is opened when it is first used. */
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

/** The driver. */
export function handleOf<S>(store: Store<S>): S {
    store.handle ??= store.open();
    return store.handle;
}

/** Whether an answer says that there is nothing, or what there is. */
export function isAnswer(done: boolean, value: unknown, problem: unknown): boolean {
    return done && value !== false && (value !== undefined || problem === undefined || problem === "item-not-found");
}

/** Whether reading has failed a moment ago, of this record or of all. */
export function isUnreadable<S>(store: Store<S>, key: string): boolean {
    const nextTry = store.broken.get(key);
    return store.readsFail || (nextTry !== undefined && monotonic() < nextTry);
}

/** Without a key, it was the list of all keys that could not be read. */
export function readFailed<S>(store: Store<S>, key: string | undefined, problem: unknown): void {
    if (key === undefined || !works(store)) {
        store.readsFail = true;
        noteFailure(store.name, key, "read", problem);
        return;
    }
    counters.storageFailures = counters.storageFailures + 1;
    if (!store.broken.has(key)) {
        module.log("error", "The record of %s in %s cannot be read: %s", key, store.name, problem);
    }
    store.broken.set(key, monotonic() + BROKEN_PAUSE);
}

/** A write failed; the caller keeps what is to be written. */
export function writeFailed<S>(store: Store<S>, key: string, problem: unknown): void {
    store.writesFail = store.failedKey !== undefined && store.failedKey !== key;
    store.failedKey = key;
    noteFailure(store.name, key, "write", problem);
}

/** Whether a store can be read at all. */
function works<S>(store: Store<S>): boolean {
    const [done, value, problem] = tryCall(readTrial, store as Store<unknown>);
    return isAnswer(done, value, problem);
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

/** Lets stores that failed be called again, if they can be read; whether all can. */
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
