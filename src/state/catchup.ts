// Messages that an account may have missed in a room, and messages since. Plain data, changed by archive/catchup.ts.

/** A message of the room that arrived after a possible gap. */
export interface Buffered {
    /** As the room would send it later, with a delay. */
    readonly stanza: Stanza;
    readonly when: number;
    /** Whether the attached sessions have received it. */
    readonly seen: boolean;
    /** Approximate memory in bytes. */
    readonly weight: number;
}

/** Result of the query to a room's archive. `unreached`: no answer. `failed`: our own storage failed. */
export type CatchUpOutcome = "complete" | "refused" | "unreached" | "failed";

export interface Querying {
    readonly step: "querying";
    readonly queryId: string;
    readonly tries: number;
    results: number;
    /** Results to be handled, oldest first, and their approximate memory in bytes. */
    readonly pending: Stanza[];
    weight: number;
    /** Takes the archive's answer, which came before all results were handled. */
    answered: ((this: void) => void) | undefined;
    /** Whether a result could not be stored. The page is then requested again. */
    failed: boolean;
}

/** The buffered messages are being moved into the log. */
export interface Draining {
    readonly step: "draining";
    /** The buffer overflowed, and the gap is given up. */
    readonly isFull: boolean;
    /** The current message is stored even if it is unknown whether the log has it. */
    isForced: boolean;
    /** Whether the current message could not be stored because storage failed. */
    failed: boolean;
}

/** The state of the catch-up. */
export type Progress =
    /** The archive will be asked. */
    | { readonly step: "idle" }
    /** A page was requested. */
    | Querying
    /** The archive was not reached, and is asked again later. */
    | { readonly step: "waiting"; readonly tries: number }
    /** The archive has answered. */
    | { readonly step: "done"; readonly outcome: "complete" | "refused" }
    | Draining;

/** A gap in an account's messages of a room, until it is filled or given up. */
export interface CatchUp {
    progress: Progress;
    /** Start of the buffering, in seconds. */
    readonly since: number;
    /** Where the gap begins, in seconds: the time of the last message before it, or of the join. Undefined until read. */
    start: number | undefined;
    /** The archive's id of the last message received, or of the message to start from. */
    position: string | undefined;
    /** Time in seconds before which messages may be older than the join, until one of them has also arrived live. */
    earliest: number | undefined;
    /** The last message that the account had when messages were requested from a time on. */
    last: Stanza | undefined;
    /** JIDs that the account had blocked when the archive was asked last. */
    blocked: LuaMap<string, unknown> | undefined;
    /** Messages since the gap. They go into the log after the missing ones. */
    buffer: Buffered[];
    /** Number of buffered messages that are in the log. */
    drained: number;
    /** Number of the next ones that came before the gap. Storage failed when they were to go into the log. */
    earlier?: number | undefined;
    /** Approximate memory of the others in bytes. */
    weight: number;
    /** Ids of buffered messages that were seen. An id is removed when the room sends the message as history, too. */
    readonly bufferedIds: LuaSet<string>;
    /** Number of messages that may still be requested. */
    left: number;
    /** Time of the latest message from the archive, in seconds. */
    latest: number;
    /** Whether new messages are appended to the log, whatever the room's clock says. */
    appendOutOfOrder: boolean;
}
