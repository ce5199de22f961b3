// Rooms that the server joins and leaves by the account's bookmarks, as clients make and change them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
    type Bookmark,
    clearBookmarks,
    followBookmarks,
    publishBookmark,
    readBookmarks,
    retractBookmark,
    storeLegacyBookmarks,
} from "./support/bookmarks.ts";
import { type Client, connect, type Element, statusCodes, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { changeNick, create, destroy, groupchat, join, kick, leave } from "./support/muc.ts";
import { type Server, startServer, versions } from "./support/prosody.ts";
import { atOnce, inTurn } from "./support/suites.ts";

/** The ways in which a client ends a bookmark. "legacy": a client that supports XEP-0048 only. */
const endings: Record<string, { legacy: boolean; end: (client: Client, room: string) => Promise<void> }> = {
    "autojoin off": { legacy: false, end: (client, room) => publishBookmark(client, room, { autojoin: false }) },
    "no autojoin": { legacy: false, end: (client, room) => publishBookmark(client, room, {}) },
    retracted: { legacy: false, end: retractBookmark },
    purged: { legacy: false, end: (client) => clearBookmarks(client, "purge") },
    deleted: { legacy: false, end: (client) => clearBookmarks(client, "delete") },
    "legacy, autojoin off": {
        legacy: true,
        end: (client, room) => storeLegacyBookmarks(client, { [room]: { autojoin: false } }),
    },
    "legacy, gone": { legacy: true, end: (client) => storeLegacyBookmarks(client, {}) },
};

/** The orders of events with both devices, or only the first. The second device writes the bookmark. */
const orders = [
    ["end", "one leaves"],
    ["one leaves", "end"],
    ["one leaves, end"],
    ["end", "one is lost"],
    ["one is lost", "end"],
    ["end", "one leaves", "two leaves"],
    ["one leaves", "end", "two leaves"],
    ["one leaves", "two leaves", "end"],
    ["one leaves, end", "two leaves"],
    ["one is lost", "end", "two leaves"],
    ["end", "one leaves", "two is lost"],
];

/** The orders that an ending has on other versions than the newest. All endings together have all orders. */
function someOrders(ending: number): string[][] {
    return orders.filter((_, i) => i % 4 === ending % 4);
}

atOnce("bookmarks", settings, ({ name, ...setting }) => {
    describe(`${name}: bookmarks`, inTurn, () => {
        let house: House;
        let bob: Client;
        let phone: Client;
        let laptop: Client;
        let carol: Client;

        before(async () => {
            house = await openHouse({ ...setting });
            ({ bob, phone, laptop } = house);
            carol = await house.connect("carol/phone");
        });

        after(() => house.close());

        const nicksIn = (room: string) => nicks(house.server, room);

        async function isIn(room: string, nick: string): Promise<void> {
            await until(async () => (await nicksIn(room)).includes(nick), `${nick} in ${room}`);
        }

        async function isOut(room: string, nick: string): Promise<void> {
            await until(async () => !(await nicksIn(room)).includes(nick), `${nick} out of ${room}`);
        }

        /** A room that the account is in by its bookmark. */
        async function bookmarked(name: string, bookmark: Bookmark = {}): Promise<string> {
            const room = await house.bobsRoom(name);
            await publishBookmark(phone, room, { autojoin: true, nick: "Alice", ...bookmark });
            await isIn(room, bookmark.nick ?? "Alice");
            await bob.sync();
            bob.take();
            return room;
        }

        test("P5: the account is in a bookmarked room with no client in it", async () => {
            const room = await bookmarked("alone");
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
            await groupchat(bob, room, "hello");
            await bob.expect({ room, body: "hello" });
            await phone.expectNone({ room });
            await laptop.expectNone({ room });
        });

        test("P5, J2: a client that joins is attached to a room that the server has joined", async () => {
            const room = await bookmarked("attach");
            const seen = await join(laptop, room, "Alice");
            assert.deepEqual(
                seen.slice(0, 2).map(({ attrs }) => attrs.from),
                [`${room}/Bob`, `${room}/Alice`],
            );
            await laptop.sync();
            await bob.expectNone({ room, type: "unavailable" });
            assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(phone)]);
            await groupchat(laptop, room, "I was here all the time");
            await bob.expect({ from: `${room}/Alice`, body: "I was here all the time" });
        });

        test("P5: a bookmark of XEP-0048 has the same effect", async () => {
            const room = await house.bobsRoom("legacy");
            await storeLegacyBookmarks(carol, { [room]: { autojoin: true, nick: "Carol" } });
            await isIn(room, "Carol");
            assert.deepEqual(await house.sessionsOf(room, "Carol"), [house.occupantJid(carol)]);
        });

        test("P5: a bookmark without autojoin has no effect until autojoin is turned on", async () => {
            const room = await house.bobsRoom("later");
            await publishBookmark(phone, room, { nick: "Alice" });
            await setTimeout(200);
            assert.deepEqual(await nicksIn(room), ["Bob"]);
            await publishBookmark(phone, room, { nick: "Alice", autojoin: true });
            await isIn(room, "Alice");
        });

        test("P5: the bookmark's password is used, and a changed one is tried", async () => {
            const room = await house.bobsRoom("password", { passwordprotectedroom: "1", roomsecret: "tea" });
            const bookmark = { autojoin: true, nick: "Alice" };
            await publishBookmark(phone, room, { ...bookmark, password: "coffee" });
            await setTimeout(300);
            assert.deepEqual(await nicksIn(room), ["Bob"]);
            await publishBookmark(phone, room, { ...bookmark, password: "tea" });
            await isIn(room, "Alice");
            await join(laptop, room, "Alice");
        });

        test("P5: a changed nick in the bookmark changes the account's nick", async () => {
            const room = await bookmarked("nick");
            await join(phone, room, "Alice");
            await join(laptop, room, "Alice");
            await publishBookmark(phone, room, { autojoin: true, nick: "Ally" });
            for (const client of [phone, laptop]) {
                const old = await client.expect({ type: "unavailable", from: `${room}/Alice`, status: "303" });
                assert(statusCodes(old).includes("110"));
                await client.expect({ type: undefined, from: `${room}/Ally`, status: "110" });
            }
            await changeNick(laptop, room, "Al");
            await publishBookmark(phone, room, { autojoin: true, nick: "Ally", name: "Tea" });
            await setTimeout(200);
            assert.deepEqual((await nicksIn(room)).sort(), ["Al", "Bob"]);
            assert.equal((await readBookmarks(phone)).get(room)?.getChildText("nick"), "Ally");
        });

        test("L3: the last session that leaves is told at once, and the account stays", async () => {
            const room = await bookmarked("stay");
            await join(phone, room, "Alice");
            await phone.sync();
            phone.take();
            const presence = await leave(phone, room, "Alice");
            assert.equal(presence.getChild("x")?.getChild("item")?.attrs.role, "none");
            await groupchat(bob, room, "still there?");
            await bob.expect({ room, body: "still there?" });
            await bob.expectNone({ type: "unavailable", room });
            await phone.expectNone({ room });
            await isIn(room, "Alice");
        });

        test("R2: an account that is removed does not rejoin, but a client may join again", async () => {
            const room = await bookmarked("thrown-out");
            await kick(bob, room, "Alice");
            await isOut(room, "Alice");
            const tablet = await house.connect("alice/tablet");
            await setTimeout(300);
            assert.deepEqual(await nicksIn(room), ["Bob"]);
            await join(tablet, room, "Alice");
            await tablet.disconnect();
            await house.gone(tablet);
            await isIn(room, "Alice");
            await destroy(bob, room);
            await setTimeout(300);
            assert.deepEqual(await nicksIn(room), []);
            assert.equal((await readBookmarks(phone)).get(room)?.attrs.autojoin, "true");
        });

        test("L6: a deleted account is in no room", async () => {
            const room = await house.bobsRoom("deleted");
            house.server.register("dave");
            const dave = await house.connect("dave/phone");
            await publishBookmark(dave, room, { autojoin: true, nick: "Dave" });
            await isIn(room, "Dave");
            await house.server.eval(`assert(require "core.usermanager".delete_user("dave", "${house.server.domain}"))`);
            await dave.disconnected();
            await isOut(room, "Dave");
            await bob.expect({ type: "unavailable", from: `${room}/Dave` });
            await setTimeout(200);
            await bob.expectNone({ type: "unavailable", room });
            assert.deepEqual(await nicksIn(room), ["Bob"]);
        });
    });
});

atOnce("the end of a bookmark", versions, (version) => {
    describe(`Prosody ${version}: the end of a bookmark`, inTurn, () => {
        let house: House;
        /** Bookmarks of Alice (XEP-0402) and of Carol (XEP-0048). */
        const devices = new Map<string, Client>();

        before(async () => {
            house = await openHouse({ version });
            for (const name of ["alice/one", "alice/two", "carol/one", "carol/two"]) {
                devices.set(name, await house.connect(name));
            }
        });

        after(() => house.close());

        /** Returns the device, reconnected if it was lost. */
        async function device(name: string): Promise<Client> {
            const known = devices.get(name);
            const client = known?.online ? known : await house.connect(name);
            devices.set(name, client);
            return client;
        }

        for (const [number, [ending, { legacy, end }]] of Object.entries(endings).entries()) {
            for (const order of version === versions.at(-1) ? orders : someOrders(number)) {
                test(`L3, L4: ${ending}: ${order.join(", ")}`, async () => {
                    const { bob } = house;
                    const user = legacy ? "carol" : "alice";
                    const room = await house.bobsRoom(`${ending} ${order.join(" ")}`.replace(/\W+/g, "-"));
                    const one = await device(`${user}/one`);
                    const two = await device(`${user}/two`);
                    const bookmark = { autojoin: true, nick: "Me" };
                    await (legacy
                        ? storeLegacyBookmarks(two, { [room]: bookmark })
                        : publishBookmark(two, room, bookmark));
                    await until(async () => (await nicks(house.server, room)).includes("Me"), "in the room");
                    await join(one, room, "Me");
                    if (order.some((step) => step.startsWith("two"))) {
                        await join(two, room, "Me");
                    }
                    await bob.sync();
                    bob.take();

                    const steps: Record<string, () => Promise<unknown>> = {
                        end: () => end(two, room),
                        "one leaves": () => leave(one, room, "Me"),
                        "two leaves": () => leave(two, room, "Me"),
                        "one is lost": () => one.drop().then(() => house.gone(one)),
                        "two is lost": () => two.drop().then(() => house.gone(two)),
                        "one leaves, end": () => Promise.all([leave(one, room, "Me"), end(two, room)]),
                    };
                    for (const step of order) {
                        await steps[step]?.();
                    }

                    await until(async () => !(await nicks(house.server, room)).includes("Me"), "out of the room");
                    await bob.expect({ type: "unavailable", from: `${room}/Me` });
                    for (const client of [bob, one, two].filter(({ online }) => online)) {
                        await client.expectNone({ type: "unavailable", room });
                    }
                });
            }
        }
    });
});

atOnce("bookmarks and starts", versions, (version) => {
    describe(`Prosody ${version}: bookmarks and starts`, inTurn, () => {
        const roomForm = { persistentroom: "1" };

        test("P1, P5: the account rejoins after a restart and after SIGKILL, and follows the user's last change", async () => {
            const server = await startServer({ version, minimix: true, users: ["alice", "bob"] });
            let alice = await connect(server, "alice/phone");
            const bob = await connect(server, "bob/desk");
            const room = `start@${server.rooms}`;
            const other = `other@${server.rooms}`;
            await create(bob, room, "Bob", roomForm);
            await create(bob, other, "Bob", roomForm);
            await publishBookmark(alice, room, { autojoin: true, nick: "Alice" });
            await publishBookmark(alice, other, { autojoin: true, nick: "Alice" });
            await until(async () => (await nicks(server, other)).includes("Alice"), "in the room");
            await server.restart();
            await until(async () => (await nicks(server, room)).includes("Alice"), "back after a restart");
            alice = await connect(server, "alice/phone");
            await retractBookmark(alice, other);
            await server.kill();
            await server.start();
            await until(async () => (await nicks(server, room)).includes("Alice"), "back after a kill");
            await setTimeout(200);
            assert(!(await nicks(server, other)).includes("Alice"));
            await server.stop();
        });

        test("P5: bookmarks from before the module was installed are followed at the next login", async () => {
            const server = await startServer({ version, users: ["alice", "bob"] });
            let alice = await connect(server, "alice/phone");
            const bob = await connect(server, "bob/desk");
            const room = `before@${server.rooms}`;
            await create(bob, room, "Bob", roomForm);
            await publishBookmark(alice, room, { autojoin: true, nick: "Alice" });
            await alice.disconnect();
            await server.loadModule("minimix");
            await setTimeout(200);
            assert.deepEqual(await nicks(server, room), ["Bob"]);
            alice = await connect(server, "alice/phone");
            await until(async () => (await nicks(server, room)).includes("Alice"), "in the room");
            await server.stop();
        });

        test("P6: an unused account leaves, and rejoins at its next login", async () => {
            const hostConfig = "minimix_inactive_after = 1";
            const server = await startServer({ version, minimix: true, users: ["alice", "bob"], hostConfig });
            let alice = await connect(server, "alice/phone");
            const bob = await connect(server, "bob/desk");
            const room = `unused@${server.rooms}`;
            await create(bob, room, "Bob", roomForm);
            await publishBookmark(alice, room, { autojoin: true, nick: "Alice" });
            await until(async () => (await nicks(server, room)).includes("Alice"), "in the room");
            await alice.disconnect();
            await until(async () => !(await nicks(server, room)).includes("Alice"), "out for want of use");
            alice = await connect(server, "alice/phone");
            assert.equal((await readBookmarks(alice)).get(room)?.attrs.autojoin, "true");
            await until(async () => (await nicks(server, room)).includes("Alice"), "back again");
            await server.stop();
        });

        for (const [what, modules] of [
            ["without mod_bookmarks", ["admin_shell", "disco", "pep", "ping", "roster", "saslauth"]],
            ["without PEP", ["admin_shell", "disco", "ping", "roster", "saslauth"]],
        ] as const) {
            test(`P5, O3: ${what}`, async () => {
                const server = await startServer({
                    version,
                    minimix: true,
                    users: ["alice", "bob"],
                    modules: [...modules],
                });
                const alice = await connect(server, "alice/phone");
                const bob = await connect(server, "bob/desk");
                const room = `bare@${server.rooms}`;
                await create(bob, room, "Bob");
                await join(alice, room, "Alice");
                if (what === "without PEP") {
                    await leave(alice, room, "Alice");
                    assert.deepEqual(await nicks(server, room), ["Bob"]);
                } else {
                    await publishBookmark(alice, room, { autojoin: true, nick: "Alice" });
                    await leave(alice, room, "Alice");
                    assert((await nicks(server, room)).includes("Alice"));
                    await retractBookmark(alice, room);
                    await until(async () => !(await nicks(server, room)).includes("Alice"), "out of the room");
                }
                await server.stop();
            });
        }

        test("P5: no bookmark is joined with minimix_autojoin = false", async () => {
            const hostConfig = "minimix_autojoin = false";
            const server = await startServer({ version, minimix: true, users: ["alice", "bob"], hostConfig });
            const alice = await connect(server, "alice/phone");
            const bob = await connect(server, "bob/desk");
            const room = `clients@${server.rooms}`;
            await create(bob, room, "Bob");
            await publishBookmark(alice, room, { autojoin: true, nick: "Alice" });
            await setTimeout(300);
            assert.deepEqual(await nicks(server, room), ["Bob"]);
            await join(alice, room, "Alice");
            await leave(alice, room, "Alice");
            assert((await nicks(server, room)).includes("Alice"));
            await server.stop();
        });

        test("P5: bookmarks are written with minimix_bookmark_write", async () => {
            const hostConfig = "minimix_bookmark_write = true";
            const server = await startServer({ version, minimix: true, users: ["alice", "bob"], hostConfig });
            const alice = await connect(server, "alice/phone");
            const laptop = await connect(server, "alice/laptop");
            const bob = await connect(server, "bob/desk");
            const room = `written@${server.rooms}`;
            await create(bob, room, "Bob");
            const bookmark = async () => (await readBookmarks(alice)).get(room);
            await join(alice, room, "Alice");
            assert.equal((await bookmark())?.attrs.autojoin, "true");
            assert.equal((await bookmark())?.getChildText("nick"), "Alice");
            await followBookmarks(laptop);
            await leave(alice, room, "Alice");
            await laptop.expect({ name: "message", child: ["event", "http://jabber.org/protocol/pubsub#event"] });
            assert.equal((await bookmark())?.attrs.autojoin, "false");
            assert.deepEqual(await nicks(server, room), ["Bob"]);
            const extensions = [xml("x", { xmlns: "urn:example:x" }, xml("y", {}, "z"))];
            await publishBookmark(alice, room, { autojoin: true, name: "Tea", nick: "Alice", extensions });
            await join(alice, room, "Alice");
            await changeNick(alice, room, "Ally");
            const renamed = await bookmark();
            assert.equal(renamed?.attrs.name, "Tea");
            assert.equal(renamed.getChildText("nick"), "Ally");
            assert.equal(renamed.getChild("extensions")?.getChild("x", "urn:example:x")?.getChildText("y"), "z");
            await retractBookmark(alice, room);
            await leave(alice, room, "Ally");
            assert.deepEqual(await nicks(server, room), ["Bob"]);
            await join(laptop, room, "Alice");
            assert.equal(await bookmark(), undefined);
            await server.stop();
        });
    });
});

// Runs in parallel, because the long form takes a minute.
describe("two devices that each restore their own nick", { concurrency: true }, () => {
    for (const version of versions) {
        test(`P5: cause no endless loop of nick changes, Prosody ${version}`, async () => {
            const seconds = process.env.MINIMIX_LONG === undefined ? 5 : 60;
            const house = await openHouse({ version });
            const { bob, phone, laptop } = house;
            const room = await house.bobsRoom("quarrel");
            await publishBookmark(phone, room, { autojoin: true, nick: "One" });
            await join(phone, room, "One");
            await join(laptop, room, "One");
            await bob.sync();
            bob.take();
            // Each writes the bookmark when the room shows another nick than its own.
            const end = new AbortController();
            const quarrel = [insist(phone, room, "One", end.signal), insist(laptop, room, "Two", end.signal)];
            await publishBookmark(laptop, room, { autojoin: true, nick: "Two" });
            await setTimeout(seconds * 1000);
            end.abort();
            const writes = (await Promise.all(quarrel)).reduce((sum, count) => sum + count, 1);
            await bob.sync();
            const changes = bob.take({ room, status: "303" }).length;
            console.log(`Prosody ${version}: ${changes} nick changes, ${writes} bookmarks written in ${seconds} s`);
            assert(changes >= 1 && changes <= (seconds > 5 ? 7 : 5), `${changes} nick changes`);
            assert(writes <= changes + 3, `${writes} bookmarks`);
            await house.close();
        });
    }
});

/** Publishes the bookmark whenever the room shows the account under another nick. Returns the number of times. */
async function insist(client: Client, room: string, nick: string, signal: AbortSignal): Promise<number> {
    let count = 0;
    const isOther = (stanza: Element) =>
        stanza.name === "presence" && stanza.attrs.type === undefined && statusCodes(stanza).includes("110");
    while (!signal.aborted) {
        await setTimeout(20);
        const last = client.take(isOther).at(-1);
        if (last !== undefined && last.attrs.from !== `${room}/${nick}`) {
            count += 1;
            await publishBookmark(client, room, { autojoin: true, nick });
        }
    }
    return count;
}

async function nicks(server: Server, room: string): Promise<string[]> {
    return (await server.occupants(room)).map(({ nick }) => nick);
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
    const limit = Date.now() + 20_000;
    while (!(await condition())) {
        assert(Date.now() < limit, `waited in vain: ${what}`);
        await setTimeout(20);
    }
}
