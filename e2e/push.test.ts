// Push notifications (XEP-0357) for messages in rooms, according to the account's setting (XEP-0492).
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { after, afterEach, before, describe, test } from "node:test";
import { publishBookmark } from "./support/bookmarks.ts";
import { type Client, type Element, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { bodiesOf, queryArchive } from "./support/mam.ts";
import { type Form, groupchat, join, privateMessage, setSubject } from "./support/muc.ts";
import { atOnce, inTurn } from "./support/suites.ts";

const nsPush = "urn:xmpp:push:0";
const pushService = "push.a.lab";
const privateRoom: Form = { membersonly: "1", publicroom: "0" };

/** mod_cloud_notify collects messages for this time before it notifies a device in hibernation. */
const hibernationPause = 1500;

atOnce("push", settings, ({ name, ...setting }) => {
    describe(`${name}: push`, inTurn, () => {
        let house: House;
        let bob: Client;

        before(async () => {
            house = await openHouse({
                ...setting,
                extraModules: ["cloud_notify", "offline", "pep", "bookmarks"],
                roomConfig: `Component "${pushService}" "push_catcher"`,
            });
            ({ bob } = house);
        });

        after(() => house.close());

        afterEach(async () => {
            const carol = await house.connect("carol/cleaner");
            await carol.iq("set", undefined, xml("disable", { xmlns: nsPush, jid: pushService }));
            await leave(carol);
        });

        async function pushes(): Promise<string[]> {
            return (await house.server.eval(
                `return prosody.hosts["${pushService}"].modules.push_catcher.take()`,
            )) as string[];
        }

        /** Connects a device that has enabled push. */
        async function device(device: string, smacks = false): Promise<Client> {
            const client = await house.connect(`carol/${device}`, { smacks });
            await client.iq("set", undefined, xml("enable", { xmlns: nsPush, jid: pushService, node: device }));
            return client;
        }

        async function leave(client: Client): Promise<void> {
            await client.disconnect();
            await house.gone(client);
        }

        /** Creates a room of Bob's that Carol can join. */
        async function room(name: string, form: Form = {}): Promise<string> {
            const jid = await house.bobsRoom(name, form);
            const item = xml("item", { jid: `carol@a.lab`, affiliation: "member" });
            await bob.iq("set", jid, xml("query", { xmlns: "http://jabber.org/protocol/muc#admin" }, item));
            return jid;
        }

        /** Returns the devices that a message of Bob's notifies. */
        async function wakes(room: string, body: string, ...payload: Element[]): Promise<string[]> {
            await pushes();
            await groupchat(bob, room, body, ...payload);
            await bob.expect({ room, body });
            return pushes();
        }

        /** Checks the defaults: mentions in public rooms, all messages in private rooms. */
        async function wakesPhone(name: string): Promise<void> {
            const open = await room(`${name}-open`);
            const closed = await room(`${name}-closed`, privateRoom);
            const carol = await house.connect("carol/joiner");
            await join(carol, open, "Carol");
            await join(carol, closed, "Carol");
            await leave(carol);
            assert.deepEqual(await wakes(open, "hello all"), []);
            assert.deepEqual(await wakes(open, "hello carol, how are you?"), ["phone"]);
            assert.deepEqual(await wakes(open, "Carolina is a state"), []);
            assert.deepEqual(await wakes(closed, "hello all"), ["phone"]);
            assert.deepEqual(await wakes(closed, "hello Carol"), ["phone"]);
        }

        test("H4: a device is notified if no device is online", async () => {
            const phone = await device("phone");
            await leave(phone);
            await wakesPhone("none");
        });

        test("H4: a device is notified if another one is online and has not joined", async () => {
            const phone = await device("phone");
            const laptop = await device("laptop");
            await leave(phone);
            await wakesPhone("elsewhere");
            await leave(laptop);
        });

        test("H4: a device is notified although another one has joined", async () => {
            const phone = await device("phone");
            const laptop = await device("laptop");
            await leave(phone);
            const open = await room("joined-open");
            const closed = await room("joined-closed", privateRoom);
            await join(laptop, open, "Carol");
            await join(laptop, closed, "Carol");
            assert.deepEqual(await wakes(open, "hello all"), []);
            assert.deepEqual(await wakes(open, "Carol: hello"), ["phone"]);
            assert.deepEqual(await wakes(closed, "hello all"), ["phone"]);
            await groupchat(laptop, closed, "Carol here");
            await laptop.expect({ room: closed, body: "Carol here" });
            assert.deepEqual(await pushes(), []);
            await leave(laptop);
        });

        test("H4: a device that is online is not notified, in the room or not", async () => {
            const phone = await device("phone");
            const inside = await room("inside", privateRoom);
            await join(phone, inside, "Carol");
            assert.deepEqual(await wakes(inside, "Carol, are you there?"), []);
            await phone.send(xml("presence", { type: "unavailable", to: `${inside}/Carol` }));
            const laptop = await house.connect("carol/laptop");
            await join(laptop, inside, "Carol");
            assert.deepEqual(await wakes(inside, "Carol, are you there still?"), []);
            await leave(laptop);
            await leave(phone);
        });

        test("H4: a device in hibernation is notified", async () => {
            const open = await room("asleep-open");
            const closed = await room("asleep-closed", privateRoom);
            const phone = await device("phone", true);
            await join(phone, open, "Carol");
            await join(phone, closed, "Carol");
            const after = async (room: string, body: string) => {
                const atOnce = await wakes(room, body);
                await setTimeout(hibernationPause);
                return [...atOnce, ...(await pushes())];
            };
            await phone.drop();
            assert.deepEqual(await after(open, "hello all"), []);
            assert.deepEqual(await after(open, "hello Carol"), ["phone"]);
            assert.deepEqual(await after(closed, "hello all"), ["phone"]);
            assert.equal(await phone.resume(), true);
            await leave(phone);
        });

        test("H4: the setting in the bookmark decides, as the user chose it by ad-hoc command", async () => {
            const phone = await device("phone");
            const open = await room("chosen");
            await join(phone, open, "Carol");
            await publishBookmark(phone, open, { nick: "Carol" });
            await leave(phone);
            const laptop = await house.connect("carol/laptop");
            const choose = async (setting: string) => {
                const fields = Object.entries({ room: open, setting }).map(([name, value]) =>
                    xml("field", { var: name }, xml("value", {}, value)),
                );
                const form = xml("x", { xmlns: "jabber:x:data", type: "submit" }, ...fields);
                const node = "https://modules.prosody.im/mod_minimix#my-notify";
                const command = xml("command", { xmlns: "http://jabber.org/protocol/commands", node }, form);
                const answer = await laptop.iq("set", "a.lab", command);
                assert.equal(answer?.getChildText("note"), `Notifications of ${open}: ${setting}`);
            };
            assert.deepEqual(await wakes(open, "hello all"), []);
            await choose("always");
            assert.deepEqual(await wakes(open, "hello again"), ["phone"]);
            await choose("never");
            assert.deepEqual(await wakes(open, "hello Carol"), []);
            await choose("on-mention");
            assert.deepEqual(await wakes(open, "hello all of you"), []);
            assert.deepEqual(await wakes(open, "hello, Carol"), ["phone"]);
            await leave(laptop);
        });

        /** Joins a device of Carol's to rooms that have a setting in the bookmark (XEP-0492). */
        async function roomsWithSettings(name: string, client: Client): Promise<Record<string, string>> {
            const rooms: Record<string, string> = {};
            for (const setting of ["always", "on-mention", "never"]) {
                const jid = await room(`${name}-${setting}`, setting === "always" ? {} : privateRoom);
                const notify = xml("notify", { xmlns: "urn:xmpp:notification-settings:1" }, xml(setting));
                await join(client, jid, "Carol");
                await publishBookmark(client, jid, { autojoin: true, nick: "Carol", extensions: [notify] });
                rooms[setting] = jid;
            }
            return rooms;
        }

        /** Checks a muted room, a private room with mentions only, and a public room with all messages. */
        async function followsSettings(
            { always = "", never = "", "on-mention": mentions = "" }: Record<string, string>,
            woken: string[],
            wakesBy = wakes,
        ): Promise<void> {
            assert.deepEqual(await wakesBy(never, "hello all"), []);
            assert.deepEqual(await wakesBy(never, "hello Carol"), []);
            assert.deepEqual(await wakesBy(mentions, "hello all"), []);
            assert.deepEqual(await wakesBy(mentions, "hello Carol"), woken);
            assert.deepEqual(await wakesBy(always, "hello all"), woken);
        }

        test("H4: settings apply without a device online, with another device, and for a device that is online", async () => {
            const phone = await device("phone");
            const rooms = await roomsWithSettings("set", phone);
            await followsSettings(rooms, []);
            await leave(phone);
            await followsSettings(rooms, ["phone"]);
            const laptop = await house.connect("carol/laptop");
            await followsSettings(rooms, ["phone"]);
            for (const jid of Object.values(rooms)) {
                await join(laptop, jid, "Carol");
            }
            await followsSettings(rooms, ["phone"]);
            await pushes();
            for (const jid of Object.values(rooms)) {
                await groupchat(laptop, jid, "Carol says Carol");
                await laptop.expect({ room: jid, body: "Carol says Carol" });
            }
            assert.deepEqual(await pushes(), []);
            await leave(laptop);
        });

        test("H4: settings apply to a device in hibernation, and own messages notify no device", async () => {
            const phone = await device("phone", true);
            const rooms = await roomsWithSettings("asleep", phone);
            await phone.drop();
            await followsSettings(rooms, ["phone"], async (jid, body) => {
                const atOnce = await wakes(jid, body);
                await setTimeout(hibernationPause);
                return [...atOnce, ...(await pushes())];
            });
            const { always = "" } = rooms;
            const laptop = await house.connect("carol/laptop");
            await join(laptop, always, "Carol");
            await setTimeout(hibernationPause);
            await pushes();
            await groupchat(laptop, always, "Carol says Carol");
            await laptop.expect({ room: always, body: "Carol says Carol" });
            await setTimeout(hibernationPause);
            assert.deepEqual(await pushes(), []);
            await leave(laptop);
            assert.equal(await phone.resume(), true);
            await leave(phone);
        });

        test("H4: replies and references count as mentions, subjects and markers do not notify", async () => {
            const phone = await device("phone");
            const open = await room("kinds");
            await join(phone, open, "Carol");
            await leave(phone);
            const reply = xml("reply", { xmlns: "urn:xmpp:reply:0", to: `${open}/Carol`, id: "1" });
            assert.deepEqual(await wakes(open, "an answer", reply), ["phone"]);
            const elsewhere = xml("reply", { xmlns: "urn:xmpp:reply:0", to: `${open}/Bob`, id: "1" });
            assert.deepEqual(await wakes(open, "another answer", elsewhere), []);
            const reference = (uri: string) =>
                xml("reference", { xmlns: "urn:xmpp:reference:0", type: "mention", uri });
            assert.deepEqual(await wakes(open, "a mention", reference(`xmpp:${open}/Carol`)), ["phone"]);
            assert.deepEqual(await wakes(open, "by address", reference("xmpp:carol@a.lab")), ["phone"]);
            assert.deepEqual(await wakes(open, "of another", reference("xmpp:alice@a.lab")), []);
            await setSubject(bob, open, "Carol");
            const marker = xml("displayed", { xmlns: "urn:xmpp:chat-markers:0", id: "1" });
            await bob.send(xml("message", { to: open, type: "groupchat", id: "marker" }, marker));
            await bob.expect({ id: "marker" });
            assert.deepEqual(await pushes(), []);
        });

        test("H4: no device is notified twice, or for history", async () => {
            const phone = await device("phone");
            const closed = await room("once", privateRoom);
            await join(phone, closed, "Carol");
            await leave(phone);
            const laptop = await house.connect("carol/laptop");
            assert.deepEqual(await wakes(closed, "one"), ["phone"]);
            await join(laptop, closed, "Carol");
            assert.deepEqual(await pushes(), []);
            await leave(laptop);
            assert.deepEqual(await wakes(closed, "two"), ["phone"]);
        });

        test("C6: a private message without an online device is stored and notifies", async () => {
            const phone = await device("phone");
            const open = await room("private");
            await join(phone, open, "Carol");
            await leave(phone);
            await pushes();
            await privateMessage(bob, open, "Carol", "psst");
            await bob.sync();
            assert.deepEqual(await pushes(), ["phone"]);
            const again = await house.connect("carol/phone");
            const offline = await again.expect({ name: "message", type: "chat", body: "psst" });
            assert.equal(offline.attrs.from, `${open}/Bob`);
            const form = { with: open, "include-groupchat": "false" };
            assert.deepEqual(bodiesOf((await queryArchive(again, { form })).messages), ["psst"]);
            await leave(again);
        });

        test("C6: a private message reaches a device that is online, joined or not", async () => {
            const open = await room("private-here");
            const phone = await house.connect("carol/phone");
            const laptop = await house.connect("carol/laptop");
            await join(phone, open, "Carol");
            await leave(phone);
            await privateMessage(bob, open, "Carol", "psst");
            await laptop.expect({ type: "chat", from: `${open}/Bob`, body: "psst" });
            await leave(laptop);
        });
    });
});
