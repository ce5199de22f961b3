// Senders of messages that the room has not answered. An error goes to the session that sent the message, and to no
// other.

import { monotonic } from "./clock";
import * as cache from "util.cache";
import * as jids from "util.jid";

interface SentMessage {
    readonly id: string | undefined;
    /** The address of the message. */
    readonly to: string;
    /** Cleared when the session ends. */
    session: string | undefined;
    /** In seconds. */
    readonly when: number;
}

/** Messages of one account to one room, in order of sending. */
export interface SentMessages {
    /** Messages to the room, which reflects or refuses each. */
    readonly groupchat: SentMessage[];
    /** Messages to occupants. Only errors come back. */
    readonly private: SentMessage[];
    /** Ids of the last answered messages, because an error may come twice. */
    readonly answeredIds: string[];
}

/** Largest number of messages per account and room. */
const MAX_GROUPCHAT = 512;
const MAX_PRIVATE = 64;
const MAX_ANSWERED = 16;

/** Lifetime in seconds. */
const LIFETIME = 300;

/** Messages of accounts that have left the room, by occupant JID and room. */
const retired = cache.new<SentMessages>(256);

export function newSent(): SentMessages {
    return { groupchat: [], private: [], answeredIds: [] };
}

/** Records the session that sent a message. */
export function noteSent(sent: SentMessages, stanza: Stanza, session: string | undefined): void {
    const to = stanza.attr.to ?? "";
    const isGroupchat = stanza.attr.type === "groupchat";
    const messages = isGroupchat ? sent.groupchat : sent.private;
    dropOld(messages, isGroupchat ? MAX_GROUPCHAT : MAX_PRIVATE);
    messages.push({ id: stanza.attr.id, to, session, when: monotonic() });
}

function dropOld(messages: SentMessage[], limit: number): void {
    const oldest = monotonic() - LIFETIME;
    let first = messages[0];
    while (first !== undefined && (messages.length >= limit || first.when < oldest)) {
        table.remove(messages, 1);
        first = messages[0];
    }
}

/** The room has reflected a message, so no error will follow. Some services change the id. */
export function noteReflected(sent: SentMessages, id: string | undefined): void {
    const messages = sent.groupchat;
    const message = takeById(messages, id) ?? table.remove<SentMessage>(messages, 1);
    if (message !== undefined) {
        noteAnswered(sent, message);
    }
}

/** Whether a message with this id was sent to the room and has not been reflected. */
export function awaitsReflection(sent: SentMessages | undefined, id: string | undefined): boolean {
    for (const message of sent?.groupchat ?? []) {
        if (message.id === id) {
            return true;
        }
    }
    return false;
}

/** Returns the message that a room refuses. Undefined if there is none, or it has been answered. */
export function takeRefused(sent: SentMessages, from: string, id: string | undefined): SentMessage | undefined {
    dropOld(sent.groupchat, math.huge);
    dropOld(sent.private, math.huge);
    const message = findRefused(sent, from, id === "" ? undefined : id);
    if (message !== undefined) {
        noteAnswered(sent, message);
    }
    return message;
}

/**
 * Finds a message by id and address, or by id alone. Otherwise takes the first message that id and address do not rule
 * out.
 */
function findRefused(sent: SentMessages, from: string, id: string | undefined): SentMessage | undefined {
    const isPrivate = jids.resource(from) !== undefined;
    const messages = isPrivate ? sent.private : sent.groupchat;
    const others = isPrivate ? sent.groupchat : sent.private;
    if (id !== undefined) {
        const message = takeById(messages, id, from) ?? takeById(messages, id) ?? takeById(others, id);
        if (message !== undefined) {
            return message;
        }
        for (const answeredIds of sent.answeredIds) {
            if (answeredIds === id) {
                return undefined;
            }
        }
    }
    const withoutId = id === undefined ? takeById(messages, undefined, from) : undefined;
    return withoutId ?? (isPrivate ? takeByAddress(messages, from) : (takeFirst(messages) ?? takeFirst(others)));
}

function takeFirst(messages: SentMessage[]): SentMessage | undefined {
    return table.remove<SentMessage>(messages, 1);
}

function takeById(messages: SentMessage[], id: string | undefined, to?: string): SentMessage | undefined {
    for (const i of $range(1, messages.length)) {
        const message = messages[i - 1];
        if (message !== undefined && message.id === id && (to === undefined || message.to === to)) {
            return table.remove<SentMessage>(messages, i);
        }
    }
    return undefined;
}

function takeByAddress(messages: SentMessage[], to: string): SentMessage | undefined {
    for (const i of $range(1, messages.length)) {
        const message = messages[i - 1];
        if (message?.to === to) {
            return table.remove<SentMessage>(messages, i);
        }
    }
    return undefined;
}

function noteAnswered(sent: SentMessages, message: SentMessage): void {
    if (message.id !== undefined) {
        if (sent.answeredIds.length >= MAX_ANSWERED) {
            table.remove(sent.answeredIds, 1);
        }
        sent.answeredIds.push(message.id);
    }
}

/** Clears an ended session, so that a new session with its JID does not get its errors. */
export function disownSent(sent: SentMessages | undefined, session: string): void {
    if (sent === undefined) {
        return;
    }
    for (const messages of [sent.groupchat, sent.private]) {
        for (const message of messages) {
            if (message.session === session) {
                message.session = undefined;
            }
        }
    }
}

/** Keeps the messages of an account that has left the room, because they may still be refused. */
export function retireSent(occupant: string, room: string, sent: SentMessages | undefined): void {
    if (sent !== undefined && (sent.groupchat.length > 0 || sent.private.length > 0)) {
        retired.set(`${occupant} ${room}`, sent);
    }
}

/** Returns the messages of the account's last stay in the room, if they are still kept. */
export function reviveSent(occupant: string, room: string): SentMessages | undefined {
    const key = `${occupant} ${room}`;
    const sent = retired.get(key);
    if (sent !== undefined) {
        retired.set(key, undefined);
    }
    return sent;
}

/** Returns the same for an error that arrives when the account is out. */
export function retiredSent(occupant: string, room: string): SentMessages | undefined {
    return retired.get(`${occupant} ${room}`);
}

/** Clears an ended session; see disownSent(). */
export function disownRetired(session: string): void {
    for (const [, sent] of retired.items()) {
        disownSent(sent, session);
    }
}
