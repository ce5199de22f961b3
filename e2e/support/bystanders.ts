// Two clients in a quiet room. They run in a process of their own, so that the work of a test does not delay them.
import { type ChildProcess, fork } from "node:child_process";
import { on, once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Client, connect, type Endpoint } from "./client.ts";
import { create, groupchat, join } from "./muc.ts";

/** Messages to wait for before a result. */
const fewest = 40;
const room = "quiet@rooms.a.lab";

export class Bystanders {
    readonly #process: ChildProcess;

    private constructor(process: ChildProcess) {
        this.#process = process;
    }

    /** Connects carol and dave. `pid` is the process of the server. */
    static async start(server: Endpoint, pid: number): Promise<Bystanders> {
        const child = fork(fileURLToPath(import.meta.url), { execArgv: ["--import", "tsx"] });
        const { domain, port } = server;
        child.send({ domain, port, pid });
        await once(child, "message");
        return new Bystanders(child);
    }

    /** Lets carol and dave talk to each other until the next wait(). */
    talk(): void {
        this.#process.send("talk");
    }

    /**
     * Lets carol and dave send some more messages. Returns what the server has worked until 95 of 100 messages arrived,
     * since talk() if it was called, in ms of CPU time.
     */
    async wait(): Promise<number> {
        this.#process.send("wait");
        const [wait] = (await once(this.#process, "message")) as [number];
        return wait;
    }

    stop(): void {
        this.#process.kill();
    }
}

/** Returns the CPU time of a process in ms. It does not count the time in which others had the processor. */
function cpuTime(pid: number): number {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

async function talk(server: Endpoint, pid: number): Promise<void> {
    const carol = await connect(server, "carol/desk");
    const dave = await connect(server, "dave/desk");
    await create(dave, room, "Dave");
    await join(carol, room, "Carol");
    // Keeps commands until they are read.
    const commands = on(process, "message");
    process.send?.("ready");
    const waits: number[] = [];
    const exchange = async () => {
        waits.push(await messageTime(dave, carol, pid));
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    for await (const [command] of commands) {
        let isOver = command === "wait";
        const over = isOver ? undefined : commands.next().then(() => (isOver = true));
        while (!isOver || waits.length < fewest) {
            await exchange();
        }
        await over;
        process.send?.(waits.sort((a, b) => a - b)[Math.floor(waits.length * 0.95)]);
        waits.length = 0;
    }
}

async function messageTime(from: Client, to: Client, pid: number): Promise<number> {
    const start = cpuTime(pid);
    const id = await groupchat(from, room, "quiet");
    await to.expect({ id });
    const time = cpuTime(pid) - start;
    for (const client of [from, to]) {
        client.take();
        client.received.length = client.sent.length = 0;
    }
    return time;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send !== undefined) {
    process.once("message", (server: Endpoint & { pid: number }) => {
        void talk(server, server.pid);
    });
    process.on("disconnect", () => {
        process.exit();
    });
}
