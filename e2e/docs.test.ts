// README and docs/: each command and each configuration in them works, and each name in them exists.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as tools from "../tools/versions.mjs";
import { type Client, connect } from "./support/client.ts";
import { blocksOf, chapters, commandsOf, documents, read, repository, rowsBelow } from "./support/documents.ts";
import { create } from "./support/muc.ts";
import { freePort, type Server, startServer, versions } from "./support/prosody.ts";
import { Stock } from "./support/stock.ts";
import { backends, startStorage } from "./support/storage.ts";

const readme = read("README.md");
const operations = read("docs/operations.md");
const room = "room@rooms.example.org";
/** A configuration without the module, to which snippets of the documents are added. */
const plain = chapters("Turn it on", "Check that it works");
const [turnedOn = ""] = blocksOf(plain, "lua");

/** The sources of the module in one text. */
const sources = execFileSync("find", [join(repository, "src"), "-name", "*.ts", "-exec", "cat", "{}", "+"], {
    encoding: "utf8",
});

const shellCommand = /^prosodyctl shell '(.*)'$/;

/** The commands that other tests run. */
const elsewhere = [
    ...commandsOf(chapters("Install", "Check that it works")),
    ...["make demo", "make demo-web"],
    "node tools/traceback.mjs < prosody.log",
];

test("each command is run", () => {
    const commands = documents.flatMap((path) => commandsOf(read(path)));
    assert.ok(commands.length > 10);
    assert.deepEqual(
        commands.filter((command) => !elsewhere.includes(command) && !shellCommand.test(command)),
        [],
    );
});

test("each block is a command, a configuration or an output", () => {
    const kinds = documents.flatMap((path) =>
        [...read(path).matchAll(/^```(\w*)\n[^]*?^```$/gm)].map(([, kind]) => kind),
    );
    // Commands without a name are those of docs/archive.md, which spec/docs_spec.lua runs.
    assert.deepEqual([...new Set(kinds)].sort(), ["", "lua", "sh", "text"]);
});

test("each link to a file is valid", () => {
    for (const path of [...documents, "CHANGELOG.md"]) {
        for (const [, target = ""] of read(path).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
            assert.ok(existsSync(join(repository, dirname(path), target)), `${path}: ${target}`);
        }
    }
});

test("tools/traceback.mjs adds the TypeScript line to a log", () => {
    const folder = mkdtempSync(join(tmpdir(), "minimix-log-"));
    const line = read("lua-out/mod_minimix.lua").split("\n").indexOf("module.load = function()") + 1;
    writeFileSync(join(folder, "prosody.log"), `error\tmod_minimix.lua:${line}: attempt to index a nil value\n`);
    const command = "node tools/traceback.mjs < prosody.log".replace("prosody.log", join(folder, "prosody.log"));
    assert.match(
        execFileSync("sh", ["-c", command], { cwd: repository, encoding: "utf8" }),
        /mod_minimix\.lua:\d+ \[src\/main\.ts:\d+\]: /,
    );
    rmSync(folder, { recursive: true });
});

test("the example of a spec passes", () => {
    const [example = ""] = blocksOf(read("CONTRIBUTING.md"), "lua");
    const folder = mkdtempSync(join(tmpdir(), "minimix-spec-"));
    const file = join(folder, "example_spec.lua");
    writeFileSync(file, `${example}\n`);
    assert.match(
        execFileSync("busted", ["--output=plainTerminal", file], { cwd: repository, encoding: "utf8" }),
        /^1 success \/ 0 failures \/ 0 errors/m,
    );
    rmSync(folder, { recursive: true });
});

test("O2: the log lines of the README are the module's", () => {
    const rows = rowsBelow(readme, "Troubleshooting");
    assert.ok(rows.length > 15);
    const texts = sources.replace(/" \+\n\s*"/g, "").replace(/%[sd]|\$\{[^}]*\}|" \+ \w+ \+ "/g, "…");
    for (const [line = ""] of rows.slice(1)) {
        assert.ok(texts.includes(line.replaceAll("`", "")), `${line} is in no source`);
    }
});

test("O2: the metrics of docs/operations.md are the module's", () => {
    const names = [...read("src/admin/metrics.ts").matchAll(/module\.metric\(\s*"\w+",\s*"(\w+)"/g)].map(
        ([, name]) => name,
    );
    const described = rowsBelow(operations, "Monitoring").map(([name = ""]) => /^`(\w+)/.exec(name)?.[1]);
    for (const name of names) {
        assert.ok(described.includes(name), `${name ?? ""} is not described`);
    }
    const [, reasons = ""] = /^export type DropReason =\n([^]*?);$/m.exec(read("src/state/counters.ts")) ?? [];
    for (const [, reason] of reasons.matchAll(/\| "(\w+)"/g)) {
        assert.ok(described.includes(reason), `${reason ?? ""} is not described`);
    }
});

test("the stores of the documents are the module's", () => {
    const stores = [...sources.matchAll(/\bopen(?:Records(?:<[^(]*>)?|Messages)\("(minimix\w*)"/g)]
        .map(([, name]) => name ?? "")
        .sort();
    assert.deepEqual(
        rowsBelow(operations, "Storage")
            .flatMap(([name = ""]) => /^`(\w+)`$/.exec(name)?.[1] ?? [])
            .sort(),
        stores,
    );
    const [, removal = ""] = /^## Remove it\n([^]*?)^## /m.exec(readme) ?? [];
    for (const store of stores) {
        assert.ok(
            removal.includes(`\`${store}\``),
            `${store} is not named where the README says how to remove the module`,
        );
    }
});

for (const version of versions) {
    describe(`Prosody ${version}: the README's commands`, () => {
        let server: Server;
        let phone: Client;

        before(async () => {
            server = await startServer({ version, minimix: true, domain: "example.org", users: ["alice"] });
            phone = await connect(server, "alice/phone");
            await create(phone, room, "Alice");
        });

        after(async () => {
            await phone.disconnect();
            await server.stop();
        });

        test("show the rooms of an account as the README says", async () => {
            const [expected = ""] = blocksOf(chapters("Check that it works", "Options"), "text");
            const command = `minimix:rooms("alice@example.org")`;
            assert.ok(commandsOf(readme).includes(`prosodyctl shell '${command}'`));
            const output = (await server.shell(command)).replace(/^\| /gm, "").trim();
            const withoutTime = (text: string) => text.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/, "…");
            assert.equal(withoutTime(output), withoutTime(expected));
        });

        for (const command of [...new Set(documents.flatMap((path) => commandsOf(read(path))))]) {
            const [, text] = shellCommand.exec(command) ?? [];
            if (text !== undefined) {
                test(`run: ${text}`, async () => {
                    assert.match(await server.shell(text), /^(\| )?OK: /m);
                });
            }
        }
    });
}

for (const installation of tools.versions.filter(({ installed }) => installed)) {
    describe(`Prosody ${installation.version}: the configurations of the documents`, () => {
        for (const block of [readme, operations]
            .flatMap((text) => blocksOf(text, "lua"))
            .filter((text) => text !== turnedOn)) {
            const isPostgres = block.includes("PostgreSQL");
            const skip = isPostgres && !backends.includes("PostgreSQL") && "PostgreSQL is not installed";
            test(block.split("\n").slice(0, 2).join(" "), { skip }, async () => {
                const port = await freePort();
                const storage = isPostgres ? await startStorage("PostgreSQL") : undefined;
                const text = storage === undefined ? block : block.replace(/^sql = .*$/m, `sql = ${storage.sql ?? ""}`);
                const isWhole = block.includes("modules_enabled");
                const folders = 'plugin_paths = { "/usr/local/lib/prosody/modules" }';
                const stock = new Stock(installation, `${isWhole ? folders : turnedOn}\n${text}`, port);
                await stock.run("cp lua-out/mod_minimix.lua /usr/local/lib/prosody/modules/");
                await stock.start(async () => {
                    assert.match(await stock.run("prosodyctl shell 'minimix:stats()'"), /OK: 1 hosts/);
                    if (block.includes("http_openmetrics")) {
                        const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
                        assert.match(await answer.text(), /^prosody_mod_minimix__accounts\{host="example\.org"\} 0/m);
                    }
                });
                if (block.includes("SQLite3")) {
                    assert.ok(existsSync(join(stock.folder, "data", "prosody.sqlite")));
                }
                stock.remove();
                await storage?.stop();
            });
        }
    });
}
