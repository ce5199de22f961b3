// O1: every command of the README's chapters on installation, on Prosody as distributed, with the configuration shown
// there.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import * as tools from "../tools/versions.mjs";
import { blocksOf, chapters, commandsOf, read, repository } from "./support/documents.ts";
import { Stock } from "./support/stock.ts";

const chapter = chapters("Install", "Check that it works");
const [configuration = ""] = blocksOf(chapter, "lua");
const commands = commandsOf(chapter);

test("O1: the README lists exactly the module's options", () => {
    const source = read("src/options.ts");
    const names = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name).sort();
    const inSource = new Set(names(source, /"(minimix_\w+)"/g));
    // An option for tests only.
    inSource.delete("minimix_ready_text");
    inSource.delete("minimix_");
    assert.deepEqual(names(read("README.md"), /^\| `(minimix_\w+)` \|/gm), [...inSource]);
});

test("the README, the package and the sources have the same version", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const rockspecs = readdirSync(repository).filter((name) => name.endsWith(".rockspec"));
    assert.deepEqual(rockspecs, [`mod_minimix-${version}-1.rockspec`]);
    assert.match(read(rockspecs[0] ?? ""), new RegExp(`version = "${version}-1"`));
    assert(commands.some((command) => command.endsWith(`/mod_minimix-${version}-1.all.rock`)));
});

for (const installation of tools.versions.filter(({ installed }) => installed)) {
    describe(`Prosody ${installation.version}: installed`, () => {
        let stock: Stock;

        before(() => {
            assert(commands.length > 0 && configuration !== "");
        });

        const ways: [name: string, pattern: RegExp][] = [
            ["by make install", /^make install/],
            ["by a copy", /^cp /],
            ["as a package", /rock/],
        ];
        for (const [name, pattern] of ways) {
            test(name, async () => {
                stock = new Stock(installation, configuration);
                for (const command of commands.filter((line) => pattern.test(line))) {
                    await stock.run(command);
                }
                const path = await stock.start(() => stock.loadedFrom());
                assert(path.startsWith(stock.folder) && path.endsWith("/mod_minimix.lua"), path);
                await stock.start(async () => {
                    assert.match(await stock.run("prosodyctl shell 'minimix:stats()'"), /OK: 1 hosts/);
                });
                stock.remove();
            });
        }

        test("O1: from a package server", async () => {
            stock = new Stock(installation, configuration);
            await stock.run("make rock");
            await stock.run("luarocks-admin --lua-version=5.4 make-manifest .build/rocks");
            await stock.run("prosodyctl install --server=$PWD/.build/rocks mod_minimix");
            const path = await stock.start(() => stock.loadedFrom());
            assert.equal(path, join(stock.folder, "data/custom_plugins/share/lua/5.4/mod_minimix.lua"));
            stock.remove();
        });

        test("O1: prosodyctl check finds no problem", async () => {
            stock = new Stock(installation, configuration);
            for (const command of commands.filter((line) => /^make install|^prosodyctl check/.test(line))) {
                const output = await stock.run(command);
                assert.doesNotMatch(output, /minimix_|error/i, command);
            }
            stock.remove();
        });

        test("each command is run", () => {
            const tried = [...ways.map(([, pattern]) => pattern), /^prosodyctl check config$/];
            const others = commands.filter((line) => !tried.some((pattern) => pattern.test(line)));
            assert.deepEqual(others, []);
        });
    });
}
