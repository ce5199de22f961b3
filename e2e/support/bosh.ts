// XMPP over BOSH (XEP-0124, XEP-0206) for @xmpp/client, which has no BOSH transport. It looks like a websocket (RFC 7395) to
// the client, with one element at a time. Behind it are HTTP requests, of which one waits at the server.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { Agent, request } from "node:http";
import type { Client as XmppClient } from "@xmpp/client";

const nsBosh = "http://jabber.org/protocol/httpbind";
const nsXbosh = "urn:xmpp:xbosh";
const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing";
const nsStream = "http://etherx.jabber.org/streams";

/** Lets a client connect to services that begin with `http:`. */
export function addBosh(xmpp: XmppClient): void {
    const isWebSocket = (transport: XmppClient["transports"][number]) =>
        transport.prototype.socketParameters("ws://a.lab") !== undefined;
    const WebSocketConnection = xmpp.transports.find(isWebSocket);
    assert(WebSocketConnection);
    class BoshConnection extends WebSocketConnection {
        override socketParameters(service: string): string | undefined {
            return service.startsWith("http:") ? service : undefined;
        }
    }
    Object.assign(BoshConnection.prototype, { Socket: BoshSocket });
    xmpp.transports.push(BoshConnection);
}

class BoshSocket extends EventEmitter {
    readonly secure = true;
    readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });
    #url = "";
    #sid: string | undefined;
    #rid = 1 + Math.floor(Math.random() * 1_000_000);
    #queue: string[] = [];
    #open = 0;
    /** Answers are processed in the order of their requests. */
    #answers: Promise<unknown> = Promise.resolve();
    #ended = false;
    /** The server has ended the session. It answers each pending request with this. */
    #closed = false;

    connect(url: string): void {
        this.#url = url;
        setImmediate(() => this.emit("connect"));
    }

    write(data: string, done?: (error?: Error) => void): void {
        if (data.startsWith("<open ")) {
            this.#openStream(/ to="([^"]*)"/.exec(data)?.[1] ?? "");
        } else if (data.startsWith("<close ")) {
            this.#ended = true;
            this.#post({ type: "terminate" });
        } else {
            this.#queue.push(data);
            // Elements that are written together are sent together.
            setImmediate(() => {
                this.#poll();
            });
        }
        done?.();
    }

    end(): void {
        this.destroy();
    }

    setNoDelay(): void {
        // A request is never sent in parts.
    }

    /** The server notices the lost session after its timeout. */
    destroy(): void {
        this.#ended = true;
        this.#agent.destroy();
        setImmediate(() => this.emit("close", false));
    }

    #openStream(to: string): void {
        if (this.#sid === undefined) {
            this.#post({ to, ver: "1.6", wait: "60", hold: "1", "xml:lang": "en", "xmpp:version": "1.0" });
        } else {
            this.#post({ to, "xmpp:restart": "true", "xml:lang": "en" });
        }
    }

    /** Sends pending elements. Without any, sends an empty request, so that the server always has one to answer. */
    #poll(): void {
        if (this.#sid !== undefined && !this.#ended && this.#open < 2 && (this.#queue.length > 0 || this.#open === 0)) {
            this.#post({});
        }
    }

    #post(attributes: Record<string, string>): void {
        const all = {
            xmlns: nsBosh,
            "xmlns:xmpp": nsXbosh,
            rid: String(this.#rid++),
            ...(this.#sid !== undefined && { sid: this.#sid }),
            ...attributes,
        };
        const text = Object.entries(all).map(([name, value]) => ` ${name}="${value}"`);
        const answer = this.#request(`<body${text.join("")}>${this.#queue.join("")}</body>`);
        this.#queue = [];
        this.#open++;
        this.#answers = Promise.all([answer, this.#answers]).then(
            ([body]) => {
                this.#open--;
                this.#receive(body, attributes.to !== undefined);
            },
            (error: unknown) => {
                if (!this.#ended) {
                    this.#ended = true;
                    this.emit("error", error);
                    this.emit("close", true);
                }
            },
        );
    }

    #receive(body: string, opensStream: boolean): void {
        const [, attributes = "", content = ""] = /^<body\b([^>]*?)(?:\/>|>(.*)<\/body>)\s*$/s.exec(body) ?? [];
        this.#sid ??= / sid=['"]([^'"]*)/.exec(attributes)?.[1];
        if (opensStream) {
            this.emit("data", `<open xmlns="${nsFraming}"/>`);
        }
        if (content !== "" && !this.#closed) {
            this.emit("data", content.replace("<stream:features", `$& xmlns:stream="${nsStream}"`));
        }
        if (attributes.includes("terminate") && !this.#closed) {
            this.#ended = this.#closed = true;
            this.emit("data", `<close xmlns="${nsFraming}"/>`);
        }
        this.#poll();
    }

    #request(body: string): Promise<string> {
        const headers = { "Content-Type": "text/xml; charset=utf-8", "Content-Length": Buffer.byteLength(body) };
        return new Promise((resolve, reject) => {
            const post = request(this.#url, { method: "POST", agent: this.#agent, headers }, (response) => {
                const parts: Buffer[] = [];
                response.on("data", (part: Buffer) => parts.push(part));
                response.on("end", () => {
                    resolve(Buffer.concat(parts).toString());
                });
                response.on("error", reject);
            });
            post.setNoDelay(true);
            post.on("error", reject);
            post.end(body);
        });
    }
}
