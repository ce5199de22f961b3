import { describe } from "node:test";

/** Defines suites that run concurrently, because they mostly wait. Each has its own server, and is `inTurn`. */
export function atOnce<T>(what: string, all: readonly T[], suite: (one: T) => void): void {
    describe(what, { concurrency: true }, () => {
        for (const one of all) {
            suite(one);
        }
    });
}

/** Runs the tests of a suite one after the other. The default is the setting of the outer suite. */
export const inTurn = { concurrency: 1 };
