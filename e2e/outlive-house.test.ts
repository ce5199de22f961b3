// P4, P6, L6, O5: effects on an account's rooms. Its clients end, its user is deleted, or the module is unloaded.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join as joinPath } from "node:path";
import { after, before, describe, test } from "node:test";
import { client as anonymousClient, type Element } from "@xmpp/client";
import { type Client, connect, statusCodes, streamManaged, xml } from "./support/client.ts";
import { create, groupchat, join, leave } from "./support/muc.ts";
import { eventually } from "./support/outlive.ts";
import { type Server, startServer, versions } from "./support/prosody.ts";

const nsMuc = "http://jabber.org/protocol/muc";

/** The module's files of one account, or of all accounts. */
function stored(server: Server, username = ""): string[] {
    const files = readdirSync(joinPath(server.folder, "data"), { recursive: true }).map(String);
    return files.filter(
        (file) => file.includes("/minimix") && file.includes(`/${username}`) && /\.(dat|list)$/.test(file),
    );
}

for (const version of versions) {
    describe(`Prosody ${version}, accounts without clients`, () => {
        let server: Server;
        let bob: Client;
        let room: string;
        // Only this backend can disable accounts.
        const authentication = `authentication = "internal_hashed"`;

        before(async () => {
            server = await startServer({
                version,
                minimix: true,
                users: ["alice", "bob", "carol"],
                hostConfig: `minimix_detached_after = 1; ${authentication}`,
            });
            room = `tea@${server.rooms}`;
            await bobComes();
        });

        after(async () => {
            await server.stop();
        });

        async function bobComes(): Promise<void> {
            bob = await connect(server, "bob/desk");
            await create(bob, room, "Bob", { persistentroom: "1" });
        }

        async function nicks(): Promise<string[]> {
            return (await server.occupants(room)).map(({ nick }) => nick).sort();
        }

        async function comes(name: string, nick: string): Promise<Client> {
            const client = await connect(server, name);
            await join(client, room, nick);
            await bob.sync();
            bob.take();
            return client;
        }

        test("P4: are shown as xa after a while, until a client joins", async () => {
            const phone = await comes("carol/phone", "Carol");
            await phone.disconnect();
            const away = await bob.expect({ name: "presence", from: `${room}/Carol` });
            assert.equal(away.getChildText("show"), "xa");
            const again = await connect(server, "carol/phone");
            await join(again, room, "Carol");
            const back = await bob.expect({ name: "presence", from: `${room}/Carol` });
            assert.equal(back.getChildText("show"), null);
            await leave(again, room, "Carol");
            await bob.expect({ name: "presence", type: "unavailable", from: `${room}/Carol` });
            await again.disconnect();
        });

        test("O5: leave when the module is unloaded and rejoin when it is loaded, and clients are told", async () => {
            const phone = await comes("alice/phone", "Alice");
            const laptop = await comes("alice/laptop", "Alice");
            await server.unloadModule("minimix");
            for (const client of [phone, laptop]) {
                const told = await client.expect({ name: "presence", type: "unavailable", from: `${room}/Alice` });
                assert.deepEqual(statusCodes(told).sort(), ["110", "333"]);
            }
            assert.deepEqual(await nicks(), []);
            assert.equal(stored(server, "alice").length > 0, true);
            await phone.disconnect();
            await laptop.disconnect();
            await server.loadModule("minimix");
            await eventually(nicks, (all) => all.join() === "Alice,Bob");
            const again = await connect(server, "alice/phone");
            await join(again, room, "Alice");
            await groupchat(again, room, "still here");
            await again.expect({ room, body: "still here" });
            await again.disconnect();
            await bob.disconnect();
        });

        test("P2: use another nick if theirs is taken after a restart, until it is free", async () => {
            await server.kill();
            await server.start({ minimix: false });
            const thief = await connect(server, "carol/phone");
            await join(thief, room, "Alice");
            await server.loadModule("minimix");
            await eventually(nicks, (all) => all.join() === "Alice,Alice_,Bob");
            const phone = await connect(server, "alice/phone");
            const stanzas = await join(phone, room, "Alice");
            const own = stanzas.find((stanza) => statusCodes(stanza).includes("110"));
            assert.equal(own?.attrs.from, `${room}/Alice_`);
            assert(statusCodes(own).includes("210"));
            await leave(thief, room, "Alice");
            const renamed = await phone.expect({ type: "unavailable", from: `${room}/Alice_` });
            assert(statusCodes(renamed).includes("303"));
            await phone.expect({ name: "presence", type: undefined, from: `${room}/Alice`, status: "110" });
            assert.deepEqual(await nicks(), ["Alice", "Bob"]);
            await server.restart({ minimix: true });
        });

        test("L6: leave when their user is disabled", { skip: version === "0.12" }, async () => {
            await eventually(nicks, (all) => all.join() === "Alice,Bob");
            await server.eval(`return assert(require "core.usermanager".disable_user("alice", "a.lab"))`);
            await eventually(nicks, (all) => all.join() === "Bob");
            assert.deepEqual(stored(server, "alice."), []);
        });

        test("P6: leave when no client has used them for a long time", async () => {
            await eventually(nicks, (all) => all.includes("Bob"));
            await server.restart({ hostConfig: `minimix_inactive_after = 1; ${authentication}` });
            const carol = await connect(server, "carol/phone");
            await join(carol, room, "Carol");
            await eventually(nicks, (all) => all.join() === "Carol");
            assert.deepEqual(
                stored(server, "bob.").filter((file) => file.includes("/minimix/")),
                [],
            );
            await carol.disconnect();
            await eventually(nicks, (all) => all.length === 0);
        });
    });

    test(`L6: Prosody ${version}, an account of an anonymous host leaves with its session and stores nothing`, async () => {
        const server = await startServer({ version, minimix: true, hostConfig: `authentication = "anonymous"` });
        const room = `tea@${server.rooms}`;
        const guest = anonymousClient({ service: `xmpp://127.0.0.1:${server.port}`, domain: server.domain });
        guest.reconnect.stop();
        guest.on("error", () => undefined);
        const joined = new Promise((resolve) => {
            guest.on("stanza", (stanza: Element) => {
                if (stanza.name === "message" && stanza.getChild("subject") !== undefined) {
                    resolve(stanza);
                }
            });
        });
        await Promise.all([guest.start(), streamManaged(guest)]);
        await guest.send(xml("presence", { to: `${room}/Guest` }, xml("x", { xmlns: nsMuc })));
        await joined;
        await guest.send(xml("message", { to: room, type: "groupchat" }, xml("body", {}, "hello")));
        await eventually(
            () => server.occupants(room),
            (occupants) => occupants.length === 1,
        );
        await guest.stop().catch(() => undefined);
        await eventually(
            () => server.occupants(room),
            (occupants) => occupants.length === 0,
        );
        assert.deepEqual(stored(server), []);
        await server.stop();
    });
}
