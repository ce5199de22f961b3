// A server with a room and three clients: their actions, and the results.
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, connect, type Element, matches, statusCodes } from "../e2e/support/client.ts";
import * as muc from "../e2e/support/muc.ts";
import { type Server, startServer, type Version } from "../e2e/support/prosody.ts";

export interface Stage {
    server: Server;
    room: string;
    phone: Device;
    laptop: Device;
    desk: Device;
}

export interface Device {
    name: string;
    nick: string;
    client: Client;
    /** The number of received stanzas that have been read. */
    read: number;
}

const patience = 5_000;

export async function setUp(version: Version, minimix: boolean): Promise<Stage> {
    const server = await startServer({ version, minimix, domain: "localhost", users: ["alice", "bob"] });
    return {
        server,
        room: `tea@${server.rooms}`,
        phone: await switchOn(server, "alice/phone", "Alice"),
        laptop: await switchOn(server, "alice/laptop", "Alice"),
        desk: await switchOn(server, "bob/desk", "Bob"),
    };
}

async function switchOn(server: Server, name: string, nick: string): Promise<Device> {
    return { name, nick, client: await connect(server, name), read: 0 };
}

export async function switchOff({ phone, laptop, desk }: Stage): Promise<void> {
    await Promise.all([phone, laptop, desk].map(({ client }) => client.disconnect()));
}

export async function createRoom({ room }: Stage, { client, nick }: Device): Promise<void> {
    await muc.create(client, room, nick);
}

export async function join({ room }: Stage, { client, nick }: Device): Promise<void> {
    await muc.join(client, room, nick);
}

export async function leave({ room }: Stage, { client, nick }: Device): Promise<void> {
    await muc.leave(client, room, nick);
}

export async function say({ room }: Stage, { client }: Device, text: string): Promise<void> {
    await muc.groupchat(client, room, text);
    await client.sync();
}

export async function kick({ room }: Stage, { client }: Device, nick: string): Promise<void> {
    await muc.kick(client, room, nick);
}

/** Breaks the connections. Returns when the server has noticed. */
export async function loseConnections({ server }: Stage, ...devices: Device[]): Promise<void> {
    const deadline = Date.now() + patience;
    for (const { client } of devices) {
        await client.drop();
        while (await server.eval(`return prosody.full_sessions[${JSON.stringify(client.jid)}] ~= nil`)) {
            if (Date.now() > deadline) {
                throw new Error(`the server has not noticed that ${client.jid} is gone`);
            }
            await sleep(20);
        }
    }
}

export async function reconnect({ server }: Stage, ...devices: Device[]): Promise<void> {
    for (const device of devices) {
        Object.assign(device, await switchOn(server, device.name, device.nick));
    }
}

/** Describes what the room has sent to a device since the last call. */
export async function seenBy({ room }: Stage, device: Device): Promise<string[]> {
    await device.client.sync();
    const { received } = device.client;
    const stanzas = received.slice(device.read).filter((stanza) => matches(stanza, { room }));
    device.read = received.length;
    return stanzas.map(inWords).filter((words) => words !== undefined);
}

/** Nicks and real addresses, from the room. */
export async function occupants({ server, room }: Stage): Promise<string[]> {
    const all = await server.occupants(room);
    return all.map(({ nick, sessions }) => `${nick} = ${sessions.map(withoutDomain).join(", ")}`).sort();
}

/** Resets the counters of copies() and traffic(). */
export async function startCounting({ server }: Stage): Promise<void> {
    await server.arrivals();
}

/** Messages that the room has sent, by recipient, counted in the server. */
export async function copies({ server }: Stage): Promise<string[]> {
    const messages = (await server.arrivals()).filter(({ name }) => name === "message");
    const receivers = messages.map(({ to }) => withoutDomain(to)).sort();
    return [`${messages.length}: ${receivers.join(", ")}`];
}

/** All stanzas that the room has sent, counted in the server. */
export async function traffic({ server }: Stage): Promise<string[]> {
    return [`${(await server.arrivals()).length} stanzas`];
}

function withoutDomain(jid: string): string {
    return jid.replace(/@[^/]*/, "");
}

/** Returns undefined for stanzas that no user notices, such as an empty subject. */
function inWords(stanza: Element): string | undefined {
    const nick = stanza.attrs.from?.split("/")[1] ?? "";
    if (stanza.name === "presence") {
        return presenceInWords(nick, stanza.attrs.type, statusCodes(stanza));
    }
    const body = stanza.getChildText("body");
    const isHistory = stanza.getChild("delay", "urn:xmpp:delay") !== undefined;
    return body === null ? undefined : `<${nick}> ${body}${isHistory ? " (earlier)" : ""}`;
}

function presenceInWords(nick: string, type: string | undefined, codes: string[]): string {
    const isOwn = codes.includes("110");
    if (type === undefined) {
        return isOwn ? "you are in" : `${nick} is in`;
    }
    if (codes.includes("307")) {
        return isOwn ? "you were kicked (code 307)" : `${nick} was kicked (code 307)`;
    }
    return isOwn ? "you left" : `${nick} left`;
}
