// A reporter for node:test that writes the numbers of passed, failed and skipped tests to the file in $COUNTS. Suites do
// not count, except for a failed hook, which no test reports.
import { writeFileSync } from "node:fs";

export default async function* count(events) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for await (const { type, data } of events) {
        const outcome = outcomeOf(type, data);
        if (outcome !== undefined) {
            counts[outcome] += 1;
            // Written at once, because --test-force-exit does not wait for reporters.
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
    // node:test reports a file without tests as one passed test.
    if (type === "test:pass" && !isSuite && name !== file) {
        return skip === undefined && todo === undefined ? "passed" : "skipped";
    }
    return undefined;
}
