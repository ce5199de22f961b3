// What has happened, in plain numbers: some are counted for each stanza.

/** Why something was not passed on. */
export type DropReason =
    /** Presence of a room that the account is not in. */
    | "stray"
    /** An error that answers nothing a session has sent. */
    | "unclaimed"
    /** A room's archive spoke for somebody else, or an occupant for the room. */
    | "forged"
    /** A message that a service has sent to the bare JID as well. */
    | "copy"
    /** A session died before it acknowledged a stanza. */
    | "undelivered"
    /** Somebody is over a limit: refused, or not remembered. */
    | "limit"
    /** A session has too many IQs unanswered. */
    | "iq_limit"
    /** A room did not answer an IQ in time. */
    | "iq_timeout";

export interface Counters {
    /** Messages and presences from rooms. */
    copiesIn: number;
    /** Stanzas of rooms to sessions. */
    copiesOut: number;
    /** Of these, what the room would have had to send as well if each session had joined by itself. */
    copiesSaved: number;
    /** Sessions let in from what was known of the room. */
    replays: number;
    /** Accounts back in a room by themselves. */
    rejoins: number;
    archiveWrites: number;
    /** Calls of a storage driver that failed. */
    storageFailures: number;
    readonly drops: LuaMap<DropReason, number>;
}

export const counters: Counters = {
    copiesIn: 0,
    copiesOut: 0,
    copiesSaved: 0,
    replays: 0,
    rejoins: 0,
    archiveWrites: 0,
    storageFailures: 0,
    drops: new LuaMap(),
};

/** Counts what is dropped, or refused for a limit. */
export function noteDrop(reason: DropReason): void {
    counters.drops.set(reason, (counters.drops.get(reason) ?? 0) + 1);
}

/** Goes on from what an instance of the module before a reload has counted; it may have counted less. */
export function restoreCounters(saved: Partial<Counters>): void {
    const all = counters as unknown as LuaTable<keyof Counters, unknown>;
    for (const [name, value] of pairs(saved)) {
        all.set(name, value);
    }
}
