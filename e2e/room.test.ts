// Stanzas of a room reach every session that has joined it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, type Element, type Match, statusCodes, xml } from "./support/client.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import {
    ban,
    changeNick,
    configure,
    create,
    destroy,
    groupchat,
    isSubject,
    join,
    kick,
    leave,
    privateMessage,
    setAffiliation,
    setRole,
    setSubject,
} from "./support/muc.ts";

const nsMuc = "http://jabber.org/protocol/muc";
const nsMucUser = "http://jabber.org/protocol/muc#user";

for (const { name, ...setting } of settings) {
    describe(`${name}: the room`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;

        before(async () => {
            house = await openHouse({
                ...setting,
                roomModules: ["muc_mam"],
                roomConfig: "muc_log_by_default = false",
            });
            ({ phone, laptop, bob } = house);
        });

        after(() => house.close());

        /**
         * Checks that both sessions get the same stanza once. Each copy is addressed to its session, and where the room
         * shows the account's own address, the copy shows the session's full JID.
         */
        async function bothGet(match: Match): Promise<Element> {
            const copies = [await phone.expect(match), await laptop.expect(match)];
            await phone.expectNone(match);
            await laptop.expectNone(match);
            const [stanza, other] = [phone, laptop].map(({ jid }, index) => {
                const copy = copies[index];
                assert(copy);
                assert.equal(copy.attrs.to, jid);
                const own = statusCodes(copy).includes("110") ? itemOf(copy) : undefined;
                if (own) {
                    assert.equal(own.attrs.jid, jid);
                    own.attrs.jid = "";
                }
                return xml(copy.name, { ...copy.attrs, to: "" }, ...copy.children);
            });
            assert(stanza && other);
            assert.equal(stanza.toString(), other.toString());
            return stanza;
        }

        async function isIn(room: string, nick: string): Promise<boolean> {
            return (await house.server.occupants(room)).some((occupant) => occupant.nick === nick);
        }

        /** Checks that the account is out of the room, and that the room itself answers the next join. */
        async function assertOut(room: string): Promise<void> {
            assert.equal(await isIn(room, "Alice"), false);
            await phone.expectNone({ room });
            await laptop.expectNone({ room });
            await groupchat(bob, room, "gone?");
            await bob.expect({ room, body: "gone?" });
            await phone.expectNone({ room });
            await laptop.expectNone({ room });
        }

        async function joinAgain(room: string): Promise<void> {
            await house.server.arrivals();
            const stanzas = await join(laptop, room, "Alice");
            assert((await house.server.arrivals()).some(({ from }) => from === `${room}/Alice`));
            assert(stanzas.find(({ attrs }) => attrs.from === `${room}/Alice`));
            await groupchat(bob, room, "welcome");
            await laptop.expect({ room, body: "welcome" });
            await phone.expectNone({ room });
        }

        test("R2: every session gets a kick, and a new join returns to the room", async () => {
            const room = await house.roomWithBoth("kick");
            await kick(bob, room, "Alice", "enough");
            const presence = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(statusCodes(presence).sort(), ["110", "307"]);
            assert.equal(itemOf(presence)?.getChildText("reason"), "enough");
            await assertOut(room);
            await joinAgain(room);
        });

        test("R2: every session gets a ban, and a new join fails", async () => {
            const room = await house.roomWithBoth("ban");
            await ban(bob, room, phone.account, "spam");
            const presence = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(statusCodes(presence).sort(), ["110", "301"]);
            assert.equal(itemOf(presence)?.attrs.affiliation, "outcast");
            await assertOut(room);
            await assert.rejects(join(phone, room, "Alice"), { condition: "forbidden" });
            await setAffiliation(bob, room, phone.account, "none");
            await joinAgain(room);
        });

        test("R2: a room that becomes members-only removes the account (322)", async () => {
            const room = await house.roomWithBoth("members-only");
            await configure(bob, room, { membersonly: "1" });
            const presence = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(statusCodes(presence).sort(), ["110", "322"]);
            phone.take({ name: "message", room });
            laptop.take({ name: "message", room });
            await assertOut(room);
            await setAffiliation(bob, room, phone.account, "member");
            await joinAgain(room);
        });

        test("R2: an account that loses its membership is removed from a members-only room (321)", async () => {
            const room = await house.bobsRoom("no-member", { membersonly: "1" });
            await setAffiliation(bob, room, phone.account, "member");
            await join(phone, room, "Alice");
            await join(laptop, room, "Alice");
            await setAffiliation(bob, room, phone.account, "none");
            const presence = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(statusCodes(presence).sort(), ["110", "321"]);
            await assertOut(room);
        });

        test("R2: every session gets the destruction of a room, and the account joins no other room", async () => {
            const room = await house.roomWithBoth("destroyed");
            const venue = await house.bobsRoom("venue");
            await destroy(bob, room, venue, "moved");
            const presence = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            const element = presence.getChild("x", nsMucUser)?.getChild("destroy");
            assert.equal(element?.attrs.jid, venue);
            assert.equal(element.getChildText("reason"), "moved");
            assert.equal(await isIn(venue, "Alice"), false);
            await create(laptop, room, "Alice");
            assert.equal(await isIn(room, "Alice"), true);
            await phone.expectNone({ room });
        });

        test("R2: stanzas that were in flight when the room removed the account have no effect", async () => {
            const room = await house.roomWithBoth("late");
            await house.hold();
            const kicked = kick(bob, room, "Alice");
            await bob.sync();
            const id = await groupchat(phone, room, "hello");
            await phone.send(xml("presence", { to: `${room}/Alice` }, xml("show", {}, "away")));
            await phone.sync();
            await phone.expect({ from: `${room}/Alice`, status: "110" });
            await laptop.send(xml("presence", { to: `${room}/Al` }));
            await laptop.sync();
            await house.release();
            await kicked;
            await bothGet({ type: "unavailable", from: `${room}/Alice`, status: "307" });
            // C1: the session that sent the message gets its error, although the membership has ended.
            const error = await phone.expect({ name: "message", type: "error", room });
            assert.equal(error.attrs.id, id);
            // As with plain MUC, the nick change gets an error as well.
            await laptop.expect({ from: `${room}/Al`, type: "error" });
            await assertOut(room);
            await joinAgain(room);
        });

        test("R2, J6: a resync that was in flight when the room removed the account becomes a join", async () => {
            const room = await house.roomWithBoth("late-join");
            await house.hold();
            const kicked = kick(bob, room, "Alice");
            await bob.sync();
            const x = xml("x", { xmlns: nsMuc }, xml("mav", { xmlns: "urn:example:mav" }));
            await phone.send(xml("presence", { to: `${room}/Alice`, id: "late" }, x));
            await phone.sync();
            await house.release();
            await kicked;
            await phone.expect({ type: "unavailable", from: `${room}/Alice`, status: "307" });
            await laptop.expect({ type: "unavailable", from: `${room}/Alice`, status: "307" });
            const stanzas = await phone.collect({ room }, isSubject);
            assert.equal(stanzas.find(({ attrs }) => attrs.from === `${room}/Alice`)?.attrs.id, "late");
            assert.equal(await isIn(room, "Alice"), true);
            await laptop.expectNone({ room });
        });

        test("R2: requests of a session that does not know of the kick yet cause no error in the room", async () => {
            const room = await house.roomWithBoth("crossing");
            await Promise.all([
                kick(bob, room, "Alice"),
                groupchat(phone, room, "hello"),
                changeNick(laptop, room, "Al"),
            ]).catch(() => undefined);
            await bob.sync();
            await join(phone, room, "Alice");
            assert.deepEqual((await house.server.occupants(room)).map(({ nick }) => nick).sort(), ["Alice", "Bob"]);
        });

        test("R1: every session gets the account's own nick change, as two presences", async () => {
            const room = await house.roomWithBoth("own-nick");
            await phone.send(xml("presence", { to: `${room}/Alicia` }));
            const gone = await bothGet({ type: "unavailable", from: `${room}/Alice` });
            assert.deepEqual(statusCodes(gone).sort(), ["110", "303"]);
            assert.equal(itemOf(gone)?.attrs.nick, "Alicia");
            const back = await bothGet({ type: undefined, from: `${room}/Alicia` });
            assert(statusCodes(back).includes("110"));
            const tablet = await house.connect("alice/tablet");
            const stanzas = await join(tablet, room, "Alice");
            const self = stanzas.at(-2);
            assert.equal(self?.attrs.from, `${room}/Alicia`);
            assert(statusCodes(self).includes("210"));
            await tablet.disconnect();
        });

        test("R1: every session, and one that joins later, sees joins, changes and leaves of other occupants", async () => {
            const room = await house.roomWithBoth("others");
            const carol = await house.connect("carol/desk");
            await join(carol, room, "Carol");
            await bothGet({ type: undefined, from: `${room}/Carol` });
            await carol.send(xml("presence", { to: `${room}/Carol` }, xml("show", {}, "dnd")));
            const busy = await bothGet({ type: undefined, from: `${room}/Carol` });
            assert.equal(busy.getChildText("show"), "dnd");
            await changeNick(carol, room, "Caroline");
            const gone = await bothGet({ type: "unavailable", from: `${room}/Carol` });
            assert.deepEqual(statusCodes(gone), ["303"]);
            await bothGet({ type: undefined, from: `${room}/Caroline` });
            const tablet = await house.connect("alice/tablet");
            const shown = await join(tablet, room, "Alice");
            assert.deepEqual(
                shown
                    .slice(0, 2)
                    .map(({ attrs }) => attrs.from)
                    .sort(),
                [`${room}/Bob`, `${room}/Caroline`],
            );
            await leave(carol, room, "Caroline");
            await bothGet({ type: "unavailable", from: `${room}/Caroline` });
            await carol.disconnect();
            await tablet.disconnect();
        });

        test("R1: every session gets a new subject, and a session that joins later gets the last one", async () => {
            const room = await house.roomWithBoth("subject");
            await setSubject(bob, room, "Tea");
            await bothGet({ subject: "Tea", room });
            await setSubject(bob, room, "Coffee");
            await bothGet({ subject: "Coffee", room });
            const subjects = (await join(laptop, room, "Alice")).filter(isSubject);
            assert.deepEqual(
                subjects.map((message) => message.getChildText("subject")),
                ["Coffee"],
            );
        });

        test("R1: every session gets configuration changes, and later joins show them", async () => {
            const room = await house.roomWithBoth("configuration");
            const changes: [form: Record<string, string>, codes: string[], self: string[]][] = [
                [{ roomname: "Tea" }, ["104"], ["110"]],
                [{ whois: "anyone" }, ["172"], ["100", "110"]],
                [{ enablearchiving: "1" }, ["170"], ["100", "110", "170"]],
                [{ whois: "moderators" }, ["173"], ["110", "170"]],
                [{ enablearchiving: "0" }, ["171"], ["110"]],
            ];
            for (const [form, codes, self] of changes) {
                await configure(bob, room, form);
                const message = await bothGet({ type: "groupchat", from: room });
                assert.deepEqual(statusCodes(message), codes);
                const own = (await join(laptop, room, "Alice")).find(({ attrs }) => attrs.from === `${room}/Alice`);
                assert.deepEqual(own && statusCodes(own).sort(), self);
            }
        });

        test("R1: every session sees voice revoked and granted", async () => {
            const room = await house.roomWithBoth("voice", { moderatedroom: "1" });
            const roles = ["visitor", "participant", "moderator"];
            for (const role of roles) {
                await setRole(bob, room, "Alice", role);
                const presence = await bothGet({ type: undefined, from: `${room}/Alice` });
                assert.equal(itemOf(presence)?.attrs.role, role);
                assert.deepEqual(statusCodes(presence), ["110"]);
                const own = (await join(laptop, room, "Alice")).find(({ attrs }) => attrs.from === `${room}/Alice`);
                assert.equal(own && itemOf(own)?.attrs.role, role);
            }
        });

        test("R1, O3: stanzas that mod_csi delays for an inactive client reach it in order", async () => {
            const room = await house.roomWithBoth("inactive");
            const csi = (name: string) => xml(name, { xmlns: "urn:xmpp:csi:0" });
            await phone.send(csi("inactive"));
            const shows = ["away", "xa", "dnd"];
            for (const show of shows) {
                await bob.send(xml("presence", { to: `${room}/Bob` }, xml("show", {}, show)));
            }
            await groupchat(bob, room, "now");
            await laptop.expect({ room, body: "now" });
            await phone.send(csi("active"));
            await phone.expect({ room, body: "now" });
            await phone.sync();
            const presences = phone.take({ name: "presence", room });
            assert.deepEqual(
                presences.map((presence) => presence.getChildText("show")),
                shows,
            );
        });

        test("R6: a client's error for a stanza of the room does not remove the account", async () => {
            const room = await house.roomWithBoth("errors");
            const id = await groupchat(bob, room, "hello");
            await privateMessage(bob, room, "Alice", "psst");
            await phone.expect({ body: "psst" });
            const error = () =>
                xml(
                    "error",
                    { type: "cancel" },
                    xml("recipient-unavailable", { xmlns: "urn:ietf:params:xml:ns:xmpp-stanzas" }),
                );
            for (const to of [room, `${room}/Bob`, `${room}/Alice`]) {
                await phone.send(xml("message", { type: "error", to, id }, xml("body", {}, "hello"), error()));
                await phone.send(xml("presence", { type: "error", to }, error()));
            }
            await phone.sync();
            await bob.expectNone({ type: "unavailable", room });
            await bob.expectNone({ type: "error", room });
            assert.equal(await isIn(room, "Alice"), true);
            await groupchat(phone, room, "still here");
            await bothGet({ from: `${room}/Alice`, body: "still here" });
        });

        test("R5: a stanza with a forged room address has no effect", async () => {
            const room = await house.roomWithBoth("forged");
            const item = xml("item", { affiliation: "none", role: "none" });
            const x = xml(
                "x",
                { xmlns: nsMucUser },
                item,
                xml("status", { code: "110" }),
                xml("status", { code: "307" }),
            );
            for (const to of [phone.account, phone.jid]) {
                await bob.send(xml("presence", { to, from: `${room}/Alice`, type: "unavailable" }, x));
            }
            await bob.sync();
            await groupchat(bob, room, "hello");
            await bothGet({ from: `${room}/Bob`, body: "hello" });
        });
    });
}

function itemOf(stanza: Element): Element | undefined {
    return stanza.getChild("x", nsMucUser)?.getChild("item");
}
