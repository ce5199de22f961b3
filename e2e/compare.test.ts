// Tests of the comparison itself: it must find each kind of difference.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { compare, type Scenario } from "./support/compare.ts";
import { changeNick, create, groupchat, join, leave, setSubject } from "./support/muc.ts";
import { type Server, startServer, versions } from "./support/prosody.ts";

for (const version of versions) {
    describe(`Comparing two runs on Prosody ${version}`, () => {
        let server: Server;
        let tampering: Server;

        before(async () => {
            [server, tampering] = await Promise.all([
                startServer({ version, roomModules: ["muc_mam"] }),
                startServer({ version, roomModules: ["muc_mam"], extraModules: ["tamper"] }),
            ]);
        });

        after(async () => {
            await Promise.all([server.stop(), tampering.stop()]);
        });

        function conversation(body: string): Scenario {
            return async ({ client, room, settle }) => {
                const bob = await client("bob/desk");
                const phone = await client("alice/phone");
                const laptop = await client("alice/laptop");
                await create(bob, room, "Bob");
                await join(phone, room, "Alice");
                await join(laptop, room, "Alice");
                await settle();
                await groupchat(bob, room, "before");
                await groupchat(bob, room, body);
                await setSubject(bob, room, "after");
                await settle();
                await changeNick(phone, room, "Alicia");
                await leave(phone, room, "Alicia");
                await settle();
            };
        }

        test("equal runs have no difference", async () => {
            assert.deepEqual(await compare(server, tampering, conversation("hello")), []);
        });

        test("a lost message is a difference", async () => {
            const differences = await compare(server, tampering, conversation("lose this for laptop"));
            assert.equal(differences.length, 1);
            assert.match(differences[0] ?? "", /^alice\/laptop - <message .*lose this/);
        });

        test("a doubled message is a difference", async () => {
            const differences = await compare(server, tampering, conversation("double this for phone"));
            assert.equal(differences.length, 1);
            assert.match(differences[0] ?? "", /^alice\/phone \+ <message .*double this/);
        });

        test("a stanza that the test adjusts is not a difference", async () => {
            const differences = await compare(server, tampering, conversation("lose this for laptop"), {
                adjust: (stanza) => (stanza.getChildText("body")?.startsWith("lose") ? undefined : stanza),
            });
            assert.deepEqual(differences, []);
        });

        test("repeated presence can be ignored", async () => {
            const joinedTwice: Scenario = async ({ server, client, room, settle }) => {
                const bob = await client("bob/desk");
                await create(bob, room, "Bob");
                await join(await client("alice/phone"), room, "Alice");
                await settle();
                if (server === tampering) {
                    await join(bob, room, "Bob");
                }
            };
            const isAlices = (line: string) => line.startsWith("alice");
            const differences = await compare(server, tampering, joinedTwice);
            assert.equal(differences.filter(isAlices).length, 1);
            const remaining = await compare(server, tampering, joinedTwice, { ignoreRepeats: true });
            assert.equal(remaining.filter(isAlices).length, 0);
        });
    });
}
