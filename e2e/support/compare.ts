// Plays one scenario on two servers, usually with and without mod_minimix. Reports the differences that a client could
// notice.
import { bare, type Client, connect, type ConnectOptions, type Element, xml } from "./client.ts";
import { type Server, type ServerOptions, startServer } from "./prosody.ts";

const nsMucUser = "http://jabber.org/protocol/muc#user";
const nsRsm = "http://jabber.org/protocol/rsm";

export interface World {
    readonly server: Server;
    /** A room that no other scenario uses. It has the same name on both servers. */
    readonly room: string;
    /** Connects an account and a resource, such as "alice/phone". */
    readonly client: (name: string, options?: ConnectOptions) => Promise<Client>;
    /**
     * Returns when everything that the clients sent is handled and all answers have arrived. Without it, stanzas of two
     * clients can reach the server in any order.
     */
    readonly settle: () => Promise<void>;
}

export type Scenario = (world: World) => Promise<void>;

export interface CompareOptions {
    /** Changes a received stanza before it is compared. Returns undefined to leave it out. */
    adjust?: (stanza: Element, client: string) => Element | undefined;
    /**
     * Leaves out presence that changes nothing about an occupant. A room repeats presence to all when another session
     * of the same occupant joins or leaves.
     */
    ignoreRepeats?: boolean;
}

export interface Pair {
    plain: Server;
    minimix: Server;
    compare(scenario: Scenario, options?: CompareOptions): Promise<string[]>;
    stop(): Promise<void>;
}

/** Starts a server without and one with mod_minimix. */
export async function startPair(options: Omit<ServerOptions, "minimix">): Promise<Pair> {
    const [plain, minimix] = await Promise.all([
        startServer({ ...options, minimix: false }),
        startServer({ ...options, minimix: true }),
    ]);
    return {
        plain,
        minimix,
        compare: (scenario, compareOptions) => compare(plain, minimix, scenario, compareOptions),
        stop: async () => {
            await Promise.all([plain.stop(), minimix.stop()]);
        },
    };
}

let lastRoom = 0;

/** Returns the differences for each client: "-" for stanzas of `left` only, "+" for stanzas of `right` only. */
export async function compare(
    left: Server,
    right: Server,
    scenario: Scenario,
    options: CompareOptions = {},
): Promise<string[]> {
    const roomName = `room${++lastRoom}`;
    const [before, after] = await Promise.all([
        play(left, roomName, scenario, options),
        play(right, roomName, scenario, options),
    ]);
    const names = new Set([...before.keys(), ...after.keys()]);
    return [...names].flatMap((name) =>
        diff(before.get(name) ?? [], after.get(name) ?? []).map((line) => `${name} ${line}`),
    );
}

/** Returns what each client received, one line for each stanza. */
async function play(
    server: Server,
    roomName: string,
    scenario: Scenario,
    options: CompareOptions,
): Promise<Map<string, string[]>> {
    const clients: Client[] = [];
    const settle = async () => {
        // The first round waits until everything sent is handled, the second until the answers have arrived.
        for (const client of [...clients, ...clients].filter(({ online }) => online)) {
            await client.sync();
        }
    };
    const world: World = {
        server,
        room: `${roomName}@${server.rooms}`,
        client: async (name, connectOptions) => {
            server.register(name.replace(/\/.*/, ""));
            const client = await connect(server, name, connectOptions);
            clients.push(client);
            return client;
        },
        settle,
    };
    try {
        await scenario(world);
        await settle();
        return normalised(clients, options);
    } finally {
        await Promise.all(clients.map((client) => client.disconnect()));
    }
}

function normalised(clients: Client[], { adjust, ignoreRepeats }: CompareOptions): Map<string, string[]> {
    const chosen = new Set(clients.flatMap(({ sent }) => sent.map(({ attrs }) => attrs.id)));
    const numbers = new Map<string, string>();
    const rename = (id: string) => {
        if (chosen.has(id)) {
            return id;
        }
        const name = numbers.get(id) ?? `#${numbers.size + 1}`;
        numbers.set(id, name);
        return name;
    };
    const record = new Map<string, string[]>();
    for (const { name, received } of clients) {
        const copies = received.map(copy);
        const adjusted = adjust ? copies.map((stanza) => adjust(stanza, name)) : copies;
        const stanzas = adjusted.filter((stanza) => stanza !== undefined);
        const lines = sortOccupants(ignoreRepeats ? withoutRepeats(stanzas) : stanzas).map((stanza) =>
            canonical(stanza, rename).toString(),
        );
        record.set(name, [...(record.get(name) ?? []), ...lines]);
    }
    return record;
}

export function copy({ name, attrs, children }: Element): Element {
    return xml(name, { ...attrs }, ...children.map((child) => (typeof child === "string" ? child : copy(child))));
}

function withoutRepeats(stanzas: Element[]): Element[] {
    const known = new Map<string, string>();
    return stanzas.filter((stanza) => {
        if (stanza.name !== "presence" || stanza.getChild("x", nsMucUser) === undefined) {
            return true;
        }
        const content = canonical(stanza, (id) => (id === stanza.attrs.id ? "" : id)).toString();
        const isRepeat = known.get(from(stanza)) === content;
        known.set(from(stanza), content);
        return !isRepeat;
    });
}

/** A room lists its occupants in any order. */
export function sortOccupants(stanzas: Element[]): Element[] {
    const sorted: Element[] = [];
    let run: Element[] = [];
    const endRun = () => {
        sorted.push(...run.sort((a, b) => (from(a) < from(b) ? -1 : from(a) > from(b) ? 1 : 0)));
        run = [];
    };
    for (const stanza of stanzas) {
        if (isOtherOccupant(stanza)) {
            run.push(stanza);
        } else {
            endRun();
            sorted.push(stanza);
        }
    }
    endRun();
    return sorted;
}

function isOtherOccupant(stanza: Element): boolean {
    const x = stanza.getChild("x", nsMucUser);
    const codes = x?.getChildren("status").map(({ attrs }) => attrs.code) ?? [];
    // Members who are offline have type `unavailable` and no codes.
    const isListed = stanza.attrs.type === undefined ? !codes.includes("110") : codes.length === 0;
    return stanza.name === "presence" && stanza.attrs.type !== "error" && x !== undefined && isListed;
}

/** Returns the address. Members without a nick come from the room's address, with their JID. */
function from(stanza: Element): string {
    const { from = "" } = stanza.attrs;
    const jid = stanza.getChild("x", nsMucUser)?.getChild("item")?.attrs.jid;
    return from.includes("/") ? from : `${from} ${jid ?? ""}`;
}

/** Returns a copy without what differs between runs, or has no meaning. */
export function canonical(element: Element, rename: (id: string) => string): Element {
    const attributes = Object.entries(element.attrs)
        .map(([name, value = ""]): [string, string] => [name, canonicalAttribute(element, name, value, rename)])
        .sort(([a], [b]) => (a < b ? -1 : 1));
    const children = element.children.map((child) => (typeof child === "string" ? child : canonical(child, rename)));
    if (element.is("x", nsMucUser)) {
        // Statuses and items can have any order, and an account with two sessions is listed twice.
        const texts = new Map(children.map((child) => [child.toString(), child]));
        return xml(element.name, Object.fromEntries(attributes), ...[...texts].sort().map(([, child]) => child));
    }
    const isId = element.getNS() === nsRsm && (element.name === "first" || element.name === "last");
    return xml(element.name, Object.fromEntries(attributes), ...(isId ? [rename(element.text())] : children));
}

function canonicalAttribute(element: Element, name: string, value: string, rename: (id: string) => string): string {
    if (name === "id") {
        return rename(value);
    }
    if (name === "stamp") {
        return "…";
    }
    // The account's client as the room sees it.
    return element.name === "item" && name === "jid" ? bare(value) : value;
}

/** Returns lines that are only in `left`, with "-", and only in `right`, with "+", in order. */
export function diff(left: string[], right: string[]): string[] {
    // common[i][j]: number of lines that left[i..] and right[j..] have in common.
    const common = Array.from({ length: left.length + 1 }, () => new Array<number>(right.length + 1).fill(0));
    const at = (i: number, j: number) => common[i]?.[j] ?? 0;
    for (let i = left.length - 1; i >= 0; i--) {
        for (let j = right.length - 1; j >= 0; j--) {
            const row = common[i] ?? [];
            row[j] = left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
        }
    }
    const lines: string[] = [];
    let i = 0;
    let j = 0;
    while (i < left.length || j < right.length) {
        if (i < left.length && j < right.length && left[i] === right[j]) {
            i++;
            j++;
        } else if (j === right.length || (i < left.length && at(i + 1, j) >= at(i, j + 1))) {
            lines.push(`- ${left[i++] ?? ""}`);
        } else {
            lines.push(`+ ${right[j++] ?? ""}`);
        }
    }
    return lines;
}
