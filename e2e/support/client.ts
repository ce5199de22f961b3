// A client on @xmpp/client. It queues every stanza that it receives, in order, until a test takes it.
import assert from "node:assert/strict";
import type { EventEmitter } from "node:events";
import { client as xmppClient, type Client as XmppClient, type Element, xml } from "@xmpp/client";
import WebSocket from "ws";
import { addBosh } from "./bosh.ts";

export { type Element, xml };

// @xmpp/client uses the WebSocket of the platform, which Node.js has since version 22.
Object.assign(globalThis, { WebSocket });

const patience = 15_000;
const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas";
const nsBind = "urn:ietf:params:xml:ns:xmpp-bind";
const nsSm = "urn:xmpp:sm:3";
const nsMucUser = "http://jabber.org/protocol/muc#user";

/** A pattern for a stanza. Fields that are left out match anything. */
export interface Pattern {
    name?: "message" | "presence" | "iq";
    /** `undefined` matches a stanza without a type. */
    type?: string | undefined;
    from?: string;
    /** The bare JID of `from`. */
    room?: string;
    id?: string;
    body?: string;
    subject?: string;
    /** A status code of `<x xmlns="…muc#user">`. */
    status?: string;
    /** Name and namespace of a child. */
    child?: [name: string, xmlns: string];
}

export type Match = Pattern | ((stanza: Element) => boolean);

export interface ConnectOptions {
    password?: string;
    /** Requests stream management (XEP-0198) with resumption. */
    smacks?: boolean;
    /** Whether to send initial presence. */
    presence?: boolean;
    /** The transport. The server must offer it. */
    transport?: Transport;
}

export type Transport = "c2s" | "websocket" | "bosh";

export interface CollectOptions {
    /** Index in `received` from which the last stanza is searched. */
    since?: number;
    timeout?: number;
    /** Name of the last stanza, for the error if it does not arrive. */
    what?: string;
}

/** The address of the server. */
export interface Endpoint {
    readonly domain: string;
    readonly port: number;
    /** The port of websocket and BOSH. */
    readonly httpPort?: number | undefined;
}

/** Connects `name`, an account and a resource such as "alice/phone". */
export async function connect(server: Endpoint, name: string, options: ConnectOptions = {}): Promise<Client> {
    const client = new Client(server, name, options);
    await client.start();
    return client;
}

/** An error stanza that answers a stanza of the client. */
export class StanzaError extends Error {
    readonly condition: string;
    readonly type: string;
    readonly stanza: Element;

    constructor(stanza: Element) {
        const error = stanza.getChild("error");
        const condition = error?.getChildElements().find((child) => child.getNS() === nsStanzas)?.name ?? "none";
        const type = error?.attrs.type ?? "none";
        super(`${condition} (${type}): ${stanza.toString()}`);
        this.name = "StanzaError";
        this.condition = condition;
        this.type = type;
        this.stanza = stanza;
    }
}

export class Client {
    readonly name: string;
    readonly account: string;
    readonly jid: string;
    readonly domain: string;
    /** All received stanzas in order, except those of sync(). */
    readonly received: Element[] = [];
    /** All sent stanzas in order, except those of sync(). */
    readonly sent: Element[] = [];
    /** Stream errors and errors of the connection. */
    readonly errors: Error[] = [];
    readonly #xmpp: XmppClient;
    readonly #options: ConnectOptions;
    readonly #wakers = new Set<() => void>();
    #unread: Element[] = [];
    #lastId = 0;

    constructor(server: Endpoint, name: string, options: ConnectOptions) {
        const [username = "", resource = ""] = name.split("/");
        this.name = name;
        this.domain = server.domain;
        this.account = `${username}@${server.domain}`;
        this.jid = `${this.account}/${resource}`;
        this.#options = options;
        this.#xmpp = xmppClient({
            service: serviceAt(server, options.transport ?? "c2s"),
            domain: server.domain,
            resource,
            timeout: patience,
            // @xmpp/client itself would not use PLAIN without TLS.
            credentials: (authenticate) => authenticate({ username, password: options.password ?? username }, "PLAIN"),
        });
        addBosh(this.#xmpp);
        this.#xmpp.reconnect.stop();
        this.#xmpp.on("error", (error: Error) => this.errors.push(error));
        this.#xmpp.on("stanza", (stanza: Element) => {
            this.#receive(stanza);
        });
        this.#xmpp.on("send", (element: Element) => {
            if (!isSync(element)) {
                this.sent.push(element);
            }
        });
        // Small writes do not wait for the acknowledgement of earlier ones.
        this.#xmpp.on("connect", () => this.#xmpp.socket?.setNoDelay?.());
        if (!options.smacks) {
            this.#xmpp.prependListener("element", withoutStreamManagement);
        }
    }

    async start(): Promise<void> {
        const ready = this.#options.smacks ? streamManaged(this.#xmpp) : Promise.resolve();
        await Promise.all([this.#xmpp.start(), ready]);
        if (this.#options.presence ?? true) {
            await this.send(xml("presence"));
        }
    }

    get online(): boolean {
        return this.#xmpp.status === "online";
    }

    /** Received stanzas that no test has taken yet. */
    get unread(): readonly Element[] {
        return this.#unread;
    }

    async send(element: Element): Promise<void> {
        await this.#xmpp.send(element);
    }

    /** Returns an id that is the same in every run of a test. */
    newId(): string {
        return `${this.name.replace("/", "-")}-${++this.#lastId}`;
    }

    /** Takes the first unread stanza that matches. Waits for it if necessary. */
    async expect(match: Match, timeout = patience): Promise<Element> {
        return this.#wait(match, describe(match), timeout, (stanza) => {
            this.#take([stanza]);
            return stanza;
        });
    }

    /** Takes, in order, the unread stanzas that match `match`, up to and including the first that matches `last`. */
    async collect(match: Match, last: Match, options: CollectOptions = {}): Promise<Element[]> {
        const { since = 0, timeout = patience, what = describe(last) } = options;
        const isLast = (stanza: Element) => matches(stanza, last) && this.received.indexOf(stanza) >= since;
        return this.#wait(isLast, what, timeout, (end) => {
            const unread = new Set(this.#unread);
            const stanzas = this.received
                .slice(since, this.received.indexOf(end) + 1)
                .filter((stanza) => unread.has(stanza) && (stanza === end || matches(stanza, match)));
            this.#take(stanzas);
            return stanzas;
        });
    }

    /** Takes all unread stanzas that match. Call sync() first, so that all have arrived. */
    take(match: Match = {}): Element[] {
        const stanzas = this.#unread.filter((stanza) => matches(stanza, match));
        this.#take(stanzas);
        return stanzas;
    }

    /** Fails if an unread stanza matches, after all stanzas of the server so far have arrived. */
    async expectNone(match: Match): Promise<void> {
        await this.sync();
        const unwanted = this.#unread.filter((stanza) => matches(stanza, match));
        assert.deepEqual(unwanted.map(String), [], `${this.name} should not have got this`);
    }

    /** Returns when everything has arrived that the server sent before it handled this client's last stanza. */
    async sync(): Promise<void> {
        const id = `sync-${this.newId()}`;
        const ping = xml("iq", { type: "get", to: this.domain, id }, xml("ping", { xmlns: "urn:xmpp:ping" }));
        const answered = event(this.#xmpp, id);
        await this.send(ping);
        await answered;
    }

    /** Sends an IQ and returns the payload of the result, if any. Rejects with a StanzaError. */
    async iq(type: "get" | "set", to: string | undefined, payload: Element): Promise<Element | undefined> {
        const answer = await this.ask(xml("iq", { type, to }, payload));
        if (answer.attrs.type === "error") {
            throw new StanzaError(answer);
        }
        return answer.getChildElements()[0];
    }

    /** Sends an IQ and returns the answer, a result or an error. */
    async ask(iq: Element): Promise<Element> {
        const id = (iq.attrs.id ??= this.newId());
        await this.send(iq);
        return this.expect(({ name, attrs }) => name === "iq" && attrs.id === id && isAnswer(attrs.type));
    }

    /** Answers IQs of this kind with `payload`. Others get service-unavailable. */
    answer(type: "get" | "set", name: string, xmlns: string, payload: (request: Element) => Element | undefined): void {
        this.#xmpp.iqCallee[type](xmlns, name, ({ stanza }) => payload(stanza) ?? true);
    }

    /** Closes the stream. */
    async disconnect(): Promise<void> {
        if (this.#xmpp.status !== "disconnect" && this.#xmpp.status !== "offline") {
            await this.#xmpp.stop();
        }
    }

    /** Breaks the connection. */
    async drop(): Promise<void> {
        const dropped = event(this.#xmpp, "disconnect");
        this.#xmpp.socket?.destroy();
        await dropped;
    }

    /** Waits until the server has ended the connection. */
    async disconnected(): Promise<void> {
        if (this.#xmpp.status !== "disconnect" && this.#xmpp.status !== "offline") {
            await event(this.#xmpp, "disconnect");
        }
    }

    /** Connects again after drop(). Returns whether the server resumed the session. */
    async resume(): Promise<boolean> {
        const resumed = event(this.#xmpp.streamManagement, "resumed").then(() => true);
        const bound = event(this.#xmpp, "online").then(() => false);
        const outcome = Promise.any([resumed, bound]);
        await Promise.all([outcome, this.#xmpp.reconnect.reconnect()]);
        if (!(await outcome)) {
            await streamManaged(this.#xmpp);
        }
        return outcome;
    }

    #receive(stanza: Element): void {
        if (isSync(stanza)) {
            this.#xmpp.emit(String(stanza.attrs.id));
            return;
        }
        if (stanza.getChild("bind", nsBind) !== undefined) {
            return;
        }
        this.received.push(stanza);
        this.#unread.push(stanza);
        for (const wake of this.#wakers) {
            wake();
        }
    }

    #take(stanzas: Element[]): void {
        const taken = new Set(stanzas);
        this.#unread = this.#unread.filter((stanza) => !taken.has(stanza));
    }

    /** Calls `take` as soon as an unread stanza matches, before any other caller can take it. */
    #wait<T>(match: Match, what: string, timeout: number, take: (found: Element) => T): Promise<T> {
        return new Promise((resolve, reject) => {
            const settle = () => {
                this.#wakers.delete(look);
                clearTimeout(timer);
            };
            const look = () => {
                const found = this.#unread.find((stanza) => matches(stanza, match));
                if (found !== undefined) {
                    settle();
                    resolve(take(found));
                }
            };
            const timer = setTimeout(() => {
                settle();
                const unread = this.#unread.map((stanza) => `\n  ${stanza.toString()}`).join("");
                reject(new Error(`${this.name} waited for ${what}; unread:${unread || " nothing"}`));
            }, timeout);
            this.#wakers.add(look);
            look();
        });
    }
}

/** Waits for stream management. Send nothing before <enabled/>, or the two sides count differently. */
export async function streamManaged(client: XmppClient): Promise<void> {
    for (;;) {
        const nonza = (await event(client, "nonza")) as Element;
        if (nonza.is("enabled", nsSm)) {
            return;
        }
        assert(!nonza.is("failed", nsSm), `stream management refused: ${nonza.toString()}`);
    }
}

function serviceAt({ port, httpPort }: Endpoint, transport: Transport): string {
    const services: Record<Transport, string> = {
        c2s: `xmpp://127.0.0.1:${port}`,
        websocket: `ws://127.0.0.1:${httpPort}/xmpp-websocket`,
        bosh: `http://127.0.0.1:${httpPort}/http-bind`,
    };
    return services[transport];
}

export function matches(stanza: Element, match: Match): boolean {
    if (typeof match === "function") {
        return match(stanza);
    }
    const { attrs } = stanza;
    return (
        (match.name === undefined || stanza.name === match.name) &&
        (!("type" in match) || attrs.type === match.type) &&
        (match.from === undefined || attrs.from === match.from) &&
        (match.room === undefined || bare(attrs.from ?? "") === match.room) &&
        (match.id === undefined || attrs.id === match.id) &&
        (match.body === undefined || stanza.getChildText("body") === match.body) &&
        (match.subject === undefined || stanza.getChildText("subject") === match.subject) &&
        (match.status === undefined || statusCodes(stanza).includes(match.status)) &&
        (match.child === undefined || stanza.getChild(...match.child) !== undefined)
    );
}

/** The status codes of `<x xmlns="…muc#user">`. */
export function statusCodes(stanza: Element): string[] {
    const statuses = stanza.getChild("x", nsMucUser)?.getChildren("status") ?? [];
    return statuses.map(({ attrs }) => attrs.code ?? "");
}

export function bare(jid: string): string {
    return jid.replace(/\/.*$/s, "");
}

// Like once() of node:events, but "error" does not end it, because a connection can fail in several ways.
function event(emitter: EventEmitter, name: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
        const listener = (value: unknown) => {
            clearTimeout(timer);
            resolve(value);
        };
        const timer = setTimeout(() => {
            emitter.removeListener(name, listener);
            reject(new Error(`no "${name}" within ${patience} ms`));
        }, patience).unref();
        emitter.once(name, listener);
    });
}

function isAnswer(type: string | undefined): boolean {
    return type === "result" || type === "error";
}

function isSync(stanza: Element): boolean {
    return stanza.attrs.id?.startsWith("sync-") ?? false;
}

function describe(match: Match): string {
    return typeof match === "function" ? match.toString() : JSON.stringify(match);
}

function withoutStreamManagement(element: Element): void {
    const feature = element.getChild("sm", nsSm);
    if (element.name === "stream:features" && feature !== undefined) {
        element.remove(feature);
    }
}
