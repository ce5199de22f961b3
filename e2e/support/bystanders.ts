// Two clients in a quiet room. They run in a process of their own, so that the work of a test does not delay them.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { connect, type Endpoint } from "./client.ts";
import { create, groupchat, join } from "./muc.ts";

/** Messages to wait for before a result. */
const fewest = 40;
const room = "quiet@rooms.a.lab";

export class Bystanders {
    readonly #process: ChildProcess;

    private constructor(process: ChildProcess) {
        this.#process = process;
    }

    /** Connects carol and dave, who talk to each other from then on. `pid` is the process of the server. */
    static async start(server: Endpoint, pid: number): Promise<Bystanders> {
        const child = fork(fileURLToPath(import.meta.url), { execArgv: ["--import", "tsx"] });
        const { domain, port } = server;
        child.send({ domain, port, pid });
        await once(child, "message");
        return new Bystanders(child);
    }

    /** Returns what the server has worked until 95 of 100 messages arrived since the last call, in ms of CPU time. */
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
    let waits: number[] = [];
    const asked = { count: 0 };
    process.on("message", () => {
        asked.count++;
    });
    process.send?.("ready");
    for (;;) {
        const start = cpuTime(pid);
        const id = await groupchat(dave, room, "quiet");
        await carol.expect({ id });
        waits.push(cpuTime(pid) - start);
        carol.take();
        dave.take();
        carol.received.length = dave.received.length = dave.sent.length = 0;
        if (asked.count > 0 && waits.length >= fewest) {
            asked.count--;
            process.send?.(waits.sort((a, b) => a - b)[Math.floor(waits.length * 0.95)]);
            waits = [];
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send !== undefined) {
    process.once("message", (server: Endpoint & { pid: number }) => {
        void talk(server, server.pid);
    });
    process.on("disconnect", () => {
        process.exit();
    });
}
