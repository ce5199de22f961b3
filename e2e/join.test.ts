// Tests how sessions join a room.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect, type Element, StanzaError, statusCodes, xml } from "./support/client.ts";
import { type House, occupantConfig, openHouse, settings } from "./support/house.ts";
import {
    ban,
    configure,
    create,
    type Form,
    groupchat,
    isSubject,
    join,
    leave,
    setAffiliation,
    setSubject,
} from "./support/muc.ts";
import { startServer, versions } from "./support/prosody.ts";

const nsMuc = "http://jabber.org/protocol/muc";

/** Number of server starts for the test of the first join, because handlers run in random order. */
const starts = Number(process.env.MINIMIX_STARTS ?? 5);

for (const { name, ...setting } of settings) {
    describe(`${name}: joining`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;

        before(async () => {
            house = await openHouse({ ...setting, hostConfig: "minimix_join_timeout = 1" });
            ({ phone, laptop, bob } = house);
        });

        after(() => house.close());

        function sendJoin(client: Client, room: string, nick: string, id: string, ...x: Element[]): Promise<void> {
            return client.send(xml("presence", { to: `${room}/${nick}`, id }, xml("x", { xmlns: nsMuc }, ...x)));
        }

        test("J1: the account is the occupant, with one JID for all its sessions", async () => {
            const room = await house.roomWithBoth("one");
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
            await bob.expectNone({ room });
        });

        test("J1: password, history and payload of a first join reach the room", async () => {
            const room = await house.bobsRoom("payload", { passwordprotectedroom: "1", roomsecret: "tea" });
            await groupchat(bob, room, "one");
            await groupchat(bob, room, "two");
            await bob.expect({ room, body: "two" });
            const payload = [xml("status", {}, "here"), xml("c", { xmlns: "urn:example:payload" })];
            const stanzas = await join(phone, room, "Alice", {
                password: "tea",
                history: { maxstanzas: "1" },
                payload,
            });
            assert.deepEqual(bodies(stanzas), ["two"]);
            const presence = await bob.expect({ name: "presence", from: `${room}/Alice` });
            assert.equal(presence.getChildText("status"), "here");
            assert(presence.getChild("c", "urn:example:payload"));
            assert.equal(presence.getChild("x", nsMuc), undefined);
        });

        test("J2: a second session gets occupants, its own presence, then the subject", async () => {
            const room = await house.bobsRoom("second");
            await setSubject(bob, room, "Tea");
            const carol = await house.connect("carol/desk");
            await join(carol, room, "Carol");
            await join(phone, room, "Alice");
            const stanzas = await join(laptop, room, "Alice", { id: "second-join" });
            const froms = stanzas.map(({ attrs }) => attrs.from);
            assert.deepEqual(froms.slice(0, 2).sort(), [`${room}/Bob`, `${room}/Carol`]);
            assert.deepEqual(froms.slice(2), [`${room}/Alice`, `${room}/Bob`]);
            const [self, subject] = stanzas.slice(2);
            assert.equal(self?.attrs.id, "second-join");
            assert.deepEqual(statusCodes(self), ["110"]);
            assert.equal(subject?.getChildText("subject"), "Tea");
            await laptop.expectNone({ room });
            await carol.disconnect();
        });

        test("J2: an empty subject is sent, and 201 goes to the creator only", async () => {
            const room = `created@${house.server.rooms}`;
            const first = await create(phone, room, "Alice");
            assert(first.map(statusCodes).flat().includes("201"));
            const stanzas = await join(laptop, room, "Alice");
            assert.deepEqual(stanzas.map(statusCodes), [["110"], []]);
            assert.equal(stanzas[1]?.getChildText("subject"), "");
            await laptop.expectNone({ room });
        });

        test("J2: each session gets status 100 of a non-anonymous room", async () => {
            const room = await house.bobsRoom("open", { whois: "anyone" });
            for (const client of [phone, laptop]) {
                const self = (await join(client, room, "Alice")).find(({ attrs }) => attrs.from === `${room}/Alice`);
                assert.deepEqual(self && statusCodes(self).sort(), ["100", "110"]);
            }
        });

        test("J3: a session that asks for another nick is attached under the account's", async () => {
            const room = await house.bobsRoom("nick");
            await join(phone, room, "Alice");
            await bob.expect({ from: `${room}/Alice` });
            const stanzas = await join(laptop, room, "Al");
            const self = stanzas.find(({ attrs }) => attrs.from === `${room}/Alice`);
            assert.deepEqual(self && statusCodes(self).sort(), ["110", "210"]);
            await phone.expectNone({ room });
            await bob.expectNone({ room });
        });

        test("R1: a message reaches each attached session once, and no other", async () => {
            const tablet = await house.connect("alice/tablet");
            const room = await house.roomWithBoth("message");
            await house.server.arrivals();
            const id = await groupchat(bob, room, "hello", xml("note", { xmlns: "urn:example:payload" }));
            for (const client of [phone, laptop]) {
                const copy = await client.expect({ type: "groupchat", from: `${room}/Bob`, body: "hello" });
                assert.equal(copy.attrs.id, id);
                assert.equal(copy.attrs.to, client.jid);
                assert(copy.getChild("note", "urn:example:payload"));
                await client.expectNone({ room });
            }
            await tablet.expectNone({ room });
            const arrivals = (await house.server.arrivals()).filter(({ to }) => to.startsWith(phone.account));
            assert.deepEqual(
                arrivals.map(({ to }) => to),
                [house.occupantJid(phone)],
            );
            await tablet.disconnect();
        });

        test("J4: sessions that join while the join is in flight are attached after it", async () => {
            const room = await house.bobsRoom("waiting");
            const tablet = await house.connect("alice/tablet");
            await house.hold();
            await sendJoin(phone, room, "Alice", "first");
            await phone.sync();
            await sendJoin(laptop, room, "Alice", "second");
            await sendJoin(tablet, room, "Al", "third");
            await laptop.sync();
            await tablet.sync();
            await house.release();
            for (const [client, id] of [
                [phone, "first"],
                [laptop, "second"],
                [tablet, "third"],
            ] as const) {
                const stanzas = await client.collect({ room }, isSubject);
                assert.deepEqual(
                    stanzas.map(({ attrs }) => attrs.from),
                    [`${room}/Bob`, `${room}/Alice`, room],
                );
                assert.equal(stanzas[1]?.attrs.id, id);
                await client.expectNone({ room });
            }
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
            await tablet.disconnect();
        });

        test("J4: a failed join fails the session that asked; the next session makes its own attempt", async () => {
            const room = await house.bobsRoom("tries", { passwordprotectedroom: "1", roomsecret: "tea" });
            const tablet = await house.connect("alice/tablet");
            await house.hold();
            await sendJoin(phone, room, "Alice", "wrong", xml("password", {}, "coffee"));
            await phone.sync();
            await sendJoin(laptop, room, "Bob", "taken", xml("password", {}, "tea"));
            await laptop.sync();
            await sendJoin(tablet, room, "Al", "right", xml("password", {}, "tea"));
            await tablet.sync();
            await house.release();
            assert.equal((await refused(phone, "wrong", room)).condition, "not-authorized");
            assert.equal((await refused(laptop, "taken", room)).condition, "conflict");
            const stanzas = await tablet.collect({ room }, isSubject);
            assert.equal(stanzas[1]?.attrs.from, `${room}/Al`);
            assert.equal(stanzas[1].attrs.id, "right");
            assert.deepEqual(await house.sessionsOf(room, "Al"), [house.occupantJid(phone)]);
            await phone.expectNone({ room });
            await laptop.expectNone({ room });
            await tablet.disconnect();
        });

        test("J4: a session that leaves or ends while the join is in flight does not affect the others", async () => {
            const room = await house.bobsRoom("quitters");
            const tablet = await house.connect("alice/tablet");
            const watch = await house.connect("alice/watch");
            await house.hold();
            await sendJoin(tablet, room, "Alice", "goes");
            await tablet.sync();
            await sendJoin(laptop, room, "Alice", "gives-up");
            await sendJoin(watch, room, "Alice", "stays");
            await watch.sync();
            await leave(laptop, room, "Alice");
            await tablet.disconnect();
            await watch.expect({ type: "unavailable", from: tablet.jid });
            await house.release();
            await watch.collect({ room }, isSubject);
            await laptop.expectNone({ room });
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
            await watch.disconnect();
        });

        test("J5: a join without an answer times out and leaves nothing behind", async () => {
            const room = await house.bobsRoom("silent");
            await house.hold();
            await sendJoin(phone, room, "Alice", "silent");
            const { condition, type } = await refused(phone, "silent", room);
            assert.equal(`${condition} ${type}`, "remote-server-timeout wait");
            await house.release();
            await bob.expect({ type: "unavailable", from: `${room}/Alice` });
            await phone.expectNone({ room });
            await join(phone, room, "Alice");
        });

        /** Reasons for which a room of Bob's refuses Alice, and how to make it admit her. */
        interface Refusal {
            name: string;
            condition: string;
            form?: Form;
            shut?: (room: string) => Promise<void>;
            open: (room: string) => Promise<void>;
        }

        const refusals: Refusal[] = [
            {
                name: "banned",
                condition: "forbidden",
                shut: (room) => ban(bob, room, phone.account),
                open: (room) => setAffiliation(bob, room, phone.account, "none"),
            },
            {
                name: "members-only",
                condition: "registration-required",
                form: { membersonly: "1" },
                open: (room) => setAffiliation(bob, room, phone.account, "member"),
            },
            {
                name: "password",
                condition: "not-authorized",
                form: { passwordprotectedroom: "1", roomsecret: "tea" },
                open: (room) => configure(bob, room, { passwordprotectedroom: "0", roomsecret: "" }),
            },
        ];

        for (const { name, condition, form, shut, open } of refusals) {
            test(`J4: a refused join (${name}) fails the session that asked, and the next attempt is a new one`, async () => {
                const room = await house.bobsRoom(`refused-${name}`, form);
                await shut?.(room);
                await refusedEverywhere(room, condition);
                await open(room);
                await join(laptop, room, "Alice");
                assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
                await phone.expectNone({ room });
            });
        }

        test("J4: a refused join (locked) fails the session that asked, and the next attempt is a new one", async () => {
            const room = `refused-locked@${house.server.rooms}`;
            await join(bob, room, "Bob");
            await refusedEverywhere(room, "item-not-found");
            await configure(bob, room);
            await join(phone, room, "Alice");
        });

        test("J4: a refused join (conflict) fails the session that asked, and another nick succeeds", async () => {
            const room = await house.bobsRoom("refused-conflict");
            await assert.rejects(join(phone, room, "Bob"), { condition: "conflict", type: "cancel" });
            await join(phone, room, "Alice");
        });

        test("J4: the right password succeeds after a wrong one", async () => {
            const room = await house.bobsRoom("password", { passwordprotectedroom: "1", roomsecret: "tea" });
            await assert.rejects(join(phone, room, "Alice", { password: "coffee" }), { condition: "not-authorized" });
            await join(phone, room, "Alice", { password: "tea" });
            await join(laptop, room, "Alice");
        });

        /** Checks that refused joins leave nothing behind: no session and no occupant. The room itself answers. */
        async function refusedEverywhere(room: string, condition: string): Promise<void> {
            for (const client of [phone, laptop]) {
                const other = client === phone ? laptop : phone;
                await sendJoin(client, room, "Alice", `${client.jid}-join`);
                assert.equal((await refused(client, `${client.jid}-join`, room)).condition, condition);
                await other.expectNone({ room });
                assert.equal(await house.sessionsOf(room, "Alice"), undefined);
                const id = await groupchat(client, room, "anybody there?");
                const error = await client.expect({ type: "error", id });
                assert.equal(new StanzaError(error).condition, "not-acceptable");
            }
        }

        test("J6: an attached session that joins again gets a full replay, and no other session does", async () => {
            const room = await house.roomWithBoth("resync");
            await setSubject(bob, room, "Tea");
            await phone.expect({ room, subject: "Tea" });
            await laptop.expect({ room, subject: "Tea" });
            await bob.sync();
            bob.take({ room });
            const stanzas = await join(laptop, room, "Alice", { id: "again" });
            assert.deepEqual(
                stanzas.map(({ attrs }) => attrs.from),
                [`${room}/Bob`, `${room}/Alice`, `${room}/Bob`],
            );
            assert.equal(stanzas[1]?.attrs.id, "again");
            for (const client of [phone, laptop, bob]) {
                await client.expectNone({ room });
            }
        });

        test("J6: a join with an unknown extension is answered by the room, for that session only", async () => {
            const room = await house.bobsRoom("extension");
            await setSubject(bob, room, "Tea");
            await groupchat(bob, room, "hello");
            await bob.expect({ room, body: "hello" });
            await join(phone, room, "Alice");
            await house.server.arrivals();
            await sendJoin(laptop, room, "Al", "extended", xml("mav", { xmlns: "urn:example:mav" }));
            const stanzas = await laptop.collect({ room }, isSubject);
            assert.deepEqual(
                stanzas.map(({ attrs }) => attrs.from),
                [`${room}/Bob`, `${room}/Alice`, `${room}/Bob`, `${room}/Bob`],
            );
            const self = stanzas[1];
            assert.equal(self?.attrs.id, "extended");
            assert.deepEqual(statusCodes(self).sort(), ["110", "210"]);
            assert.deepEqual(bodies(stanzas), ["hello"]);
            assert(
                (await house.server.arrivals()).some(
                    ({ from, to }) => from === `${room}/Bob` && to === house.occupantJid(phone),
                ),
            );
            await phone.expectNone({ room });
            await laptop.expectNone({ room });
            await groupchat(bob, room, "live");
            await laptop.expect({ room, body: "live" });
            await phone.expect({ room, body: "live" });
        });

        test("J6, C2: a resync does not change the presence of the account", async () => {
            const room = await house.bobsRoom("shown");
            await join(phone, room, "Alice", { payload: [xml("status", {}, "here")] });
            await bob.expect({ from: `${room}/Alice` });
            const x = xml("x", { xmlns: nsMuc }, xml("mav", { xmlns: "urn:example:mav" }));
            await laptop.send(xml("presence", { to: `${room}/Alice` }, x, xml("show", {}, "away")));
            await laptop.collect({ room }, isSubject);
            await bob.sync();
            const shown = bob.take({ from: `${room}/Alice` });
            assert(
                shown.every((presence) => presence.getChildText("status") === "here"),
                shown.join("\n"),
            );
            await phone.expectNone({ room });
        });

        test("J6, C2: an attached session that joins under another nick renames the account and gets a replay", async () => {
            const room = await house.roomWithBoth("rename");
            await sendJoin(laptop, room, "Alicia", "rename");
            const stanzas = await laptop.collect({ room }, isSubject);
            const [gone] = stanzas;
            assert.equal(gone?.attrs.from, `${room}/Alice`);
            assert.deepEqual(statusCodes(gone).sort(), ["110", "303"]);
            const self = stanzas.findLast(({ attrs }) => attrs.from === `${room}/Alicia`);
            assert.equal(self?.attrs.id, "rename");
            assert.deepEqual(statusCodes(self), ["110"]);
            assert(stanzas.some(({ attrs }) => attrs.from === `${room}/Bob`));
            for (const client of [phone, bob]) {
                await client.expect({ type: "unavailable", from: `${room}/Alice`, status: "303" });
                await client.expect({ type: undefined, from: `${room}/Alicia` });
            }
            for (const client of [phone, laptop, bob]) {
                await client.expectNone({ room });
            }
        });

        test("J7: a join without a nick is refused by the room, and an attached session gets a replay", async () => {
            const room = await house.bobsRoom("nickless");
            const presence = xml("presence", { to: room, id: "nickless" }, xml("x", { xmlns: nsMuc }));
            await phone.send(presence);
            assert.equal((await refused(phone, "nickless", room)).condition, "service-unavailable");
            await join(phone, room, "Alice");
            await phone.send(presence);
            const stanzas = await phone.collect({ room }, isSubject);
            assert.equal(stanzas[1]?.attrs.id, "nickless");
            await bob.expect({ name: "presence", from: `${room}/Alice` });
            await bob.expectNone({ room });
        });

        test("J7: a room that is a contact of the account is not handled", async () => {
            const room = `contact@${house.server.rooms}`;
            await house.server.eval(`
                prosody.hosts["${house.server.domain}"].sessions.alice.roster["${room}"] =
                    { subscription = "both", groups = {} };
            `);
            await create(phone, room, "Alice");
            await phone.sync();
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [phone.jid]);
            await leave(phone, room, "Alice");
            assert.deepEqual(await house.server.occupants(room), []);
        });

        test("J7: directed presence to people passes unchanged, with any payload", async () => {
            const x = xml("x", { xmlns: nsMuc });
            await phone.send(xml("presence", { to: bob.jid, id: "directed" }, x));
            const presence = await bob.expect({ name: "presence", id: "directed" });
            assert.equal(presence.attrs.from, phone.jid);
            assert(presence.getChild("x", nsMuc));
        });

        test("J7: a session that joined before the module was loaded keeps its own occupant", async () => {
            const { version } = setting;
            const server = await startServer({ version, users: ["alice", "bob"], hostConfig: occupantConfig(setting) });
            const room = `before@${server.rooms}`;
            const bob = await connect(server, "bob/desk");
            await create(bob, room, "Bob");
            const phone = await connect(server, "alice/phone");
            await join(phone, room, "Alice");
            await server.loadModule("minimix");
            const laptop = await connect(server, "alice/laptop");
            await join(laptop, room, "Alice");
            const [, alice] = (await server.occupants(room)).sort((a, b) => b.nick.localeCompare(a.nick));
            assert.deepEqual(alice?.sessions, [house.occupantJid(phone), phone.jid].sort());
            for (const client of [phone, laptop]) {
                await groupchat(client, room, client.name);
                for (const reader of [phone, laptop, bob]) {
                    await reader.expect({ from: `${room}/Alice`, body: client.name });
                    await reader.expectNone({ body: client.name });
                }
            }
            await leave(phone, room, "Alice");
            await laptop.expectNone({ type: "unavailable", room });
            await groupchat(bob, room, "still there?");
            await laptop.expect({ room, body: "still there?" });
            await phone.expectNone({ room, body: "still there?" });
            await server.stop();
        });
    });
}

for (const version of versions) {
    describe(`Prosody ${version}: restarted`, () => {
        test(`J1: the first join to a room of the server works, ${starts} times`, async () => {
            for (let start = 0; start < starts; start++) {
                const server = await startServer({ version, minimix: true, users: ["alice"] });
                const phone = await connect(server, "alice/phone");
                const room = `first@${server.rooms}`;
                await create(phone, room, "Alice");
                const laptop = await connect(server, "alice/laptop");
                await join(laptop, room, "Alice");
                await groupchat(laptop, room, "hello");
                for (const client of [phone, laptop]) {
                    const { attrs } = await client.expect({ from: `${room}/Alice`, body: "hello" });
                    assert.equal(attrs.to, client.jid);
                    await client.expectNone({ room });
                }
                await server.stop();
            }
        });
    });
}

function bodies(stanzas: Element[]): string[] {
    return stanzas.map((stanza) => stanza.getChildText("body")).filter((body) => body !== null);
}

/** Checks the room's error, which must answer the stanza with this id. */
async function refused(client: Client, id: string, room: string): Promise<StanzaError> {
    const error = await client.expect({ name: "presence", type: "error", room });
    assert.equal(error.attrs.id, id);
    return new StanzaError(error);
}
