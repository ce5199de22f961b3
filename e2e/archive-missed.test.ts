// spec/missed_spec.lua with PostgreSQL, which this test starts.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { versions as installations } from "../tools/versions.mjs";
import { versions } from "./support/prosody.ts";
import { backends, startStorage } from "./support/storage.ts";

for (const { version, lib } of installations.filter(({ version }) => versions.some((one) => one === version))) {
    test(
        `Prosody ${version}: H1: accounts that join and leave read exactly their messages, on PostgreSQL`,
        {
            skip: !backends.includes("PostgreSQL"),
        },
        async () => {
            const storage = await startStorage("PostgreSQL");
            const { status, stdout } = spawnSync(
                "busted",
                ["--output=plainTerminal", "--filter=PostgreSQL", "spec/missed_spec.lua"],
                {
                    encoding: "utf8",
                    env: {
                        MINIMIX_STORIES: "2",
                        MINIMIX_SEED: "1",
                        ...process.env,
                        PROSODY_LIB: lib,
                        MINIMIX_POSTGRES: storage.sql,
                    },
                },
            );
            await storage.stop();
            assert.equal(status, 0, stdout);
            assert.match(stdout, /^1 success/m);
        },
    );
}
