// Tests the harness itself, on a plain MUC service.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect, statusCodes, xml } from "./support/client.ts";
import {
    ban,
    changeNick,
    create,
    destroy,
    groupchat,
    join,
    kick,
    leave,
    privateMessage,
    setAffiliation,
    setSubject,
} from "./support/muc.ts";
import { releaseOf, type Server, startServer, versions } from "./support/prosody.ts";

for (const version of versions) {
    describe(`Prosody ${version}, plain MUC`, () => {
        let server: Server;
        let alice: Client;
        let bob: Client;

        before(async () => {
            server = await startServer({ version, users: ["alice", "bob"] });
            alice = await connect(server, "alice/phone");
            bob = await connect(server, "bob/desk");
        });

        after(async () => {
            await server.stop();
        });

        async function roomWithBoth(name: string): Promise<string> {
            const room = `${name}@${server.rooms}`;
            await create(alice, room, "Alice");
            await join(bob, room, "Bob");
            await alice.expect({ name: "presence", from: `${room}/Bob` });
            return room;
        }

        test("runs the requested version", async () => {
            assert.equal(await server.eval("return prosody.version"), releaseOf(version));
        });

        test("join returns the occupants, the own presence and the subject", async () => {
            const room = `join@${server.rooms}`;
            const first = await create(alice, room, "Alice");
            assert.deepEqual(
                first.map(({ attrs }) => attrs.from),
                [`${room}/Alice`, room],
            );
            const second = await join(bob, room, "Bob");
            assert.deepEqual(
                second.map(({ attrs }) => attrs.from),
                [`${room}/Alice`, `${room}/Bob`, room],
            );
        });

        test("join returns the requested history", async () => {
            const room = await roomWithBoth("history");
            const carol = await connect(server, "alice/laptop");
            await groupchat(alice, room, "one");
            await groupchat(alice, room, "two");
            await bob.expect({ room, body: "two" });
            const stanzas = await join(carol, room, "Alice", { history: { maxstanzas: "1" } });
            const bodies = stanzas.map((stanza) => stanza.getChildText("body")).filter((body) => body !== null);
            assert.deepEqual(bodies, ["two"]);
            await carol.disconnect();
            assert.equal(carol.online, false);
        });

        test("a refused join rejects with the room's error", async () => {
            const room = await roomWithBoth("refused");
            const carol = await connect(server, "alice/laptop");
            await assert.rejects(join(carol, room, "Bob"), { condition: "conflict", type: "cancel" });
            await carol.disconnect();
        });

        test("a message reaches every occupant, with its id", async () => {
            const room = await roomWithBoth("message");
            const id = await groupchat(alice, room, "hello");
            for (const client of [alice, bob]) {
                const copy = await client.expect({ type: "groupchat", from: `${room}/Alice`, body: "hello" });
                assert.equal(copy.attrs.id, id);
            }
            await bob.expectNone({ body: "hello" });
        });

        test("private messages, subject, nick, roles and affiliations", async () => {
            const room = await roomWithBoth("all");
            await privateMessage(alice, room, "Bob", "psst");
            await bob.expect({ type: "chat", from: `${room}/Alice`, body: "psst" });
            await setSubject(alice, room, "Tea");
            await bob.expect({ room, subject: "Tea" });
            await changeNick(bob, room, "Bobby");
            await assert.rejects(changeNick(bob, room, "Alice"), { condition: "conflict" });
            await setAffiliation(alice, room, "carol@a.lab", "member");
            await kick(alice, room, "Bobby", "enough");
            await bob.expect({ type: "unavailable", from: `${room}/Bobby`, status: "307" });
            await join(bob, room, "Bob");
            await ban(alice, room, bob.account);
            await bob.expect({ type: "unavailable", from: `${room}/Bob`, status: "301" });
            await destroy(alice, room);
            await alice.expect({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(await server.occupants(room), []);
        });

        test("leave gives the room's confirmation", async () => {
            const room = await roomWithBoth("leave");
            const presence = await leave(bob, room, "Bob", "bye");
            assert(statusCodes(presence).includes("110"));
            await alice.expect({ type: "unavailable", from: `${room}/Bob` });
        });

        test("the server lists occupants and delivered stanzas", async () => {
            const room = await roomWithBoth("probe");
            const occupants = await server.occupants(room);
            assert.deepEqual(
                occupants.sort((a, b) => a.nick.localeCompare(b.nick)),
                [
                    { nick: "Alice", role: "moderator", affiliation: "owner", sessions: [alice.jid] },
                    { nick: "Bob", role: "participant", affiliation: "none", sessions: [bob.jid] },
                ],
            );
            await server.arrivals();
            const id = await groupchat(alice, room, "counted");
            await bob.expect({ body: "counted" });
            const from = `${room}/Alice`;
            assert.deepEqual(
                (await server.arrivals()).sort((a, b) => a.to.localeCompare(b.to)),
                [alice, bob].map(({ jid }) => ({ name: "message", type: "groupchat", from, to: jid, id })),
            );
        });

        test("IQs get the answer that the test has set", async () => {
            const room = await roomWithBoth("iq");
            const xmlns = "jabber:iq:version";
            bob.answer("get", "query", xmlns, () => xml("query", { xmlns }, xml("name", {}, "Test")));
            const query = await alice.iq("get", `${room}/Bob`, xml("query", { xmlns }));
            assert.equal(query?.getChildText("name"), "Test");
            const unknown = xml("query", { xmlns: "urn:example:unknown" });
            await assert.rejects(alice.iq("get", `${room}/Bob`, unknown), { condition: "service-unavailable" });
        });

        test("a lost session is resumed", async () => {
            const room = await roomWithBoth("resume");
            const tablet = await connect(server, "bob/tablet", { smacks: true });
            await join(tablet, room, "Bob");
            await tablet.drop();
            await groupchat(alice, room, "while away");
            await alice.expect({ body: "while away" });
            assert.equal(await tablet.resume(), true);
            await tablet.expect({ room, body: "while away" });
            await tablet.disconnect();
        });

        test("a lost session that has expired on the server is a new one", async () => {
            const tablet = await connect(server, "bob/tablet", { smacks: true });
            await tablet.drop();
            await server.eval(`prosody.full_sessions["${tablet.jid}"]:close()`);
            assert.equal(await tablet.resume(), false);
            await tablet.sync();
            await tablet.disconnect();
        });

        test("waiting ends with a timeout, and lists the stanzas that have arrived", async () => {
            await groupchat(alice, await roomWithBoth("waiting"), "something else");
            await bob.sync();
            await assert.rejects(
                bob.expect({ body: "never said" }, 50),
                /bob\/desk waited for .*never said.*something else/s,
            );
            await assert.rejects(bob.expectNone({ body: "something else" }), /something else/);
            assert.equal(bob.take({ body: "something else" }).length, 1);
        });

        test("modules can be unloaded, loaded and reloaded", async () => {
            await server.unloadModule("version");
            const version = () => alice.iq("get", server.domain, xml("query", { xmlns: "jabber:iq:version" }));
            await assert.rejects(version(), { condition: "service-unavailable" });
            await server.loadModule("version");
            await version();
            await server.reloadModule("version");
            await version();
            await assert.rejects(server.loadModule("nothing_of_this_name"), /nothing_of_this_name/);
            server.allowError(/nothing_of_this_name/);
        });

        test("the admin shell answers", async () => {
            assert.match(await server.shell("c2s:show()"), /alice@a\.lab/);
        });
    });

    describe(`Prosody ${version}, restarted`, () => {
        test("keeps data and port, whether stopped or killed", async () => {
            const server = await startServer({ version, users: ["alice"] });
            const room = `kept@${server.rooms}`;
            const alice = await connect(server, "alice/phone");
            await create(alice, room, "Alice", { persistentroom: "1", roomname: "Kept" });
            await server.kill();
            await alice.disconnected();
            await server.start();
            const again = await connect(server, "alice/phone");
            const info = await again.iq("get", room, xml("query", { xmlns: "http://jabber.org/protocol/disco#info" }));
            assert.equal(info?.getChild("identity")?.attrs.name, "Kept");
            await server.restart();
            await again.disconnected();
            await (await connect(server, "alice/phone")).disconnect();
            await server.restart({ hostConfig: `greeting = "hello"` });
            assert.equal(await server.eval(`return require "core.configmanager".get("a.lab", "greeting")`), "hello");
            await server.stop();
        });

        test("an error in the log fails the test", async () => {
            const server = await startServer({ version });
            server.allowError(/expected by the test/);
            await server.eval(`prosody.log("error", "expected by the test")`);
            server.checkLog();
            await server.eval(`prosody.log("error", "out of the blue")`);
            await assert.rejects(server.stop(), /out of the blue/);
        });

        test("an invalid configuration is reported", async () => {
            await assert.rejects(startServer({ version, globalConfig: "this is not Lua" }), /did not start/);
        });
    });
}
