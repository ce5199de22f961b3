import { describe } from "node:test";

/** Makes suites that run at the same time, as they mostly wait. Each of them has a server of its own, and is `inTurn`. */
export function atOnce<T>(what: string, all: readonly T[], suite: (one: T) => void): void {
    describe(what, { concurrency: true }, () => {
        for (const one of all) {
            suite(one);
        }
    });
}

/** Otherwise tests run as their suite does. */
export const inTurn = { concurrency: 1 };
