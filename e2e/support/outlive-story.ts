// Failures of the account's server, of the rooms' server and of the link between them, one after the other.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join as joinPath } from "node:path";
import { setTimeout } from "node:timers/promises";
import { after, before, test } from "node:test";
import { type Client, connect, type Element, StanzaError, xml } from "./client.ts";
import { create, groupchat, join } from "./muc.ts";
import { type Network, type NetworkOptions, startNetwork } from "./network.ts";
import { bodies, eventually, ownPresences, reconnect, whoIsIn } from "./outlive.ts";

const limit = 30_000;
const nsPing = "urn:xmpp:ping";

/** Defines the tests of the story. The short run has the tests that differ most between services. */
export function story(options: NetworkOptions, isShort: boolean): void {
    const long = { skip: isShort };
    let network: Network;
    /** Bob's room on the other server, and two rooms on this server: a persistent one and a temporary one. */
    let tea: string;
    let den: string;
    let tent: string;
    let bob: Client;
    let phone: Client;
    let laptop: Client;

    before(async () => {
        network = await startNetwork({ ...options, hostConfig: "minimix_join_timeout = 5; minimix_ping_after = 4" });
        tea = `tea@${network.theirs.rooms}`;
        den = `den@${network.ours.rooms}`;
        tent = `tent@${network.ours.rooms}`;
        network.ours.register("carol");
        bob = await connect(network.theirs, "bob/desk");
        phone = await connect(network.ours, "alice/phone");
        laptop = await connect(network.ours, "alice/laptop");
        await create(bob, tea, "Bob", { persistentroom: "1", moderatedroom: "0" });
        await create(phone, den, "Alice", { persistentroom: "1" });
        await create(phone, tent, "Alice");
        await join(phone, tea, "Alice");
        await bothJoin();
    });

    after(async () => {
        await network.stop();
    });

    const alice = () => `Alice ${network.occupantJid("alice")}`;

    function isThere(occupants: string[]): boolean {
        return occupants.includes(alice());
    }

    async function who(room: string): Promise<string[]> {
        return whoIsIn(network, room, bob);
    }

    async function bothJoin(): Promise<void> {
        for (const room of [tea, den, tent]) {
            await Promise.all([join(phone, room, "Alice"), join(laptop, room, "Alice")]);
        }
    }

    /** Checks that Alice is in all her rooms, with one occupant each. */
    async function isEverywhere(): Promise<void> {
        for (const room of [tea, den, tent]) {
            await eventually(() => who(room), isThere, limit);
        }
        assert.deepEqual(await who(tea), [alice(), `Bob ${bob.jid}`]);
        assert.deepEqual(await who(den), [alice()]);
        assert.deepEqual(await who(tent), [alice()]);
    }

    async function bobIsBack(): Promise<void> {
        bob = await reconnect(network.theirs, "bob/desk");
        await join(bob, tea, "Bob");
    }

    async function clientsAreBack(): Promise<void> {
        phone = await reconnect(network.ours, "alice/phone");
        laptop = await reconnect(network.ours, "alice/laptop");
        await bothJoin();
    }

    /** Checks that messages of each client reach all others, once the account is back. */
    async function allTalk(word: string): Promise<void> {
        await eventually(
            async () => {
                const id = await groupchat(phone, tea, `${word}?`);
                const answer = await phone.expect(({ attrs }) => attrs.id === id, limit);
                return answer.attrs.type;
            },
            (type) => type === "groupchat",
        );
        await bob.expect({ room: tea, body: `${word}?` });
        await groupchat(bob, tea, `${word}!`);
        for (const client of [phone, laptop]) {
            await client.expect({ room: tea, body: `${word}!` });
            await client.sync();
            assert.equal(bodies(client, tea, `${word}!`).length, 1);
        }
    }

    /** Applies `cause` to the other server, and checks the stanzas that the clients got. */
    async function unseen(happening: () => Promise<void>, word: string): Promise<void> {
        const before = [phone, laptop].map((client) => ownPresences(client, tea, "Alice").length);
        await happening();
        await eventually(() => who(tea), isThere, limit);
        await allTalk(word);
        assert.deepEqual(await who(tea), [alice(), `Bob ${bob.jid}`]);
        [phone, laptop].forEach((client, i) => {
            assert.deepEqual(
                ownPresences(client, tea, "Alice").slice(before[i]),
                [],
                "a session saw itself go or come",
            );
        });
    }

    /** Checks that the client received the message once, live or as history. */
    async function knows(client: Client, body: string): Promise<void> {
        const told = async () => Promise.resolve(bodies(client, tea, body).length);
        await eventually(told, (times) => times > 0, 10_000);
        await client.sync();
        assert.equal(await told(), 1);
    }

    async function selfPing(client: Client): Promise<Element> {
        return client.ask(xml("iq", { type: "get", to: `${tea}/Alice` }, xml("ping", { xmlns: nsPing })));
    }

    test("P1: after SIGKILL during messages of all clients, the account is back and no message is lost", async () => {
        let talking = true;
        const talk = (async () => {
            // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- changed by the others
            for (let i = 1; talking; i++) {
                await groupchat(bob, tea, `before ${i}`);
                await groupchat(phone, tea, `mine ${i}`).catch(() => undefined);
                await setTimeout(10);
            }
        })();
        await setTimeout(300);
        await network.ours.kill();
        talking = false;
        await talk;
        await groupchat(bob, tea, "while you were out");
        await network.ours.start();
        await isEverywhere();
        await clientsAreBack();
        await knows(phone, "while you were out");
        await allTalk("again");
    });

    test("P1: after a restart of its server the account is back", long, async () => {
        await network.ours.stop();
        await groupchat(bob, tea, "while it was stopped");
        await network.ours.start();
        await isEverywhere();
        await clientsAreBack();
        await knows(phone, "while it was stopped");
        await allTalk("once more");
    });

    test("R3: after a restart of the room's server the account is back", async () => {
        await unseen(async () => {
            await network.theirs.restart();
            await bobIsBack();
        }, "stopped");
    });

    test("R3: after SIGKILL of the room's server the account is back", long, async () => {
        await unseen(async () => {
            await network.theirs.kill();
            await network.theirs.start();
            await bobIsBack();
        }, "killed");
    });

    test("P2, C4: after an outage of the link the account is back", long, async () => {
        await unseen(async () => {
            await network.cut();
            const answer = await eventually(
                () => selfPing(phone),
                ({ attrs }) => attrs.type === "error",
            );
            assert.equal(new StanzaError(answer).condition, "remote-server-timeout");
            await groupchat(bob, tea, "into the void");
            await setTimeout(2000);
            await network.restore();
            await eventually(
                () => selfPing(phone),
                ({ attrs }) => attrs.type === "result",
            );
        }, "cut");
        await knows(phone, "into the void");
        await knows(laptop, "into the void");
    });

    test("O5: ten reloads lose no message and no session", long, async () => {
        const told = 60;
        const own = [phone, laptop].map((client) => ownPresences(client, tea, "Alice").length);
        const talk = (async () => {
            for (let i = 1; i <= told; i++) {
                await groupchat(bob, tea, `theirs ${i}`);
                await groupchat(phone, tea, `ours ${i}`);
                await groupchat(laptop, den, `within ${i}`);
                await setTimeout(10);
            }
        })();
        for (let i = 0; i < 10; i++) {
            await network.ours.reloadModule("minimix");
            await setTimeout(50);
        }
        await talk;
        const all = (word: string) => Array.from({ length: told }, (_, i) => `${word} ${i + 1}`);
        for (const client of [phone, laptop, bob]) {
            await client.expect({ room: tea, body: `theirs ${told}` });
            await client.expect({ room: tea, body: `ours ${told}` });
            assert.deepEqual(bodies(client, tea, "theirs "), all("theirs"), client.name);
            assert.deepEqual(bodies(client, tea, "ours "), all("ours"), client.name);
        }
        for (const client of [phone, laptop]) {
            await client.expect({ room: den, body: `within ${told}` });
            assert.deepEqual(bodies(client, den, "within "), all("within"), client.name);
        }
        await isEverywhere();
        assert.deepEqual(
            [phone, laptop].map((client) => ownPresences(client, tea, "Alice").length),
            own,
        );
    });

    test("L6: a deleted user's account leaves", long, async () => {
        const carol = await connect(network.ours, "carol/phone");
        await join(carol, tea, "Carol");
        await join(carol, den, "Carol");
        await groupchat(carol, tea, "soon gone");
        await bob.expect({ room: tea, body: "soon gone" });
        await setTimeout(1100);
        assert.notDeepEqual(storedOf("carol"), []);
        await network.ours.eval(`return require "core.usermanager".delete_user("carol", "a.lab")`);
        const isGone = (occupants: string[]) => !occupants.some((occupant) => occupant.startsWith("Carol "));
        await eventually(() => who(tea), isGone);
        await eventually(() => who(den), isGone);
        await setTimeout(1100);
        assert.deepEqual(storedOf("carol"), []);
    });

    /** Returns the module's files for an account. */
    function storedOf(username: string): string[] {
        const files = readdirSync(joinPath(network.ours.folder, "data"), { recursive: true }).map(String);
        return files.filter((file) => file.includes("minimix") && file.includes(`/${username}.`));
    }

    test("L5: the account leaves while the room's server is down, and its own is restarted", async () => {
        await network.theirs.stop();
        const gone = [phone, laptop].map((client) =>
            client.expect({ type: "unavailable", from: `${tea}/Alice` }, limit),
        );
        for (const client of [phone, laptop]) {
            await client.send(xml("presence", { to: `${tea}/Alice`, type: "unavailable" }));
        }
        await Promise.all(gone);
        await network.ours.kill();
        await network.ours.start();
        await network.theirs.start();
        await bobIsBack();
        await eventually(
            () => who(tea),
            (occupants) => !isThere(occupants),
            limit,
        );
        await setTimeout(3000);
        assert.deepEqual(await who(tea), [`Bob ${bob.jid}`]);
        assert.deepEqual(await who(den), [alice()]);
    });
}
