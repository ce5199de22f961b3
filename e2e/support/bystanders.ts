// Two clients in a quiet room. They run in a process of their own, so that the work of a test does not delay them.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
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

    /** Connects carol and dave, who talk to each other from then on. */
    static async start(server: Endpoint): Promise<Bystanders> {
        const child = fork(fileURLToPath(import.meta.url), { execArgv: ["--import", "tsx"] });
        const { domain, port } = server;
        child.send({ domain, port });
        await once(child, "message");
        return new Bystanders(child);
    }

    /** Returns the time in ms in which 95 of 100 messages have arrived since the last call. */
    async wait(): Promise<number> {
        this.#process.send("wait");
        const [wait] = (await once(this.#process, "message")) as [number];
        return wait;
    }

    stop(): void {
        this.#process.kill();
    }
}

async function talk(server: Endpoint): Promise<void> {
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
        const start = performance.now();
        const id = await groupchat(dave, room, "quiet");
        await carol.expect({ id });
        waits.push(performance.now() - start);
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
    process.once("message", (server: Endpoint) => {
        void talk(server);
    });
    process.on("disconnect", () => {
        process.exit();
    });
}
