// Limits of requests per account, so that no account can disturb others.

import { monotonic } from "./clock";
import * as options from "../options";
import { type DropReason, noteDrop } from "./counters";

/** Remaining joins of an account, and when they were counted. Each 1/`options.joinRate` seconds adds one. */
interface Allowance {
    left: number;
    at: number;
}

/** Allowances that are not full, by username. */
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

/** Drops allowances that are full again. */
export function forgetAllowances(): void {
    const now = monotonic();
    for (const [username, allowance] of allowances) {
        if (allowance.left + (now - allowance.at) * options.joinRate >= options.joinBurst) {
            allowances.delete(username);
        }
    }
}

/** When each limit was last logged. */
const logged = new LuaMap<string, number>();

/** Seconds between two log lines about one limit. */
const PAUSE = 60;

/** Counts a request over a limit, and logs it. Each limit is logged once a minute, for any account. */
export function noteOver(limit: string, username: string, room: string, reason: DropReason = "limit"): void {
    noteDrop(reason);
    const now = monotonic();
    if (now - (logged.get(limit) ?? -PAUSE) >= PAUSE) {
        logged.set(limit, now);
        module.log("warn", "%s is over the limit %s with %s", username, limit, room);
    }
}
