// How long messages are kept. They are stamped by the wall clock, which may be wrong by years until somebody sets it: after
// a jump forward nothing is deleted until the clock has gone on for a week.

import * as options from "../options";
import { monotonic, wallClock } from "../state/clock";
import { aliveAt, noteAlive } from "../state/numbers";

/** Seconds by which the wall clock may gain on the monotonic one, and for which the server may be down, without doubt. */
const JUMP = 3600;
const DOWNTIME = 7 * 86400;

/** Seconds until a clock that has jumped is believed. */
const DOUBT = 7 * 86400;

/** The wall clock's lead over the monotonic one at the last look. */
let lead = wallClock() - monotonic();

/** Whether it has been looked how long the server was down. */
let isStarted = false;

let doubtUntil = -math.huge;

/** Messages from before this time, in seconds, have passed their time. */
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

/** Notes that the server is alive, by a clock that is not in doubt. */
export function noteRunning(): void {
    lookAtClock();
    if (monotonic() >= doubtUntil) {
        noteAlive(wallClock());
    }
}
