// The two clocks. Durations use a clock that cannot be set. The wall clock may jump, and is used for time stamps only.

import * as time from "util.time";

/** Returns seconds of a clock that only moves forward. It continues over a reload, not over a restart. */
export function monotonic(): number {
    return time.monotonic();
}

/** Returns full seconds since 1970. */
export function wallClock(): number {
    return os.time();
}
