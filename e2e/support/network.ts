// Two servers and the link between them: ours, with mod_minimix, and another one with the rooms.
import { setTimeout } from "node:timers/promises";
import { startDns } from "./dns.ts";
import { type Ejabberd, startEjabberd } from "./ejabberd.ts";
import { occupantConfig, occupantJid } from "./house.ts";
import { Link } from "./link.ts";
import { freePort, type Server, startServer, type Version, versions } from "./prosody.ts";

export type RoomService = `prosody-${Version}` | "ejabberd";

export const roomServices: RoomService[] = [...versions.map((version) => `prosody-${version}` as const), "ejabberd"];

export interface NetworkOptions {
    /** Of our server. */
    version: Version;
    /** The service of the rooms. */
    room: RoomService;
    /** The form of the occupant JID. The default is the full JID. */
    occupant?: "bare" | "full";
    /** Further options of our host, as Lua text. */
    hostConfig?: string;
    /** The log level of Prosody. The default is debug. */
    logLevel?: "debug" | "info";
}

/** Servers can be stopped, killed and started again. The links between them stay the same. */
export interface Network {
    /** a.lab, the server of alice. */
    readonly ours: Server;
    /** The server of bob and of the rooms. */
    readonly theirs: Server | Ejabberd;
    /** Each carries stanzas in one direction only. */
    readonly toThem: Link;
    readonly toUs: Link;
    /** Returns the occupant JID of an account of our server. */
    occupantJid(username: string): string;
    /** Drops the connections between the servers and lets none through until restore(). */
    cut(): Promise<void>;
    restore(): Promise<void>;
    /** Holds back all stanzas while the connections stay open. letGo() delivers them. */
    hold(): void;
    letGo(): void;
    stop(): Promise<void>;
}

const ourDomain = "a.lab";

export async function startNetwork(options: NetworkOptions): Promise<Network> {
    const theirDomain = options.room === "ejabberd" ? "ej.lab" : "b.lab";
    const toUs = new Link(await freePort(), await freePort());
    const toThem = new Link(await freePort(), await freePort());
    const links = [toUs, toThem];
    const restore = async () => {
        await Promise.all(links.map((link) => link.restore()));
    };
    const cutLinks = () => {
        for (const link of links) {
            link.cut();
        }
    };
    const dns = await startDns(new Map([...domains(ourDomain, toUs.port), ...domains(theirDomain, toThem.port)]));
    await restore();
    const starting = [
        startOurs(options, { port: toUs.target, dns: dns.port }),
        startTheirs(options, theirDomain, { port: toThem.target, dns: dns.port }),
    ] as const;
    const [ours, theirs] = await Promise.all(starting).catch(async (error: unknown) => {
        // Objects that would keep the test's process from ending.
        const started = await Promise.allSettled(starting);
        const servers = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
        await Promise.allSettled(servers.map((server) => server.stop()));
        cutLinks();
        dns.close();
        throw error;
    });
    return {
        ours,
        theirs,
        toThem,
        toUs,
        cut: async () => {
            cutLinks();
            await noticed(ours);
        },
        restore,
        hold: () => {
            for (const link of links) {
                link.hold();
            }
        },
        letGo: () => {
            for (const link of links) {
                link.letGo();
            }
        },
        occupantJid: (username) => {
            return occupantJid(`${username}@${ourDomain}`, options.occupant === "bare" ? false : undefined);
        },
        stop: async () => {
            try {
                await Promise.all([ours.stop(), theirs.stop()]);
            } finally {
                cutLinks();
                dns.close();
            }
        },
    };
}

function domains(domain: string, port: number): [string, number][] {
    return [
        [domain, port],
        [`rooms.${domain}`, port],
    ];
}

function startOurs(options: NetworkOptions, s2s: { port: number; dns: number }): Promise<Server> {
    const { version, occupant, hostConfig = "" } = options;
    const resource = occupant === "bare" ? occupantConfig({ resource: false }) : "";
    return startServer({
        version,
        minimix: true,
        domain: ourDomain,
        users: ["alice"],
        hostConfig: `${resource}\n${hostConfig}`,
        logLevel: options.logLevel ?? "debug",
        s2s,
    });
}

function startTheirs(
    { room, logLevel = "debug" }: NetworkOptions,
    domain: string,
    s2s: { port: number; dns: number },
): Promise<Server | Ejabberd> {
    const users = ["bob"];
    if (room === "ejabberd") {
        return startEjabberd({ domain, users, s2s });
    }
    const version = room.slice("prosody-".length) as Version;
    return startServer({ version, domain, users, roomModules: ["muc_mam"], logLevel, s2s });
}

/** Stanzas that a server sends before it has noticed a lost connection would be lost. */
async function noticed(server: Server): Promise<void> {
    const isConnected = `return next(prosody.hosts[${JSON.stringify(server.domain)}].s2sout) ~= nil`;
    while (await server.eval(isConnected)) {
        await setTimeout(10);
    }
}
