// How sessions leave, and when the account leaves with them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, type Element, statusCodes, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { groupchat, join, leave, setSubject } from "./support/muc.ts";
import { atOnce, inTurn } from "./support/suites.ts";

const nsMucUser = "http://jabber.org/protocol/muc#user";

atOnce("leaving", settings, ({ name, ...setting }) => {
    describe(`${name}: leaving`, inTurn, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;

        before(async () => {
            house = await openHouse({ ...setting, hostConfig: "smacks_hibernation_time = 1" });
            ({ phone, laptop, bob } = house);
        });

        after(() => house.close());

        /** Carol's clients, joined to a room of Bob's, without unread stanzas. */
        async function carols(room: string, ...clients: Client[]): Promise<void> {
            for (const client of clients) {
                await join(client, room, "Carol");
            }
            for (const client of [...clients, bob]) {
                await client.sync();
                client.take();
            }
        }

        async function isIn(room: string, nick: string): Promise<boolean> {
            return (await house.server.occupants(room)).some((occupant) => occupant.nick === nick);
        }

        test("L2: one session leaves, and only that session is told", async () => {
            const room = await house.roomWithBoth("one");
            const presence = await leave(phone, room, "Alice", "bye");
            assertGone(presence, `${room}/Alice`);
            assert.equal(presence.attrs.id, phone.sent.at(-1)?.attrs.id);
            await laptop.expectNone({ room });
            await bob.expectNone({ room });
            await groupchat(bob, room, "still there?");
            await laptop.expect({ room, body: "still there?" });
            await phone.expectNone({ room });
        });

        test("L3: the account leaves with its last session, which gets the room's answer", async () => {
            const room = await house.roomWithBoth("last");
            await leave(phone, room, "Alice");
            const presence = await leave(laptop, room, "Alice", "bye all");
            assertGone(presence, `${room}/Alice`);
            assert.equal(presence.getChildText("status"), "bye all");
            const seen = await bob.expect({ type: "unavailable", from: `${room}/Alice` });
            assert.equal(seen.getChildText("status"), "bye all");
            assert.equal(await isIn(room, "Alice"), false);
            for (const client of [phone, laptop, bob]) {
                await client.expectNone({ room });
            }
        });

        test("L2, L3: two sessions leave at the same time, and each is told once", async () => {
            const room = await house.roomWithBoth("together");
            const both = await Promise.all([leave(phone, room, "Alice"), leave(laptop, room, "Alice")]);
            both.forEach((presence) => {
                assertGone(presence, `${room}/Alice`);
            });
            await bob.expect({ type: "unavailable", from: `${room}/Alice` });
            for (const client of [phone, laptop, bob]) {
                await client.expectNone({ room });
            }
        });

        test("L3: a leave to the bare room JID works, also with a join right after it", async () => {
            const room = await house.bobsRoom("again");
            await join(phone, room, "Alice");
            await phone.send(xml("presence", { to: room, type: "unavailable" }));
            const [gone, ...joined] = await join(phone, room, "Alicia");
            assert(gone);
            assertGone(gone, `${room}/Alice`);
            assert.deepEqual(
                joined.map(({ attrs }) => attrs.from),
                [`${room}/Bob`, `${room}/Alicia`, room],
            );
        });

        test("L3: a session that joins while the account leaves gets a new join", async () => {
            const room = await house.bobsRoom("crossing");
            await join(phone, room, "Alice");
            await house.hold();
            await phone.send(xml("presence", { to: `${room}/Alice`, type: "unavailable" }));
            await phone.sync();
            const joined = join(laptop, room, "Al");
            await laptop.sync();
            await house.release();
            assertGone(await phone.expect({ type: "unavailable", room }), `${room}/Alice`);
            assert((await joined).some((stanza) => stanza.attrs.from === `${room}/Al`));
            await phone.expectNone({ room });
        });

        for (const password of ["tea", "coffee"]) {
            const outcome = password === "tea" ? "is let in" : "is refused";
            test(`L3: a session that leaves while its join is in flight is out, whether it ${outcome}`, async () => {
                const room = await house.bobsRoom(`early-${password}`, {
                    passwordprotectedroom: "1",
                    roomsecret: "tea",
                });
                await house.hold();
                const x = xml("x", { xmlns: "http://jabber.org/protocol/muc" }, xml("password", {}, password));
                await phone.send(xml("presence", { to: `${room}/Alice` }, x));
                await phone.send(xml("presence", { to: `${room}/Alice`, type: "unavailable" }));
                await phone.sync();
                await house.release();
                assertGone(await phone.expect({ type: "unavailable", room }), `${room}/Alice`);
                await phone.expectNone({ type: "unavailable", room });
                assert.equal(await isIn(room, "Alice"), false);
                await join(laptop, room, "Alice", { password: "tea" });
            });
        }

        test("L3: a session that leaves during a resync is told once", async () => {
            const room = await house.roomWithBoth("early-again");
            await house.hold();
            const x = xml("x", { xmlns: "http://jabber.org/protocol/muc" }, xml("mav", { xmlns: "urn:example:mav" }));
            await laptop.send(xml("presence", { to: `${room}/Alice` }, x));
            await laptop.send(xml("presence", { to: `${room}/Alice`, type: "unavailable" }));
            await laptop.sync();
            await house.release();
            assertGone(await laptop.expect({ type: "unavailable", room }), `${room}/Alice`);
            await groupchat(bob, room, "hello");
            await phone.expect({ room, body: "hello" });
            await laptop.expectNone({ room });
        });

        test("L2: the leave of a session that has not joined does not make the account leave", async () => {
            const room = await house.bobsRoom("stranger");
            await join(phone, room, "Alice");
            await laptop.send(xml("presence", { to: `${room}/Alice`, type: "unavailable" }));
            await laptop.expectNone({ room });
            await phone.expectNone({ type: "unavailable", room });
            assert.equal(await isIn(room, "Alice"), true);
        });

        const endings: [string, (client: Client) => Promise<void>][] = [
            ["loses its connection", (client) => client.drop()],
            ["closes its stream", (client) => client.disconnect()],
        ];

        for (const [what, end] of endings) {
            test(`L1: every session ${what}: the account stays, and a session that returns is in at once`, async () => {
                const room = await house.bobsRoom(what.replaceAll(" ", "-"));
                const clients = [await house.connect("carol/phone"), await house.connect("carol/laptop")];
                await carols(room, ...clients);
                for (const client of clients) {
                    await end(client);
                    await house.gone(client);
                }
                await bob.expectNone({ room });
                assert.equal(await isIn(room, "Carol"), true);
                await join(phone, room, "Alice");
                await setSubject(bob, room, "Meanwhile");
                await house.server.arrivals();
                const again = await house.connect("carol/phone");
                const stanzas = await join(again, room, "Carol");
                const froms = stanzas.filter((stanza) => stanza.name === "presence").map(({ attrs }) => attrs.from);
                assert.deepEqual(froms.slice(0, -1).sort(), [`${room}/Alice`, `${room}/Bob`]);
                assert.equal(froms.at(-1), `${room}/Carol`);
                assert.equal(stanzas.at(-1)?.getChildText("subject"), "Meanwhile");
                assert.deepEqual(await fromRoom(room), []);
                await again.disconnect();
            });
        }

        /** Returns the stanzas of a room that reached the server's accounts since the last call. */
        async function fromRoom(room: string): Promise<unknown[]> {
            return (await house.server.arrivals()).filter(({ from }) => from.startsWith(room));
        }

        test("L1: a broadcast unavailable detaches the session, and a new join attaches it", async () => {
            const room = await house.roomWithBoth("offline");
            await phone.send(xml("presence", { type: "unavailable" }));
            assertGone(await phone.expect({ type: "unavailable", room }), `${room}/Alice`);
            await phone.send(xml("presence"));
            await phone.sync();
            await groupchat(bob, room, "who is here?");
            await laptop.expect({ room, body: "who is here?" });
            await phone.expectNone({ room });
            await bob.expect({ room, body: "who is here?" });
            await bob.expectNone({ room });
            await join(phone, room, "Alice");
            assert.equal(await isIn(room, "Alice"), true);
        });

        test("L1: after a broadcast unavailable of the last session the account stays in the room", async () => {
            const room = await house.bobsRoom("all-offline");
            const carol = await house.connect("carol/phone");
            await carols(room, carol);
            await carol.send(xml("presence", { type: "unavailable" }));
            await carol.expect({ type: "unavailable", room });
            await bob.expectNone({ room });
            await carol.disconnect();
            await house.gone(carol);
            await bob.expectNone({ room });
            assert.equal(await isIn(room, "Carol"), true);
        });

        test("L1: a hibernating session stays attached and gets what it missed once", async () => {
            const room = await house.bobsRoom("hibernating");
            const carol = await house.connect("carol/phone", { smacks: true });
            await carols(room, carol);
            await carol.drop();
            await groupchat(bob, room, "one");
            await groupchat(bob, room, "two");
            await bob.expect({ room, body: "two" });
            assert.equal(await carol.resume(), true);
            await carol.expect({ room, body: "two" });
            await carol.sync();
            const missed = carol.received.map((stanza) => stanza.getChildText("body")).filter((body) => body !== null);
            assert.deepEqual(missed, ["one", "two"]);
            await groupchat(carol, room, "back");
            await bob.expect({ from: `${room}/Carol`, body: "back" });
            await carol.disconnect();
        });

        test("L1, R6: when a hibernating session expires the account stays in the room", async () => {
            const room = await house.bobsRoom("expired");
            const carol = await house.connect("carol/phone", { smacks: true });
            await carols(room, carol);
            await carol.drop();
            await groupchat(bob, room, "unacknowledged");
            await setSubject(bob, room, "unacknowledged");
            await house.gone(carol);
            await bob.sync();
            assert.deepEqual(bob.take({ name: "presence", room }), []);
            assert.equal(await isIn(room, "Carol"), true);
            const again = await house.connect("carol/phone");
            await join(again, room, "Carol");
            await again.disconnect();
        });

        for (const smacks of [false, true]) {
            const which = smacks ? "hibernating" : "connected";
            test(`L1: a new session with the resource of a ${which} session is not attached`, async () => {
                const room = await house.bobsRoom(`conflict-${which}`);
                const carol = await house.connect("carol/phone", { smacks });
                await carols(room, carol);
                if (smacks) {
                    await carol.drop();
                }
                const other = await house.connect("carol/phone");
                await carol.disconnected();
                await groupchat(bob, room, "hello");
                await bob.expect({ room, body: "hello" });
                await other.expectNone({ room });
                await bob.expectNone({ room });
                assert.equal(await isIn(room, "Carol"), true);
                await join(other, room, "Carol");
                await groupchat(bob, room, "hello again");
                await other.expect({ room, body: "hello again" });
                await other.disconnect();
            });
        }
    });
});

/** XEP-0045 7.14. */
function assertGone(presence: Element, occupant: string): void {
    assert.equal(presence.attrs.from, occupant);
    assert.equal(presence.getChild("x", nsMucUser)?.getChild("item")?.attrs.role, "none");
    assert.deepEqual(statusCodes(presence), ["110"]);
}
