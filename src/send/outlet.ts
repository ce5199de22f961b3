// Stanzas that a session receives in slices. All later stanzas of the module to the session wait behind them, so the
// order is kept.

import * as st from "util.stanza";
import { newQueues, type Step } from "../slices";
import { weightOf } from "../weight";

/** Approximate limit of the memory of waiting stanzas per session, in bytes. */
const MAX_WAITING = 4194304;

const outlets = newQueues();
const pending = outlets.pending;

/** Bytes of memory of waiting stanzas, by session. */
const waiting = new LuaMap<string, number>();

/** Whether a session receives stanzas in slices. */
export function isBusy(fullJid: string): boolean {
    return pending.has(fullJid);
}

/** Whether a stanza to a session must wait now. */
export function mustWait(fullJid: string): boolean {
    return pending.has(fullJid) && !outlets.isRunning(fullJid);
}

/** Whether too many stanzas wait for a session, so that further ones of the room are dropped. */
export function isFull(fullJid: string): boolean {
    const weight = waiting.get(fullJid);
    return weight !== undefined && weight > MAX_WAITING && mustWait(fullJid);
}

/** Sends stanzas to a session step by step. */
export function sendInSlices(fullJid: string, step: Step): void {
    outlets.add(fullJid, () => {
        const done = step();
        const queue = pending.get(fullJid);
        if (done && (queue === undefined || queue.count <= 1)) {
            waiting.delete(fullJid);
        }
        return done;
    });
}

/** Sends a lent stanza after all earlier ones. It is cloned. */
export function sendBehind(fullJid: string, stanza: Stanza, send: (this: void, stanza: Stanza) => void): void {
    const copy = st.clone(stanza);
    const weight = weightOf(copy);
    waiting.set(fullJid, (waiting.get(fullJid) ?? 0) + weight);
    sendInSlices(fullJid, () => {
        waiting.set(fullJid, (waiting.get(fullJid) ?? 0) - weight);
        send(copy);
        return true;
    });
}

/** Drops the waiting stanzas of a session that has ended. */
export function dropOutlet(fullJid: string): void {
    outlets.drop(fullJid);
    waiting.delete(fullJid);
}
