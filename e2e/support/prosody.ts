// A real Prosody of a given version in a separate folder. Tests can start, query, stop and kill it.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assertNoErrors } from "./log.ts";
import * as tools from "../../tools/versions.mjs";

/** "newest" is the release in Debian's testing suite. */
export type Version = "0.12" | "13.0" | "newest";

/** The installed versions. `make test` reports a missing one. */
export const versions = tools.versions.filter(({ installed }) => installed).map(({ version }) => version as Version);

/**
 * The oldest and the newest version, for tests that put a load on the server and depend little on the version. With
 * MINIMIX_LONG=1 all versions.
 */
export const someVersions = versions.filter(
    (_, i) => process.env.MINIMIX_LONG === "1" || i === 0 || i === versions.length - 1,
);

/** Returns the release number of a version. */
export function releaseOf(version: Version): string {
    return tools.versions.find((one) => one.version === version)?.release ?? "none";
}

const defaultModules = [
    "admin_shell",
    "blocklist",
    "bookmarks",
    "carbons",
    "csi_simple",
    "disco",
    "mam",
    "pep",
    "ping",
    "roster",
    "saslauth",
    "smacks",
    "vcard_legacy",
    "version",
];

export interface ServerOptions {
    version: Version;
    /** Loads mod_minimix on the host. */
    minimix?: boolean;
    domain?: string;
    /** The domain of the MUC component. The default is the host's name with "rooms." in front. */
    rooms?: string;
    /** Accounts. Each password equals the name. */
    users?: string[];
    /** Replaces the default list of modules. */
    modules?: string[];
    /** Modules in addition to that list. */
    extraModules?: string[];
    roomModules?: string[];
    /** Options as Lua text: for the whole server, for the host and for the MUC component. */
    globalConfig?: string;
    hostConfig?: string;
    roomConfig?: string;
    /** Error lines that the server may log. */
    allowedErrors?: RegExp[];
    /** Enables server-to-server connections: the port for incoming ones, and the port of the DNS server. */
    s2s?: { port: number; dns: number };
    /** Folders of further modules. */
    pluginPaths?: string[];
    /** The log level. The default is debug. */
    logLevel?: "debug" | "info";
    /** The port of HTTP, for modules that need one. */
    httpPort?: number;
}

/** An occupant as the room sees it, with the real JIDs of its sessions. */
export interface Occupant {
    nick: string;
    role: string;
    affiliation: string;
    sessions: string[];
}

/** A stanza from another host, such as a MUC component, to an account. */
export interface Arrival {
    name: "message" | "presence" | "iq";
    type?: string;
    from: string;
    to: string;
    id?: string;
}

interface Answer {
    id: number;
    result?: unknown;
    error?: string;
}

const running = new Set<ChildProcess>();
const folders: string[] = [];
const startLimit = 20_000;
const stopLimit = 20_000;

export async function startServer(options: ServerOptions): Promise<Server> {
    const server = new Server(options, await freePort());
    await server.start();
    return server;
}

export class Server {
    readonly version: Version;
    readonly domain: string;
    readonly rooms: string;
    readonly folder = mkdtempSync(join(tmpdir(), "minimix-"));
    readonly logFile = join(this.folder, "prosody.log");
    readonly port: number;
    readonly httpPort: number | undefined;
    #options: ServerOptions;
    readonly #allowedErrors: RegExp[];
    #process: ChildProcess | undefined;
    #probe: Probe | undefined;

    constructor(options: ServerOptions, port: number) {
        this.#options = options;
        this.version = options.version;
        this.domain = options.domain ?? "a.lab";
        this.rooms = options.rooms ?? `rooms.${this.domain}`;
        this.port = port;
        this.httpPort = options.httpPort;
        this.#allowedErrors = [...(options.allowedErrors ?? [])];
        folders.push(this.folder);
        writeFileSync(this.logFile, "");
        mkdirSync(join(this.folder, "certs"));
        mkdirSync(join(this.folder, "data"));
        for (const user of options.users ?? []) {
            this.register(user);
        }
    }

    /** Starts the server. A restart uses the same data and port, and may use other options. */
    async start(changes: Partial<ServerOptions> = {}): Promise<void> {
        const launcher = this.#launcher("prosody");
        const listener = createServer().listen(0, "127.0.0.1");
        await once(listener, "listening");
        this.#options = { ...this.#options, ...changes };
        writeFileSync(this.#configFile(), config(this, this.#options, portOf(listener)));
        const child = spawn("lua5.4", [launcher, "-F", "--config", this.#configFile()], {
            stdio: ["ignore", "pipe", "pipe"],
        });
        this.#process = child;
        running.add(child);
        const output: string[] = [];
        child.stdout.on("data", (data) => output.push(String(data)));
        child.stderr.on("data", (data) => output.push(String(data)));
        try {
            this.#probe = new Probe(await dialledBy(child, listener));
        } catch (error) {
            await this.kill();
            throw new Error(`Prosody ${this.version} did not start: ${output.join("")}\n${this.log()}`, {
                cause: error,
            });
        } finally {
            listener.close();
        }
    }

    /** Stops the server as an init system does, and checks its log. `limit` in milliseconds: then it is killed. */
    async stop(limit = stopLimit): Promise<void> {
        const status = await this.#end("SIGTERM", limit);
        this.checkLog();
        assert.equal(status, 0, `Prosody ${this.version} did not stop as it should`);
    }

    /** Kills the server, so that it saves nothing. */
    async kill(): Promise<void> {
        await this.#end("SIGKILL");
    }

    /** Waits until the server ends by itself. */
    async ended(): Promise<void> {
        const child = this.#process;
        if (child?.exitCode === null && child.signalCode === null) {
            await once(child, "exit");
        }
    }

    async restart(changes: Partial<ServerOptions> = {}): Promise<void> {
        await this.stop();
        await this.start(changes);
    }

    /** Writes the account's file. The server may be running. */
    register(user: string, password = user): void {
        const folder = join(this.folder, "data", encodeStoreName(this.domain), "accounts");
        mkdirSync(folder, { recursive: true });
        const account = `return { ["password"] = ${JSON.stringify(password)}; };\n`;
        writeFileSync(join(folder, `${encodeStoreName(user)}.dat`), account);
    }

    async loadModule(name: string, host = this.domain): Promise<void> {
        await this.#ask("load", host, name);
    }

    async unloadModule(name: string, host = this.domain): Promise<void> {
        await this.#ask("unload", host, name);
    }

    async reloadModule(name: string, host = this.domain): Promise<void> {
        await this.#ask("reload", host, name);
    }

    /** Returns the occupants of a room of this server. Empty if the room does not exist. */
    async occupants(room: string): Promise<Occupant[]> {
        return (await this.#ask("occupants", room)) as Occupant[];
    }

    /** Returns the stanzas from rooms, or other hosts, to the accounts since the last call. */
    async arrivals(): Promise<Arrival[]> {
        return (await this.#ask("arrivals")) as Arrival[];
    }

    /** Runs Lua in the server. The result is transferred as JSON. */
    async eval(lua: string): Promise<unknown> {
        return this.#ask("eval", lua);
    }

    /** Runs a command of the admin shell and returns its output. */
    async shell(command: string): Promise<string> {
        const { stdout } = await promisify(execFile)(
            "lua5.4",
            [this.#launcher("prosodyctl"), "--config", this.#configFile(), "shell", command],
            { timeout: startLimit },
        );
        return stdout;
    }

    log(): string {
        return readFileSync(this.logFile, "utf8");
    }

    /** Allows the server to log an error of this kind. */
    allowError(pattern: RegExp): void {
        this.#allowedErrors.push(pattern);
    }

    /** Fails if the server has logged an error, even if no client noticed it. */
    checkLog(): void {
        assertNoErrors(
            this.log(),
            isError,
            this.#allowedErrors,
            `Prosody ${this.version} logged errors, see ${this.logFile}`,
        );
    }

    #ask(command: string, ...parameters: unknown[]): Promise<unknown> {
        assert(this.#probe, "the server is not running");
        return this.#probe.ask(command, parameters);
    }

    async #end(signal: NodeJS.Signals, limit = stopLimit): Promise<number | null> {
        const child = this.#process;
        assert(child, "the server is not running");
        this.#process = undefined;
        this.#probe = undefined;
        running.delete(child);
        if (child.exitCode === null && child.signalCode === null) {
            const timer = setTimeout(() => child.kill("SIGKILL"), limit);
            child.kill(signal);
            await once(child, "exit");
            clearTimeout(timer);
        }
        return child.exitCode;
    }

    #configFile(): string {
        return join(this.folder, "prosody.cfg.lua");
    }

    // The scripts of a distribution contain its folders. An unpacked version needs other folders.
    #launcher(script: string): string {
        const installation = tools.versions.find(({ version }) => version === this.version);
        assert(installation?.installed, `Prosody ${this.version} is not installed; run tools/setup`);
        const folders: Record<string, string> = {
            CFG_SOURCEDIR: installation.lib,
            CFG_PLUGINDIR: `${installation.lib}/modules/`,
            CFG_CONFIGDIR: this.folder,
            CFG_DATADIR: join(this.folder, "data"),
        };
        const text = readFileSync(`${installation.folder}/bin/${script}`, "utf8");
        const launcher = join(this.folder, script);
        writeFileSync(
            launcher,
            text.replace(/^(CFG_\w+)=.*$/gm, (_, name: string) => `${name}=${JSON.stringify(folders[name])}`),
        );
        return launcher;
    }
}

/** Sends a request to the module mod_probe in the server. */
class Probe {
    readonly #socket: Socket;
    readonly #waiting = new Map<number, (answer: Answer) => void>();
    #lastId = 0;

    constructor(socket: Socket) {
        this.#socket = socket;
        socket.on("error", () => undefined);
        socket.on("close", () => {
            for (const [id, settle] of this.#waiting) {
                settle({ id, error: "the server has gone" });
            }
        });
        createInterface(socket).on("line", (line) => {
            const answer = JSON.parse(line) as Answer;
            this.#waiting.get(answer.id)?.(answer);
            this.#waiting.delete(answer.id);
        });
    }

    ask(command: string, parameters: unknown[]): Promise<unknown> {
        const id = ++this.#lastId;
        return new Promise((resolve, reject) => {
            if (this.#socket.destroyed) {
                reject(new Error(`${command}: the server has gone`));
                return;
            }
            this.#waiting.set(id, ({ result, error }) => {
                if (error === undefined) {
                    resolve(result);
                } else {
                    reject(new Error(`${command}: ${error}`));
                }
            });
            this.#socket.write(`${JSON.stringify({ id, command, arguments: parameters })}\n`);
        });
    }
}

/** MINIMIX_READY_TEXT=0 serialises every stanza for each session. The result must be the same. */
const minimixConfig = process.env.MINIMIX_READY_TEXT === "0" ? "minimix_ready_text = false" : "";

function config(server: Server, options: ServerOptions, probePort: number): string {
    const modules = [...(options.modules ?? defaultModules), ...(options.extraModules ?? [])];
    const pluginPaths = [fromHere("modules"), fromHere("../../lua-out"), ...(options.pluginPaths ?? [])];
    if (options.minimix) {
        modules.push("minimix");
    }
    return `
run_as_root = true
plugin_paths = { ${quoted(...pluginPaths)} }
log = { ${options.logLevel ?? "debug"} = ${quoted(server.logFile)} }
data_path = ${quoted(join(server.folder, "data"))}
interfaces = { "127.0.0.1" }
c2s_ports = { ${server.port} }
c2s_direct_tls_ports = {}
s2s_ports = { ${options.s2s?.port ?? ""} }
-- Small writes go out at once.
network_settings = { nagle = false }
http_ports = { ${options.httpPort ?? ""} }
http_interfaces = { "127.0.0.1" }
http_default_host = ${quoted(server.domain)}
consider_bosh_secure = true
consider_websocket_secure = true
https_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
modules_enabled = { "probe", "dialback" }
probe_port = ${probePort}
${options.s2s ? resolverConfig(options.s2s.dns) : ""}
${options.globalConfig ?? ""}

VirtualHost ${quoted(server.domain)}
modules_enabled = { ${quoted(...modules)} }
${minimixConfig}
${options.hostConfig ?? ""}

Component ${quoted(server.rooms)} "muc"
modules_enabled = { ${quoted(...(options.roomModules ?? []))} }
${options.roomConfig ?? ""}
`;
}

function resolverConfig(port: number): string {
    return `
s2s_require_encryption = false
s2s_secure_auth = false
unbound = {
    resolvconf = false;
    hoststxt = false;
    forward = { "127.0.0.1@${port}" };
    options = { ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator" };
}
`;
}

function quoted(...texts: string[]): string {
    return texts.map((text) => JSON.stringify(text)).join(", ");
}

function fromHere(path: string): string {
    return fileURLToPath(new URL(path, import.meta.url));
}

// Returns a name as util.datamanager uses it for files.
export function encodeStoreName(name: string): string {
    return name.replace(/[^A-Za-z0-9]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function isError(line: string): boolean {
    return /\terror\t|traceback|attempt to (index|call|compare|concatenate|perform|get|yield)/i.test(line);
}

/** The server connects to the test when it has started. If it ends before, the wait ends as well. */
async function dialledBy(child: ChildProcess, listener: NetServer): Promise<Socket> {
    const abort = new AbortController();
    const { signal } = abort;
    const ended = once(child, "exit", { signal }).then(([status]) => {
        throw new Error(`exit status ${String(status)}`);
    });
    const limit = AbortSignal.timeout(startLimit);
    try {
        const dialled = once(listener, "connection", { signal: AbortSignal.any([signal, limit]) });
        const [socket] = (await Promise.race([dialled, ended])) as [Socket];
        await once(socket, "data", { signal: limit });
        return socket;
    } finally {
        ended.catch(() => undefined);
        abort.abort();
    }
}

// Outside of the system's range for outgoing connections, so that a restarted server does not find its port in use by
// one of them.
export async function freePort(): Promise<number> {
    for (;;) {
        const port = 10_000 + Math.floor(Math.random() * 20_000);
        const listener = createServer();
        try {
            listener.listen(port, "127.0.0.1");
            await once(listener, "listening");
            return port;
        } catch {
            // In use. Try another port.
        } finally {
            listener.close();
        }
    }
}

function portOf(listener: NetServer): number {
    const address = listener.address();
    assert(address !== null && typeof address === "object");
    return address.port;
}

// The logs are needed after a failure.
process.on("exit", (status) => {
    for (const child of running) {
        child.kill("SIGKILL");
    }
    for (const folder of folders) {
        if (status === 0) {
            rmSync(folder, { recursive: true, force: true });
        } else {
            console.error(`kept: ${folder}/prosody.log`);
        }
    }
});
