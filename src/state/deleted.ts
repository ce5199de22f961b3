// Deleted accounts with private entries that are still in rooms' logs. A reload hands them to the next instance.

import { beginOutage } from "./outage";

/** The deletion of an account's private entries. */
export interface Deletion {
    readonly username: string;
    /** Rooms that are left. Undefined while the account's record cannot be read. */
    rooms: string[] | undefined;
    /** The number of the last entry before the deletion. A later account of the same name may have others. */
    readonly last: number;
}

export type Deletions = LuaSet<Deletion>;

/** Deletions that are not finished. */
export const deletions: Deletions = new LuaSet();

export function restoreDeletions(saved: Deletions): void {
    for (const deletion of saved) {
        deletions.add(deletion);
        beginOutage();
    }
}
