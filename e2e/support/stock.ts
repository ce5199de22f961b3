// Prosody as a distribution installs it, with its folders in a temporary one and a configuration from the documents.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { repository } from "./documents.ts";

export interface Installation {
    version: string;
    folder: string;
    lib: string;
}

/** The folder for modules in the documents. */
const namedFolder = "/usr/local/lib/prosody/modules";
const startLimit = 20_000;

export class Stock {
    readonly folder = mkdtempSync(join(tmpdir(), "minimix-install-"));
    readonly plugins = join(this.folder, "modules");
    readonly #installation: Installation;

    /** `httpPort`: for modules that need one. */
    constructor(installation: Installation, configuration: string, httpPort?: number) {
        this.#installation = installation;
        for (const name of ["modules", "data", "certs", "bin"]) {
            mkdirSync(join(this.folder, name));
        }
        for (const script of ["prosody", "prosodyctl"]) {
            this.#writeLauncher(script);
        }
        writeFileSync(join(this.folder, "prosody.cfg.lua"), this.#config(configuration, httpPort));
        // Packages must not come from the network.
        writeFileSync(join(this.folder, "luarocks.lua"), "rocks_servers = {}\n");
    }

    remove(): void {
        rmSync(this.folder, { recursive: true });
    }

    /** Runs a command of the documents in the repository and returns its output. */
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

    /** Starts the server, calls `use` and stops the server. Fails if the log has a warning or an error. */
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

    /** The path of the host's mod_minimix. */
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

    #config(configuration: string, httpPort: number | undefined): string {
        const usual = '"disco"; "roster"; "saslauth"; "tls"; "dialback"; "admin_shell";';
        return `
run_as_root = true
data_path = ${JSON.stringify(join(this.folder, "data"))}
log = { info = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = {}
c2s_direct_tls_ports = {}
s2s_ports = {}
http_ports = { ${httpPort ?? ""} }
http_interfaces = { "127.0.0.1" }
https_ports = {}
authentication = "internal_hashed"
${configuration.replace("-- ... your other modules ...", usual).replace(namedFolder, this.plugins)}

VirtualHost "example.org"

Component "rooms.example.org" "muc"
`;
    }
}

/** The server accepts commands once its socket exists. */
async function appeared(path: string): Promise<void> {
    const limit = AbortSignal.timeout(startLimit);
    while (!existsSync(path)) {
        await setTimeout(20, undefined, { signal: limit });
    }
}
