// B1 without mod_limits: while an account floods a room, messages of others take hardly longer than with Prosody alone
// under the same flood. Prints the times.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Client, connect, xml } from "./support/client.ts";
import { create, groupchat, join } from "./support/muc.ts";
import { startServer, type Version, versions } from "./support/prosody.ts";

const isLong = process.env.MINIMIX_LONG === "1";
const milliseconds = isLong ? 20_000 : 1_000;
/** The flooding client runs on this machine too, so its load is part of the times. */
const patience = 30_000;
/** Rounds of stanzas that the client sends before it waits for the answers. */
const rounds = 10;
const loud = "loud@rooms.a.lab";
const quiet = "quiet@rooms.a.lab";

interface Figures {
    /** Milliseconds for a message of another user, before and during the flood. */
    before: number;
    during: number;
    /** Stanzas of the flood per second. */
    rate: number;
}

const floods: Record<string, (alice: Client, round: number) => Promise<unknown>> = {
    "nick changes": async (alice, round) => {
        await alice.send(xml("presence", { to: `${loud}/Alice${round % 2}`, id: alice.newId() }));
    },
    presences: async (alice, round) => {
        await alice.send(xml("presence", { to: `${loud}/Alice` }, xml("status", {}, `${round}`)));
    },
    messages: (alice) => groupchat(alice, loud, "noise"),
};

for (const [i, version] of versions.entries()) {
    describe(`Prosody ${version}: while an account floods a room`, () => {
        const kinds = Object.keys(floods);
        // In the short run each version has another flood.
        for (const kind of isLong ? kinds : kinds.slice(i, i + 1)) {
            test(kind, async (t) => {
                const plain = await measure(version, false, kind);
                const ours = await measure(version, true, kind);
                t.diagnostic(`Prosody alone: ${summary(plain)}`);
                t.diagnostic(`mod_minimix: ${summary(ours)}`);
                // The flood keeps the server busy with and without the module, and the machine may be loaded.
                assert(ours.during < 3 * plain.during + 100);
            });
        }
    });
}

async function measure(version: Version, minimix: boolean, kind: string): Promise<Figures> {
    const server = await startServer({
        version,
        minimix,
        users: ["alice", "carol", "dave"],
        logLevel: "info",
        modules: ["disco", "ping", "roster", "saslauth", "smacks"],
    });
    const flood = floods[kind];
    assert(flood);
    const dave = await connect(server, "dave/desk");
    const carol = await connect(server, "carol/desk");
    const devices = await Promise.all(["phone", "laptop", "tablet"].map((name) => connect(server, `alice/${name}`)));
    await create(dave, loud, "Dave");
    await create(dave, quiet, "Dave");
    await join(carol, quiet, "Carol");
    for (const device of devices) {
        await join(device, loud, "Alice");
    }
    const before = await latency(carol, milliseconds / 4);
    let over = false;
    let sent = 0;
    const flooded = Promise.all(
        devices.map(async (alice) => {
            while (!over) {
                for (let round = 0; round < rounds; round++) {
                    await flood(alice, round);
                    sent++;
                }
                await alice.sync();
                alice.take();
                dave.take();
            }
        }),
    );
    const start = performance.now();
    const during = await latency(carol, milliseconds);
    const rate = (sent * 1000) / (performance.now() - start);
    over = true;
    await flooded;
    await server.stop();
    return { before, during, rate };
}

/** The median time of the messages sent within a period. */
async function latency(carol: Client, time: number): Promise<number> {
    const end = performance.now() + time;
    const figures: number[] = [];
    do {
        const start = performance.now();
        await carol.expect({ id: await groupchat(carol, quiet, "message") }, patience);
        figures.push(performance.now() - start);
        carol.take();
    } while (performance.now() < end);
    return figures.sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? NaN;
}

function summary({ before, during, rate }: Figures): string {
    return `a message takes ${during.toFixed(1)} ms, ${before.toFixed(1)} ms before, at ${rate.toFixed(0)} stanzas/s`;
}
