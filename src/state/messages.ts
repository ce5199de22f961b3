// Messages in Prosody's archive stores.

import { handleOf, isAnswer, isUnreadable, newStore, readFailed, type Store, TRIAL, writeFailed } from "./driver";
import * as st from "util.stanza";
import * as xml from "util.xml";
import { weightOf } from "../weight";
import { listKeys } from "./records";

export type Messages = Store<ArchiveStore>;

/** A stored message. */
export interface Stored {
    readonly id: string;
    readonly stanza: Stanza;
    readonly when: number;
    readonly label: string;
    /** As stored by appendText(). */
    readonly text: string | undefined;
    /** Approximate memory in bytes. */
    readonly weight: number;
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

/** Stores the text of a message, as written by textOf(), at the end. Returns whether this worked. */
export function appendText(messages: Messages, key: string, text: string, when: number, label: string): boolean {
    const element = st.stanza(TEXT);
    // text() would check the characters again, and could raise an error.
    (element as unknown as string[]).push(text);
    return appendMessage(messages, key, element, when, label)[0] === "stored";
}

/** Converts a stored stanza. Malformed text gives an empty message, because one item less could end a walk. */
function storedAs(id: string, stored: Stanza, when: unknown, label: unknown): Stored {
    const text = stored.name === TEXT ? stored.get_text() : undefined;
    const stanza = text === undefined ? stored : (xml.parse(`<message${text}`) ?? st.message());
    return {
        id,
        stanza,
        when: tonumber(when) ?? 0,
        label: typeof label === "string" ? label : "",
        text,
        weight: weightOf(stanza),
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
 * Returns the messages of a query. Undefined if the driver failed. Reads all at once: mod_storage_sql prepares a query
 * once, and another one would end the first (util/sql.lua, execute). Stops after `most` bytes of memory.
 */
export function findMessages(
    messages: Messages,
    key: string,
    query: ArchiveQuery,
    most: number = math.huge,
): Stored[] | undefined {
    if (isUnreadable(messages, key)) {
        return undefined;
    }
    const [done, found, problem] = tryCall(find, messages, key, query, most);
    if (!isAnswer(done, found, problem)) {
        readFailed(messages, key, done ? problem : found);
        return undefined;
    }
    messages.broken.delete(key);
    return (found as Stored[] | undefined) ?? [];
}

function find(
    this: void,
    messages: Messages,
    key: string,
    query: ArchiveQuery,
    most: number,
): LuaMultiReturn<[Stored[] | undefined, string | undefined]> {
    const [results, problem] = handleOf(messages).find(key, query);
    if (results === undefined || (results as unknown) === false) {
        return $multi(undefined, problem ?? "no reason given");
    }
    const found: Stored[] = [];
    let total = 0;
    for (const [id, stanza, when, label] of results) {
        const stored = storedAs(id, stanza, when, label);
        found.push(stored);
        total = total + stored.weight;
        // Most drivers build a message's stanza when it is requested, so large ones are not read before they are
        // needed.
        if (total >= most) {
            break;
        }
    }
    return $multi(found, undefined);
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
