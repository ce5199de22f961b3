// Messages of sessions in a room, and the presence that the account shows there.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, type Element, StanzaError, statusCodes, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { changeNick, groupchat, join, leave, privateMessage, setRole } from "./support/muc.ts";

const nsMucUser = "http://jabber.org/protocol/muc#user";
const nsCarbons = "urn:xmpp:carbons:2";
const nsConference = "jabber:x:conference";
const nsData = "jabber:x:data";
const nsRequest = "http://jabber.org/protocol/muc#request";

for (const { name, ...setting } of settings) {
    describe(`${name}: talking`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;
        /** A session of Alice's that joins no room, and one of Carol's. */
        let tablet: Client;
        let carol: Client;

        before(async () => {
            house = await openHouse(setting);
            ({ phone, laptop, bob } = house);
            tablet = await house.connect("alice/tablet");
            carol = await house.connect("carol/desk");
            for (const client of [laptop, tablet]) {
                await client.iq("set", undefined, xml("enable", { xmlns: nsCarbons }));
            }
        });

        after(() => house.close());

        /** Checks that no client has unread stanzas of the room. */
        async function silence(room: string): Promise<void> {
            for (const client of [phone, laptop, tablet, bob, carol]) {
                await client.sync();
            }
            for (const client of [phone, laptop, tablet, bob, carol]) {
                await client.expectNone({ room });
                await client.expectNone(({ name }) => name === "message");
            }
        }

        /** The error for a stanza of this client. */
        async function errorOf(client: Client, id: string): Promise<StanzaError> {
            return new StanzaError(await client.expect({ type: "error", id }));
        }

        test("C1: a message is sent from the account, with its id and payload", async () => {
            const room = await house.roomWithBoth("message");
            const id = await groupchat(phone, room, "hello", xml("origin-id", { xmlns: "urn:xmpp:sid:0", id: "o1" }));
            for (const client of [phone, laptop, bob]) {
                const copy = await client.expect({ type: "groupchat", from: `${room}/Alice`, body: "hello" });
                assert.equal(copy.attrs.id, id);
                assert.equal(copy.getChild("origin-id", "urn:xmpp:sid:0")?.attrs.id, "o1");
            }
            await silence(room);
        });

        test("C1: the room's error goes to the session that sent the message", async () => {
            const room = await house.roomWithBoth("visitor", { moderatedroom: "1" });
            for (const client of [phone, laptop]) {
                const { condition, stanza } = await errorOf(client, await groupchat(client, room, "may I?"));
                assert.equal(condition, "forbidden");
                assert.equal(stanza.attrs.to, client.jid);
                const subject = xml("message", { to: room, type: "groupchat", id: "s1" }, xml("subject", {}, "Mine"));
                await client.send(subject);
                assert.equal((await errorOf(client, "s1")).condition, "forbidden");
                await silence(room);
            }
        });

        test("C8: the room refuses a session that has not joined", async () => {
            const room = await house.roomWithBoth("stranger");
            assert.equal((await errorOf(tablet, await groupchat(tablet, room, "hello"))).condition, "not-acceptable");
            const id = await privateMessage(tablet, room, "Bob", "hello");
            assert.equal((await errorOf(tablet, id)).condition, "not-acceptable");
            if (setting.version === "newest") {
                // mod_carbons of 13.0.7 copies what any session sends to an occupant, with and without mod_minimix.
                await laptop.expect({ name: "message", child: ["sent", nsCarbons] });
            }
            await silence(room);
        });

        async function show(client: Client, room: string, show: string, priority = 0, id?: string): Promise<void> {
            const children = [xml("show", {}, show), xml("priority", {}, String(priority))];
            await client.send(xml("presence", { to: `${room}/Alice`, id }, ...children));
        }

        /** Alice's presence as Bob sees it after the change. */
        async function shown(room: string): Promise<string | null> {
            return (await bob.expect({ type: undefined, from: `${room}/Alice` })).getChildText("show");
        }

        async function quiet(room: string): Promise<void> {
            await bob.expectNone({ room });
            await phone.sync();
            await laptop.sync();
            phone.take({ room });
            laptop.take({ room });
        }

        test("C2: the room sees the best presence of the sessions, and only when it changes", async () => {
            const room = await house.roomWithBoth("presence");
            await show(phone, room, "away");
            await phone.expect({ from: `${room}/Alice`, status: "110" });
            await quiet(room);
            await show(laptop, room, "xa");
            assert.equal(await shown(room), "away");
            await quiet(room);
            await show(laptop, room, "xa", 5);
            assert.equal(await shown(room), "xa");
            await show(phone, room, "chat");
            await phone.expect({ from: `${room}/Alice`, status: "110" });
            await quiet(room);
            await leave(laptop, room, "Alice");
            assert.equal(await shown(room), "chat");
            await quiet(room);
        });

        test("C2: a presence without changes is answered, and not sent to the room", async () => {
            const room = await house.roomWithBoth("same");
            await show(phone, room, "dnd", 1, "first");
            assert.equal(await shown(room), "dnd");
            assert.equal((await phone.expect({ from: `${room}/Alice` })).attrs.id, "first");
            await laptop.expect({ from: `${room}/Alice` });
            await show(phone, room, "dnd", 1, "second");
            const answer = await phone.expect({ from: `${room}/Alice` });
            assert.equal(answer.attrs.id, "second");
            assert.deepEqual(statusCodes(answer), ["110"]);
            assert.equal(answer.getChildText("show"), "dnd");
            await silence(room);
        });

        test("C2: a nick change by one session changes the account's nick", async () => {
            const room = await house.roomWithBoth("nick");
            await changeNick(phone, room, "Alicia");
            await laptop.expect({ type: "unavailable", from: `${room}/Alice`, status: "303" });
            await laptop.expect({ type: undefined, from: `${room}/Alicia`, status: "110" });
            await bob.expect({ type: "unavailable", from: `${room}/Alice`, status: "303" });
            await bob.expect({ type: undefined, from: `${room}/Alicia` });
            await silence(room);
            await groupchat(laptop, room, "hello");
            for (const client of [phone, laptop, bob]) {
                await client.expect({ from: `${room}/Alicia`, body: "hello" });
            }
        });

        test("C2: the error for a taken nick goes to the session that asked", async () => {
            const room = await house.roomWithBoth("taken");
            for (const x of [[], [xml("x", { xmlns: "http://jabber.org/protocol/muc" })]]) {
                await laptop.send(xml("presence", { to: `${room}/Bob`, id: "rename" }, ...x));
                assert.equal((await errorOf(laptop, "rename")).condition, "conflict");
                await silence(room);
            }
            await groupchat(laptop, room, "hello");
            for (const client of [phone, laptop, bob]) {
                await client.expect({ from: `${room}/Alice`, body: "hello" });
            }
        });

        test("C6: a private message reaches each attached session once", async () => {
            const room = await house.roomWithBoth("pm-in");
            const id = await privateMessage(bob, room, "Alice", "psst");
            for (const client of [phone, laptop]) {
                const message = await client.expect({ type: "chat", from: `${room}/Bob`, body: "psst" });
                assert.equal(message.attrs.id, id);
                assert.equal(message.attrs.to, client.jid);
            }
            await silence(room);
        });

        test("C6: a sent private message is copied to the other attached sessions with carbons", async () => {
            const room = await house.roomWithBoth("pm-out");
            const id = await privateMessage(phone, room, "Bob", "psst");
            await bob.expect({ type: "chat", from: `${room}/Alice`, body: "psst", id });
            const carbon = await laptop.expect({ name: "message", child: ["sent", nsCarbons] });
            assert.equal(carbon.attrs.from, phone.account);
            assert.equal(carbon.attrs.to, laptop.jid);
            const forwarded = carbon.getChild("sent")?.getChild("forwarded", "urn:xmpp:forward:0");
            const copy = forwarded?.getChild("message", "jabber:client");
            assert.equal(copy?.getChildText("body"), "psst");
            assert.deepEqual(
                [copy.attrs.from, copy.attrs.to, copy.attrs.id, copy.attrs.type],
                [phone.jid, `${room}/Bob`, id, "chat"],
            );
            await silence(room);
            await privateMessage(laptop, room, "Bob", "no copies for the phone");
            await bob.expect({ from: `${room}/Alice`, body: "no copies for the phone" });
            await silence(room);
        });

        test("C6: a message marked as private or no-copy is not copied", async () => {
            const room = await house.roomWithBoth("pm-private");
            const hint = xml("private", { xmlns: nsCarbons });
            const message = xml("message", { to: `${room}/Bob`, type: "chat" }, xml("body", {}, "secret"), hint);
            await phone.send(message);
            await bob.expect({ from: `${room}/Alice`, body: "secret" });
            await silence(room);
        });

        test("C6: a private message to an unknown occupant returns to the session that sent it", async () => {
            const room = await house.roomWithBoth("pm-nobody");
            const id = await privateMessage(phone, room, "Nobody", "psst");
            assert.equal((await errorOf(phone, id)).condition, "item-not-found");
            await laptop.expect({ name: "message", child: ["sent", nsCarbons] });
            await silence(room);
        });

        test("C6: without an attached session, a private message goes to the account", async () => {
            const room = await house.bobsRoom("pm-away");
            const guest = await house.connect("carol/guest");
            await join(guest, room, "Carol");
            await guest.disconnect();
            await house.gone(guest);
            await privateMessage(bob, room, "Carol", "psst");
            await carol.expect({ type: "chat", from: `${room}/Bob`, body: "psst" });
            await carol.expectNone({ room });
            assert.equal((await house.server.occupants(room)).length, 2);
        });

        test("C6: private messages are in the account's own archive, once each", async () => {
            const room = await house.roomWithBoth("pm-archive");
            await privateMessage(phone, room, "Bob", "question");
            await bob.expect({ body: "question" });
            await privateMessage(bob, room, "Alice", "answer");
            await phone.expect({ body: "answer" });
            const field = (name: string, value: string) => xml("field", { var: name }, xml("value", {}, value));
            const form = xml(
                "x",
                { xmlns: nsData, type: "submit" },
                field("FORM_TYPE", "urn:xmpp:mam:2"),
                field("with", room),
            );
            await phone.iq("set", undefined, xml("query", { xmlns: "urn:xmpp:mam:2" }, form));
            const stored = phone
                .take({ child: ["result", "urn:xmpp:mam:2"] })
                .map((result) =>
                    result.getChild("result")?.getChild("forwarded")?.getChild("message")?.getChildText("body"),
                );
            assert.deepEqual(stored, ["question", "answer"]);
            await laptop.sync();
            laptop.take({ name: "message" });
        });

        function invitation(element: string, to: string, reason: string): Element {
            return xml("x", { xmlns: nsMucUser }, xml(element, { to }, xml("reason", {}, reason)));
        }

        for (const [whois, name] of [
            ["moderators", "semi-anonymous"],
            ["anyone", "non-anonymous"],
        ] as const) {
            test(`C7: an invitation through a ${name} room reaches the invited user, and a refusal the account`, async () => {
                const room = await house.roomWithBoth(`invite-${name}`, { whois });
                await phone.send(xml("message", { to: room }, invitation("invite", carol.account, "tea")));
                const invite = await carol.expect({ name: "message", from: room, child: ["x", nsMucUser] });
                const inviter = invite.getChild("x", nsMucUser)?.getChild("invite")?.attrs.from;
                assert.equal(inviter, whois === "anyone" ? house.occupantJid(phone) : `${room}/Alice`);
                await carol.send(xml("message", { to: room }, invitation("decline", inviter, "no time")));
                for (const client of [phone, laptop, tablet]) {
                    const message = await client.expect({ name: "message", from: room });
                    const decline = message.getChild("x", nsMucUser)?.getChild("decline");
                    assert.equal(decline?.getChildText("reason"), "no time");
                }
                await silence(room);
            });
        }

        test("C7: invitations to the account reach all its sessions, attached or not", async () => {
            const room = await house.bobsRoom("invited");
            await bob.send(xml("message", { to: room }, invitation("invite", phone.account, "tea")));
            for (const client of [phone, laptop, tablet]) {
                await client.expect({ name: "message", from: room, child: ["x", nsMucUser] });
            }
            await silence(room);
            await join(phone, room, "Alice");
            await bob.expect({ from: `${room}/Alice` });
            await bob.send(xml("message", { to: room }, invitation("invite", phone.account, "again")));
            for (const client of [phone, laptop, tablet]) {
                await client.expect({ name: "message", from: room, child: ["x", nsMucUser] });
            }
            await silence(room);
            await bob.send(xml("message", { to: phone.account }, xml("x", { xmlns: nsConference, jid: room })));
            for (const client of [phone, laptop, tablet]) {
                await client.expect({ name: "message", from: bob.jid, child: ["x", nsConference] });
            }
            await silence(room);
        });

        test("C7: a session's direct invitation reaches the invited user", async () => {
            const room = await house.roomWithBoth("direct");
            await phone.send(xml("message", { to: carol.account }, xml("x", { xmlns: nsConference, jid: room })));
            await carol.expect({ name: "message", from: phone.jid, child: ["x", nsConference] });
            await laptop.sync();
            laptop.take({ child: ["sent", nsCarbons] });
            await tablet.sync();
            tablet.take({ child: ["sent", nsCarbons] });
            await silence(room);
        });

        function voiceForm(fields: Record<string, string>): Element {
            const elements = Object.entries({ FORM_TYPE: nsRequest, ...fields }).map(([name, value]) =>
                xml("field", { var: name }, xml("value", {}, value)),
            );
            return xml("x", { xmlns: nsData, type: "submit" }, ...elements);
        }

        test("C7: a voice request reaches the moderator, and every session sees the voice granted", async () => {
            const room = await house.roomWithBoth("voice", { moderatedroom: "1" });
            await phone.send(xml("message", { to: room }, voiceForm({ "muc#role": "participant" })));
            const form = (await bob.expect({ name: "message", from: room })).getChild("x", nsData);
            assert(form);
            assert.equal(valueOf(form, "muc#jid"), house.occupantJid(phone));
            assert.equal(valueOf(form, "muc#roomnick"), "Alice");
            await bob.send(xml("message", { to: room }, voiceForm({ ...valuesOf(form), "muc#request_allow": "true" })));
            for (const client of [phone, laptop, bob]) {
                const presence = await client.expect({ from: `${room}/Alice` });
                assert.equal(presence.getChild("x", nsMucUser)?.getChild("item")?.attrs.role, "participant");
            }
            await silence(room);
        });

        test("C7: another user's voice request reaches every session of a moderator, and any may grant it", async () => {
            const room = await house.roomWithBoth("grant", { moderatedroom: "1" });
            await setRole(bob, room, "Alice", "moderator");
            await join(carol, room, "Carol");
            for (const client of [phone, laptop, bob, carol]) {
                await client.sync();
                client.take({ room });
            }
            await carol.send(xml("message", { to: room }, voiceForm({ "muc#role": "participant" })));
            const forms: (Element | undefined)[] = [];
            for (const client of [phone, laptop, bob]) {
                forms.push((await client.expect({ name: "message", from: room })).getChild("x", nsData));
            }
            const form = forms[1];
            assert(form);
            await laptop.send(
                xml("message", { to: room }, voiceForm({ ...valuesOf(form), "muc#request_allow": "true" })),
            );
            for (const client of [phone, laptop, bob, carol]) {
                const presence = await client.expect({ from: `${room}/Carol` });
                assert.equal(presence.getChild("x", nsMucUser)?.getChild("item")?.attrs.role, "participant");
            }
            await silence(room);
        });
    });
}

function valuesOf(form: Element): Record<string, string> {
    const names = form.getChildren("field").map(({ attrs }) => attrs.var ?? "");
    return Object.fromEntries(names.map((name) => [name, valueOf(form, name) ?? ""]));
}

function valueOf(form: Element, name: string): string | null | undefined {
    const field = form.getChildren("field").find(({ attrs }) => attrs.var === name);
    return field?.getChildText("value");
}
