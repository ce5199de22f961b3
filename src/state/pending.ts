// IQs that rooms have not answered, and the sessions that sent them.

import { monotonic } from "./clock";
import * as id from "util.id";
import * as st from "util.stanza";
import * as options from "../options";

export interface PendingIq {
    readonly session: string;
    readonly room: string;
    readonly expires: number;
    /** The client's request without its payload, to address the answer. */
    readonly request: Stanza;
}

export type PendingIqs = LuaMap<string, PendingIq>;

/** Pending IQs by the id that the module gave them. */
export const pendingIqs: PendingIqs = new LuaMap();
const iqsOfSession = new LuaMap<string, number>();

/** Records an IQ before it is sent, and returns its new id. Undefined if the session has too many pending IQs. */
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

/** Returns the pending IQ that a room's answer belongs to, and removes it. */
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

/** Removes and returns the IQs that have timed out. */
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

/** Removes the IQs of a session that has ended. Late answers are dropped. */
export function forgetIqsOf(session: string): void {
    for (const [key, pending] of pendingIqs) {
        if (pending.session === session) {
            forgetIq(key, pending);
        }
    }
}

/** Takes over the pending IQs of the previous instance of the module. */
export function restorePendingIqs(saved: PendingIqs): void {
    for (const [key, pending] of saved) {
        pendingIqs.set(key, pending);
        iqsOfSession.set(pending.session, (iqsOfSession.get(pending.session) ?? 0) + 1);
    }
}
