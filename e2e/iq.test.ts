// IQs to rooms and their occupants, and from them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, type Element, StanzaError, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { changeNick, configure, create, groupchat, join, kick, leave, setAffiliation, setRole } from "./support/muc.ts";

const nsMuc = "http://jabber.org/protocol/muc";
const nsMucUser = `${nsMuc}#user`;
const nsAdmin = `${nsMuc}#admin`;
const nsInfo = "http://jabber.org/protocol/disco#info";
const nsMam = "urn:xmpp:mam:2";
const nsPubsub = "http://jabber.org/protocol/pubsub";
const nsRegister = "jabber:iq:register";
const nsVersion = "jabber:iq:version";

const maxPending = 8;

for (const { name, ...setting } of settings) {
    describe(`${name}: requests`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;
        /** A session of Alice that has not joined. */
        let tablet: Client;

        before(async () => {
            house = await openHouse({
                ...setting,
                roomModules: ["muc_mam"],
                hostConfig: `minimix_max_pending_iqs = ${maxPending}`,
            });
            ({ phone, laptop, bob } = house);
            tablet = await house.connect("alice/tablet");
            for (const client of [phone, laptop, bob]) {
                client.answer("get", "query", nsVersion, () =>
                    xml("query", { xmlns: nsVersion }, xml("name", {}, client.name)),
                );
            }
        });

        after(() => house.close());

        async function nobodyAsked(...clients: Client[]): Promise<void> {
            for (const client of clients) {
                await client.expectNone({ name: "iq" });
            }
        }

        function condition(answer: Element): string {
            return new StanzaError(answer).condition;
        }

        test("C3: a room and its occupants answer disco#info", async () => {
            const room = await house.roomWithBoth("disco", { roomname: "Tea" });
            for (const client of [phone, laptop, tablet]) {
                const info = await client.iq("get", room, xml("query", { xmlns: nsInfo }));
                assert.equal(info?.getChild("identity")?.attrs.name, "Tea");
            }
            bob.answer("get", "query", nsInfo, () =>
                xml("query", { xmlns: nsInfo }, xml("feature", { var: "urn:example" })),
            );
            const info = await phone.iq("get", `${room}/Bob`, xml("query", { xmlns: nsInfo }));
            assert.equal(info?.getChild("feature")?.attrs.var, "urn:example");
            await nobodyAsked(laptop, tablet);
        });

        test("C3: each session of an owner can configure a room, also a new and locked one", async () => {
            const room = `owned@${house.server.rooms}`;
            await create(phone, room, "Alice", { roomname: "First" });
            await join(laptop, room, "Alice");
            await configure(laptop, room, { roomname: "Second" });
            await configure(tablet, room, { roomname: "Third" });
            await join(bob, room, "Bob");
            const info = await bob.iq("get", room, xml("query", { xmlns: nsInfo }));
            assert.equal(info?.getChild("identity")?.attrs.name, "Third");
            await assert.rejects(configure(bob, room, { roomname: "Bob's" }), { condition: "forbidden" });
        });

        test("C3: a moderator without affiliation sees lists, gives voice and kicks, and the room sees no session", async () => {
            const room = await house.roomWithBoth("moderator");
            const carol = await house.connect("carol/desk");
            await setRole(bob, room, "Alice", "moderator");
            await join(carol, room, "Carol");
            const query = xml("query", { xmlns: nsAdmin }, xml("item", { role: "moderator" }));
            const list = await phone.iq("get", room, query);
            assert.deepEqual(
                list
                    ?.getChildren("item")
                    .map(({ attrs }) => attrs.nick)
                    .sort(),
                ["Alice", "Bob"],
            );
            await setRole(laptop, room, "Carol", "visitor");
            await kick(laptop, room, "Carol", "enough");
            const presence = await carol.expect({ type: "unavailable", from: `${room}/Carol`, status: "307" });
            const actor = presence.getChild("x", nsMucUser)?.getChild("item")?.getChild("actor");
            assert.equal(actor?.attrs.nick, "Alice");
            await assert.rejects(setAffiliation(phone, room, carol.account, "outcast"), { condition: "not-allowed" });
            await assert.rejects(kick(tablet, room, "Bob"), StanzaError);
            await nobodyAsked(phone, laptop, tablet);
            await carol.disconnect();
        });

        test("C3: an owner reads and changes the lists of affiliations", async () => {
            const room = `lists@${house.server.rooms}`;
            await create(phone, room, "Alice");
            await setAffiliation(phone, room, bob.account, "member");
            for (const client of [phone, tablet]) {
                const query = xml("query", { xmlns: nsAdmin }, xml("item", { affiliation: "member" }));
                const list = await client.iq("get", room, query);
                assert.deepEqual(
                    list?.getChildren("item").map(({ attrs }) => attrs.jid),
                    [bob.account],
                );
            }
        });

        test("C7: a session registers the account with a room", async () => {
            const room = await house.bobsRoom("register");
            await setAffiliation(bob, room, phone.account, "member");
            await join(phone, room, "Alice");
            await join(laptop, room, "Alice");
            const form = await phone.iq("get", room, xml("query", { xmlns: nsRegister }));
            assert(form?.getChild("x", "jabber:x:data"));
            const field = (name: string, value: string) => xml("field", { var: name }, xml("value", {}, value));
            const x = xml(
                "x",
                { xmlns: "jabber:x:data", type: "submit" },
                field("FORM_TYPE", `${nsMuc}#register`),
                field("muc#register_roomnick", "Alice"),
            );
            await phone.iq("set", room, xml("query", { xmlns: nsRegister }, x));
            const registered = await laptop.iq("get", room, xml("query", { xmlns: nsRegister }));
            assert.equal(registered?.getChildText("username"), "Alice");
            await assert.rejects(changeNick(bob, room, "Alice"), { condition: "conflict" });
        });

        test("C3: an occupant answers under its nick, only to the session that asked", async () => {
            const room = await house.roomWithBoth("version");
            for (const client of [phone, laptop]) {
                const request = xml(
                    "iq",
                    { type: "get", to: `${room}/Bob`, id: "same" },
                    xml("query", { xmlns: nsVersion }),
                );
                const answer = await client.ask(request);
                assert.equal(answer.attrs.from, `${room}/Bob`);
                assert.equal(answer.attrs.to, client.jid);
                assert.equal(answer.getChild("query")?.getChildText("name"), "bob/desk");
            }
            await nobodyAsked(phone, laptop, tablet);
        });

        test("C3: two sessions use the same id at the same time, and each gets its answer", async () => {
            const room = await house.roomWithBoth("same-id");
            const payloads = [xml("query", { xmlns: nsVersion }), xml("query", { xmlns: nsInfo })];
            const [first, second] = await Promise.all(
                [phone, laptop].map((client, i) =>
                    client.ask(xml("iq", { type: "get", to: i === 0 ? `${room}/Bob` : room, id: "same" }, payloads[i])),
                ),
            );
            assert.equal(first?.attrs.from, `${room}/Bob`);
            assert(first.getChild("query", nsVersion));
            assert.equal(second?.attrs.from, room);
            assert(second.getChild("query", nsInfo));
            await nobodyAsked(phone, laptop);
        });

        test("C3: an IQ that an occupant or a room does not support returns an error", async () => {
            const room = await house.roomWithBoth("unknown");
            for (const [to, expected] of [
                [`${room}/Bob`, "service-unavailable"],
                [`${room}/Nobody`, "item-not-found"],
                [room, "service-unavailable"],
            ] as const) {
                for (const type of ["get", "set"]) {
                    const id = `unknown-${type}-${to}`;
                    const answer = await phone.ask(
                        xml("iq", { type, to, id }, xml("query", { xmlns: "urn:example:unknown" })),
                    );
                    assert.equal(condition(answer), expected);
                    assert.equal(answer.attrs.from, to);
                }
            }
            await nobodyAsked(phone, laptop, tablet);
        });

        test("C3: a session gets vCard and avatar of an occupant", async () => {
            const room = await house.roomWithBoth("vcard");
            await bob.iq("set", undefined, xml("vCard", { xmlns: "vcard-temp" }, xml("FN", {}, "Bob B.")));
            const vcard = await phone.iq("get", `${room}/Bob`, xml("vCard", { xmlns: "vcard-temp" }));
            assert.equal(vcard?.getChildText("FN"), "Bob B.");
            await publishAvatar(bob);
            const items = xml("pubsub", { xmlns: nsPubsub }, xml("items", { node: "urn:xmpp:avatar:data" }));
            const avatar = await laptop.iq("get", `${room}/Bob`, items);
            assert.equal(avatar?.getChild("items")?.getChild("item")?.getChildText("data"), "QUJD");
            await nobodyAsked(phone, laptop, tablet);
        });

        async function publishAvatar(client: Client): Promise<void> {
            const field = (name: string, value: string) => xml("field", { var: name }, xml("value", {}, value));
            const options = xml(
                "x",
                { xmlns: "jabber:x:data", type: "submit" },
                field("FORM_TYPE", `${nsPubsub}#publish-options`),
                field("pubsub#access_model", "open"),
            );
            const item = xml("item", { id: "abc" }, xml("data", { xmlns: "urn:xmpp:avatar:data" }, "QUJD"));
            const publish = xml("publish", { node: "urn:xmpp:avatar:data" }, item);
            const pubsub = xml("pubsub", { xmlns: nsPubsub }, publish, xml("publish-options", {}, options));
            await client.iq("set", undefined, pubsub);
        }

        test("C3: every session can query the archive of a room, and only the one that asks gets the answer", async () => {
            const room = await house.roomWithBoth("archive");
            await groupchat(bob, room, "hello");
            await phone.expect({ room, body: "hello" });
            await laptop.expect({ room, body: "hello" });
            for (const client of [phone, tablet]) {
                const fin = await client.iq("set", room, xml("query", { xmlns: nsMam, queryid: "q1" }));
                assert.equal(fin?.attrs.complete, "true");
                const results = client.take({ name: "message", from: room, child: ["result", nsMam] });
                const bodies = results.map((result) =>
                    result.getChild("result")?.getChild("forwarded")?.getChild("message")?.getChildText("body"),
                );
                assert.deepEqual(bodies.filter(Boolean), ["hello"]);
            }
            await laptop.expectNone({ room });
        });

        test("B1: a session with too many pending IQs gets a wait error", async () => {
            const room = await house.roomWithBoth("pending");
            await house.hold();
            const ask = () => phone.ask(xml("iq", { type: "get", to: room }, xml("query", { xmlns: nsInfo })));
            const asked = Array.from({ length: maxPending }, ask);
            assert.equal(condition(await ask()), "resource-constraint");
            await house.release();
            assert((await Promise.all(asked)).every(({ attrs }) => attrs.type === "result"));
            assert.equal((await ask()).attrs.type, "result");
        });

        function selfPing(client: Client, room: string, nick = "Alice"): Promise<Element> {
            const ping = xml("ping", { xmlns: "urn:xmpp:ping" });
            return client.ask(xml("iq", { type: "get", to: `${room}/${nick}`, id: "ping" }, ping));
        }

        test("C4: the answer to a self-ping says whether this session has joined", async () => {
            const room = await house.bobsRoom("self-ping");
            assert.equal(condition(await selfPing(phone, room)), "not-acceptable");
            await join(phone, room, "Alice");
            await bob.expect({ from: `${room}/Alice` });
            assert.equal((await selfPing(phone, room)).attrs.type, "result");
            assert.equal(condition(await selfPing(laptop, room)), "not-acceptable");
            await join(laptop, room, "Alice");
            assert.equal((await selfPing(laptop, room)).attrs.type, "result");
            await leave(phone, room, "Alice");
            assert.equal(condition(await selfPing(phone, room)), "not-acceptable");
            await kick(bob, room, "Alice");
            assert.equal(condition(await selfPing(laptop, room)), "not-acceptable");
        });

        test("C4: while the account rejoins, a self-ping gets a wait error", async () => {
            const room = await house.roomWithBoth("lost");
            await house.hold();
            await house.server.eval(`
                local st = require "util.stanza";
                prosody.core_post_stanza(prosody.hosts["${house.server.rooms}"],
                    st.presence({ type = "unavailable", from = "${room}/Alice", to = "${house.occupantJid(phone)}" })
                        :tag("x", { xmlns = "${nsMucUser}" }):tag("item", { affiliation = "none", role = "none" }):up()
                        :tag("status", { code = "110" }):up():tag("status", { code = "332" }):up());
            `);
            assert.match(condition(await selfPing(phone, room)), /^remote-server-timeout$/);
            await house.release();
            await phone.expectNone({ type: "unavailable", room });
        });

        test("C3: a session can query the account's own occupant", async () => {
            const room = await house.roomWithBoth("self");
            const query = xml("query", { xmlns: nsVersion });
            const answer = await laptop.ask(xml("iq", { type: "get", to: `${room}/Alice`, id: "self" }, query));
            assert.equal(answer.attrs.from, `${room}/Alice`);
            assert.equal(answer.getChild("query")?.getChildText("name"), "alice/phone");
            await phone.expect({ name: "iq", type: "get" });
            await nobodyAsked(phone, laptop, tablet);
        });

        test("C5: IQs of other occupants are answered by the session whose presence the room shows, and by the server", async () => {
            const room = await house.roomWithBoth("asked");
            await laptop.send(xml("presence", { to: `${room}/Alice` }, xml("priority", {}, "5")));
            await bob.expect({ from: `${room}/Alice` });
            const query = await bob.iq("get", `${room}/Alice`, xml("query", { xmlns: nsVersion }));
            assert.equal(query?.getChildText("name"), "alice/laptop");
            laptop.take({ name: "iq" });
            await bob.iq("get", `${room}/Alice`, xml("ping", { xmlns: "urn:xmpp:ping" }));
            await phone.iq("set", undefined, xml("vCard", { xmlns: "vcard-temp" }, xml("FN", {}, "Alice A.")));
            const vcard = await bob.iq("get", `${room}/Alice`, xml("vCard", { xmlns: "vcard-temp" }));
            assert.equal(vcard?.getChildText("FN"), "Alice A.");
            await publishAvatar(phone);
            const items = xml("pubsub", { xmlns: nsPubsub }, xml("items", { node: "urn:xmpp:avatar:data" }));
            const avatar = await bob.iq("get", `${room}/Alice`, items);
            assert.equal(avatar?.getChild("items")?.getChild("item")?.getChildText("data"), "QUJD");
            const unknown = xml("query", { xmlns: "urn:example:unknown" });
            await assert.rejects(bob.iq("get", `${room}/Alice`, unknown), { condition: "service-unavailable" });
            laptop.take({ name: "iq" });
            await nobodyAsked(phone, laptop, tablet);
        });

        test("C5: without an attached session the server answers", async () => {
            const room = await house.bobsRoom("away");
            const carol = await house.connect("carol/desk");
            await join(carol, room, "Carol");
            await carol.send(xml("presence", { type: "unavailable" }));
            await carol.expect({ type: "unavailable", room });
            await bob.iq("get", `${room}/Carol`, xml("ping", { xmlns: "urn:xmpp:ping" }));
            for (const xmlns of [nsVersion, "urn:example:unknown"]) {
                const answer = await bob.ask(xml("iq", { type: "get", to: `${room}/Carol` }, xml("query", { xmlns })));
                assert.equal(condition(answer), "service-unavailable");
                assert.equal(answer.attrs.from, `${room}/Carol`);
            }
            await carol.expectNone({ name: "iq" });
            assert.equal((await house.server.occupants(room)).length, 2);
            await carol.disconnect();
        });

        test("C5: a session that ends before it answers causes no error in the room", async () => {
            const room = await house.bobsRoom("silent");
            const carol = await house.connect("carol/desk");
            await join(carol, room, "Carol");
            await Promise.all([
                bob.send(xml("iq", { type: "get", to: `${room}/Carol`, id: "late" }, xml("query", { xmlns: nsInfo }))),
                carol.drop(),
            ]);
            await house.gone(carol);
            assert.equal((await house.server.occupants(room)).length, 2);
        });
    });
}
