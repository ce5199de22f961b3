// Several simultaneous requests of an account, in rooms of other servers (J8, J9, J10, C1, R7). Each is answered to its
// session, and no message is lost without an error.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect, type Element, StanzaError, xml } from "./support/client.ts";
import { create, groupchat, isSubject, join, kick, leave } from "./support/muc.ts";
import { type Network, type NetworkOptions, startNetwork } from "./support/network.ts";
import { eventually, whoIsIn } from "./support/outlive.ts";
import { versions } from "./support/prosody.ts";
import { atOnce } from "./support/suites.ts";

const nsMuc = "http://jabber.org/protocol/muc";

const [oldest = "0.12", middle = oldest] = versions;
const newest = versions.at(-1) ?? oldest;
const combinations: NetworkOptions[] = [
    { version: newest, room: `prosody-${oldest}`, occupant: "full" },
    { version: oldest, room: `prosody-${newest}`, occupant: "bare" },
    { version: middle, room: `prosody-${middle}`, occupant: "full" },
    { version: newest, room: "ejabberd", occupant: "full" },
];

atOnce("requests", combinations, (combination) => {
    const { version, room: service, occupant } = combination;
    describe(`Prosody ${version}, ${occupant} occupant JIDs, rooms of ${service}`, { concurrency: 1 }, () => {
        let network: Network;
        let bob: Client;
        let phone: Client;
        let laptop: Client;

        before(async () => {
            network = await startNetwork(combination);
            bob = await connect(network.theirs, "bob/desk");
            phone = await connect(network.ours, "alice/phone");
            laptop = await connect(network.ours, "alice/laptop");
        });

        after(async () => {
            await network.stop();
        });

        async function newRoom(name: string): Promise<string> {
            const room = `${name}@${network.theirs.rooms}`;
            await create(bob, room, "Bob", { persistentroom: "1" });
            return room;
        }

        /** Waits until these occupants and no others are in the room. */
        async function isIn(room: string, nicks: string[]): Promise<void> {
            const occupants = async () => (await whoIsIn(network, room, bob)).map((line) => line.split(" ")[0]).join();
            await eventually(occupants, (answer) => answer === [...nicks].sort().join());
        }

        test("J10: two sessions join and send messages at once, and no message is lost", async () => {
            const room = await newRoom("at-once");
            await Promise.all(
                [phone, laptop].map(async (client) => {
                    const joined = join(client, room, "Alice");
                    await groupchat(client, room, `${client.name} speaks`);
                    await joined;
                }),
            );
            for (const client of [bob, phone, laptop]) {
                for (const name of ["alice/phone", "alice/laptop"]) {
                    await client.expect({ type: "groupchat", room, body: `${name} speaks` });
                }
                await client.expectNone({ type: "groupchat", room, body: "alice/phone speaks" });
                await client.expectNone({ room, type: "error" });
            }
        });

        test("J8, J10: a session joins, sends and leaves twice in a row, and no message is lost", async () => {
            const room = await newRoom("in-a-row");
            const ids: string[] = [];
            for (const text of ["first", "second"]) {
                await phone.send(joinOf(phone, room, "Alice"));
                ids.push(await groupchat(phone, room, text));
                await phone.send(xml("presence", { to: `${room}/Alice`, type: "unavailable", id: phone.newId() }));
            }
            /** How often the room has sent a message, and how many errors its sender has got. */
            const outcome = (index: number, text: string) => {
                const times = bodiesFrom(bob, room, "Alice").filter((body) => body === text).length;
                const refusals = phone.received.filter(
                    ({ name, attrs }) => name === "message" && attrs.type === "error" && attrs.id === ids[index],
                ).length;
                return `${times} sent, ${refusals} refused`;
            };
            const isAnswered = (answer: string) => answer === "1 sent, 0 refused" || answer === "0 sent, 1 refused";
            // The second join may be withdrawn before it is sent: the first leave is in flight.
            await eventually(
                () => Promise.resolve(outcome(0, "first")),
                (answer) => answer === "1 sent, 0 refused",
            );
            await eventually(() => Promise.resolve(outcome(1, "second")), isAnswered);
            await isIn(room, ["Bob"]);
            await groupchat(bob, room, "that is all");
            await bob.expect({ room, body: "that is all" });
            await phone.sync();
            assert.equal(outcome(0, "first"), "1 sent, 0 refused");
            assert(isAnswered(outcome(1, "second")), outcome(1, "second"));
            await join(phone, room, "Alice");
            await groupchat(phone, room, "third");
            await bob.expect({ room, body: "third" });
            await leave(phone, room, "Alice");
        });

        /** The service never gets presence for this nick. */
        async function withoutNick(nick: string, run: () => Promise<void>): Promise<void> {
            network.toThem.swallow(
                new RegExp(`<presence[^>]* to=['"][^'"]*/${nick}['"](?:[^>]*/>|.*?</presence>)`, "g"),
            );
            try {
                await run();
            } finally {
                network.toThem.swallow(undefined);
            }
        }

        test("J8: a session joins under another nick while the first is not answered", async () => {
            const room = await newRoom("another-nick");
            await withoutNick("Mute", async () => {
                await phone.send(joinOf(phone, room, "Mute"));
                await phone.sync();
                const stanzas = await join(phone, room, "Alice", { timeout: 7_000 });
                assert(stanzas.some(({ attrs }) => attrs.from === `${room}/Alice`));
                await groupchat(phone, room, "here");
                await bob.expect({ room, body: "here" });
                await isIn(room, ["Bob", "Alice"]);
            });
            await leave(phone, room, "Alice");
        });

        test("J9: a session waits at most 5 seconds for the unanswered join of another", async () => {
            const room = await newRoom("unanswered");
            await withoutNick("Mute", async () => {
                const since = phone.received.length;
                await phone.send(joinOf(phone, room, "Mute"));
                await phone.sync();
                await join(laptop, room, "Alice", { timeout: 7_000 });
                await groupchat(laptop, room, "here");
                await bob.expect({ room, body: "here" });
                // The other session is attached as well, or gets an error.
                const isEnd = (stanza: Element) => isSubject(stanza) || stanza.attrs.type === "error";
                await phone.collect(
                    { room },
                    (stanza) => stanza.attrs.from?.startsWith(room) === true && isEnd(stanza),
                    {
                        since,
                        timeout: 60_000,
                    },
                );
            });
            await leave(laptop, room, "Alice");
        });

        test("C1: each of 400 messages around a kick arrives, or its sender gets an error", async () => {
            const room = await newRoom("kick");
            await join(phone, room, "Alice");
            await join(laptop, room, "Alice");
            const devices = [phone, laptop];
            const speak = async (from: number, to: number) => {
                for (let number = from; number < to; number++) {
                    for (const device of devices) {
                        // Both use the same ids.
                        const body = xml("body", {}, `${device.name} ${number}`);
                        await device.send(xml("message", { to: room, type: "groupchat", id: `m${number}` }, body));
                    }
                }
            };
            await speak(0, 50);
            await bob.expect({ room, body: "alice/laptop 49" });
            const spoken = speak(50, 200);
            await bob.expect({ room, body: "alice/laptop 60" });
            await kick(bob, room, "Alice");
            await spoken;
            for (const device of devices) {
                await device.expect({ type: "unavailable", from: `${room}/Alice`, status: "307" });
                // The last answer that a session gets.
                await assert.rejects(join(device, room, "Bob"), StanzaError);
            }
            await groupchat(bob, room, "that is all");
            await bob.expect({ room, body: "that is all" });
            const heard = bodiesFrom(bob, room, "Alice");
            assert.equal(new Set(heard).size, heard.length, "a message was heard twice");
            for (const device of devices) {
                const errors = device.received
                    .filter(({ name, attrs }) => name === "message" && attrs.type === "error")
                    .map(({ attrs }) => attrs.id ?? "")
                    .filter((id) => id.startsWith("m"));
                const unheard = Array.from({ length: 200 }, (_, number) => number)
                    .filter((number) => !heard.includes(`${device.name} ${number}`))
                    .map((number) => `m${number}`);
                assert.deepEqual(
                    errors.sort(),
                    unheard.sort(),
                    `errors at ${device.name}, and what was not heard of it`,
                );
            }
        });
    });
});

function joinOf(client: Client, room: string, nick: string): Element {
    return xml("presence", { to: `${room}/${nick}`, id: client.newId() }, xml("x", { xmlns: nsMuc }));
}

/** Returns all messages of an occupant that a client has received. */
function bodiesFrom(client: Client, room: string, nick: string): string[] {
    return client.received
        .filter(({ attrs }) => attrs.type === "groupchat" && attrs.from === `${room}/${nick}`)
        .map((stanza) => stanza.getChildText("body"))
        .filter((body) => body !== null);
}
