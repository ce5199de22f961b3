// Alice with two devices and Bob with one, on a server with mod_minimix.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { bare, type Client, connect, type Element } from "./client.ts";
import { create, type Form, join } from "./muc.ts";
import { type Server, type ServerOptions, startServer, type Version, versions } from "./prosody.ts";

export interface Setting {
    name: string;
    version: Version;
    /** `minimix_resource`, if not the default. */
    resource?: string | false;
}

/** Each version with the default occupant JID, and one version with the bare JID. */
export const settings: Setting[] = [
    ...versions.map((version) => ({ name: `Prosody ${version}, full JID`, version })),
    ...versions.slice(-1).map((version) => ({
        name: `Prosody ${version}, bare JID`,
        version,
        resource: false as const,
    })),
];

export type HouseOptions = Omit<Setting, "name"> & Omit<ServerOptions, "minimix">;

export interface House {
    readonly server: Server;
    readonly phone: Client;
    readonly laptop: Client;
    readonly bob: Client;
    /** Returns the occupant JID of a client's account. */
    occupantJid(client: Client): string;
    /** Returns the real JIDs behind a nick. Undefined for an unused nick. */
    sessionsOf(room: string, nick: string): Promise<string[] | undefined>;
    /** Creates a room of Bob's, with Bob in it. */
    bobsRoom(name: string, form?: Form): Promise<string>;
    /** Creates a room of Bob's that both of Alice's sessions have joined, without unread stanzas. */
    roomWithBoth(name: string, form?: Form): Promise<string>;
    /** Connects a client that close() checks, like the other three. */
    connect: (
        ...parameters: Parameters<typeof connect> extends [unknown, ...infer Rest] ? Rest : never
    ) => Promise<Client>;
    /** Waits until the server has no such session. */
    gone(client: Client): Promise<void>;
    /** Holds back stanzas to the rooms until release(). */
    hold(): Promise<void>;
    release(): Promise<void>;
    /** Stops the server. Checks its log and the stanzas that it sent. */
    close(): Promise<void>;
}

export function occupantConfig({ resource }: Pick<Setting, "resource">): string {
    return resource === undefined ? "" : `minimix_resource = ${JSON.stringify(resource)}`;
}

/** The forms of the occupant JID. */
export function occupantJid(account: string, resource: string | false = "minimix"): string {
    return resource === false ? account : `${account}/${resource}`;
}

export async function openHouse({ resource, ...options }: HouseOptions): Promise<House> {
    const { users = ["alice", "bob", "carol"], roomModules = [], hostConfig = "" } = options;
    const server = await startServer({
        ...options,
        minimix: true,
        users,
        roomModules: [...roomModules, "hold"],
        hostConfig: `${resource === undefined ? "" : occupantConfig({ resource })}\n${hostConfig}`,
    });
    const clients: Client[] = [];
    const house: Pick<House, "connect"> = {
        connect: async (...parameters) => {
            const client = await connect(server, ...parameters);
            clients.push(client);
            return client;
        },
    };
    const phone = await house.connect("alice/phone");
    const laptop = await house.connect("alice/laptop");
    const bob = await house.connect("bob/desk");
    const bobsRoom = async (name: string, form?: Form) => {
        const room = `${name}@${server.rooms}`;
        await create(bob, room, "Bob", form);
        return room;
    };
    const control = (command: string) => server.eval(`prosody.hosts["${server.rooms}"].modules.hold.${command}()`);
    return {
        ...house,
        server,
        phone,
        laptop,
        bob,
        occupantJid: ({ account }) => occupantJid(account, resource),
        sessionsOf: async (room, nick) =>
            (await server.occupants(room)).find((occupant) => occupant.nick === nick)?.sessions,
        bobsRoom,
        roomWithBoth: async (name, form) => {
            const room = await bobsRoom(name, form);
            await join(phone, room, "Alice");
            await join(laptop, room, "Alice");
            for (const client of [phone, laptop, bob]) {
                await client.sync();
                client.take({ room });
            }
            return room;
        },
        gone: async ({ jid }) => {
            while (await server.eval(`return prosody.full_sessions["${jid}"] ~= nil`)) {
                await setTimeout(10);
            }
        },
        hold: async () => {
            await control("hold");
        },
        release: async () => {
            await control("release");
        },
        close: async () => {
            await server.stop();
            for (const client of clients) {
                checkAddresses(client, server.rooms);
                checkSecrets(client, clients, server.rooms);
            }
        },
    };
}

/** R1, J2: stanzas of a room are addressed to the session. Only messages about a room go to the account. */
function checkAddresses(client: Client, rooms: string): void {
    const misaddressed = fromRooms(client, rooms).filter((stanza) => stanza.attrs.to !== client.jid && !isMail(stanza));
    assert.deepEqual(misaddressed.map(String), [], `${client.name} got stanzas of rooms that were for others`);
}

/** Rooms know accounts, not sessions, so a room must not name a session. */
function checkSecrets(client: Client, all: Client[], rooms: string): void {
    const others = all.filter(({ jid }) => jid !== client.jid);
    const leaks = fromRooms(client, rooms).filter(
        (stanza) => !isDecline(stanza) && others.some(({ jid }) => stanza.toString().includes(`"${jid}"`)),
    );
    assert.deepEqual(leaks.map(String), [], `${client.name} learnt of sessions`);
}

function fromRooms(client: Client, rooms: string): Element[] {
    return client.received.filter(({ attrs }) => bare(attrs.from ?? "").endsWith(`@${rooms}`));
}

function isMail(stanza: Element): boolean {
    return stanza.name === "message" && stanza.attrs.type !== "groupchat" && stanza.attrs.type !== "error";
}

/** A user that declines has not joined, so the message is sent unchanged. */
function isDecline(stanza: Element): boolean {
    return stanza.getChild("x", "http://jabber.org/protocol/muc#user")?.getChild("decline") !== undefined;
}
