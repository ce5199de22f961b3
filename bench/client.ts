// A client that costs almost nothing. It recognises stanzas by their text, counts the copies of each message of a room,
// and stores none.
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";

export interface ConnectOptions {
    /** Uses stream management (XEP-0198) and answers the server's requests for acknowledgements. */
    smacks?: boolean;
}

/** The answer to a join, up to the subject. */
export interface Burst {
    presences: number;
    messages: number;
}

const patience = 60_000;

/** Connects `name`, an account and a resource such as "alice/phone"; the password is the account's name. */
export async function connect(
    server: { domain: string; port: number },
    name: string,
    options: ConnectOptions = {},
): Promise<LightClient> {
    const [username = "", resource = ""] = name.split("/");
    const socket = dial(server.port, "127.0.0.1").setNoDelay().setEncoding("utf8");
    await once(socket, "connect");
    const client = new LightClient(socket, `${username}@${server.domain}/${resource}`);
    const credentials = Buffer.from(`\0${username}\0${username}`).toString("base64");
    const header =
        `<stream:stream to='${server.domain}' version='1.0' xmlns='jabber:client' ` +
        "xmlns:stream='http://etherx.jabber.org/streams'>";
    await client.ask(header, "<stream:features");
    await client.ask(
        `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${credentials}</auth>`,
        "<success",
    );
    await client.ask(header, "<stream:features");
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind>`;
    await client.ask(`<iq type='set' id='bind'>${bind}</iq>`, "<iq");
    if (options.smacks) {
        await client.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<enabled");
    }
    await client.ask("<presence/>", "<presence");
    return client;
}

export class LightClient {
    readonly jid: string;
    /** The number of the last message received. Messages of a room are numbered. */
    heard = 0;
    /** Copies that were out of order, doubled or missing. */
    readonly faults: string[] = [];
    onHeard: (() => void) | undefined;
    readonly #socket: Socket;
    #rest = "";
    #stanzas = 0;
    #onElement: ((element: string) => void) | undefined;

    constructor(socket: Socket, jid: string) {
        this.jid = jid;
        this.#socket = socket;
        socket.on("data", (text: string) => {
            this.#read(text);
        });
        socket.on("error", (error) => this.faults.push(error.message));
    }

    send(text: string): void {
        this.#socket.write(text);
    }

    /** Sends a stanza and returns the next element that begins with `start`. */
    async ask(text: string, start: string): Promise<string> {
        let answer = "";
        await this.#until(text, (element) => {
            answer = element;
            return element.startsWith(start);
        });
        return answer;
    }

    /** Resolves when this client has received everything that was sent to it before. */
    async sync(): Promise<void> {
        await this.ask("<iq type='get' id='sync'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq");
    }

    async join(room: string, nick: string): Promise<Burst> {
        const burst = { presences: 0, messages: 0 };
        let refusal: string | undefined;
        const join = `<presence to='${room}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`;
        await this.#until(join, (element) => {
            const isPresence = element.startsWith("<presence");
            burst.presences += isPresence ? 1 : 0;
            burst.messages += element.startsWith("<message") ? 1 : 0;
            refusal = isPresence && element.includes(" type='error'") ? element : undefined;
            return refusal !== undefined || (element.startsWith("<message") && element.includes("<subject"));
        });
        if (refusal !== undefined) {
            throw new Error(`${this.jid} cannot join: ${refusal}`);
        }
        return burst;
    }

    async leave(room: string, nick: string): Promise<void> {
        await this.#until(
            `<presence type='unavailable' to='${room}/${nick}'/>`,
            (element) => element.startsWith("<presence") && element.includes("'110'"),
        );
    }

    async disconnect(): Promise<void> {
        const closed = once(this.#socket, "close");
        this.#socket.end("</stream:stream>");
        await closed;
    }

    async #until(text: string, isLast: (element: string) => boolean): Promise<void> {
        await new Promise<void>((resolve, reject) => {
            const limit = setTimeout(() => {
                reject(new Error(`${this.jid}: no answer to ${text}`));
            }, patience);
            this.#onElement = (element) => {
                if (isLast(element)) {
                    clearTimeout(limit);
                    this.#onElement = undefined;
                    resolve();
                }
            };
            this.send(text);
        });
    }

    #read(text: string): void {
        const stream = this.#rest + text;
        let at = 0;
        for (let end = elementEnd(stream, at); end > 0; end = elementEnd(stream, at)) {
            this.#take(stream.slice(at, end));
            at = end;
        }
        this.#rest = stream.slice(at);
    }

    #take(element: string): void {
        if (/^<(message|presence|iq)\b/.test(element)) {
            this.#stanzas += 1;
        } else if (element.startsWith("<r ")) {
            this.send(`<a xmlns='urn:xmpp:sm:3' h='${this.#stanzas}'/>`);
        } else if (element.startsWith("<enabled ")) {
            this.#stanzas = 0;
        }
        if (isSaidNow(element)) {
            this.#hear(element);
        }
        this.#onElement?.(element);
    }

    #hear(element: string): void {
        const number = numberOf(element);
        if (number !== this.heard + 1 || !element.includes(` to='${this.jid}'`)) {
            this.faults.push(`after message ${this.heard} came ${element}`);
        }
        this.heard = number;
        this.onHeard?.();
    }
}

/** Sends a message with this body to a room. */
export function groupchat(room: string, number: number): string {
    const id = `5f0d1c2e-8a37-4b57-9c1e-${String(number).padStart(12, "0")}`;
    return (
        `<message type='groupchat' to='${room}' id='${id}'>` +
        `<body>${number} is the number of this line, which is about as long as most</body>` +
        `<origin-id xmlns='urn:xmpp:sid:0' id='${id}'/></message>`
    );
}

function numberOf(message: string): number {
    return Number.parseInt(message.slice(message.indexOf("<body>") + "<body>".length), 10);
}

/** Old messages have a delay. */
function isSaidNow(element: string): boolean {
    return element.startsWith("<message") && element.includes("<body>") && !element.includes("<delay");
}

/** Returns the end of the element that begins at `start`, or 0 if it is incomplete. Stanzas are not nested here. */
function elementEnd(stream: string, start: number): number {
    const tagEnd = stream.indexOf(">", start) + 1;
    if (tagEnd === 0) {
        return 0;
    }
    const [, name = "", closed] = /^<([^\s>]+)[^]*?(\/?)>$/.exec(stream.slice(start, tagEnd)) ?? [];
    if (name === "?xml" || name === "stream:stream" || closed === "/") {
        return tagEnd;
    }
    const end = `</${name}>`;
    const at = stream.indexOf(end, tagEnd);
    return at < 0 ? 0 : at + end.length;
}
