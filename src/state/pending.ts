// The IQs that rooms still have to answer, and the sessions they were sent for.

import { monotonic } from "./clock";
import * as id from "util.id";
import * as st from "util.stanza";
import * as options from "../options";

export interface PendingIq {
    readonly session: string;
    readonly room: string;
    readonly expires: number;
    /** The client's request without its payload: whom to answer, and with which id. */
    readonly request: Stanza;
}

export type PendingIqs = LuaMap<string, PendingIq>;

/** By the id they were sent with. */
export const pendingIqs: PendingIqs = new LuaMap();
const iqsOfSession = new LuaMap<string, number>();

/** Notes an IQ that is about to leave and gives the id to send it with; undefined when the session has too many open. */
export function expectIqAnswer(session: string, room: string, request: Stanza): string | undefined {
    const open = iqsOfSession.get(session) ?? 0;
    if (open >= options.maxPendingIqs) {
        return undefined;
    }
    iqsOfSession.set(session, open + 1);
    const key = `mm-${id.medium()}`;
    pendingIqs.set(key, { session, room, expires: monotonic() + options.iqTimeout, request: st.clone(request, true) });
    return key;
}

/** The IQ that an answer from a room belongs to; it is not pending any more. */
export function takeIq(key: string, room: string): PendingIq | undefined {
    const pending = pendingIqs.get(key);
    if (pending?.room !== room) {
        return undefined;
    }
    forgetIq(key, pending);
    return pending;
}

function forgetIq(key: string, pending: PendingIq): void {
    pendingIqs.delete(key);
    const open = (iqsOfSession.get(pending.session) ?? 1) - 1;
    if (open > 0) {
        iqsOfSession.set(pending.session, open);
    } else {
        iqsOfSession.delete(pending.session);
    }
}

/** Forgets the IQs whose time is over by then and returns them. */
export function takeExpiredIqs(now: number): PendingIq[] {
    const expired: PendingIq[] = [];
    for (const [key, pending] of pendingIqs) {
        if (pending.expires <= now) {
            expired.push(pending);
            forgetIq(key, pending);
        }
    }
    return expired;
}

/** Forgets the IQs of a session that is gone; late answers are dropped. */
export function forgetIqsOf(session: string): void {
    for (const [key, pending] of pendingIqs) {
        if (pending.session === session) {
            forgetIq(key, pending);
        }
    }
}

/** Takes over the IQs that an instance of the module before a reload has sent. */
export function restorePendingIqs(saved: PendingIqs): void {
    for (const [key, pending] of saved) {
        pendingIqs.set(key, pending);
        iqsOfSession.set(pending.session, (iqsOfSession.get(pending.session) ?? 0) + 1);
    }
}
