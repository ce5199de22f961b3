// What a session is sent in slices. While some of it is to come, all else that the module sends to the session waits behind it,
// so that the order is that of one go.

import * as st from "util.stanza";
import { newQueues, type Step } from "../slices";
import { weightOf } from "../weight";

/** Bytes of memory of what may wait for one session, about. */
const MAX_WAITING = 4194304;

const outlets = newQueues();

/** Bytes of memory of what waits for each session. */
const waiting = new LuaMap<string, number>();

/** The session that something is being sent to in slices right now. */
let sending: string | undefined;

/** Whether what is sent to a session now has to wait. */
export function mustWait(fullJid: string): boolean {
    return sending !== fullJid && outlets.length(fullJid) > 0;
}

/** Whether so much waits for a session that no more of what a room says can. */
export function isFull(fullJid: string): boolean {
    return (waiting.get(fullJid) ?? 0) > MAX_WAITING && mustWait(fullJid);
}

/** Sends something to a session step by step. */
export function sendInSlices(fullJid: string, step: Step): void {
    outlets.add(fullJid, () => {
        sending = fullJid;
        const done = step();
        sending = undefined;
        if (done && outlets.length(fullJid) <= 1) {
            waiting.delete(fullJid);
        }
        return done;
    });
}

/** Sends a stanza that is lent once all before it has been sent. */
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

/** Forgets what was to be sent to a session that is gone. */
export function dropOutlet(fullJid: string): void {
    outlets.drop(fullJid);
    waiting.delete(fullJid);
}
