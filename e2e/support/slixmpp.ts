// A client of slixmpp in a separate process. slixmpp has a different implementation of joins.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Endpoint } from "./client.ts";

/** Debian's package installs the library for Debian's interpreter. */
const interpreter = "/usr/bin/python3";
const driver = fileURLToPath(new URL("slixmpp/driver.py", import.meta.url));
const running = new Set<ChildProcessWithoutNullStreams>();

/** What `join_muc_wait` returns. */
export interface Joined {
    /** The next four fields are from the own presence. */
    readonly from: string;
    readonly show: string;
    readonly jid: string;
    readonly codes: number[];
    readonly subject: string;
    /** Nicks, in order of arrival. */
    readonly occupants: string[];
    /** Bodies of the history. */
    readonly history: string[];
}

interface Answer {
    id: number;
    result?: unknown;
    error?: string;
}

/** Connects `name`, an account and a resource such as "alice/phone". */
export async function connectSlixmpp(server: Endpoint, name: string): Promise<Slixmpp> {
    const client = new Slixmpp();
    const [username = "", resource = ""] = name.split("/");
    const jid = `${username}@${server.domain}/${resource}`;
    await client.ask("connect", { jid, password: username, port: server.port });
    return client;
}

export class Slixmpp {
    readonly #process = spawn(interpreter, [driver]);
    readonly #waiting = new Map<number, (answer: Answer) => void>();
    readonly #output: string[] = [];
    #lastId = 0;

    constructor() {
        running.add(this.#process);
        this.#process.once("exit", () => {
            running.delete(this.#process);
            for (const [id, settle] of this.#waiting) {
                settle({ id, error: `slixmpp has ended: ${this.#output.join("")}` });
            }
        });
        this.#process.stderr.on("data", (data) => this.#output.push(String(data)));
        createInterface(this.#process.stdout).on("line", (line) => {
            const answer = JSON.parse(line) as Answer;
            this.#waiting.get(answer.id)?.(answer);
            this.#waiting.delete(answer.id);
        });
    }

    async join(room: string, nick: string, show?: string): Promise<Joined> {
        return (await this.ask("join", { room, nick, ...(show !== undefined && { show }) })) as Joined;
    }

    async leave(room: string, nick: string): Promise<void> {
        await this.ask("leave", { room, nick });
    }

    async say(room: string, body: string): Promise<void> {
        await this.ask("say", { room, body });
    }

    /** Takes the first groupchat message with this body. Waits for it if necessary. */
    async expect(body: string): Promise<{ from: string; body: string }> {
        return (await this.ask("wait", { body })) as { from: string; body: string };
    }

    /** Bodies in the archive of `jid`, by default the account's own. */
    async archive(filter: { jid?: string; with_jid?: string }): Promise<string[]> {
        return (await this.ask("archive", filter)) as string[];
    }

    /** Rejects unless the self-ping is answered with a result. */
    async ping(room: string, nick: string): Promise<void> {
        await this.ask("ping", { room, nick });
    }

    /** Warnings and errors in the library's log, exceptions, and errors that it has sent. */
    async problems(): Promise<string[]> {
        return (await this.ask("problems_so_far", {})) as string[];
    }

    async disconnect(): Promise<void> {
        await this.ask("disconnect", {});
        const ended = once(this.#process, "exit");
        this.#process.stdin.end();
        await ended;
    }

    ask(command: string, parameters: Record<string, unknown>): Promise<unknown> {
        const id = ++this.#lastId;
        return new Promise((resolve, reject) => {
            this.#waiting.set(id, ({ result, error }) => {
                if (error === undefined) {
                    resolve(result);
                } else {
                    reject(new Error(`${command} ${JSON.stringify(parameters)}: ${error}`));
                }
            });
            this.#process.stdin.write(`${JSON.stringify({ id, do: command, with: parameters })}\n`);
        });
    }
}

process.on("exit", () => {
    for (const child of running) {
        child.kill("SIGKILL");
    }
});
