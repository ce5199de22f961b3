// Two clocks. Durations are measured with one that nobody sets; the other one, which may jump, is for stamps alone.

import * as time from "util.time";

/** Seconds of a clock that only goes forward, at the speed of time. */
export function monotonic(): number {
    return time.monotonic();
}

/** Seconds since 1970, whole ones: for what is stamped. */
export function wallClock(): number {
    return os.time();
}
