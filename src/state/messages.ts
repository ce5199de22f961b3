// Messages in Prosody's archive stores.

import { handleOf, isAnswer, isUnreadable, newStore, readFailed, type Store, TRIAL, writeFailed } from "./driver";
import * as st from "util.stanza";
import * as storagemanager from "core.storagemanager";
import * as datamanager from "util.datamanager";
import { parse } from "../parse";
import { weightOf } from "../weight";
import { listKeys } from "./records";

export type Messages = Store<ArchiveStore>;

/** The content of a stored message. A message that appendText() has stored remains text, until it is needed. */
export type Content = Stanza | string;

/** A stored message. */
export interface Stored {
    readonly id: string;
    readonly content: Content;
    readonly when: number;
    readonly label: string;
    /** Approximate memory in bytes. */
    readonly weight: number;
}

/** Some of the messages of a query. */
export interface Found {
    readonly messages: Stored[];
    /** Whether the read ended because of their size. */
    readonly isCut: boolean;
    /** The results that are left. Undefined if there are none, or the driver cannot continue them. */
    readonly rest: ArchiveResults | undefined;
}

/** Deepest nesting of elements that storage is expected to store. */
const DEEPEST = 50;

function tryRead(this: void, handle: ArchiveStore): LuaMultiReturn<[unknown, unknown]> {
    const [stanza, problem] = handle.get(TRIAL, TRIAL);
    return $multi(stanza, problem);
}

/** Declares a store of messages. */
export function openMessages(name: string): Messages {
    return newStore<ArchiveStore>(name, () => module.open_store(name, "archive"), tryRead);
}

/** Returns the keys with messages. Undefined if the driver failed. */
export function listMessages(messages: Messages): string[] | undefined {
    return listKeys(messages);
}

/** `refused`: the driver cannot store this message. */
export type Appended = "stored" | "failed" | "refused";

/** Stores a message at the end. Returns the outcome and the id. If the store is full, deletes the oldest messages. */
export function appendMessage(
    messages: Messages,
    key: string,
    stanza: Stanza,
    when: number,
    label: string,
): LuaMultiReturn<[Appended, string | undefined]> {
    if (messages.writesFail) {
        return $multi("failed", undefined);
    }
    let [done, id, problem] = tryCall(append, messages, key, stanza, when, label);
    if (done && problem === "quota-limit" && truncate(messages, key)) {
        [done, id, problem] = tryCall(append, messages, key, stanza, when, label);
    }
    if (done && typeof id === "string") {
        messages.failedKey = undefined;
        return $multi("stored", id);
    }
    if (depthOf(stanza) > DEEPEST) {
        return $multi("refused", undefined);
    }
    writeFailed(messages, key, done ? problem : id);
    return $multi("failed", undefined);
}

/** The element of a message that is stored as text. Drivers copy and serialise the many tables of a stanza slowly. */
const TEXT = "text";

/** Bytes of a stored message without its text. */
const STORED = 320;

/** Stores the text of a message, as written by textOf(), at the end. Returns whether this worked. */
export function appendText(messages: Messages, key: string, text: string, when: number, label: string): boolean {
    const element = st.stanza(TEXT);
    // text() would check the characters again, and could raise an error.
    (element as unknown as string[]).push(text);
    return appendMessage(messages, key, element, when, label)[0] === "stored";
}

/** Returns the message. Malformed text gives an empty one, because one item less could end a walk. */
export function messageOf(content: Content): Stanza {
    return typeof content === "string" ? (parse("message", content) ?? st.message()) : content;
}

function storedAs(id: string, stanza: Stanza, when: unknown, label: unknown): Stored {
    const text = stanza.name === TEXT ? stanza.get_text() : undefined;
    return {
        id,
        content: text ?? stanza,
        when: tonumber(when) ?? 0,
        label: typeof label === "string" ? label : "",
        weight: text === undefined ? weightOf(stanza) : STORED + string.len(text),
    };
}

function append(
    this: void,
    messages: Messages,
    key: string,
    stanza: Stanza,
    when: number,
    label: string,
): LuaMultiReturn<[unknown, string | undefined]> {
    return handleOf(messages).append(key, undefined, stanza, when, label);
}

/** Deletes the oldest messages, as mod_mam does. Many at a time, because mod_storage_internal rewrites all others. */
function truncate(messages: Messages, key: string): boolean {
    const quota = handleOf(messages).caps?.quota;
    return quota !== undefined && deleteMessages(messages, key, { truncate: math.floor(quota * 0.9) });
}

function depthOf(stanza: Stanza): number {
    let deepest = 0;
    for (const tag of stanza.tags) {
        deepest = Math.max(deepest, depthOf(tag));
    }
    return deepest + 1;
}

/**
 * Returns the messages of a query. Undefined if the driver failed. Stops after `most` bytes of memory: most drivers build
 * a message's stanza when it is requested, so large ones are not read before they are needed.
 */
export function findMessages(
    messages: Messages,
    key: string,
    query: ArchiveQuery,
    most: number = math.huge,
): Stored[] | undefined {
    return findSome(messages, key, query, most)?.messages;
}

/** Does the same as findMessages(), and returns the results that are left. */
export function findSome(messages: Messages, key: string, query: ArchiveQuery, most: number): Found | undefined {
    return readResults(messages, key, find, query, most);
}

/** Reads more of the results of a query, up to `most` bytes of memory. Undefined if the driver failed. */
export function findMore(messages: Messages, key: string, rest: ArchiveResults, most: number): Found | undefined {
    return readResults(messages, key, take, rest, most);
}

function readResults<S>(
    messages: Messages,
    key: string,
    read: (this: void, messages: Messages, key: string, source: S, most: number) => LuaMultiReturn<[unknown, unknown]>,
    source: S,
    most: number,
): Found | undefined {
    if (isUnreadable(messages, key)) {
        return undefined;
    }
    const [done, found, problem] = tryCall(read, messages, key, source, most);
    if (!isAnswer(done, found, problem)) {
        readFailed(messages, key, done ? problem : found);
        return undefined;
    }
    messages.broken.delete(key);
    return (found as Found | undefined) ?? { messages: [], isCut: false, rest: undefined };
}

function find(
    this: void,
    messages: Messages,
    key: string,
    query: ArchiveQuery,
    most: number,
): LuaMultiReturn<[Found | undefined, string | undefined]> {
    const [results, problem] = handleOf(messages).find(key, query);
    if (results === undefined || (results as unknown) === false) {
        return $multi(undefined, problem ?? "no reason given");
    }
    return take(messages, key, results, most);
}

function take(
    this: void,
    messages: Messages,
    _key: string,
    results: ArchiveResults,
    most: number,
): LuaMultiReturn<[Found | undefined, string | undefined]> {
    const found: Stored[] = [];
    let total = 0;
    for (const [id, stanza, when, label] of results) {
        const stored = storedAs(id, stanza, when, label);
        found.push(stored);
        total = total + stored.weight;
        if (total >= most) {
            return $multi(
                { messages: found, isCut: true, rest: canContinue(messages) ? results : undefined },
                undefined,
            );
        }
    }
    return $multi({ messages: found, isCut: false, rest: undefined }, undefined);
}

/**
 * Whether the driver's results remain valid after other queries, and take no memory. mod_storage_internal of 13.0 does:
 * it reads from files that are replaced as a whole. mod_storage_sql prepares a query once, and another one would end the
 * first (util/sql.lua, execute).
 */
function canContinue(messages: Messages): boolean {
    const [, driver] = storagemanager.get_driver(module.host, messages.name);
    return driver === "internal" && datamanager.list_open !== undefined;
}

/** Whether a query with these limits may have more messages than were found. */
export function mayHaveMore(found: Stored[], limit: number, most: number): boolean {
    let total = 0;
    for (const { weight } of found) {
        total = total + weight;
    }
    return found.length >= limit || total >= most;
}

/** Returns whether the read succeeded, and the message with an id. */
export function getMessage(messages: Messages, key: string, id: string): LuaMultiReturn<[boolean, Stored | undefined]> {
    if (isUnreadable(messages, key)) {
        return $multi(false, undefined);
    }
    const [done, stanza, when, label] = tryCall(getOne, messages, key, id);
    if (!isAnswer(done, stanza, when)) {
        readFailed(messages, key, done ? when : stanza);
        return $multi(false, undefined);
    }
    return $multi(true, stanza === undefined ? undefined : storedAs(id, stanza as Stanza, when, label));
}

function getOne(
    this: void,
    messages: Messages,
    key: string,
    id: string,
): LuaMultiReturn<[Stanza, number, string | undefined] | [undefined, string | undefined, undefined]> {
    return handleOf(messages).get(key, id);
}

/** Deletes the messages of a query, or all of a key. Returns whether this worked. */
export function deleteMessages(messages: Messages, key: string, query?: ArchiveQuery): boolean {
    if (messages.writesFail) {
        return false;
    }
    const [done, result, problem] = tryCall(remove, messages, key, query);
    if (!isAnswer(done, result === false ? undefined : result, problem)) {
        writeFailed(messages, key, done ? problem : result);
        return false;
    }
    return true;
}

function remove(
    this: void,
    messages: Messages,
    key: string,
    query: ArchiveQuery | undefined,
): LuaMultiReturn<[unknown, string | undefined]> {
    return handleOf(messages).delete(key, query);
}
