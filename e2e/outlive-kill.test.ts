// P1: the server is killed at random times, while accounts join and leave local and remote rooms. Results that a client
// has seen stay valid. MINIMIX_LONG=1 kills it twenty times for each storage.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Client, connect } from "./support/client.ts";
import { create, groupchat, join, leave } from "./support/muc.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { eventually, reconnect, whoIsIn } from "./support/outlive.ts";
import { type Version, versions } from "./support/prosody.ts";
import { type Backend, backends, startStorage } from "./support/storage.ts";

const isLong = process.env.MINIMIX_LONG === "1";
const kills = isLong ? 20 : 3;
const limit = 30_000;
const [oldest = "0.12"] = versions;
const newest = versions.at(-1) ?? oldest;

/** The short run has every version and every storage, but not every combination. */
const settings: { version: Version; backend: Backend }[] = backends.flatMap((backend, i) => {
    const some = versions.filter((_, j) => isLong || i % versions.length === j);
    return some.map((version) => ({ version, backend }));
});

/** The state of an account in a room as a client knows it. Undefined while the client waits for an answer. */
type Known = boolean | undefined;

class Account {
    readonly name: string;
    readonly nick: string;
    readonly known = new Map<string, Known>();

    constructor(name: string) {
        this.name = name;
        this.nick = name;
    }

    /** Joins and leaves rooms at random, until the connection is lost. */
    async live(client: Client, rooms: string[]): Promise<void> {
        while (client.online) {
            const room = rooms[Math.floor(Math.random() * rooms.length)] ?? "";
            const inside = this.known.get(room) ?? false;
            this.known.set(room, undefined);
            if (inside) {
                await leave(client, room, this.nick);
            } else {
                await join(client, room, this.nick);
                await groupchat(client, room, "hello");
            }
            this.known.set(room, !inside);
        }
    }
}

for (const { version, backend } of settings) {
    describe(`Prosody ${version} on ${backend}`, () => {
        test(
            `P1: is killed ${kills} times, and no account is in a wrong room or missing`,
            { timeout: kills * 40_000 },
            async () => {
                const storage = await startStorage(backend);
                const room = `prosody-${version === oldest ? newest : oldest}` as const;
                const hostConfig = `minimix_join_timeout = 5; minimix_ping_after = 4; ${storage.config}`;
                const network = await startNetwork({ version, room, hostConfig });
                const owner = await connect(network.theirs, "bob/desk");
                const accounts = ["alice", "carol", "dave"].map((name) => new Account(name));
                for (const { name } of accounts) {
                    network.ours.register(name);
                }
                const rooms = await makeRooms(network, owner);
                let slowest = 0;
                for (let kill = 1; kill <= kills; kill++) {
                    const clients = await Promise.all(
                        accounts.map(({ name }) => reconnect(network.ours, `${name}/phone`)),
                    );
                    await settled(network, clients, accounts);
                    const lives = accounts.map((account, i) =>
                        account.live(clientOf(clients, i), rooms).catch(() => undefined),
                    );
                    await setTimeout(100 + Math.random() * 900);
                    await network.ours.kill();
                    await Promise.race([Promise.all(lives), setTimeout(200)]);
                    const known = accounts.map((account) => new Map(account.known));
                    await network.ours.start();
                    const started = Date.now();
                    for (const name of rooms) {
                        await eventually(
                            async () => complaints(await whoIsIn(network, name, owner), name, accounts, known),
                            (found) => found === "",
                            limit,
                        );
                    }
                    slowest = Math.max(slowest, Date.now() - started);
                    await learn(network, rooms, accounts, owner);
                }
                if (isLong) {
                    console.log(
                        `Prosody ${version} on ${backend}: ${kills} kills, all in place after ${slowest} ms at most`,
                    );
                }
                await network.stop();
                await storage.stop();
            },
        );
    });
}

async function makeRooms(network: Network, owner: Client): Promise<string[]> {
    const theirs = ["one", "two", "three"].map((name) => `${name}@${network.theirs.rooms}`);
    for (const room of theirs) {
        await create(owner, room, "Owner", { persistentroom: "1" });
    }
    return [...theirs, ...["four", "five", "six"].map((name) => `${name}@${network.ours.rooms}`)];
}

/** Clients return and join the rooms of their account, as they would by their bookmarks. */
async function settled(network: Network, clients: Client[], accounts: Account[]): Promise<void> {
    for (const [i, account] of accounts.entries()) {
        for (const [room, inside] of account.known) {
            if (inside === true) {
                await join(clientOf(clients, i), room, account.nick);
            }
        }
    }
    assert.equal(network.ours.log().includes("traceback"), false);
}

/** Describes a difference in the occupants of a room. */
function complaints(occupants: string[], room: string, accounts: Account[], known: Map<string, Known>[]): string {
    const problems = accounts.flatMap(({ name }, i) => {
        const told = known[i]?.get(room) ?? (known[i]?.has(room) === true ? undefined : false);
        const mine = occupants.filter((occupant) => occupant.toLowerCase().startsWith(name));
        const isIn = mine.length > 0;
        const problem =
            (told !== undefined && told !== isIn) || mine.length > 1 || mine.some((one) => one.includes(","));
        return problem ? [`${name} is ${isIn ? "" : "not "}in ${room} (told: ${String(told)}) ${mine.join("; ")}`] : [];
    });
    return problems.join("\n");
}

/** Without an answer to a client, the account may be in the room or not, but the state must not change again. */
async function learn(network: Network, rooms: string[], accounts: Account[], owner: Client): Promise<void> {
    await setTimeout(1000);
    for (const room of rooms) {
        const occupants = await whoIsIn(network, room, owner);
        for (const account of accounts) {
            const isIn = occupants.some((occupant) => occupant.startsWith(`${account.nick} `));
            const told = account.known.get(room);
            assert(
                told === undefined || told === isIn,
                `${account.name} did not stay ${isIn ? "out of" : "in"} ${room}`,
            );
            account.known.set(room, isIn);
        }
    }
}

function clientOf(clients: Client[], index: number): Client {
    const client = clients[index];
    assert(client, "a client for each account");
    return client;
}
