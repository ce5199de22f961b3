// Messages that are numbers: what is missing, twice or out of order is seen at a glance.
import type { Client } from "./client.ts";
import { groupchat } from "./muc.ts";

export function numbers(from: number, to: number): string[] {
    return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

/** Says the numbers in a room of one's own, and waits until they are said. */
export async function count(client: Client, room: string, from: number, to: number): Promise<void> {
    for (const body of numbers(from, to)) {
        await groupchat(client, room, body);
    }
    await client.expect({ room, body: String(to) });
}
