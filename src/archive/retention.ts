// Lifetime of messages. Their time stamps are from the wall clock, which may be wrong by years. After a jump forward no
// message is deleted for a week.

import * as options from "../options";
import { monotonic, wallClock } from "../state/clock";
import { aliveAt, noteAlive } from "../state/numbers";

/**
 * Largest gain of the wall clock on the monotonic one, and longest downtime of the server, without suspicion, in
 * seconds.
 */
const JUMP = 3600;
const DOWNTIME = 7 * 86400;

/** Seconds until a clock that has jumped is trusted. */
const DOUBT = 7 * 86400;

/** The wall clock's lead over the monotonic clock at the last check. */
let lead = wallClock() - monotonic();

/** Whether the downtime of the server has been checked. */
let isStarted = false;

let doubtUntil = -math.huge;

/** Returns the time in seconds before which messages have expired. */
export function expiryTime(): number {
    lookAtClock();
    return monotonic() < doubtUntil ? -math.huge : wallClock() - options.archiveExpiresAfter;
}

function lookAtClock(): void {
    const now = wallClock();
    const latest = now - monotonic();
    const hasJumped = latest - lead > JUMP || (!isStarted && now - aliveAt() > DOWNTIME);
    lead = latest;
    isStarted = true;
    if (hasJumped && options.archiveExpiresAfter !== math.huge) {
        doubtUntil = monotonic() + DOUBT;
        module.log("warn", "The clock has jumped forward: no message is deleted for a week");
    }
}

/** Records that the server is running, unless the clock is not trusted. */
export function noteRunning(): void {
    lookAtClock();
    if (monotonic() >= doubtUntil) {
        noteAlive(wallClock());
    }
}
