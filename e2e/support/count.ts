// Messages that are numbers, so that missing, doubled and reordered messages are easy to see.
import type { Client } from "./client.ts";
import { groupchat } from "./muc.ts";

export function numbers(from: number, to: number): string[] {
    return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

/** Sends the numbers to a room of the client, and waits for the room's copies. */
export async function count(client: Client, room: string, from: number, to: number): Promise<void> {
    for (const body of numbers(from, to)) {
        await groupchat(client, room, body);
    }
    await client.expect({ room, body: String(to) });
}
