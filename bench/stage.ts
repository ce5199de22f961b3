// A server, a room, and the clients that have joined it.
import { fileURLToPath } from "node:url";
import { type Server, startServer, type Version } from "../e2e/support/prosody.ts";
import { connect, type ConnectOptions, groupchat, type LightClient } from "./client.ts";

export interface Stage {
    server: Server;
    room: string;
    /** The clients that receive the room's messages. The first one sends. */
    clients: LightClient[];
    said: number;
}

export interface StageOptions {
    version: Version;
    minimix: boolean;
    /** Accounts u1, u2 and so on. */
    accounts: number;
    /** Replaces the minimum of modules for a stream. */
    modules?: string[];
    roomModules?: string[];
    /** As Lua text, for the host and for the rooms. */
    hostConfig?: string;
    roomConfig?: string;
    domain?: string;
    s2s?: { port: number; dns: number };
}

const patience = 60_000;

export async function openStage(options: StageOptions): Promise<Stage> {
    const { version, minimix, accounts, modules = ["saslauth"], hostConfig = "", roomConfig = "" } = options;
    const server = await startServer({
        version,
        minimix,
        modules,
        users: Array.from({ length: accounts }, (_, index) => username(index)),
        logLevel: "info",
        pluginPaths: [fileURLToPath(new URL("modules", import.meta.url))],
        roomModules: options.roomModules ?? [],
        // No test reads the received stanzas, and recording them would take time.
        hostConfig: `probe_arrivals = false\n${hostConfig}`,
        roomConfig: `muc_room_locking = false\n${roomConfig}`,
        ...(options.domain !== undefined && { domain: options.domain }),
        ...(options.s2s !== undefined && { s2s: options.s2s }),
    });
    return { server, room: `room@${server.rooms}`, clients: [], said: 0 };
}

/**
 * Checks the received messages, and ends the server, which must not have logged an error. It is killed, because in
 * plain MUC the leaves of a thousand clients cause a million presences.
 */
export async function closeStage(stage: Stage): Promise<void> {
    await check(stage);
    stage.server.checkLog();
    await stage.server.kill();
}

export function username(index: number): string {
    return `u${index + 1}`;
}

/** Joins one more session of each account, or of the accounts from one number to another. */
export async function joinAll(
    stage: Stage,
    resource: string,
    [from, to]: [from: number, to: number],
    options: ConnectOptions = {},
): Promise<void> {
    for (let index = from; index < to; index++) {
        const client = await connect(stage.server, `${username(index)}/${resource}`, options);
        await client.join(stage.room, username(index));
        listen(stage, client);
    }
}

/** From now on the client must receive the messages. */
export function listen(stage: Stage, client: LightClient): void {
    client.heard = stage.said;
    stage.clients.push(client);
}

/** Sends a number of messages, each after all clients have received the one before. */
export async function talk(stage: Stage, times: number): Promise<void> {
    for (let count = 0; count < times; count++) {
        await say(stage);
    }
}

async function say(stage: Stage): Promise<void> {
    const { clients, room } = stage;
    const [speaker] = clients;
    stage.said += 1;
    let missing = clients.length;
    await new Promise<void>((resolve, reject) => {
        const limit = setTimeout(() => {
            reject(new Error(`${missing} of ${clients.length} copies of message ${stage.said} are missing`));
        }, patience);
        for (const client of clients) {
            client.onHeard = () => {
                missing -= 1;
                if (missing === 0) {
                    clearTimeout(limit);
                    resolve();
                }
            };
        }
        speaker?.send(groupchat(room, stage.said));
    });
}

/** Checks that all clients have received all messages, once and in order. */
export async function check({ clients, said }: Stage): Promise<void> {
    await Promise.all(clients.map((client) => client.sync()));
    for (const { jid, heard, faults } of clients) {
        if (heard !== said || faults.length > 0) {
            throw new Error(`${jid} heard ${heard} of ${said} messages; ${faults.slice(0, 3).join("; ")}`);
        }
    }
}
