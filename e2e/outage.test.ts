// H1, P3: messages from an outage are in the archive afterwards. One of the servers is down, or the servers cannot
// reach each other. MINIMIX_LONG=1 tries each version with each service, and more kinds of outages.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { type Client, connect } from "./support/client.ts";
import { count, numbers } from "./support/count.ts";
import { bodiesOf, queryArchive, readArchive } from "./support/mam.ts";
import { create, groupchat, join } from "./support/muc.ts";
import { type Network, type NetworkOptions, roomServices, startNetwork } from "./support/network.ts";
import { versions } from "./support/prosody.ts";

const patience = 40_000;

const [oldest = "0.12"] = versions;
const newest = versions.at(-1) ?? oldest;
const isLong = process.env.MINIMIX_LONG === "1";
const long = { skip: !isLong };
const all = versions.flatMap((version) => roomServices.map((room) => ({ version, room })));
const some: Pick<NetworkOptions, "version" | "room">[] = [
    { version: newest, room: `prosody-${oldest}` },
    { version: oldest, room: "ejabberd" },
];

for (const { version, room } of isLong ? all : some) {
    describe(`Prosody ${version}, rooms of ${room}: outages`, () => {
        let net: Network;
        let bob: Client;
        let jid: string;
        let said = 0;

        before(async () => {
            net = await startNetwork({ version, room });
            net.ours.register("carol");
            net.ours.allowError(/s2s/);
            bob = await connect(net.theirs, "bob/desk");
            jid = `talk@${net.theirs.rooms}`;
            await create(bob, jid, "Bob", { persistentroom: "1" });
            for (const username of ["alice", "carol"]) {
                const client = await connect(net.ours, `${username}/phone`);
                await join(client, jid, username, { history: { maxstanzas: "0" }, timeout: 20_000 });
                await client.disconnect();
            }
        });

        after(() => net.stop());

        async function say(messages: number): Promise<void> {
            await count(bob, jid, said + 1, said + messages);
            said += messages;
        }

        /** Checks that each account has all messages, once and in order. The accounts need some time to rejoin. */
        async function assertComplete(): Promise<void> {
            const wanted = numbers(1, said);
            for (const username of ["alice", "carol"]) {
                const client = await connect(net.ours, `${username}/phone`);
                const end = Date.now() + patience;
                const lastPage = { form: { with: jid }, max: 1, before: "" };
                while (
                    bodiesOf((await queryArchive(client, lastPage)).messages)[0] !== String(said) &&
                    Date.now() < end
                ) {
                    await setTimeout(250);
                }
                const bodies = bodiesOf(await readArchive(client, { form: { with: jid } }));
                assert.deepEqual(bodies, wanted, username);
                await client.disconnect();
            }
        }

        test("H1: without an outage", long, async () => {
            await say(10);
            await assertComplete();
        });

        test("H1, P3: the servers cannot reach each other for a while", async () => {
            await say(5);
            await net.cut();
            await say(120);
            await net.restore();
            await assertComplete();
            await say(5);
            await assertComplete();
        });

        test("H1, P3: the accounts' server is killed during a conversation", async () => {
            await say(30);
            await net.ours.kill();
            await say(60);
            await net.ours.start();
            await say(30);
            await assertComplete();
        });

        test("H1, P3: the accounts' server is restarted", long, async () => {
            await say(3);
            await net.ours.restart();
            await say(3);
            await assertComplete();
        });

        test("H1, P3: the accounts' server is killed repeatedly", long, async () => {
            const stop = new AbortController();
            const talk = (async () => {
                while (!stop.signal.aborted) {
                    said += 1;
                    await groupchat(bob, jid, String(said));
                    await setTimeout(10);
                }
            })();
            for (let i = 0; i < 3; i += 1) {
                await setTimeout(700);
                await net.ours.kill();
                await setTimeout(200);
                await net.ours.start();
            }
            await setTimeout(2000);
            stop.abort();
            await talk;
            await assertComplete();
        });
    });
}
