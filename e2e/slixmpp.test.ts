// slixmpp in addition to @xmpp/client. It waits for the parts of a join in the order of XEP-0045, and raises an
// exception if one comes twice.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect } from "./support/client.ts";
import { create, groupchat } from "./support/muc.ts";
import { type Server, startServer, versions } from "./support/prosody.ts";
import { connectSlixmpp, type Slixmpp } from "./support/slixmpp.ts";
import { atOnce } from "./support/suites.ts";

atOnce("slixmpp", versions, (version) => {
    describe(`Prosody ${version}`, { concurrency: 1 }, () => {
        let server: Server;
        let bob: Client;
        let phone: Slixmpp;

        before(async () => {
            server = await startServer({ version, minimix: true, users: ["alice", "bob"], roomModules: ["muc_mam"] });
            bob = await connect(server, "bob/desk");
            phone = await connectSlixmpp(server, "alice/phone");
        });

        after(async () => {
            await phone.disconnect();
            await server.stop();
        });

        async function newRoom(name: string): Promise<string> {
            const room = `${name}@${server.rooms}`;
            await create(bob, room, "Bob", { persistentroom: "1" });
            return room;
        }

        test("J1, J2: the first and the second session of an account join", async () => {
            const room = await newRoom("join");
            const laptop = await connectSlixmpp(server, "alice/laptop");
            for (const client of [phone, laptop]) {
                const { from, codes, subject, occupants } = await client.join(room, "Alice");
                assert.equal(from, `${room}/Alice`);
                assert(codes.includes(110));
                assert.equal(subject, "");
                assert.deepEqual(occupants, ["Bob", "Alice"]);
                await client.ping(room, "Alice");
            }
            await laptop.disconnect();
            assert.deepEqual(await phone.problems(), []);
        });

        test("C1, R1: messages reach and leave both sessions", async () => {
            const room = await newRoom("talk");
            const laptop = await connectSlixmpp(server, "alice/laptop");
            await phone.join(room, "Alice");
            await laptop.join(room, "Alice");
            await groupchat(bob, room, "hello");
            await phone.say(room, "hi");
            for (const client of [phone, laptop]) {
                assert.equal((await client.expect("hello")).from, `${room}/Bob`);
                assert.equal((await client.expect("hi")).from, `${room}/Alice`);
            }
            await bob.expect({ room, body: "hi" });
            assert.deepEqual(await laptop.problems(), []);
            await laptop.disconnect();
            assert.deepEqual(await phone.problems(), []);
        });

        test("J2: a session with another presence joins a room of the account", async () => {
            const room = await newRoom("show");
            const laptop = await connectSlixmpp(server, "alice/laptop");
            await phone.join(room, "Alice", "xa");
            const { show, codes } = await laptop.join(room, "Alice", "chat");
            assert.equal(show, "chat");
            assert(codes.includes(110));
            await laptop.ping(room, "Alice");
            assert.deepEqual(await laptop.problems(), []);
            await laptop.disconnect();
        });

        test("R1: in a non-anonymous room each session sees its own JID", async () => {
            const room = `whois@${server.rooms}`;
            await create(bob, room, "Bob", { persistentroom: "1", whois: "anyone" });
            const laptop = await connectSlixmpp(server, "alice/laptop");
            assert.equal((await phone.join(room, "Alice")).jid, "alice@a.lab/phone");
            assert.equal((await laptop.join(room, "Alice")).jid, "alice@a.lab/laptop");
            await laptop.disconnect();
        });

        test("J2, H2: a session joins again, with history", async () => {
            const room = await newRoom("again");
            await phone.join(room, "Alice");
            await groupchat(bob, room, "one");
            await phone.expect("one");
            const { history } = await phone.join(room, "Alice");
            assert.deepEqual(history, ["one"]);
            assert.deepEqual(await phone.problems(), []);
        });

        test("L3, J1: the last session leaves, and joins again", async () => {
            const room = await newRoom("leave");
            for (const round of ["first", "second"]) {
                await phone.join(room, "Alice");
                await phone.say(room, round);
                await phone.expect(round);
                await phone.leave(room, "Alice");
                await bob.expect({ type: "unavailable", from: `${room}/Alice` });
            }
            assert.deepEqual(await phone.problems(), []);
        });

        test("H3, C3: a session can query the archives of the account and of the room", async () => {
            const room = await newRoom("archive");
            await phone.join(room, "Alice");
            const bodies = Array.from({ length: 120 }, (_, number) => `message ${number}`);
            for (const body of bodies) {
                await groupchat(bob, room, body);
            }
            await phone.expect("message 119");
            assert.deepEqual(await phone.archive({ jid: room }), bodies);
            assert.deepEqual(await phone.archive({ with_jid: room }), bodies);
            assert.deepEqual(await phone.problems(), []);
        });
    });
});
