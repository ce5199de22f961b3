// The make targets of CONTRIBUTING.md besides `make test`, each in its shortest form.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { versions } from "./support/prosody.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const contributing = readFileSync(join(repository, "CONTRIBUTING.md"), "utf8");
/** Runs the tests of a target apart from this test run (node:test), and in their short forms. */
const env = { ...process.env, NODE_TEST_CONTEXT: undefined, MINIMIX_LONG: undefined };

/** The arguments that make each target short, and its expected output. */
const commands: Record<string, { parameters: string[]; prints: RegExp[] }> = {
    fuzz: {
        parameters: ["MINIMIX_EVENTS=300", "MINIMIX_SEED=1"],
        prints: [/^random events: MINIMIX_SEED=\d+$/m, /^300 events$/m, /^3 successes \/ 0 failures/m],
    },
    missed: {
        parameters: ["MINIMIX_STORIES=1", "MINIMIX_SEED=1"],
        prints: [/^random stories: MINIMIX_SEED=\d+$/m, /^3 successes \/ 0 failures/m],
    },
    faults: {
        parameters: [`MINIMIX_FAULT=${versions.at(-1) ?? ""} on internal: S4: an outage of 0.8 s`],
        prints: [/✔ Prosody \S+ on internal: S4: an outage of 0\.8 s/, /^ℹ pass 1$/m],
    },
    soak: {
        parameters: ["MINIMIX_SOAK=30", "MINIMIX_SEED=1"],
        prints: [
            /^coming and going: MINIMIX_SEED=\d+$/m,
            /^\d+ messages, \d+ events in /m,
            /^1 success \/ 0 failures/m,
        ],
    },
    scenarios: {
        parameters: ["MINIMIX_STEPS=10", "MINIMIX_SEED=1", `PROSODY=${versions.at(-1) ?? ""}`],
        prints: [/\d+ steps from seed 1, /, /^ℹ pass 3$/m],
    },
    matrix: {
        parameters: [`MINIMIX_MATRIX=${versions.at(-1) ?? ""}, mod_minimix alone, internal`],
        prints: [/✔ c2s .*✔ websocket .*✔ bosh /s, /^ℹ pass 3$/m],
    },
    setups: {
        parameters: [`MINIMIX_SETUP=${versions.at(-1) ?? ""}, minimal`],
        prints: [/✔ \S+, minimal /, /^ℹ pass 1$/m],
    },
    bench: {
        parameters: ["BENCH=s2s,scale", "MINIMIX_ROUNDS=1", "MINIMIX_ACCOUNTS=3"],
        prints: [
            /, medians of 1 rounds$/m,
            /^from another server, 20 accounts, S=3 .*(ok|over)$/m,
            /^\.\.\. return, presences to a room, at the most +per account +0\.00 +1\.00 .*ok$/m,
        ],
    },
};

describe("the make targets", { concurrency: 2 }, () => {
    for (const [target, { parameters, prints }] of Object.entries(commands)) {
        test(`make ${target} ${parameters.join(" ")}`, async () => {
            const { stdout } = await promisify(execFile)("make", [target, ...parameters], {
                cwd: repository,
                env,
            });
            for (const pattern of prints) {
                assert.match(stdout, pattern);
            }
        });
    }
});

test("each target of CONTRIBUTING.md is run", () => {
    const elsewhere = ["build", "demo", "demo-web", "e2e", "install", "kills", "lint", "rock", "spec", "test"];
    const named = [...contributing.matchAll(/(?:^ {4}|`|=1 )make ([a-z0-9-]+)/gm)].map(([, target = ""]) => target);
    assert.deepEqual([...new Set(named)].sort(), [...elsewhere, ...Object.keys(commands)].sort());
});
