// Which session sent a message that the room has not answered: its error is for that session and no other.

import { monotonic } from "./clock";
import * as cache from "util.cache";
import * as jids from "util.jid";

interface SentMessage {
    readonly id: string | undefined;
    /** The address it was sent to. */
    readonly to: string;
    /** Undefined once the session is gone. */
    session: string | undefined;
    /** In seconds. */
    readonly when: number;
}

/** Messages of one account to one room, in the order in which they were sent. */
export interface SentMessages {
    /** To the room, which reflects or refuses each. */
    readonly groupchat: SentMessage[];
    /** To occupants: only an error comes back. */
    readonly private: SentMessage[];
    /** Ids of the messages answered last: an error may come twice. */
    readonly answered: string[];
}

/** Messages that are remembered for one account and room. */
const MAX_GROUPCHAT = 512;
const MAX_PRIVATE = 64;
const MAX_ANSWERED = 16;

/** Seconds for which they are. */
const LIFETIME = 300;

/** Of accounts that are not in the room any more, by occupant JID and room. */
const retired = cache.new<SentMessages>(256);

export function newSent(): SentMessages {
    return { groupchat: [], private: [], answered: [] };
}

/** Notes which session sent a message. */
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

/** The room has reflected a message of the account: no error will come. Some services give it another id. */
export function noteReflected(sent: SentMessages, id: string | undefined): void {
    const messages = sent.groupchat;
    const message = takeById(messages, id) ?? table.remove<SentMessage>(messages, 1);
    if (message !== undefined) {
        noteAnswered(sent, message);
    }
}

/** Whether a message with this id has been sent to the room and not come back. */
export function awaitsReflection(sent: SentMessages | undefined, id: string | undefined): boolean {
    for (const message of sent?.groupchat ?? []) {
        if (message.id === id) {
            return true;
        }
    }
    return false;
}

/** The message that a room refuses. Undefined if none was sent, or it has been answered. */
export function takeRefused(sent: SentMessages, from: string, id: string | undefined): SentMessage | undefined {
    dropOld(sent.groupchat, math.huge);
    dropOld(sent.private, math.huge);
    const message = findRefused(sent, from, id === "" ? undefined : id);
    if (message !== undefined) {
        noteAnswered(sent, message);
    }
    return message;
}

/** By id and address; by id alone; else the first that the id or the address does not speak against. */
function findRefused(sent: SentMessages, from: string, id: string | undefined): SentMessage | undefined {
    const isPrivate = jids.resource(from) !== undefined;
    const messages = isPrivate ? sent.private : sent.groupchat;
    const others = isPrivate ? sent.groupchat : sent.private;
    if (id !== undefined) {
        const message = takeById(messages, id, from) ?? takeById(messages, id) ?? takeById(others, id);
        if (message !== undefined) {
            return message;
        }
        for (const answered of sent.answered) {
            if (answered === id) {
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
        if (sent.answered.length >= MAX_ANSWERED) {
            table.remove(sent.answered, 1);
        }
        sent.answered.push(message.id);
    }
}

/** The session is gone: a new session with its JID has sent none of this. */
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

/** The account is not in the room any more; what it has sent may still be refused. */
export function retireSent(occupant: string, room: string, sent: SentMessages | undefined): void {
    if (sent !== undefined && (sent.groupchat.length > 0 || sent.private.length > 0)) {
        retired.set(`${occupant} ${room}`, sent);
    }
}

/** What the account sent the last time it was in the room, if that is remembered. */
export function reviveSent(occupant: string, room: string): SentMessages | undefined {
    const key = `${occupant} ${room}`;
    const sent = retired.get(key);
    if (sent !== undefined) {
        retired.set(key, undefined);
    }
    return sent;
}

/** The same, for an error that comes when the account is out of the room. */
export function retiredSent(occupant: string, room: string): SentMessages | undefined {
    return retired.get(`${occupant} ${room}`);
}

/** A session is gone: see disownSent(). */
export function disownRetired(session: string): void {
    for (const [, sent] of retired.items()) {
        disownSent(sent, session);
    }
}
