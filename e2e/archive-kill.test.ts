// H1: messages that an account received before its server was killed are in its archive. The room has no archive, so
// nothing can be fetched again. MINIMIX_LONG=1 kills ten times for each version on each storage.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Client } from "./support/client.ts";
import { bodiesOf, readArchive } from "./support/mam.ts";
import { create, groupchat, join } from "./support/muc.ts";
import { reconnect } from "./support/outlive.ts";
import { startServer, versions } from "./support/prosody.ts";
import { backends, startStorage } from "./support/storage.ts";

const isLong = process.env.MINIMIX_LONG === "1";
const kills = isLong ? 10 : 1;
/** Milliseconds from the join to the kill. */
const shortest = 50;
const longest = 2000;

for (const [i, version] of versions.entries()) {
    describe(`Prosody ${version}`, () => {
        // The short run has every version and every storage, but not every combination.
        for (const backend of backends.filter((_, j) => isLong || j % versions.length === i)) {
            test(`H1: messages received before the server is killed are kept (${backend})`, async () => {
                const storage = await startStorage(backend);
                const users = ["alice", "bob"];
                const server = await startServer({ version, minimix: true, users, hostConfig: storage.config });
                const room = `room@${server.rooms}`;
                const heard: string[] = [];
                for (let kill = 1; kill <= kills; kill++) {
                    const alice = await reconnect(server, "alice/phone");
                    const bob = await reconnect(server, "bob/desk");
                    await (kill === 1 ? create(bob, room, "Bob", { persistentroom: "1" }) : join(bob, room, "Bob"));
                    await join(alice, room, "Alice", { history: { maxstanzas: "0" } });
                    const killed = Date.now() + shortest + (longest - shortest) * Math.random();
                    await talk(bob, alice, room, heard, killed);
                    await server.kill();
                    await server.start();
                    const reader = await reconnect(server, "alice/reader");
                    const kept = bodiesOf(await readArchive(reader, { form: { with: room } })).map(String);
                    assert.deepEqual(
                        heard.filter((body) => !kept.includes(body)),
                        [],
                    );
                    const inOrder = [...new Set(kept)].sort((one, other) => Number(one) - Number(other));
                    assert.deepEqual(kept, inOrder);
                }
                await server.stop();
                await storage.stop();
            });
        }
    });
}

/** Sends numbers one after the other for a while. Records the numbers that the listener received. */
async function talk(speaker: Client, listener: Client, room: string, heard: string[], end: number): Promise<void> {
    for (let number = heard.length + 1; Date.now() < end; number++) {
        const body = String(number);
        await groupchat(speaker, room, body);
        await listener.expect({ room, body });
        heard.push(body);
    }
}
