// Tests that the demo's claims are true and that it cleans up.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { releaseOf, versions } from "./support/prosody.ts";

const main = fileURLToPath(new URL("../demo/main.ts", import.meta.url));

for (const version of versions) {
    describe(`Prosody ${version}, demo`, () => {
        let folder: string;

        before(() => {
            folder = mkdtempSync(join(tmpdir(), "minimix-demo-"));
        });

        after(() => {
            rmSync(folder, { recursive: true });
        });

        /** Runs the demo, and interrupts it when a line matches. Returns its lines after a successful end. */
        async function run(environment: Record<string, string>, interruptAt?: RegExp): Promise<string[]> {
            const env = { ...process.env, NO_COLOR: "1", PROSODY: version, TMPDIR: folder, ...environment };
            const demo = spawn(process.execPath, ["--import", "tsx", main], {
                env,
                stdio: ["ignore", "pipe", "inherit"],
            });
            const ended = once(demo, "exit");
            const lines: string[] = [];
            for await (const line of createInterface(demo.stdout)) {
                lines.push(line);
                if (interruptAt?.test(line)) {
                    demo.kill("SIGINT");
                }
            }
            assert.deepEqual(await ended, [0, null]);
            return lines;
        }

        function leftovers(): string[] {
            return readdirSync(folder).filter((name) => name.startsWith("minimix-"));
        }

        test("plays the story with the expected results", async () => {
            const lines = await run({ ONCE: "1" });
            assert(lines.every((line) => line.length <= 100));
            assert(lines[0]?.includes(`Prosody ${releaseOf(version)}`), lines[0]);
            assert.equal(lines.filter((line) => line.startsWith("✓")).length, 6);
            const story = lines.join("\n").replace(/ +/g, " ");
            assert.match(story, / copies 3: alice\/laptop, alice\/phone, bob\/desk 2: alice\/minimix, bob\/minimix\n/);
            assert.match(story, / room sent 13 stanzas 0 stanzas\n/);
            assert.match(story, / laptop ← you were kicked \(code 307\) ← you were kicked \(code 307\)\n/);
            assert.deepEqual(leftovers(), []);
        });

        test("accepts the reader's client until it is interrupted", async () => {
            const lines = await run({ ONCE: "" }, /Ctrl-C/);
            assert.match(lines.join("\n"), / 127\.0\.0\.1, port \d+;[^]* tea@rooms\.localhost\n/);
            assert.deepEqual(leftovers(), []);
        });
    });
}
