// Tests of the account's archive, for each storage.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect, xml } from "./client.ts";
import { numbers } from "./count.ts";
import { type Archived, bodiesOf, queryArchive, readArchive } from "./mam.ts";
import { create, groupchat, join } from "./muc.ts";
import { type Server, startServer, type Version } from "./prosody.ts";
import { type Backend, startStorage, type Storage } from "./storage.ts";

/** Defines the tests, with `count` messages in two rooms and outside of them. */
export function testArchive(version: Version, backend: Backend, mixed: number): void {
    describe(`Prosody ${version}, ${backend}: the archive`, () => {
        let storage: Storage;
        let server: Server;
        let alice: Client;
        let bob: Client;
        let carol: Client;
        let rooms: string[];

        before(async () => {
            storage = await startStorage(backend);
            server = await startServer({
                version,
                minimix: true,
                users: ["alice", "bob", "carol"],
                hostConfig: storage.config,
                roomModules: ["muc_mam"],
            });
            alice = await connect(server, "alice/phone");
            bob = await connect(server, "bob/desk");
            carol = await connect(server, "carol/desk");
            rooms = ["one", "two"].map((room) => `${room}@${server.rooms}`);
            for (const room of rooms) {
                await create(bob, room, "Bob");
                await join(alice, room, "Alice");
            }
            for (const body of numbers(1, mixed)) {
                const n = Number(body);
                if (n % 10 === 0) {
                    const id = bob.newId();
                    await bob.send(xml("message", { to: alice.account, type: "chat", id }, xml("body", {}, body)));
                } else {
                    await groupchat(bob, rooms[n % 2] ?? "", body);
                }
                if (n % 100 === 0) {
                    await bob.sync();
                }
            }
            await alice.expect({ body: String(mixed) }, 60_000);
            alice.take();
        });

        after(async () => {
            await server.stop();
            await storage.stop();
        });

        /** Returns the bodies of the messages with one JID. */
        function of(which: (n: number) => boolean): string[] {
            return numbers(1, mixed).filter((body) => which(Number(body)));
        }

        const direct = (n: number) => n % 10 === 0;

        test("H3: the messages of a room are paged in both directions", async () => {
            for (const backwards of [false, true]) {
                for (const [i, room] of rooms.entries()) {
                    const messages = await readArchive(alice, { form: { with: room } }, backwards);
                    assert.deepEqual(
                        bodiesOf(messages),
                        of((n) => !direct(n) && n % 2 === i),
                    );
                    assert(messages.every(({ message }) => message.attrs.type === "groupchat"));
                }
            }
        });

        test("H3: all messages are returned once and in the order of time", async () => {
            for (const backwards of [false, true]) {
                const form = { "include-groupchat": "true" };
                const messages = await readArchive(alice, { form, max: 50 }, backwards);
                const bodies = bodiesOf(messages).map(Number);
                assert.deepEqual(
                    [...bodies].sort((a, b) => a - b),
                    numbers(1, mixed).map(Number),
                );
                // Time stamps of rooms' messages have seconds, others may have fractions.
                const seconds = messages.map(({ stamp }) => Math.floor(Date.parse(stamp) / 1000));
                assert.deepEqual(
                    seconds,
                    [...seconds].sort((a, b) => a - b),
                );
            }
        });

        test("H3: a query that does not ask for rooms returns no groupchat", async () => {
            const messages = await readArchive(alice, {});
            assert.deepEqual(bodiesOf(messages), of(direct));
            const excluding = await readArchive(alice, { form: { "include-groupchat": "false" } });
            assert.deepEqual(bodiesOf(excluding), of(direct));
        });

        test("H3: pages can be the first, the last, between two messages, flipped, or single messages", async () => {
            const form = { with: rooms[0] ?? "" };
            const all = await readArchive(alice, { form });
            const bodies = bodiesOf(all);
            const ids = all.map(({ id }) => id);
            const page = (query: object) => queryArchive(alice, { form, ...query });
            assert.deepEqual(bodiesOf((await page({ max: 3 })).messages), bodies.slice(0, 3));
            assert.deepEqual(bodiesOf((await page({ max: 3, before: "" })).messages), bodies.slice(-3));
            assert.deepEqual(bodiesOf((await page({ max: 3, flip: true })).messages), bodies.slice(0, 3).reverse());
            assert.deepEqual(bodiesOf((await page({ max: 3, before: ids[10] })).messages), bodies.slice(7, 10));
            const between = { ...form, "after-id": ids[10] ?? "", "before-id": ids[14] ?? "" };
            assert.deepEqual(bodiesOf((await queryArchive(alice, { form: between })).messages), bodies.slice(11, 14));
            const single = { ...form, ids: [ids[20] ?? "", ids[2] ?? ""] };
            assert.deepEqual(bodiesOf((await queryArchive(alice, { form: single })).messages), [bodies[2], bodies[20]]);
            assert.equal((await page({ max: 0 })).count, String(all.length));
            await assert.rejects(page({ after: "nonsense" }), { condition: "item-not-found" });
            await assert.rejects(page({ before: "nonsense" }), { condition: "item-not-found" });
            await assert.rejects(queryArchive(alice, { form: { ...form, ids: [ids[0] ?? "", "nonsense"] } }), {
                condition: "item-not-found",
            });
        });

        test("H3: start and end select messages by time", async () => {
            const form = { with: rooms[0] ?? "" };
            const all = await readArchive(alice, { form });
            const stamps = [...new Set(all.map(({ stamp }) => stamp))];
            const start = stamps[Math.floor(stamps.length / 2)] ?? "";
            const isWithin = ({ stamp }: Archived) => stamp >= start;
            assert.deepEqual(
                bodiesOf(await readArchive(alice, { form: { ...form, start } })),
                bodiesOf(all.filter(isWithin)),
            );
            assert.deepEqual(
                bodiesOf(await readArchive(alice, { form: { ...form, end: start } }, true)),
                bodiesOf(all.filter(({ stamp }) => stamp <= start)),
            );
        });

        test("H3: an account reads exactly what it received", async () => {
            const [room = ""] = rooms;
            await join(carol, room, "Carol", { history: { maxstanzas: "0" } });
            await groupchat(bob, room, "hello Carol");
            await carol.expect({ room, body: "hello Carol" });
            assert.deepEqual(bodiesOf(await readArchive(carol, { form: { with: room } })), ["hello Carol"]);
            const elsewhere = await queryArchive(carol, { form: { with: rooms[1] ?? "" } });
            assert.deepEqual(elsewhere.messages, []);
        });

        test("H1: each message is stored once, and survives a restart", async () => {
            const [room = ""] = rooms;
            const before = bodiesOf(await readArchive(alice, { form: { with: room } }));
            await server.kill();
            await server.start();
            alice = await connect(server, "alice/phone");
            assert.deepEqual(bodiesOf(await readArchive(alice, { form: { with: room } })), before);
            bob = await connect(server, "bob/desk");
        });
    });
}
