// Rooms on another server: one story, played in rooms of each supported service and with both forms of the occupant
// JID.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { type Client, connect, type Element, type Match, StanzaError, statusCodes, xml } from "./support/client.ts";
import {
    ban,
    changeNick,
    configure,
    create,
    groupchat,
    isSubject,
    join,
    kick,
    leave,
    privateMessage,
    setAffiliation,
    setRole,
} from "./support/muc.ts";
import { type Network, type NetworkOptions, roomServices, startNetwork } from "./support/network.ts";
import { versions } from "./support/prosody.ts";

const nsAdmin = "http://jabber.org/protocol/muc#admin";
const nsBind = "urn:ietf:params:xml:ns:xmpp-bind";
const nsCarbons = "urn:xmpp:carbons:2";
const nsDiscoInfo = "http://jabber.org/protocol/disco#info";
const nsForm = "jabber:x:data";
const nsMam = "urn:xmpp:mam:2";
const nsMuc = "http://jabber.org/protocol/muc";
const nsMucUser = "http://jabber.org/protocol/muc#user";
const nsPing = "urn:xmpp:ping";
const nsRequest = "http://jabber.org/protocol/muc#request";
const nsStanzaId = "urn:xmpp:sid:0";
const nsVcard = "vcard-temp";
const nsVersion = "jabber:iq:version";

const [oldest = "0.12"] = versions;
const newest = versions.at(-1) ?? oldest;
const combinations: NetworkOptions[] = [
    { version: oldest, room: `prosody-${newest}`, occupant: "full" },
    ...roomServices.map((room) => ({ version: newest, room, occupant: "full" }) as const),
    { version: newest, room: `prosody-${oldest}`, occupant: "bare" },
    { version: newest, room: "ejabberd", occupant: "bare" },
];

for (const combination of combinations) {
    const { version, room, occupant } = combination;
    describe(`Prosody ${version} with ${occupant} occupant JIDs in rooms of ${room}`, () => {
        story(combination);
    });
}

function story(options: NetworkOptions): void {
    let network: Network;
    let room: string;
    let bob: Client;
    // All three belong to alice. The tablet has not joined the room most of the time.
    let phone: Client;
    let laptop: Client;
    let tablet: Client;
    let heardBefore: number;
    let saidBefore: number;

    before(async () => {
        network = await startNetwork({ ...options, hostConfig: "minimix_join_timeout = 1" });
        room = `tea@${network.theirs.rooms}`;
        bob = await connect(network.theirs, "bob/desk");
        phone = await connect(network.ours, "alice/phone");
        laptop = await connect(network.ours, "alice/laptop");
        tablet = await connect(network.ours, "alice/tablet");
        for (const client of [phone, laptop, tablet]) {
            await client.iq("set", undefined, xml("enable", { xmlns: nsCarbons }));
        }
        // In a moderated room ejabberd restores the earlier role of an occupant, even of a banned user.
        await create(bob, room, "Bob", { persistentroom: "1", allowinvites: "1", moderatedroom: "0" });
    });

    after(async () => {
        await network.stop();
    });

    beforeEach(async () => {
        await settle();
        for (const client of everybody()) {
            client.take();
        }
        heardBefore = network.toUs.carried.length;
        saidBefore = network.toThem.carried.length;
    });

    afterEach(() => {
        assert.doesNotMatch(upstream(), /<(message|presence)\b[^>]* type='error'/, "R6");
    });

    function everybody(): Client[] {
        return [bob, phone, laptop, tablet].filter(({ online }) => online);
    }

    /** Returns when the room has handled all stanzas, and the results have arrived. */
    async function settle(): Promise<void> {
        for (const client of [...everybody(), bob]) {
            await client.ask(xml("iq", { type: "get", to: room }, xml("query", { xmlns: nsDiscoInfo })));
        }
    }

    /** Checks that each of these clients gets such a stanza once, and no other client does. */
    async function reaches(clients: Client[], match: Match): Promise<Element[]> {
        const stanzas = await Promise.all(clients.map((client) => client.expect(match)));
        await settle();
        for (const client of everybody()) {
            assert.deepEqual(client.take(match).map(String), [], `${client.name} got this, or got it twice`);
        }
        return stanzas;
    }

    /** Stanzas between our server and the other one in this test. */
    function upstream(): string {
        return network.toThem.carried.slice(saidBefore);
    }

    function downstream(): string {
        return network.toUs.carried.slice(heardBefore);
    }

    /** Returns the conditions of the errors that a client got for this id. Other clients must not get any. */
    async function errors(client: Client, id: string): Promise<string[]> {
        const stanzas = await reaches([client], { type: "error", id });
        return stanzas.map((stanza) => new StanzaError(stanza).condition);
    }

    /** Returns the occupants, as the room's owner sees them. */
    async function nicks(): Promise<(string | undefined)[]> {
        const ask = (role: string) => bob.iq("get", room, xml("query", { xmlns: nsAdmin }, xml("item", { role })));
        const lists = [await ask("moderator"), await ask("participant"), await ask("visitor")];
        return lists.flatMap((list) => list?.getChildElements().map(({ attrs }) => attrs.nick)).sort();
    }

    async function bothJoin(): Promise<void> {
        await Promise.all([join(phone, room, "Alice"), join(laptop, room, "Alice")]);
    }

    async function isRefused(client: Client, address: string, condition: string): Promise<void> {
        const id = client.newId();
        const error: unknown = await join(client, address, "Alice", { id }).catch((reason: unknown) => reason);
        assert(error instanceof StanzaError, `${client.name} was let in`);
        assert.equal(error.condition, condition);
        assert.equal(error.stanza.attrs.id, id);
    }

    test("J1: the first session's join goes out once", async () => {
        const id = phone.newId();
        const stanzas = await join(phone, room, "Alice", { id });
        assert.deepEqual(occupants(stanzas), [`${room}/Bob`, `${room}/Alice`]);
        assert.equal(own(stanzas)?.attrs.id, id);
        assert.match(ownCodes(stanzas), /110/);
        assert.deepEqual(addressees(stanzas), [phone.jid]);
        const [seen] = await reaches([bob], { name: "presence", from: `${room}/Alice` });
        assert.deepEqual(
            items(seen).map(({ jid }) => jid),
            [network.occupantJid("alice")],
        );
        assert.equal(count(upstream(), "<presence"), 1);
    });

    test("J2: the next session gets the replay at once, and the room receives nothing", async () => {
        const stanzas = await join(laptop, room, "Alice");
        assert.deepEqual(occupants(stanzas), [`${room}/Bob`, `${room}/Alice`]);
        assert.match(ownCodes(stanzas), /110/);
        assert.deepEqual(addressees(stanzas), [laptop.jid]);
        await reaches([], { name: "presence", room });
        assert.doesNotMatch(upstream(), /<(presence|message)\b/);
        assert.deepEqual(await nicks(), ["Alice", "Bob"]);
    });

    test("J3: a session that asks for another nick is attached under the account's", async () => {
        const stanzas = await join(tablet, room, "Alicia");
        assert.equal(own(stanzas)?.attrs.from, `${room}/Alice`);
        assert.match(ownCodes(stanzas), /110.*210/);
    });

    test("L2: a session that leaves is told, and the room receives nothing", async () => {
        const [item] = items(await leave(tablet, room, "Alice"));
        assert.equal(item?.role, "none");
        await reaches([], { name: "presence", room });
        assert.doesNotMatch(upstream(), /<presence/);
    });

    test("C8: a session that is not attached sends from its own address", async () => {
        const id = await groupchat(tablet, room, "Can you hear me?");
        assert.deepEqual(await errors(tablet, id), ["not-acceptable"]);
        await reaches([], { body: "Can you hear me?" });
    });

    test("C1, R1: a message goes to the room once and comes back once, and is forked", async () => {
        const id = await groupchat(phone, room, "Hello, Bob");
        for (const message of await reaches([bob, phone, laptop], { from: `${room}/Alice`, body: "Hello, Bob" })) {
            assert.equal(message.attrs.id, id);
            assert.equal(message.getChild("stanza-id", nsStanzaId)?.attrs.by, room);
        }
        assert.equal(count(upstream(), `id='${id}'`), 1);
        assert.equal(count(downstream(), "Hello, Bob"), 1);
    });

    test("R1: a message of another occupant comes once, and is forked", async () => {
        const id = await groupchat(bob, room, "Hello, Alice");
        for (const message of await reaches([bob, phone, laptop], { from: `${room}/Bob`, body: "Hello, Alice" })) {
            assert.equal(message.attrs.id, id);
        }
        assert.equal(count(downstream(), "Hello, Alice"), 1);
    });

    test("C6: a private message is copied to the other sessions in the room", async () => {
        const id = await privateMessage(phone, room, "Bob", "Psst, Bob");
        const [received] = await reaches([bob], { type: "chat", from: `${room}/Alice`, body: "Psst, Bob" });
        assert.equal(received?.attrs.id, id);
        const [carbon] = await reaches([laptop], { child: ["sent", nsCarbons] });
        assert.match(String(carbon), /Psst, Bob/);
        assert.equal(count(upstream(), "Psst, Bob"), 1);
    });

    test("C6: the error of a private message goes to its sender", async () => {
        const id = await privateMessage(laptop, room, "Nobody", "Psst");
        assert.deepEqual(await errors(laptop, id), ["item-not-found"]);
    });

    test("R1: a private message of another occupant is forked", async () => {
        const id = await privateMessage(bob, room, "Alice", "Psst, Alice");
        for (const message of await reaches([phone, laptop], { type: "chat", from: `${room}/Bob` })) {
            assert.equal(message.attrs.id, id);
            assert.equal(message.getChildText("body"), "Psst, Alice");
        }
        assert.equal(count(downstream(), "Psst, Alice"), 1);
        await reaches([], { child: ["received", nsCarbons] });
    });

    test("C3: requests to the room are answered to the session that asks", async () => {
        const info = await phone.iq("get", room, xml("query", { xmlns: nsDiscoInfo }));
        assert.equal(info?.getChild("identity")?.attrs.category, "conference");
        await reaches([], { name: "iq" });
    });

    test("C3: requests to an occupant are answered to the session that asks", async () => {
        bob.answer("get", "query", nsVersion, () => version("desk"));
        bob.answer("get", "ping", nsPing, () => undefined);
        const answer = await laptop.iq("get", `${room}/Bob`, xml("query", { xmlns: nsVersion }));
        assert.equal(answer?.getChildText("name"), "desk");
        await laptop.iq("get", `${room}/Bob`, xml("ping", { xmlns: nsPing }));
        await reaches([bob], { name: "iq", child: ["query", nsVersion] });
    });

    test("C3: the room's archive answers the session that asks", async () => {
        await laptop.iq("set", room, xml("query", { xmlns: nsMam, queryid: "all" }));
        const results = laptop.take({ child: ["result", nsMam] });
        assert.match(results.join(""), /Hello, Bob.*Hello, Alice/);
        await reaches([], { child: ["result", nsMam] });
    });

    test("C4: a self-ping tells a session whether it is in the room, without a query to the room", async () => {
        const ping = () => xml("ping", { xmlns: nsPing });
        await laptop.iq("get", `${room}/Alice`, ping());
        await assert.rejects(tablet.iq("get", `${room}/Alice`, ping()), { condition: "not-acceptable" });
        assert.doesNotMatch(upstream(), /<ping/);
    });

    test("C5: requests of another occupant go to the session whose presence the room shows", async () => {
        for (const client of [phone, laptop, tablet]) {
            client.answer("get", "query", nsVersion, () => version(client.name));
        }
        const answer = await bob.iq("get", `${room}/Alice`, xml("query", { xmlns: nsVersion }));
        assert.equal(answer?.getChildText("name"), "alice/phone");
        await bob.iq("get", `${room}/Alice`, xml("ping", { xmlns: nsPing }));
        await reaches([phone], { name: "iq", child: ["query", nsVersion] });
    });

    test("C5: the server answers queries for vCards", async () => {
        for (const [client, other] of [
            [phone, bob],
            [bob, phone],
        ] as const) {
            await other.iq("set", undefined, xml("vCard", { xmlns: nsVcard }, xml("FN", {}, other.account)));
            const nick = other === bob ? "Bob" : "Alice";
            const card = await client.iq("get", `${room}/${nick}`, xml("vCard", { xmlns: nsVcard }));
            assert.equal(card?.getChildText("FN"), other.account);
        }
    });

    test("C2: the room gets the best presence, only when it changes", async () => {
        const show = (client: Client, value?: string) =>
            client.send(xml("presence", { to: `${room}/Alice` }, value && xml("show", {}, value)));
        const isShown = (value: string | null) => (stanza: Element) =>
            stanza.attrs.from === `${room}/Alice` && stanza.getChildText("show") === value;
        await show(phone, "away");
        await reaches([phone], isShown(null));
        assert.doesNotMatch(upstream(), /<presence/);
        await show(laptop, "dnd");
        await reaches([bob, phone, laptop], isShown("dnd"));
        await show(laptop);
        await reaches([bob, phone, laptop], isShown(null));
        assert.equal(count(upstream(), "<presence"), 2);
    });

    test("C2: a nick change applies to all sessions of the account", async () => {
        await laptop.send(xml("presence", { to: `${room}/Alicia` }));
        const [old] = await reaches([bob, phone, laptop], {
            type: "unavailable",
            from: `${room}/Alice`,
            status: "303",
        });
        assert.equal(items(old)[0]?.nick, "Alicia");
        const [, ...ours] = await reaches([bob, phone, laptop], { type: undefined, from: `${room}/Alicia` });
        assert.deepEqual(ours.map(statusCodes), [["110"], ["110"]]);
        await changeNick(phone, room, "Alice");
    });

    test("C2: the error for a taken nick goes to the session that asked", async () => {
        const id = laptop.newId();
        await laptop.send(xml("presence", { to: `${room}/Bob`, id }));
        assert.deepEqual(await errors(laptop, id), ["conflict"]);
    });

    test("C7: a voice request reaches the moderators", async () => {
        await setRole(bob, room, "Alice", "visitor");
        await reaches([bob, phone, laptop], has({ role: "visitor" }));
        await phone.send(xml("message", { to: room }, voiceRequest()));
        await reaches([bob], { name: "message", child: ["x", nsForm] });
        await setRole(bob, room, "Alice", "participant");
        await reaches([bob, phone, laptop], has({ role: "participant" }));
    });

    test("R1, C3: a changed affiliation applies to all sessions of the account", async () => {
        await setAffiliation(bob, room, phone.account, "admin");
        await reaches([bob, phone, laptop], has({ affiliation: "admin", role: "moderator" }));
        const list = xml("query", { xmlns: nsAdmin }, xml("item", { affiliation: "outcast" }));
        await laptop.iq("get", room, list);
        await laptop.send(xml("message", { to: room, type: "groupchat" }, xml("subject", {}, "Tea at four")));
        await reaches([bob, phone, laptop], { subject: "Tea at four" });
        await setAffiliation(bob, room, phone.account, "none", "thank you");
        await reaches([bob, phone, laptop], has({ affiliation: "none" }));
    });

    test("J6: after a change of role one session's resync asks the room for real JIDs", async () => {
        assert.deepEqual(occupants(await join(laptop, room, "Alice")), [`${room}/Bob`, `${room}/Alice`]);
        await settle();
        await phone.expectNone({ room });
    });

    test("J6: a session that joins again gets a full replay", async () => {
        const stanzas = await join(laptop, room, "Alice");
        assert.deepEqual(occupants(stanzas), [`${room}/Bob`, `${room}/Alice`]);
        assert.doesNotMatch(stanzas.join(""), /<actor|<reason/, "what happened before is over");
        await reaches([], { name: "presence", room });
    });

    test("J6: a join that only the room can answer is answered to one session", async () => {
        const x = xml("x", { xmlns: nsMuc }, xml("unheard-of", { xmlns: "urn:example:extension" }));
        await laptop.send(xml("presence", { to: `${room}/Alice`, id: "resync" }, x));
        const stanzas = await laptop.collect({ room }, isSubject);
        assert.deepEqual(occupants(stanzas), [`${room}/Bob`, `${room}/Alice`]);
        await settle();
        await phone.expectNone({ room });
        assert.equal(count(upstream(), "<presence"), 1);
    });

    test("R1, J2: all sessions see a change of the configuration, also those that join later", async () => {
        await configure(bob, room, { whois: "anyone" });
        await reaches([bob, phone, laptop], { type: "groupchat", status: "172" });
        const stanzas = await join(tablet, room, "Alice");
        assert.match(ownCodes(stanzas), /100/);
        assert.equal(stanzas.at(-1)?.getChildText("subject"), "Tea at four");
        await leave(tablet, room, "Alice");
    });

    // Not in Prosody 0.12.
    if (options.room !== "prosody-0.12") {
        test("R1, J2: the room's own presence is forked, and replayed to later joins", async () => {
            const hash = new RegExp(createHash("sha1").update("picture").digest("hex"));
            const isAvatar = (stanza: Element) =>
                stanza.name === "presence" && stanza.attrs.from === room && hash.test(stanza.toString());
            await bob.iq("set", room, avatar("picture"));
            await reaches([bob, phone, laptop], isAvatar);
            // The replay has it at the room's position: first in ejabberd, after the subject in Prosody.
            const isFirst = options.room === "ejabberd";
            const before = (await join(tablet, room, "Alice")).filter(isAvatar);
            assert.equal(before.length, isFirst ? 1 : 0);
            await reaches(isFirst ? [] : [tablet], isAvatar);
            await leave(tablet, room, "Alice");
        });
    }

    test("C7: invitations are sent from the account, and invitations to the account arrive", async () => {
        await phone.send(xml("message", { to: room }, invitation(bob.account)));
        const [toBob] = await reaches([bob], isInvitation);
        assert.match(String(toBob), new RegExp(`from="${network.occupantJid("alice")}"`));
        await bob.send(xml("message", { to: room }, invitation(phone.account)));
        await reaches([phone, laptop, tablet], isInvitation);
    });

    test("R2: all sessions see a kick, which ends the membership", async () => {
        await kick(bob, room, "Alice", "enough");
        const away = { name: "presence", type: "unavailable", from: `${room}/Alice`, status: "307" } as const;
        await reaches([bob, phone, laptop], away);
        assert.deepEqual(await nicks(), ["Bob"]);
    });

    test("C8: outside of the room, the error of a message goes to its sender", async () => {
        const id = await groupchat(laptop, room, "Am I still there?");
        assert.deepEqual(await errors(laptop, id), ["not-acceptable"]);
    });

    test("J4: sessions that join at the same time join once", async () => {
        await bothJoin();
        assert.equal(count(upstream(), "<presence"), 1);
        assert.deepEqual(await nicks(), ["Alice", "Bob"]);
        await groupchat(laptop, room, "Here again");
        await reaches([bob, phone, laptop], { body: "Here again" });
    });

    test("R2: all sessions see a ban, which ends the membership", async () => {
        await ban(bob, room, phone.account, "really");
        const away = { name: "presence", type: "unavailable", from: `${room}/Alice`, status: "301" } as const;
        await reaches([bob, phone, laptop], away);
        assert.deepEqual(await nicks(), ["Bob"]);
    });

    test("J4: a refusal goes to each session that asked, with the id of its join", async () => {
        await Promise.all([phone, laptop].map((client) => isRefused(client, room, "forbidden")));
        await setAffiliation(bob, room, phone.account, "none");
        await bothJoin();
    });

    test("J4: a join to an unreachable server fails", async () => {
        const nowhere = "tea@rooms.nowhere.lab";
        await Promise.all([phone, laptop].map((client) => isRefused(client, nowhere, "remote-server-not-found")));
        await isRefused(phone, nowhere, "remote-server-not-found");
    });

    test("L3: the account leaves with its last session", async () => {
        await leave(laptop, room, "Alice");
        await reaches([], { name: "presence", room });
        await leave(phone, room, "Alice");
        await reaches([bob], { type: "unavailable", from: `${room}/Alice` });
        assert.equal(count(upstream(), "<presence"), 1);
        assert.deepEqual(await nicks(), ["Bob"]);
    });

    test("J5: a join without an answer times out and leaves nothing behind", async () => {
        network.hold();
        await isRefused(phone, room, "remote-server-timeout");
        network.letGo();
        await settle();
        assert.deepEqual(await nicks(), ["Bob"]);
        await phone.expectNone({ name: "presence", room });
    });

    test("L1: the account stays when its sessions end", async () => {
        await bothJoin();
        await reaches([bob], { type: undefined, from: `${room}/Alice` });
        await phone.disconnect();
        await laptop.drop();
        for (const { jid } of [phone, laptop]) {
            await tablet.expect({ type: "unavailable", from: jid });
        }
        await reaches([], { name: "presence", room });
        assert.deepEqual(await nicks(), ["Alice", "Bob"]);
        const stanzas = await join(tablet, room, "Alice");
        assert.deepEqual(occupants(stanzas), [`${room}/Bob`, `${room}/Alice`]);
        assert.equal(count(upstream(), "<presence"), 1);
    });

    if (options.occupant === "full") {
        test("J1: a client that asks for the resource of the occupant JID gets another one", async () => {
            const client = await connect(network.ours, "alice/minimix");
            const bound = client.received
                .map((stanza) => stanza.getChild("bind", nsBind))
                .find((bind) => bind !== undefined);
            assert.notEqual(bound?.getChildText("jid"), network.occupantJid("alice"));
            await client.disconnect();
        });
    }
}

/** Returns the occupants in the answer to a join, in order. */
function occupants(stanzas: Element[]): (string | undefined)[] {
    return stanzas.filter(isOccupant).map(({ attrs }) => attrs.from);
}

/** Returns the presence that ends the list of occupants. */
function own(stanzas: Element[]): Element | undefined {
    return stanzas.findLast(isOccupant);
}

function isOccupant({ name, attrs }: Element): boolean {
    return name === "presence" && (attrs.from?.includes("/") ?? false);
}

function ownCodes(stanzas: Element[]): string {
    const presence = own(stanzas);
    return presence === undefined ? "" : statusCodes(presence).sort().join(" ");
}

function addressees(stanzas: Element[]): (string | undefined)[] {
    return [...new Set(stanzas.map(({ attrs }) => attrs.to))];
}

function items(presence: Element | undefined): Record<string, string | undefined>[] {
    return (
        presence
            ?.getChild("x", nsMucUser)
            ?.getChildren("item")
            .map(({ attrs }) => attrs) ?? []
    );
}

function has(attributes: Record<string, string>): Match {
    return (stanza) =>
        stanza.name === "presence" &&
        items(stanza).some((item) => Object.entries(attributes).every(([name, value]) => item[name] === value));
}

function version(name: string): Element {
    return xml("query", { xmlns: nsVersion }, xml("name", {}, name));
}

function avatar(picture: string): Element {
    const photo = xml("PHOTO", {}, xml("TYPE", {}, "image/png"), xml("BINVAL", {}, btoa(picture)));
    return xml("vCard", { xmlns: nsVcard }, photo);
}

function voiceRequest(): Element {
    const field = (name: string, value: string) => xml("field", { var: name }, xml("value", {}, value));
    const fields = [field("FORM_TYPE", nsRequest), field("muc#role", "participant")];
    return xml("x", { xmlns: nsForm, type: "submit" }, ...fields);
}

function invitation(invitee: string): Element {
    return xml("x", { xmlns: nsMucUser }, xml("invite", { to: invitee }));
}

function isInvitation(stanza: Element): boolean {
    return stanza.getChild("x", nsMucUser)?.getChild("invite") !== undefined;
}

function count(text: string, part: string): number {
    return text.split(part).length - 1;
}
