// A reporter for node:test that keeps the file named in COUNTS up to date: how many tests passed, failed and were
// skipped. Suites do not count, unless one of their hooks failed, which no test tells of.
import { writeFileSync } from "node:fs";

export default async function* count(events) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for await (const { type, data } of events) {
        const outcome = outcomeOf(type, data);
        if (outcome !== undefined) {
            counts[outcome] += 1;
            // At once, because --test-force-exit waits for nobody.
            writeFileSync(process.env.COUNTS, JSON.stringify(counts));
        }
    }
}

function outcomeOf(type, { name, file, details, skip, todo }) {
    const isSuite = details?.type === "suite";
    if (type === "test:fail") {
        const { failureType } = details.error;
        const isOwn = failureType !== "subtestsFailed" && (!isSuite || failureType === "hookFailed");
        return isOwn ? "failed" : undefined;
    }
    // A file without tests passes as one.
    if (type === "test:pass" && !isSuite && name !== file) {
        return skip === undefined && todo === undefined ? "passed" : "skipped";
    }
    return undefined;
}
