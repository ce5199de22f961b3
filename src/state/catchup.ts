// What an account may have missed in a room, and what the room has said since. Plain data; archive/catchup.ts changes it.

/** What came from a room while there may be a gap before it. */
export interface Buffered {
    /** As the room would send it later, with a delay. */
    readonly stanza: Stanza;
    readonly when: number;
    /** The attached sessions have got it. */
    readonly seen: boolean;
    /** About the bytes of memory it occupies. */
    readonly weight: number;
}

/** How a room's archive answers; `unreached`: not at all. */
export type Outcome = "complete" | "refused" | "unreached";

export interface Asking {
    readonly step: "asking";
    readonly queryId: string;
    readonly tries: number;
    results: number;
    /** Storage failed under one of the results: the page has to be asked for again. */
    failed: boolean;
}

/** How far the catch-up has come. */
export type Progress =
    /** The archive is to be asked. */
    | { readonly step: "idle" }
    /** A page has been asked for. */
    | Asking
    /** The archive was not reached, and is asked again after a while. */
    | { readonly step: "waiting"; readonly tries: number }
    /** The archive has answered. */
    | { readonly step: "done"; readonly outcome: Outcome }
    /** What is buffered goes into the log. */
    | { readonly step: "draining" };

/** A gap in what an account got of a room, until it is filled or given up. */
export interface CatchUp {
    progress: Progress;
    /** Since when messages are buffered, in seconds. */
    readonly since: number;
    /** The archive's id of the last message that it has given, or of the one to ask from. */
    position: string | undefined;
    /** JIDs that the account has blocked, as it was when the archive was asked last. */
    blocked: LuaMap<string, unknown> | undefined;
    /** What came from the room since: it goes into the log once what is missing has its place. */
    buffer: Buffered[];
    /** How many of these are in the log. */
    drained: number;
    /** Bytes of memory of the rest, about. */
    weight: number;
    /** The ids of those that were seen; those that the room has given as of the past too are taken out. */
    readonly bufferedIds: LuaSet<string>;
    /** Messages that may still be asked for. */
    left: number;
    /** Whether what comes is later than all that the account has, whatever the room's clock says. */
    appendOutOfOrder: boolean;
}
