// P1, J2: the server restarts, and all clients return within a minute. Each occupant sees at most one presence of each
// account, also with several devices. MINIMIX_LONG=1 plays it with 200 accounts on each version.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { bare, type Client, connect, type Element, StanzaError, xml } from "./support/client.ts";
import { create, join } from "./support/muc.ts";
import { startNetwork } from "./support/network.ts";
import { eventually, reconnect, whoIsIn } from "./support/outlive.ts";
import { type Server, versions } from "./support/prosody.ts";

const isLong = process.env.MINIMIX_LONG === "1";
const accounts = isLong ? 200 : 8;
/** All clients return within this time, in milliseconds. */
const span = isLong ? 60_000 : 1_500;
const limit = isLong ? 240_000 : 20_000;

const caps = xml("c", { xmlns: "http://jabber.org/protocol/caps", node: "https://c.example", hash: "sha-1", ver: "a" });

/** The devices of each account, and the presence of each. */
const houses: Record<string, Record<string, Element[]>> = {
    "one device each": { phone: [xml("show", {}, "dnd"), caps] },
    "three devices each": {
        phone: [xml("show", {}, "away")],
        laptop: [xml("show", {}, "chat"), caps],
        tablet: [xml("status", {}, "at home")],
    },
};

interface Device {
    readonly name: string;
    readonly nick: string;
    readonly payload: Element[];
}

function devicesOf(kinds: Record<string, Element[]>): Device[] {
    return Array.from({ length: accounts }, (_, i) =>
        Object.entries(kinds).map(([kind, payload]) => ({ name: `user${i}/${kind}`, nick: `User ${i}`, payload })),
    ).flat();
}

/** Connects and joins, some at a time. */
async function enterAll(server: Server, rooms: string[], devices: Device[]): Promise<Client[]> {
    const clients: Client[] = [];
    const waiting = [...devices];
    const work = async () => {
        for (let device = waiting.shift(); device !== undefined; device = waiting.shift()) {
            clients.push(await enter(server, rooms, device));
        }
    };
    await Promise.all(Array.from({ length: 8 }, work));
    return clients;
}

async function enter(server: Server, rooms: string[], { name, nick, payload }: Device): Promise<Client> {
    const client = await reconnect(server, name);
    for (const room of rooms) {
        await insist(() => join(client, room, nick, { payload, timeout: limit }));
    }
    return client;
}

/** Tries again when the room's server was too busy to answer, as clients do. */
async function insist(attempt: () => Promise<unknown>): Promise<void> {
    for (let tries = 1; ; tries++) {
        try {
            await attempt();
            return;
        } catch (error) {
            if (!(error instanceof StanzaError && error.type === "wait") || tries === 5) {
                throw error;
            }
        }
    }
}

/** Each device returns at some time of the span, in any order. */
async function returnAll(server: Server, rooms: string[], devices: Device[]): Promise<Client[]> {
    return Promise.all(
        devices.map(async (device) => {
            await setTimeout(Math.random() * span);
            return enter(server, rooms, device);
        }),
    );
}

/**
 * Returns the presences that a client has received of an account that it had one of, and errors. The list of occupants
 * in the answer to a join does not count: a room that has kept the accounts lists them.
 */
function surplus({ name: client, received }: Client, since = 0): string[] {
    const seen = new Map<string, Element>();
    const surplus: string[] = [];
    for (const stanza of received.slice(since)) {
        const { from = "", type } = stanza.attrs;
        if (stanza.name === "message" && stanza.getChild("subject") !== undefined) {
            for (const occupant of seen.keys()) {
                if (bare(occupant) === bare(from)) {
                    seen.delete(occupant);
                }
            }
        } else if (stanza.name === "presence" && /\/User \d+$/.test(from)) {
            if (type === "unavailable") {
                // The room removed the account, because its server was away.
                seen.delete(from);
                continue;
            }
            const first = seen.get(from);
            if (first !== undefined || type !== undefined) {
                surplus.push(`${client} got ${stanza.toString()} after ${first?.toString() ?? "none"}`);
            }
            seen.set(from, stanza);
        }
    }
    return surplus;
}

for (const version of isLong ? versions : versions.slice(-1)) {
    for (const [house, kinds] of Object.entries(houses)) {
        const title = `P1: Prosody ${version}, ${accounts} accounts return with ${house}, each with one presence`;
        test(title, { timeout: 10 * limit }, async (t) => {
            const network = await startNetwork({
                version,
                room: `prosody-${version}`,
                // The debug log of this many presences would take most of the time.
                logLevel: isLong ? "info" : "debug",
            });
            const { ours, theirs } = network;
            ours.allowError(/s2s/);
            const devices = devicesOf(kinds);
            for (const { name } of devices) {
                ours.register(name.replace(/\/.*/, ""));
            }
            const bob = await connect(theirs, "bob/desk");
            const far = `far@${theirs.rooms}`;
            const rooms = [far, `near@${ours.rooms}`];
            for (const room of rooms) {
                await create(bob, room, "Bob", { persistentroom: "1" });
            }
            await enterAll(ours, rooms, devices);
            await ours.stop();
            await bob.sync();
            const before = bob.received.length;
            await ours.start();
            const clients = await returnAll(ours, rooms, devices);
            for (const room of rooms) {
                const names = () => whoIsIn(network, room, bob);
                await eventually(names, (list) => list.filter((name) => name.startsWith("User ")).length === accounts);
            }
            for (const client of [...clients, bob]) {
                await client.sync();
            }
            const seen = bob.received.slice(before).filter(({ attrs }) => attrs.from?.startsWith(`${far}/User `));
            const excess = [...surplus(bob, before), ...clients.flatMap((client) => surplus(client))];
            // A full list of thousands of lines would take minutes to print.
            assert.deepEqual(excess.slice(0, 20), [], `${excess.length} presences too many`);
            t.diagnostic(`${clients.length} clients; Bob saw ${seen.length} presences of ${accounts} accounts`);
            await Promise.all(clients.map((client) => client.disconnect()));
            await network.stop();
        });
    }
}
