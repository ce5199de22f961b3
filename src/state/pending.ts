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

/** The ids of a session's pending IQs. */
interface SessionIqs {
    readonly keys: LuaSet<string>;
    count: number;
}

const iqsOfSession = new LuaMap<string, SessionIqs>();

/** Records an IQ before it is sent, and returns its new id. Undefined if the session has too many pending IQs. */
export function expectIqAnswer(session: string, room: string, request: Stanza): string | undefined {
    if ((iqsOfSession.get(session)?.count ?? 0) >= options.maxPendingIqs) {
        return undefined;
    }
    const key = `mm-${id.medium()}`;
    noteOfSession(session, key);
    pendingIqs.set(key, { session, room, expires: monotonic() + options.iqTimeout, request: st.clone(request, true) });
    return key;
}

function noteOfSession(session: string, key: string): void {
    const iqs = iqsOfSession.get(session) ?? { keys: new LuaSet(), count: 0 };
    iqs.keys.add(key);
    iqs.count = iqs.count + 1;
    iqsOfSession.set(session, iqs);
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
    const iqs = iqsOfSession.get(pending.session);
    if (iqs === undefined || iqs.count === 1) {
        iqsOfSession.delete(pending.session);
    } else {
        iqs.keys.delete(key);
        iqs.count = iqs.count - 1;
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
    for (const key of iqsOfSession.get(session)?.keys ?? new LuaSet<string>()) {
        pendingIqs.delete(key);
    }
    iqsOfSession.delete(session);
}

/** Takes over the pending IQs of the previous instance of the module. */
export function restorePendingIqs(saved: PendingIqs): void {
    for (const [key, pending] of saved) {
        pendingIqs.set(key, pending);
        noteOfSession(pending.session, key);
    }
}
