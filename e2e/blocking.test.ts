// XEP-0191: the account leaves blocked rooms and receives nothing from blocked occupants.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { publishBookmark } from "./support/bookmarks.ts";
import { type Client, statusCodes, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { groupchat, join, leave, privateMessage } from "./support/muc.ts";

const nsBlocking = "urn:xmpp:blocking";

for (const { name, ...setting } of settings) {
    describe(`${name}: blocking`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;

        before(async () => {
            house = await openHouse(setting);
            ({ phone, laptop, bob } = house);
        });

        after(() => house.close());

        async function edit(command: "block" | "unblock", jid: string): Promise<void> {
            await phone.iq("set", undefined, xml(command, { xmlns: nsBlocking }, xml("item", { jid })));
        }

        /** Returns what a session receives when it joins a room. */
        async function look(room: string): Promise<string[]> {
            const tablet = await house.connect("alice/tablet");
            const stanzas = await join(tablet, room, "Alice");
            await tablet.disconnect();
            await house.gone(tablet);
            return stanzas.filter(({ name }) => name === "presence").map(({ attrs }) => attrs.from ?? "");
        }

        async function settle(): Promise<void> {
            for (const client of [bob, phone, laptop]) {
                await client.sync();
            }
        }

        for (const what of ["a room", "its service"]) {
            test(`L2: the account leaves ${what} that is blocked, and its sessions are told`, async () => {
                const room = await house.roomWithBoth(`leaves-${what.length}`);
                const blocked = what === "a room" ? room : house.server.rooms;
                await edit("block", blocked);
                for (const client of [phone, laptop]) {
                    const gone = await client.expect({ name: "presence", type: "unavailable", from: `${room}/Alice` });
                    assert.deepEqual(statusCodes(gone), ["110"]);
                }
                await bob.expect({ name: "presence", type: "unavailable", from: `${room}/Alice` });
                assert.equal(await house.sessionsOf(room, "Alice"), undefined);
                assert.doesNotMatch(await house.server.shell(`minimix:rooms("alice@a.lab")`), new RegExp(room));

                // A join of a client fails.
                await groupchat(bob, room, "anybody?");
                await settle();
                await phone.expectNone({ room });
                await laptop.expectNone({ room });
                await assert.rejects(join(phone, room, "Alice"), { condition: "not-acceptable" });
                assert.equal(await house.sessionsOf(room, "Alice"), undefined);

                await edit("unblock", blocked);
                await join(phone, room, "Alice");
                await join(laptop, room, "Alice");
                await groupchat(bob, room, "welcome back");
                await phone.expect({ room, body: "welcome back" });
                await laptop.expect({ room, body: "welcome back" });
            });
        }

        test("R6: messages of a blocked occupant are dropped, and the account stays", async () => {
            const room = await house.roomWithBoth("occupant");
            const carol = await house.connect("carol/desk");
            await join(carol, room, "Carol");
            await laptop.expect({ from: `${room}/Carol` });
            await edit("block", `${room}/Bob`);
            await groupchat(bob, room, "can you hear me?");
            await privateMessage(bob, room, "Alice", "or me?");
            await groupchat(carol, room, "yes");
            await laptop.expect({ room, body: "yes" });
            await settle();
            await phone.expectNone({ from: `${room}/Bob` });
            await laptop.expectNone({ from: `${room}/Bob` });
            assert.deepEqual(await look(room), [`${room}/Carol`, `${room}/Alice`]);

            await edit("unblock", `${room}/Bob`);
            assert.deepEqual((await look(room)).sort(), [`${room}/Alice`, `${room}/Bob`, `${room}/Carol`]);
            await leave(bob, room, "Bob");
            await phone.expect({ from: `${room}/Bob`, type: "unavailable" });
            assert.deepEqual(await look(room), [`${room}/Carol`, `${room}/Alice`]);
            await carol.disconnect();
        });

        test("P5: a bookmark does not join a blocked room, neither at once nor at the next login", async () => {
            const room = await house.bobsRoom("bookmarked");
            const other = await house.bobsRoom("other");
            await publishBookmark(phone, room, { autojoin: true, nick: "Alice" });
            await bob.expect({ from: `${room}/Alice` });
            await edit("block", room);
            await bob.expect({ from: `${room}/Alice`, type: "unavailable" });
            await publishBookmark(phone, room, { autojoin: true, nick: "Ally" });
            await publishBookmark(phone, other, { autojoin: true, nick: "Alice" });
            await bob.expect({ from: `${other}/Alice` });
            const login = await house.connect("alice/tablet");
            await login.sync();
            await house.server.reloadModule("minimix");
            assert.deepEqual(nicksOf(await house.server.occupants(room)), ["Bob"]);
            assert.deepEqual(nicksOf(await house.server.occupants(other)), ["Alice", "Bob"]);
            assert.doesNotMatch(await house.server.shell(`minimix:rooms("alice@a.lab")`), new RegExp(room));
        });
    });
}

function nicksOf(occupants: { nick: string }[]): string[] {
    return occupants.map(({ nick }) => nick).sort();
}
