// Runs the end-to-end tests of the files on the command line, or all. The numbers of passed, failed and skipped tests
// go to the file in $COUNTS.
import { readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** Files that take longest. They start first, so that none of them runs alone at the end. */
const longest = [
    ...["hostile", "federation", "upgrade", "bookmarks", "gateway", "make", "network", "outlive-kill", "outlive-house"],
    ...["outlive-ejabberd", "join", "push", "outage", "archive-sql", "outlive", "neighbours", "outlive-writes"],
    ...["requests", "limits-plain", "faults", "admin", "admin-install", "scenarios"],
].map((name) => `${name}.test.ts`);

const counts = { passed: 0, failed: 0, skipped: 0 };
const seconds = new Map();

function allFiles() {
    const files = readdirSync("e2e").filter((file) => file.endsWith(".test.ts"));
    const rank = (file) => (longest.includes(file) ? longest.indexOf(file) : longest.length);
    return files.sort((a, b) => rank(a) - rank(b)).map((file) => `e2e/${file}`);
}

/** Suites do not count, except for a failed hook, which no test reports. */
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

function note(type, data) {
    const outcome = outcomeOf(type, data);
    if (outcome !== undefined) {
        counts[outcome] += 1;
    }
    if (type === "test:fail") {
        process.exitCode = 1;
    }
    // Written at once, because a forced exit does not wait.
    writeFileSync(process.env.COUNTS, JSON.stringify(counts));
}

const chosen = process.argv.slice(2);
const files = (chosen.length > 0 ? chosen : allFiles()).map((file) => resolve(file));
const stream = run({
    files,
    // Tests mostly wait, for servers and for delays.
    concurrency: 2 * availableParallelism(),
    // For a whole file, on a slow machine.
    timeout: 900_000,
    forceExit: true,
});
for (const type of ["test:pass", "test:fail"]) {
    stream.on(type, (data) => note(type, data));
}
stream.on("test:complete", ({ name, details }) => {
    if (files.includes(name)) {
        seconds.set(basename(name), Math.round(details.duration_ms / 1000));
    }
});
process.on("exit", () => {
    const sorted = [...seconds].sort(([, a], [, b]) => b - a);
    console.log(`\nSeconds of each file: ${sorted.map((entry) => entry.join(" ")).join(", ")}`);
});
stream.compose(new spec()).pipe(process.stdout);
