// Counters of the module. Plain numbers, because some change with each stanza.

/** Reasons for dropping a stanza. */
export type DropReason =
    /** Presence of a room that the account is not in. */
    | "stray"
    /** An error that belongs to no stanza of a session. */
    | "unclaimed"
    /** An archive result or a message with an invalid sender. */
    | "forged"
    /** A copy of a groupchat message to the bare JID. */
    | "copy"
    /** A session ended before it acknowledged a stanza. */
    | "undelivered"
    /** A limit was exceeded: a request was refused, or a presence was not cached. */
    | "limit"
    /** A session has too many pending IQs. */
    | "iq_limit"
    /** A room did not answer an IQ in time. */
    | "iq_timeout";

export interface Counters {
    /** Messages and presence from rooms. */
    copiesIn: number;
    /** Stanzas from rooms sent to sessions. */
    copiesOut: number;
    /** Stanzas saved compared with one join per session. */
    copiesSaved: number;
    /** Joins of sessions answered from the cache. */
    replays: number;
    /** Automatic rejoins of accounts. */
    rejoins: number;
    archiveWrites: number;
    /** Failed calls of storage drivers. */
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

/** Counts a dropped stanza, or a request over a limit. */
export function noteDrop(reason: DropReason): void {
    counters.drops.set(reason, (counters.drops.get(reason) ?? 0) + 1);
}

/** Takes over the counters of the previous instance, which may have fewer. */
export function restoreCounters(saved: Partial<Counters>): void {
    const all = counters as unknown as LuaTable<keyof Counters, unknown>;
    for (const [name, value] of pairs(saved)) {
        all.set(name, value);
    }
}
