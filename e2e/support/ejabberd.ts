// A real ejabberd in its own folder, for rooms on another server, with the same functions as for Prosody.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { assertNoErrors } from "./log.ts";
import { freePort } from "./prosody.ts";

export interface EjabberdOptions {
    domain: string;
    /** Accounts. Each password equals the name. */
    users: string[];
    /** The port for other servers, and the port of the DNS server. */
    s2s: { port: number; dns: number };
}

const launcher = "/usr/sbin/ejabberdctl";
/** Idle schedulers sleep at once. On a busy machine, those that spin delay the start of the server by minutes. */
const withoutSpinning = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];
const startedLine = "started";
// Upper bounds only: a loaded machine takes many times as long as an idle one.
const startLimit = 120_000;
const stopLimit = 60_000;
const running = new Set<ChildProcessWithoutNullStreams>();
const folders: string[] = [];

export async function startEjabberd(options: EjabberdOptions): Promise<Ejabberd> {
    const server = new Ejabberd(options, await freePort());
    await server.start();
    return server;
}

export class Ejabberd {
    readonly domain: string;
    readonly rooms: string;
    readonly folder = mkdtempSync(join(tmpdir(), "minimix-"));
    readonly logFile = join(this.folder, "log", "ejabberd.log");
    readonly port: number;
    readonly #options: EjabberdOptions;
    readonly #allowedErrors: RegExp[] = [];
    #process: ChildProcessWithoutNullStreams | undefined;

    constructor(options: EjabberdOptions, port: number) {
        this.#options = options;
        this.domain = options.domain;
        this.rooms = `rooms.${this.domain}`;
        this.port = port;
        folders.push(this.folder);
        mkdirSync(join(this.folder, "log"));
        writeFileSync(this.#configFile(), config(this, options));
        writeFileSync(this.#resolverFile(), resolverConfig(options.s2s.dns));
    }

    /** Starts the server. After a stop it uses the same data and ports. */
    async start(): Promise<void> {
        const mnesia = ["-mnesia", "dir", erlangString(join(this.folder, "data"))];
        const child = spawn(
            "erl",
            [...withoutSpinning, "-noshell", ...mnesia, "-s", "ejabberd", "-eval", this.#whenStarted()],
            {
                cwd: this.folder,
                env: {
                    PATH: process.env.PATH,
                    HOME: this.folder,
                    ERL_LIBS: erlangLibraries(),
                    ERL_INETRC: this.#resolverFile(),
                    EJABBERD_CONFIG_PATH: this.#configFile(),
                    EJABBERD_LOG_PATH: this.logFile,
                },
            },
        );
        this.#process = child;
        running.add(child);
        child.once("exit", () => running.delete(child));
        await hasStarted(child);
    }

    /** Stops the server as an init system does, and checks its log. */
    async stop(): Promise<void> {
        const status = await this.#end("SIGTERM");
        this.checkLog();
        assert.equal(status, 0, "ejabberd did not stop as it should");
    }

    /** Kills the server, so that it saves nothing. */
    async kill(): Promise<void> {
        await this.#end("SIGKILL");
    }

    async restart(): Promise<void> {
        await this.stop();
        await this.start();
    }

    log(): string {
        return readFileSync(this.logFile, "utf8");
    }

    /** Allows the server to log an error of this kind. */
    allowError(pattern: RegExp): void {
        this.#allowedErrors.push(pattern);
    }

    /** Fails when the server has logged an error. */
    checkLog(): void {
        assertNoErrors(this.log(), isError, this.#allowedErrors, `ejabberd logged errors, see ${this.logFile}`);
    }

    // The node ends when its standard input closes, so that it does not outlive the test.
    #whenStarted(): string {
        const registrations = this.#options.users.map(
            (user) => `ejabberd_auth:try_register(<<"${user}">>, <<"${this.domain}">>, <<"${user}">>)`,
        );
        const watch = `spawn(fun() -> io:put_chars("${startedLine}\\n"), eof = io:get_line(""), halt() end)`;
        return `${[...registrations, watch].join(", ")}.`;
    }

    async #end(signal: NodeJS.Signals): Promise<number | null> {
        const child = this.#process;
        assert(child, "the server is not running");
        this.#process = undefined;
        if (child.exitCode === null && child.signalCode === null) {
            const limit = setTimeout(() => child.kill("SIGKILL"), stopLimit);
            child.kill(signal);
            await once(child, "exit");
            clearTimeout(limit);
        }
        return child.exitCode;
    }

    #configFile(): string {
        return join(this.folder, "ejabberd.yml");
    }

    #resolverFile(): string {
        return join(this.folder, "inetrc");
    }
}

async function hasStarted(child: ChildProcessWithoutNullStreams): Promise<void> {
    const limit = setTimeout(() => child.kill("SIGKILL"), startLimit);
    const output: string[] = [];
    child.stderr.resume();
    for await (const line of createInterface(child.stdout)) {
        if (line === startedLine) {
            clearTimeout(limit);
            // The server logs to standard output too, and blocks without a reader.
            child.stdout.resume();
            return;
        }
        output.push(line);
    }
    clearTimeout(limit);
    throw new Error(`ejabberd did not start:\n${output.join("\n")}`);
}

function config({ domain, rooms, port }: Ejabberd, { s2s }: EjabberdOptions): string {
    return `
hosts: [${domain}]
log_rotate_count: 0
auth_password_format: plain
s2s_use_starttls: false
s2s_max_retry_delay: 1
listen:
  - { port: ${port}, ip: "127.0.0.1", module: ejabberd_c2s }
  - { port: ${s2s.port}, ip: "127.0.0.1", module: ejabberd_s2s_in }
modules:
  mod_disco: {}
  mod_mam: { default: always }
  mod_muc:
    host: ${rooms}
    min_message_interval: 0
    min_presence_interval: 0
    default_room_options: { mam: true }
  mod_ping: {}
  mod_roster: {}
  mod_s2s_dialback: {}
  mod_vcard: {}
`;
}

// The order matters: naming a resolv.conf clears the name servers.
function resolverConfig(port: number): string {
    return `{lookup, [dns]}. {hosts_file, ""}. {resolv_conf, ""}. {nameserver, {127,0,0,1}, ${port}}.\n`;
}

// The path of the libraries depends on the machine. The package's launcher contains it.
function erlangLibraries(): string | undefined {
    assert(existsSync(launcher), "ejabberd is not installed; run tools/setup");
    return /^ERL_LIBS='(.*)'$/m.exec(readFileSync(launcher, "utf8"))?.[1];
}

function erlangString(text: string): string {
    return JSON.stringify(text);
}

// During its stop ejabberd cannot deliver the last stanzas of rooms, and logs that.
function isError(line: string): boolean {
    return /^\S+ \S+ \[(error|critical|alert|emergency)\]/.test(line) && !line.endsWith("Failed to route packet:");
}

// After a failure the logs are kept.
process.on("exit", (status) => {
    for (const child of running) {
        child.kill("SIGKILL");
    }
    for (const folder of folders) {
        if (status === 0) {
            rmSync(folder, { recursive: true, force: true });
        } else {
            console.error(`kept: ${folder}/log/ejabberd.log`);
        }
    }
});
