import type { Version } from "../../e2e/support/prosody.ts";

/** Settings for a run of the cases. */
export interface Run {
    version: Version;
    rounds: number;
    /** Accounts in the larger room of the case "growth". */
    many: number;
    /** Accounts of the case "scale". */
    accounts: number;
}
