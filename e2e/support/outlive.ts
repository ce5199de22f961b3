// Shared functions of the tests of accounts without clients.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { bare, type Client, connect, type Element, xml } from "./client.ts";
import type { Network } from "./network.ts";
import { Server } from "./prosody.ts";

const nsAdmin = "http://jabber.org/protocol/muc#admin";

/** Repeats a query until `isSo` accepts the answer, and returns it. */
export async function eventually<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean, limit = 30_000): Promise<T> {
    const end = Date.now() + limit;
    for (;;) {
        const answer = await ask();
        if (isSo(answer)) {
            return answer;
        }
        assert(Date.now() < end, `still ${String(answer)} after ${limit} ms`);
        await setTimeout(50);
    }
}

/** Returns the occupants of a room on either server, with the JIDs behind each nick if the server tells them. */
export async function whoIsIn(network: Network, room: string, owner: Client): Promise<string[]> {
    const { ours, theirs } = network;
    const server = room.endsWith(`@${ours.rooms}`) ? ours : theirs;
    if (server instanceof Server) {
        const occupants = await server.occupants(room);
        return occupants.map(({ nick, sessions }) => `${nick} ${sessions.join()}`).sort();
    }
    const lists: (Element | undefined)[] = [];
    for (const role of ["moderator", "participant", "visitor"]) {
        lists.push(await owner.iq("get", room, xml("query", { xmlns: nsAdmin }, xml("item", { role }))));
    }
    const items = lists.flatMap((list) => list?.getChildElements() ?? []);
    return items.map(({ attrs }) => `${attrs.nick} ${attrs.jid}`).sort();
}

/** Connects, with retries while the server starts. */
export async function reconnect(server: Parameters<typeof connect>[0], name: string): Promise<Client> {
    for (let tries = 1; ; tries++) {
        try {
            return await connect(server, name);
        } catch (error) {
            if (tries === 20) {
                throw error;
            }
            await setTimeout(100);
        }
    }
}

/** Returns the self-presences that a room sent to a client. */
export function ownPresences(client: Client, room: string, nick: string): string[] {
    const isOwn = ({ name, attrs }: Element) => name === "presence" && attrs.from === `${room}/${nick}`;
    return client.received.filter(isOwn).map(String);
}

/** Returns the bodies with this prefix that a room sent to a client, in order. */
export function bodies(client: Client, room: string, start: string): string[] {
    return client.received
        .filter(
            ({ name, attrs }) => name === "message" && attrs.type === "groupchat" && bare(attrs.from ?? "") === room,
        )
        .map((stanza) => stanza.getChildText("body") ?? "")
        .filter((body) => body.startsWith(start));
}
