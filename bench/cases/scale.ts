// A server with many accounts in many rooms: the memory of a membership, and the cost of joins, of rejoins after a
// restart, and of a storm of presence. The rooms are on the same server, and on another one. The same sessions join
// plain MUC in the same run.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { startDns } from "../../e2e/support/dns.ts";
import { freePort, type Server } from "../../e2e/support/prosody.ts";
import { connect, type LightClient } from "../client.ts";
import { cpu, interleave, inUse } from "../measure.ts";
import { closeStage, openStage, type Stage, type StageOptions, username } from "../stage.ts";
import { compare, figureOf, type Row } from "../table.ts";
import type { Run } from "./run.ts";

/** Rooms of each account. The number of rooms is a tenth of the number of accounts. */
const roomsEach = 10;
/** Occupants of the smallest room and of the largest one. */
const [fewest, most] = [100, 1000];

/** The size of the module's cache of sent presences. */
const cachedPresences = 4096;

const crowdDomain = "crowd.lab";
const domains = { rooms: "far.lab", plain: "plain.lab", module: "module.lab" };

/** The accounts' server, and the one with the rooms, which may be the same. */
interface World {
    stage: Stage;
    rooms: Server;
    accounts: number;
    roomNames: string[];
}

interface Costs {
    /** Bytes for an occupant of a room, for any number of accounts that see it. */
    occupant: number;
    /** kB for another account in a room, with its session and without any. */
    attached: number;
    detached: number;
    /** CPU time of a membership, in µs: of the first join, and of the one after a restart of the server. */
    join: number;
    back: number;
    /** The longest block of the loop during the rejoins, and the longest time of one in handlers of presence, in ms. */
    block: number;
    own: number;
    /** Seconds until all have rejoined. */
    seconds: number;
    /** The highest number of presences that one account sent to a room during the rejoins. */
    presences: number;
}

const none: Costs = {
    occupant: 0,
    attached: 0,
    detached: 0,
    join: 0,
    back: 0,
    block: 0,
    own: 0,
    seconds: 0,
    presences: 0,
};

/** Time limit of the rejoins, in seconds. */
const patience = 900;

export async function scale(run: Run): Promise<Row[]> {
    return [...(await local(run)), ...(await remote(run)), ...(await storms(run))];
}

export async function local({ version, accounts }: Run): Promise<Row[]> {
    const costs = [];
    for (const minimix of [false, true]) {
        const stage = await openStage({ ...stageOptions(version, accounts), minimix, roomConfig: crowdConfig });
        costs.push(await measure(newWorld(stage, stage.server, accounts), minimix));
        await stage.server.kill();
    }
    return rowsOf("rooms of the same server", costs);
}

export async function remote({ version, accounts }: Run): Promise<Row[]> {
    const net = await openNet();
    const rooms = await openStage({
        ...stageOptions(version, 0),
        ...net.of("rooms"),
        minimix: false,
        roomConfig: `restrict_room_creation = false\n${crowdConfig}`,
    });
    const costs = [];
    for (const name of ["plain", "module"] as const) {
        const stage = await openStage({
            ...stageOptions(version, accounts),
            ...net.of(name),
            minimix: name === "module",
        });
        costs.push(await measure(newWorld(stage, rooms.server, accounts), name === "module"));
        await stage.server.kill();
    }
    await rooms.server.kill();
    net.close();
    return rowsOf("rooms of another server", costs);
}

const crowdConfig = `Component "${crowdDomain}" "crowd"`;

function stageOptions(version: Run["version"], accounts: number) {
    return {
        version,
        accounts,
        // The option must not limit the rate of the rejoins.
        hostConfig: "minimix_rejoin_rate = 1000",
    };
}

async function openNet() {
    const ports = { rooms: await freePort(), plain: await freePort(), module: await freePort() };
    const dns = await startDns(
        new Map([
            [`rooms.${domains.rooms}`, ports.rooms],
            [domains.plain, ports.plain],
            [domains.module, ports.module],
        ]),
    );
    return {
        of: (name: keyof typeof domains): Pick<StageOptions, "domain" | "s2s"> => ({
            domain: domains[name],
            s2s: { port: ports[name], dns: dns.port },
        }),
        close: () => {
            dns.close();
        },
    };
}

function newWorld(stage: Stage, rooms: Server, accounts: number): World {
    const count = Math.max(1, Math.round(accounts / 10));
    const roomNames = Array.from({ length: count }, (_, index) => `${stage.server.domain}-${index}@${rooms.rooms}`);
    return { stage, rooms, accounts, roomNames };
}

/** Returns the rooms of an account, by its number. */
function roomsOf({ roomNames }: World, index: number): string[] {
    const count = Math.min(roomsEach, roomNames.length);
    return Array.from({ length: count }, (_, next) => roomNames[(index + next) % roomNames.length] ?? "");
}

function membershipsOf(world: World): number {
    return world.accounts * Math.min(roomsEach, world.roomNames.length);
}

/** Plain MUC has no accounts in rooms without sessions. So only the cost of the sessions is subtracted. */
async function measure(world: World, minimix: boolean): Promise<Costs> {
    const { stage } = world;
    const memberships = membershipsOf(world);
    await fill(world);
    if (minimix) {
        await fillCaches(world);
    }
    const alone = await inUse(stage.server);
    const clients = await connectAll(world);
    const connected = await inUse(stage.server);
    // One account in each room: later accounts share the rest of its view.
    let first = 0;
    const join = await cpu(stage.server, async () => {
        await joinAll(world, clients, (index) => index % roomsEach === 0);
        await untilIdle(stage.server);
    });
    const shared = (await inUse(stage.server)) - connected;
    for (let index = 0; index < clients.length; index += roomsEach) {
        first += roomsOf(world, index).length;
    }
    const further = await cpu(stage.server, async () => {
        await joinAll(world, clients, (index) => index % roomsEach !== 0);
        await untilIdle(stage.server);
    });
    const attached = (await inUse(stage.server)) - connected - shared;
    const costs = {
        ...none,
        occupant: shared / crowdOf(world),
        attached: attached / (memberships - first) / 1024,
        join: (join + further) / memberships,
    };
    if (minimix) {
        await Promise.all(clients.map((client) => client.disconnect()));
        costs.detached = ((await inUse(stage.server)) - alone - shared) / (memberships - first) / 1024;
    }
    Object.assign(costs, await comeBack(world, minimix));
    stage.server.checkLog();
    return costs;
}

/** Fills each room with its crowd, in addition to the accounts. */
async function fill(world: World): Promise<void> {
    for (const [index, room] of world.roomNames.entries()) {
        await callCrowd(world.rooms, "enter", room, crowdIn(world, index));
    }
}

function crowdIn(world: World, index: number): number {
    const count = world.roomNames.length;
    const size = fewest + Math.round(((most - fewest) * index) / Math.max(1, count - 1));
    return Math.max(0, Math.round(size - membershipsOf(world) / count));
}

function crowdOf(world: World): number {
    return world.roomNames.reduce((sum, _, index) => sum + crowdIn(world, index), 0);
}

function callCrowd(rooms: Server, name: "enter" | "storm", room: string, count: number): Promise<unknown> {
    return rooms.eval(`prosody.hosts["${crowdDomain}"].modules.crowd.${name}("${room}", ${count})`);
}

async function connectAll({ stage, accounts }: World): Promise<LightClient[]> {
    const clients = [];
    for (let index = 0; index < accounts; index++) {
        clients.push(await connect(stage.server, `${username(index)}/s1`));
    }
    return clients;
}

/** Fills the module's cache of sent presences. It has a fixed size, so it is no part of a membership. */
async function fillCaches({ stage, rooms }: World): Promise<void> {
    const room = `${stage.server.domain}-filler@${rooms.rooms}`;
    const client = await connect(stage.server, `${username(0)}/filler`);
    await client.join(room, "filler");
    for (let number = 1; number <= cachedPresences; number++) {
        await client.ask(`<presence to='${room}/filler'><status>${number}</status></presence>`, "<presence");
    }
    await client.leave(room, "filler");
    await client.disconnect();
}

async function joinAll(
    world: World,
    clients: readonly LightClient[],
    isChosen: (index: number) => boolean,
): Promise<void> {
    for (const [index, client] of clients.entries()) {
        for (const room of isChosen(index) ? roomsOf(world, index) : []) {
            await client.join(room, username(index));
        }
    }
}

/**
 * The server is killed and restarted. The module is loaded when the rooms are as before. In plain MUC the sessions join
 * again. Rooms of another server still have all occupants, so that both receive the same presences.
 */
async function comeBack(world: World, minimix: boolean): Promise<Partial<Costs>> {
    const { stage, rooms } = world;
    const { server } = stage;
    const memberships = membershipsOf(world);
    await server.kill();
    await server.start({ minimix: false });
    if (rooms === server) {
        await fill(world);
    }
    const clients = minimix ? [] : await connectAll(world);
    await rooms.loadModule("meter", rooms.rooms);
    await server.loadModule("meter");
    const began = Date.now();
    let seconds = 0;
    const back = await cpu(server, async () => {
        if (minimix) {
            await server.loadModule("minimix");
        }
        await meter(server, server.domain, "watch_loop()");
        await joinAll(world, clients, () => true);
        while ((await presences(rooms)).memberships < memberships && seconds < patience) {
            await setTimeout(100);
            seconds = (Date.now() - began) / 1000;
        }
        await untilIdle(server);
    });
    const shown = await presences(rooms);
    assert.equal(shown.memberships, memberships, "not all accounts came back");
    const [block = 0, own = 0] = (await meter(server, server.domain, "longest_block()")) as number[];
    await rooms.unloadModule("meter", rooms.rooms);
    return { back: back / memberships, block: block * 1000, own: own * 1000, seconds, presences: shown.most };
}

async function presences(rooms: Server): Promise<{ memberships: number; most: number }> {
    const [memberships = 0, most = 0] = (await meter(rooms, rooms.rooms, "presences()")) as number[];
    return { memberships, most };
}

function meter(server: Server, host: string, call: string): Promise<unknown> {
    return server.eval(`return prosody.hosts["${host}"].modules.meter.${call}`);
}

/** Waits until everything that another server sent has been read. */
async function untilIdle(server: Server): Promise<void> {
    const pause = 200;
    for (let spent = Infinity; spent > pause * 50;) {
        spent = await cpu(server, () => setTimeout(pause));
    }
}

function rowsOf(label: string, [plain, module]: readonly Costs[]): Row[] {
    assert(plain && module);
    return [
        compare(`${label}: an occupant that is shown`, "bytes", [plain.occupant], [module.occupant]),
        compare("... a further account with its session", "kB", [plain.attached], [module.attached]),
        figureOf("... without any session, over plain MUC", "kB", module.detached - plain.attached, 2),
        compare("... a session joins", "µs", [plain.join], [module.join]),
        compare("... return ÷ sessions that join plain MUC after a restart", "µs", [plain.back], [module.back], 0.8),
        compare("... return, longest block", "ms", [plain.block], [module.block]),
        figureOf("... return, longest time of a block in handlers of presence", "ms", module.own, 50),
        figureOf("... return, presences to a room, at the most", "per account", module.presences, 1),
        figureOf("... return", "s", module.seconds),
    ];
}

/** Occupants leave and return, one after the other, as seen by accounts that are in the room without sessions. */
export async function storms({ version, rounds, accounts }: Run): Promise<Row[]> {
    const watching = Math.min(200, accounts * 5);
    const moving = 50;
    const stages = [];
    for (const minimix of [false, true]) {
        const stage = await openStage({ ...stageOptions(version, watching), minimix, roomConfig: crowdConfig });
        await callCrowd(stage.server, "enter", stage.room, moving);
        const clients = [];
        for (let index = 0; index < watching; index++) {
            const client = await connect(stage.server, `${username(index)}/s1`);
            await client.join(stage.room, username(index));
            clients.push(client);
        }
        if (minimix) {
            await Promise.all(clients.map((client) => client.disconnect()));
        }
        stages.push(stage);
    }
    const [plain = [], module = []] = await interleave(stages, rounds, async (stage) => {
        const spent = await cpu(stage.server, async () => {
            await callCrowd(stage.server, "storm", stage.room, moving);
            await untilIdle(stage.server);
        });
        return spent / moving / 2 / watching;
    });
    await Promise.all(stages.map(closeStage));
    const label = `${moving} occupants go and come back: for each of ${watching} accounts without sessions`;
    return [compare(label, "µs/presence", plain, module)];
}
