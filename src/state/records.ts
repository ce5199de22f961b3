// Records of accounts in Prosody's storage. A failed write is repeated with the latest content until it succeeds. A
// record that could not be read is not overwritten.

import { monotonic } from "./clock";
import {
    handleOf,
    HOST,
    isAnswer,
    isUnreadable,
    newStore,
    readFailed,
    reopenStores,
    type Store,
    TRIAL,
    writeFailed,
} from "./driver";
import { membersOf } from "./keys";
import { beginOutage, onRetry, type Progress } from "./outage";

/** A store with one record for each account, or with one of the host under the key HOST. */
export interface Records<V> {
    readonly store: Store<KeyValueStore<V>>;
    /** Returns the current record. Undefined deletes it. */
    readonly content: (this: void, key: string) => V | undefined;
    /** Keys of records with a failed last write. */
    readonly dirty: LuaSet<string>;
}

const all: Records<unknown>[] = [];

/** Declares a store of records. */
export function openRecords<V>(name: string, content: (this: void, key: string) => V | undefined): Records<V> {
    const store = newStore<KeyValueStore<V>>(
        name,
        () => module.open_store<V>(name, "keyval"),
        (handle) => handle.get(TRIAL),
    );
    const records: Records<V> = { store, content, dirty: new LuaSet() };
    all.push(records as Records<unknown>);
    return records;
}

/** Returns whether the read succeeded, and the record. */
export function readRecord<V>(records: Records<V>, key: string): LuaMultiReturn<[boolean, V | undefined]> {
    const store = records.store;
    if (isUnreadable(store, key)) {
        return $multi(false, undefined);
    }
    const [done, value, problem] = tryCall(get, store as Store<KeyValueStore<unknown>>, key);
    if (!isAnswer(done, value, problem)) {
        readFailed(store, key, done ? problem : value);
        return $multi(false, undefined);
    }
    store.broken.delete(key);
    return $multi(true, value as V | undefined);
}

function get(
    this: void,
    store: Store<KeyValueStore<unknown>>,
    key: string,
): LuaMultiReturn<[unknown, string | undefined]> {
    return handleOf(store).get(key === HOST ? undefined : key);
}

/** Writes a record, or marks it to be written later. Returns whether it is written. */
export function writeRecord<V>(records: Records<V>, key: string): boolean {
    if (records.store.writesFail || records.dirty.has(key)) {
        records.dirty.add(key);
        beginOutage();
        return false;
    }
    return put(records as Records<unknown>, key);
}

function put(records: Records<unknown>, key: string): boolean {
    const [done, result, problem] = tryCall(set, records, key);
    if (!done || result !== true) {
        records.dirty.add(key);
        writeFailed(records.store, key, done ? problem : result);
        return false;
    }
    records.dirty.delete(key);
    records.store.failedKey = undefined;
    return true;
}

function set(
    this: void,
    records: Records<unknown>,
    key: string,
): LuaMultiReturn<[boolean | undefined, string | undefined]> {
    return handleOf(records.store).set(key === HOST ? undefined : key, records.content(key));
}

/**
 * Returns the accounts with a record. Undefined if the driver failed. Some drivers list the host's own record too:
 * mod_storage_sql as "", mod_storage_memory as a function.
 */
export function listRecords<V>(records: Records<V>): string[] | undefined {
    return listKeys(records.store);
}

/**
 * Returns the keys of a store as a list, because mod_storage_internal reads the folder as it iterates. Undefined if the
 * driver failed.
 */
export function listKeys<S extends { users(): LuaIterable<unknown> }>(store: Store<S>): string[] | undefined {
    if (store.readsFail) {
        return undefined;
    }
    const keys: string[] = [];
    const collect = () => {
        // The iterator of mod_storage_memory has a state that only a loop passes along.
        for (const key of handleOf(store).users()) {
            if (typeof key === "string" && key !== HOST) {
                keys.push(key);
            }
        }
    };
    const [done, problem] = tryCall(collect);
    if (!done) {
        readFailed(store, undefined, problem);
        return undefined;
    }
    return keys;
}

function writeDirty(records: Records<unknown>, deadline: number): Progress {
    for (const key of membersOf(records.dirty)) {
        if (records.store.writesFail) {
            return "failing";
        }
        if (monotonic() > deadline) {
            return "more";
        }
        put(records, key);
    }
    return next(records.dirty)[0] === undefined ? "done" : "failing";
}

onRetry((deadline) => {
    let result: Progress = reopenStores() ? "done" : "failing";
    for (const records of all) {
        const progress = writeDirty(records, deadline);
        if (progress === "failing" || result === "done") {
            result = progress;
        }
    }
    return result;
});

/** Counts the records that wait to be written. */
export function countDirty(): number {
    let count = 0;
    for (const records of all) {
        count = count + membersOf(records.dirty).length;
    }
    return count;
}

/** Records that wait to be written, by store: for the next instance of the module on a reload. */
export type Dirty = Record<string, LuaSet<string> | undefined>;

export function dirtyRecords(): Dirty {
    const dirty: Dirty = {};
    for (const records of all) {
        dirty[records.store.name] = records.dirty;
    }
    return dirty;
}

export function restoreDirty(saved: Dirty): void {
    for (const records of all) {
        const dirty = saved[records.store.name];
        if (dirty !== undefined) {
            for (const key of dirty) {
                records.dirty.add(key);
                beginOutage();
            }
        }
    }
}
