// What one account may ask for, and how much of it in a time, so that it is nobody else's trouble.

import { monotonic } from "./clock";
import * as options from "../options";
import { type DropReason, noteDrop } from "./counters";

/** Joins that an account has left, and when that was counted; one is added at each turn of `options.joinRate`. */
interface Allowance {
    left: number;
    at: number;
}

/** Accounts whose allowance is not full, by user name. */
const allowances = new LuaMap<string, Allowance>();

/** Whether an account may join now. A device that starts joins all its rooms at once. */
export function mayJoin(username: string): boolean {
    const now = monotonic();
    const allowance = allowances.get(username) ?? { left: options.joinBurst, at: now };
    allowance.left = Math.min(options.joinBurst, allowance.left + (now - allowance.at) * options.joinRate);
    allowance.at = now;
    allowances.set(username, allowance);
    if (allowance.left < 1) {
        return false;
    }
    allowance.left = allowance.left - 1;
    return true;
}

/** Forgets the accounts that may join as if they never had. */
export function forgetAllowances(): void {
    const now = monotonic();
    for (const [username, allowance] of allowances) {
        if (allowance.left + (now - allowance.at) * options.joinRate >= options.joinBurst) {
            allowances.delete(username);
        }
    }
}

/** When a limit was last named in the log, by its name. */
const logged = new LuaMap<string, number>();

/** Seconds between two lines about one limit. */
const PAUSE = 60;

/** Counts that somebody is over a limit, and says so: a limit is named once a minute, whoever is over it. */
export function noteOver(limit: string, username: string, room: string, reason: DropReason = "limit"): void {
    noteDrop(reason);
    const now = monotonic();
    if (now - (logged.get(limit) ?? -PAUSE) >= PAUSE) {
        logged.set(limit, now);
        module.log("warn", "%s is over the limit %s with %s", username, limit, room);
    }
}
