// An IRC server (ngircd), the gateway biboumi between it and Prosody, and an IRC client.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

/** Whether both are installed. */
export const isInstalled = ["biboumi", "ngircd"].every((command) => {
    return spawnSync("which", [command]).status === 0;
});

const secret = "gateway";
const ircPort = 6667;

/** Configuration of Prosody for a gateway. */
export function gatewayConfig(domain: string): string {
    return `Component "${domain}"\ncomponent_secret = "${secret}"`;
}

/** A process that can be stopped and started again with the same configuration. */
class Service {
    readonly #folder: string;
    readonly #command: string;
    readonly #parameters: string[];
    readonly #isUp: () => Promise<boolean>;
    #process: ChildProcess | undefined;

    constructor(folder: string, command: string, parameters: string[], isUp: () => Promise<boolean>) {
        this.#folder = folder;
        this.#command = command;
        this.#parameters = parameters;
        this.#isUp = isUp;
    }

    async start(): Promise<void> {
        this.#process = spawn(this.#command, this.#parameters, { stdio: "ignore" });
        processes.add(this.#process);
        while (!(await this.#isUp())) {
            assert.equal(this.#process.exitCode, null, `${this.#command} has ended`);
            await setTimeout(50);
        }
    }

    async kill(): Promise<void> {
        const child = this.#process;
        if (child?.exitCode === null) {
            child.kill("SIGKILL");
            await once(child, "exit");
            processes.delete(child);
        }
    }

    async stop(): Promise<void> {
        await this.kill();
        rmSync(this.#folder, { recursive: true });
    }
}

const processes = new Set<ChildProcess>();
process.on("exit", () => {
    for (const child of processes) {
        child.kill("SIGKILL");
    }
});

export interface IrcServer {
    /** A loopback address of its own, because biboumi can only use the standard ports of IRC. */
    readonly address: string;
    readonly service: Service;
}

export async function startIrcServer(): Promise<IrcServer> {
    const part = () => 2 + Math.floor(Math.random() * 250);
    const address = `127.${part()}.${part()}.${part()}`;
    const folder = mkdtempSync(join(tmpdir(), "minimix-ngircd-"));
    const file = join(folder, "ngircd.conf");
    writeFileSync(
        file,
        `[Global]\nName = irc.lab\nInfo = test\nListen = ${address}\nPorts = ${ircPort}\nAdminInfo1 = test
[Limits]\nMaxConnectionsIP = 0\nMaxNickLength = 30\nPingTimeout = 60\n[Options]\nDNS = no\nIdent = no\nPAM = no\n`,
    );
    const service = new Service(folder, "ngircd", ["--nodaemon", "--config", file], async () => {
        const socket = await dial(address).catch(() => undefined);
        socket?.destroy();
        return socket !== undefined;
    });
    await service.start();
    return { address, service };
}

/** `isLinked`: whether Prosody is connected to the gateway. */
export async function startGateway(
    domain: string,
    componentPort: number,
    isLinked: () => Promise<boolean>,
): Promise<Service> {
    const folder = mkdtempSync(join(tmpdir(), "minimix-biboumi-"));
    const file = join(folder, "biboumi.cfg");
    writeFileSync(
        file,
        [
            `hostname=${domain}`,
            `password=${secret}`,
            "xmpp_server_ip=127.0.0.1",
            `port=${componentPort}`,
            `db_name=${join(folder, "biboumi.sqlite")}`,
            `log_file=${join(folder, "log")}`,
            "log_level=0",
            "identd_port=0",
            "",
        ].join("\n"),
    );
    const service = new Service(folder, "biboumi", [file], isLinked);
    await service.start();
    return service;
}

async function dial(address: string): Promise<Socket> {
    const socket = connect(ircPort, address);
    await once(socket, "connect");
    return socket;
}

/** An IRC client. */
export class IrcUser {
    readonly #lines: string[] = [];
    readonly #socket: Socket;
    #read = 0;

    private constructor(socket: Socket) {
        this.#socket = socket;
        socket.on("error", () => undefined);
        createInterface(socket).on("line", (line) => {
            this.#lines.push(line);
            if (line.startsWith("PING ")) {
                this.send(line.replace("PING", "PONG"));
            }
        });
    }

    static async connect({ address }: IrcServer, nick: string): Promise<IrcUser> {
        const user = new IrcUser(await dial(address));
        user.send(`NICK ${nick}`);
        user.send(`USER ${nick} 0 * :${nick}`);
        await user.expect(/ 001 /);
        return user;
    }

    send(line: string): void {
        this.#socket.write(`${line}\r\n`);
    }

    /** Returns the next line that matches. Skips the lines before it. */
    async expect(pattern: RegExp, limit = 30_000): Promise<string> {
        const end = Date.now() + limit;
        while (Date.now() < end) {
            const index = this.#lines.findIndex((line, number) => number >= this.#read && pattern.test(line));
            if (index >= 0) {
                this.#read = index + 1;
                return this.#lines[index] ?? "";
            }
            await setTimeout(20);
        }
        throw new Error(`no line matches ${String(pattern)}:\n${this.#lines.slice(this.#read).join("\n")}`);
    }

    /** Returns the number of received lines that match. */
    count(pattern: RegExp): number {
        return this.#lines.filter((line) => pattern.test(line)).length;
    }

    close(): void {
        this.#socket.destroy();
    }
}
