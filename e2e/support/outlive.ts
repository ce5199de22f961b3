// What the tests of accounts that outlive their clients have in common.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { bare, type Client, connect, type Element, xml } from "./client.ts";
import type { Network } from "./network.ts";
import { Server } from "./prosody.ts";

const nsAdmin = "http://jabber.org/protocol/muc#admin";

/** Asks until `isSo` holds of the answer, and gives that. */
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

/** Who is in a room of ours or of theirs, each with the JIDs behind the nick where the server tells. */
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

/** Connects, trying again while the server is just starting. */
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

/** The presences by which a room tells a client of its own coming, going or renaming. */
export function ownPresences(client: Client, room: string, nick: string): string[] {
    const isOwn = ({ name, attrs }: Element) => name === "presence" && attrs.from === `${room}/${nick}`;
    return client.received.filter(isOwn).map(String);
}

/** The bodies of what a room told a client, in order, of those that start so. */
export function bodies(client: Client, room: string, start: string): string[] {
    return client.received
        .filter(
            ({ name, attrs }) => name === "message" && attrs.type === "groupchat" && bare(attrs.from ?? "") === room,
        )
        .map((stanza) => stanza.getChildText("body") ?? "")
        .filter((body) => body.startsWith(start));
}
