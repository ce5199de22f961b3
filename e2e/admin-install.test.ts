// O1: each command of the README's chapter on installing, on Prosody as distributed, with the configuration given there.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as tools from "../tools/versions.mjs";

const repository = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(repository, "README.md"), "utf8");
const namedFolder = "/usr/local/lib/prosody/modules";
const startLimit = 20_000;

const chapter = /^## Install\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
/** The indented lines, a text for each block. */
const blocks = [...chapter.matchAll(/(?:^ {4}.*\n|^\n(?= {4}))+/gm)].map(([text]) =>
    text.replace(/^ {4}/gm, "").trim(),
);
const configuration = blocks.find((block) => block.startsWith("plugin_paths")) ?? "";
const commands = blocks.filter((block) => block !== configuration).flatMap((block) => block.split("\n"));

interface Installation {
    version: string;
    folder: string;
    lib: string;
}

/** What a distribution installs, but with its folders in a temporary one. */
class Stock {
    readonly folder = mkdtempSync(join(tmpdir(), "minimix-install-"));
    readonly plugins = join(this.folder, "modules");
    readonly #installation: Installation;

    constructor(installation: Installation) {
        this.#installation = installation;
        for (const name of ["modules", "data", "certs", "bin"]) {
            mkdirSync(join(this.folder, name));
        }
        for (const script of ["prosody", "prosodyctl"]) {
            this.#writeLauncher(script);
        }
        writeFileSync(join(this.folder, "prosody.cfg.lua"), this.#config());
        // Nothing is to be asked of the world.
        writeFileSync(join(this.folder, "luarocks.lua"), "rocks_servers = {}\n");
    }

    remove(): void {
        rmSync(this.folder, { recursive: true });
    }

    /** Runs a line of the README in the repository; gives what it prints. */
    async run(line: string): Promise<string> {
        const env = {
            ...process.env,
            PATH: `${join(this.folder, "bin")}:${process.env.PATH ?? ""}`,
            LUAROCKS_CONFIG: join(this.folder, "luarocks.lua"),
        };
        const command = line.replaceAll(namedFolder, this.plugins);
        const { stdout, stderr } = await promisify(execFile)("sh", ["-c", command], { cwd: repository, env });
        return stdout + stderr;
    }

    /** Starts the server, has `use` make use of it, and stops it. */
    async start<T>(use: () => Promise<T>): Promise<T> {
        const socket = join(this.folder, "data", "prosody.sock");
        rmSync(socket, { force: true });
        const child = spawn(join(this.folder, "bin", "prosody"), ["-F"], { stdio: ["ignore", "pipe", "inherit"] });
        const log: string[] = [];
        child.stdout.on("data", (data) => log.push(String(data)));
        try {
            await appeared(socket);
            return await use();
        } finally {
            const ended = once(child, "exit");
            child.kill();
            await ended;
            assert.doesNotMatch(log.join(""), /\t(error|warn)\t|traceback/i);
        }
    }

    /** Where the host's mod_minimix has been loaded from. */
    async loadedFrom(): Promise<string> {
        const path = `> prosody.hosts["example.org"].modules.minimix.module.path`;
        return /Result: (.*)/.exec(await this.run(`prosodyctl shell '${path}'`))?.[1] ?? "";
    }

    #writeLauncher(script: string): void {
        const folders: Record<string, string> = {
            CFG_SOURCEDIR: this.#installation.lib,
            CFG_PLUGINDIR: `${this.#installation.lib}/modules/`,
            CFG_CONFIGDIR: this.folder,
            CFG_DATADIR: join(this.folder, "data"),
        };
        const text = readFileSync(`${this.#installation.folder}/bin/${script}`, "utf8")
            .replace(/^(CFG_\w+)=.*$/gm, (_, name: string) => `${name}=${JSON.stringify(folders[name])}`)
            .replace(/^#!.*/, "#!/usr/bin/env lua5.4");
        writeFileSync(join(this.folder, "bin", script), text, { mode: 0o755 });
    }

    #config(): string {
        const usual = '"disco"; "roster"; "saslauth"; "tls"; "dialback"; "admin_shell";';
        return `
run_as_root = true
data_path = ${JSON.stringify(join(this.folder, "data"))}
log = { info = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = {}
c2s_direct_tls_ports = {}
s2s_ports = {}
authentication = "internal_hashed"
${configuration.replace("-- ... what is there already ...", usual).replace(namedFolder, this.plugins)}

VirtualHost "example.org"

Component "rooms.example.org" "muc"
`;
    }
}

/** The server takes questions once its socket is there. */
async function appeared(path: string): Promise<void> {
    const limit = AbortSignal.timeout(startLimit);
    while (!existsSync(path)) {
        await setTimeout(20, undefined, { signal: limit });
    }
}

test("the README's options are those that there are", () => {
    const source = readFileSync(join(repository, "src/options.ts"), "utf8");
    const names = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name).sort();
    const inSource = new Set(names(source, /"(minimix_\w+)"/g));
    // For tests of the module itself.
    inSource.delete("minimix_ready_text");
    inSource.delete("minimix_");
    assert.deepEqual(names(readme, /^\| `(minimix_\w+)` \|/gm), [...inSource]);
});

test("the README, the package and the sources are of one version", () => {
    const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };
    const rockspecs = readdirSync(repository).filter((name) => name.endsWith(".rockspec"));
    assert.deepEqual(rockspecs, [`mod_minimix-${version}-1.rockspec`]);
    assert.match(readFileSync(join(repository, rockspecs[0] ?? ""), "utf8"), new RegExp(`version = "${version}-1"`));
    assert(commands.some((command) => command.endsWith(`/mod_minimix-${version}-1.all.rock`)));
});

test("what the README has make do, the Makefile can", () => {
    const makefile = readFileSync(join(repository, "Makefile"), "utf8");
    const targets = new Set([...makefile.matchAll(/^([a-z0-9 -]+):/gm)].flatMap(([, names = ""]) => names.split(" ")));
    const named = [...readme.matchAll(/^ {4}make ([a-z0-9-]+)/gm)].map(([, target = ""]) => target);
    assert(named.includes("demo-web"));
    assert.deepEqual(
        named.filter((target) => !targets.has(target)),
        [],
    );
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
                stock = new Stock(installation);
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

        test("from a server of packages", async () => {
            stock = new Stock(installation);
            await stock.run("make rock");
            await stock.run("luarocks-admin --lua-version=5.4 make-manifest .build/rocks");
            await stock.run("prosodyctl install --server=$PWD/.build/rocks mod_minimix");
            const path = await stock.start(() => stock.loadedFrom());
            assert.equal(path, join(stock.folder, "data/custom_plugins/share/lua/5.4/mod_minimix.lua"));
            stock.remove();
        });

        test("and prosodyctl finds nothing wrong", async () => {
            stock = new Stock(installation);
            for (const command of commands.filter((line) => /^make install|^prosodyctl check/.test(line))) {
                const output = await stock.run(command);
                assert.doesNotMatch(output, /minimix_|error/i, command);
            }
            stock.remove();
        });

        test("no command is left out", () => {
            const tried = [...ways.map(([, pattern]) => pattern), /^prosodyctl check config$/];
            const others = commands.filter((line) => !tried.some((pattern) => pattern.test(line)));
            assert.deepEqual(others, []);
        });
    });
}
