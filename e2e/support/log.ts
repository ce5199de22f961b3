// Checks the log of a server.

import assert from "node:assert/strict";

/** Fails if the log has an error that no pattern allows. `message` names the server and its log. */
export function assertNoErrors(
    log: string,
    isError: (line: string) => boolean,
    allowed: readonly RegExp[],
    message: string,
): void {
    const errors = log.split("\n").filter((line) => isError(line) && !allowed.some((pattern) => pattern.test(line)));
    assert.deepEqual(errors, [], message);
}
