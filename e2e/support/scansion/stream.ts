// A client that sends and receives exactly the stanzas of a script. Unlike @xmpp/client it answers nothing by itself.
import { EventEmitter, once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Element, xml } from "../client.ts";

const patience = 2_000;
const syncId = "sync";
const nsSasl = "urn:ietf:params:xml:ns:xmpp-sasl";
const nsBind = "urn:ietf:params:xml:ns:xmpp-bind";

export interface Login {
    readonly username: string;
    readonly domain: string;
    readonly password: string;
    readonly resource: string | undefined;
}

export async function openStream(port: number, login: Login): Promise<Stream> {
    const socket = connect(port, "127.0.0.1");
    socket.setNoDelay();
    await once(socket, "connect");
    const stream = new Stream(socket, login);
    await stream.logIn();
    return stream;
}

export class Stream {
    readonly #socket: Socket;
    readonly #login: Login;
    readonly #queue: Element[] = [];
    /** "element", "synced" and "closed". */
    readonly #events = new EventEmitter();
    #parser = new xml.Parser();
    #jid = "";

    constructor(socket: Socket, login: Login) {
        this.#socket = socket;
        this.#login = login;
        socket.setEncoding("utf8").on("data", (text: string) => {
            this.#parser.write(text);
        });
        socket.on("error", () => undefined);
        socket.on("close", () => this.#events.emit("closed"));
    }

    /** The full JID that the server has bound. */
    get jid(): string {
        return this.#jid;
    }

    async logIn(): Promise<void> {
        const { username, password, resource } = this.#login;
        await this.#openStream();
        const credentials = Buffer.from(`\0${username}\0${password}`).toString("base64");
        this.send(xml("auth", { xmlns: nsSasl, mechanism: "PLAIN" }, credentials));
        const outcome = await this.next();
        if (outcome.name !== "success") {
            throw new Error(`${username} cannot log in: ${outcome.toString()}`);
        }
        await this.#openStream();
        const wish = xml("bind", { xmlns: nsBind }, resource !== undefined && xml("resource", {}, resource));
        this.send(xml("iq", { type: "set", id: "bind" }, wish));
        this.#jid = (await this.next()).getChild("bind", nsBind)?.getChildText("jid") ?? "";
    }

    send(element: Element): void {
        if (!this.#socket.writableEnded) {
            this.#socket.write(element.toString());
        }
    }

    /** Takes the next stanza of any kind. */
    async next(timeout = patience): Promise<Element> {
        const signal = AbortSignal.timeout(timeout);
        for (;;) {
            const element = this.#queue.shift();
            if (element !== undefined) {
                return element;
            }
            await once(this.#events, "element", { signal });
        }
    }

    /** Returns when the server has handled everything sent, or has closed the stream because of it. */
    async sync(): Promise<void> {
        if (this.#socket.writableEnded) {
            return;
        }
        const signal = AbortSignal.timeout(patience);
        const settled = ["synced", "closed"].map((event) => once(this.#events, event, { signal }));
        const ping = xml("ping", { xmlns: "urn:xmpp:ping" });
        this.send(xml("iq", { type: "get", to: this.#login.domain, id: syncId }, ping));
        await Promise.race(settled);
    }

    async close(): Promise<void> {
        if (!this.#socket.closed) {
            const closed = once(this.#events, "closed");
            this.#end();
            await closed;
        }
    }

    #end(): void {
        if (!this.#socket.writableEnded) {
            this.#socket.end("</stream:stream>");
        }
    }

    async #openStream(): Promise<void> {
        this.#parser = new xml.Parser();
        this.#parser.on("element", (element: Element) => {
            this.#receive(element);
        });
        this.#parser.on("end", () => {
            this.#end();
        });
        this.#socket.write(
            `<stream:stream to="${this.#login.domain}" version="1.0" xmlns="jabber:client"` +
                ` xmlns:stream="http://etherx.jabber.org/streams">`,
        );
        await this.next();
    }

    #receive(element: Element): void {
        if (element.attrs.id === syncId) {
            this.#events.emit("synced");
            return;
        }
        this.#queue.push(element);
        this.#events.emit("element");
    }
}
