// The page: a server, three clients that run in the browser, and the server's state, which is pushed to the page.
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { createServer, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort, type Occupant, type Server, startServer, type Version } from "../../e2e/support/prosody.ts";

export interface Site {
    /** The address of the page. */
    readonly url: string;
    readonly server: Server;
    close(): Promise<void>;
}

interface Device {
    readonly name: string;
    readonly jid: string;
    readonly nick: string;
    readonly title: string;
}

/** A message of the room to Alice, with the number of copies received and sent. */
interface Message {
    readonly from: string;
    readonly body: string;
    readonly came: number;
    readonly went: number;
    readonly saved: number;
}

/** The output of mod_watch. */
interface Look {
    readonly rooms: string[];
    readonly totals: Record<string, number>;
    readonly messages: Message[];
}

/** The data of the page: the account's rooms as `minimix:rooms()` prints them, and the occupants from the room. */
interface View {
    readonly rooms: string[];
    readonly occupants: Occupant[];
    readonly totals: Record<string, number>;
    readonly messages: Message[];
}

const domain = "example.org";
/** Bob's account is on another host, so that the counters are Alice's alone. */
const otherDomain = "example.net";
const account = `alice@${domain}`;
const room = `tea@rooms.${domain}`;
const devices: Device[] = [
    { name: "phone", jid: `${account}/phone`, nick: "Alice", title: "Alice’s phone" },
    { name: "laptop", jid: `${account}/laptop`, nick: "Alice", title: "Alice’s laptop" },
    { name: "desk", jid: `bob@${otherDomain}/desk`, nick: "Bob", title: "Bob" },
];

const lookEvery = 150;
const messagesShown = 6;

const here = fileURLToPath(new URL(".", import.meta.url));
const converse = fileURLToPath(new URL("../../node_modules/converse.js/dist", import.meta.url));

const types: Record<string, string> = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
};

export async function openSite(version: Version): Promise<Site> {
    const port = await freePort();
    const server = await startProsody(version, port);
    const ended = new AbortController();
    const watch = new Watch(server, ended.signal);
    const clients = await Promise.all(devices.map((device) => serveClient(device, port)));
    const page = await servePage(
        devices.map(({ name, title }, index) => ({ name, title, url: urlOf(clients[index]) })),
        watch,
    );
    return {
        url: urlOf(page),
        server,
        close: async () => {
            ended.abort();
            for (const http of [page, ...clients]) {
                http.close();
                http.closeAllConnections();
            }
            await server.stop();
        },
    };
}

async function startProsody(version: Version, port: number): Promise<Server> {
    const server = await startServer({
        version,
        minimix: true,
        domain,
        users: ["alice"],
        extraModules: ["websocket", "watch"],
        pluginPaths: [fileURLToPath(new URL("../modules", import.meta.url))],
        logLevel: "info",
        globalConfig: `
            probe_arrivals = false
            http_ports = { ${port} }
            http_interfaces = { "127.0.0.1" }
            http_default_host = "${domain}"
            consider_websocket_secure = true
        `,
        roomConfig: `VirtualHost "${otherDomain}"\nmodules_enabled = { "disco", "pep", "roster", "saslauth" }`,
    });
    await server.eval(`
        assert(require "core.usermanager".create_user("bob", "bob", "${otherDomain}"));
        local room = prosody.hosts["${server.rooms}"].modules.muc.create_room("${room}");
        room:set_name("Tea");
        room:set_persistent(true);
        room:save();
    `);
    return server;
}

/** Each client has its own origin, because browsers separate stored data by origin. */
function serveClient(device: Device, websocketPort: number): Promise<HttpServer> {
    const settings = {
        jid: device.jid,
        password: device.jid.split("@")[0],
        websocket_url: `ws://127.0.0.1:${websocketPort}/xmpp-websocket`,
        auto_join_rooms: [{ jid: room, nick: device.nick }],
        nickname: device.nick,
    };
    return serve((path, response) => {
        if (path === "/settings") {
            send(response, settings);
        } else if (path === "/") {
            sendFile(response, here, "/client.html");
        } else {
            sendFile(response, converse, path.replace(/^\/dist\//, "/"));
        }
    });
}

function servePage(frames: { name: string; title: string; url: string }[], watch: Watch): Promise<HttpServer> {
    return serve((path, response) => {
        if (path === "/devices") {
            send(response, { account, room, devices: frames });
        } else if (path === "/views") {
            watch.show(response);
        } else {
            sendFile(response, here, path === "/" ? "/page.html" : path);
        }
    });
}

async function serve(answer: (path: string, response: ServerResponse) => void): Promise<HttpServer> {
    const http = createServer(({ url = "/" }, response) => {
        answer(decodeURIComponent(new URL(url, "http://localhost").pathname), response);
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return http;
}

function urlOf(http: HttpServer | undefined): string {
    return `http://127.0.0.1:${(http?.address() as AddressInfo).port}/`;
}

function send(response: ServerResponse, content: unknown): void {
    response.writeHead(200, { "content-type": types[".json"] }).end(JSON.stringify(content));
}

function sendFile(response: ServerResponse, folder: string, path: string): void {
    const type = types[extname(path)] ?? "application/octet-stream";
    // URL has removed each "..", but not the percent-encoded ones.
    const file = createReadStream(join(folder, path.replaceAll("..", "")));
    file.once("open", () => response.writeHead(200, { "content-type": type }));
    file.once("error", () => response.writeHead(404).end());
    file.pipe(response);
}

/** Polls the server, and sends changes to each page (server-sent events). */
class Watch {
    readonly #server: Server;
    readonly #pages = new Set<ServerResponse>();
    readonly #messages: Message[] = [];
    #shown = "";

    constructor(server: Server, signal: AbortSignal) {
        this.#server = server;
        this.#run(signal).catch((error: unknown) => {
            if (!signal.aborted) {
                console.error(error);
            }
        });
    }

    show(page: ServerResponse): void {
        page.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        page.write(this.#shown);
        this.#pages.add(page);
        page.once("close", () => this.#pages.delete(page));
    }

    async #run(signal: AbortSignal): Promise<void> {
        for (;;) {
            const event = `data: ${JSON.stringify(await this.#look())}\n\n`;
            if (event !== this.#shown) {
                this.#shown = event;
                this.#pages.forEach((page) => page.write(event));
            }
            await setTimeout(lookEvery, undefined, { signal });
        }
    }

    async #look(): Promise<View> {
        const { rooms, totals, messages } = (await this.#server.eval(
            `return prosody.hosts["${domain}"].modules.watch.look("${account}")`,
        )) as Look;
        // An empty Lua table arrives as an object.
        this.#messages.push(...Object.values(messages));
        this.#messages.splice(0, this.#messages.length - messagesShown);
        return {
            rooms: Object.values(rooms),
            occupants: await this.#server.occupants(room),
            totals,
            messages: this.#messages,
        };
    }
}
