// Two clocks. Durations are measured by one that cannot be set. The wall clock may jump and is for stamps alone.

import * as time from "util.time";

/** Seconds of a clock that only goes forward, at the speed of time. It goes on over a reload, not over a restart. */
export function monotonic(): number {
    return time.monotonic();
}

/** Whole seconds since 1970. */
export function wallClock(): number {
    return os.time();
}
