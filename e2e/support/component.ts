// A service whose stanzas are chosen by the test: an external component (XEP-0114), so that every stanza comes over a
// stream.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Element, xml } from "@xmpp/client";

const nsUser = "http://jabber.org/protocol/muc#user";
const nsMam = "urn:xmpp:mam:2";
const secret = "secret";

/** The configuration that lets a component of this domain connect. It follows that of the rooms. */
export function componentConfig(domain: string): string {
    return `\nComponent "${domain}"\ncomponent_secret = "${secret}"\n`;
}

/** The answer of a room's archive: for a query's id the children of the results, and `<fin/>`. */
export interface Answer {
    results: string[];
    complete?: boolean;
    last?: string;
}

export class HostileService {
    /** Received stanzas that the service does not answer. */
    readonly received: Element[] = [];
    /** The presences before the own presence, and the content of the own presence. */
    onJoin: (room: string) => { before?: string; self?: string; after?: string } = () => ({});
    /** The answer of a room's archive. Undefined: no answer. */
    onQuery: (room: string, query: Element) => Answer | undefined = () => ({ results: [], complete: true });
    /** The occupant JID and nick of each account, by room. */
    readonly occupants = new Map<string, { jid: string; nick: string }>();
    readonly domain: string;
    readonly #socket: Socket;
    readonly #wakers = new Set<() => void>();

    private constructor(domain: string, socket: Socket) {
        this.domain = domain;
        this.#socket = socket;
    }

    static async start(domain: string, port: number): Promise<HostileService> {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        const service = new HostileService(domain, socket);
        const parser = new xml.Parser();
        socket.on("data", (data) => {
            parser.write(data.toString());
        });
        socket.on("error", () => undefined);
        parser.on("error", () => undefined);
        socket.write(
            `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
        );
        const [root] = (await once(parser, "start")) as [Element];
        socket.write(
            `<handshake>${createHash("sha1")
                .update(`${root.attrs.id ?? ""}${secret}`)
                .digest("hex")}</handshake>`,
        );
        await once(parser, "element");
        parser.on("element", (element: Element) => {
            service.#receive(element);
        });
        return service;
    }

    stop(): void {
        this.#socket.destroy();
    }

    /** Sends XML. Waits while the server accepts no more. */
    async send(...stanzas: string[]): Promise<void> {
        if (!this.#socket.write(stanzas.join(""))) {
            await once(this.#socket, "drain");
        }
    }

    /** Sends a stanza from a room or an occupant to an account in the room. */
    async say(room: string, nick: string | undefined, name: string, attributes: string, content = ""): Promise<void> {
        const to = this.occupants.get(room)?.jid ?? "";
        const from = nick === undefined ? room : `${room}/${nick}`;
        await this.send(`<${name} from='${from}' to='${to}' ${attributes}>${content}</${name}>`);
    }

    /** Removes the account with status 332. It rejoins by itself. */
    async lose(room: string): Promise<void> {
        const { nick } = this.occupants.get(room) ?? { nick: "" };
        this.occupants.set(room, { jid: this.occupants.get(room)?.jid ?? "", nick });
        const x = `<x xmlns='${nsUser}'><item affiliation='none' role='none'/><status code='110'/><status code='333'/></x>`;
        await this.say(room, nick, "presence", "type='unavailable'", x);
    }

    /** Waits until a condition holds. Checks it after each received stanza. */
    async until(isSo: () => boolean): Promise<void> {
        while (!isSo()) {
            await new Promise<void>((resolve) => this.#wakers.add(resolve));
        }
    }

    #receive(stanza: Element): void {
        const { from = "", to = "", id = "", type } = stanza.attrs;
        const [room = "", nick] = to.split("/");
        if (
            stanza.name === "presence" &&
            type === undefined &&
            stanza.getChild("x", "http://jabber.org/protocol/muc")
        ) {
            void this.#letIn(room, nick ?? "", from, id);
        } else if (stanza.name === "iq" && (type === "get" || type === "set")) {
            this.#answer(room, stanza, from, to, id);
        }
        this.received.push(stanza);
        for (const wake of this.#wakers) {
            wake();
        }
        this.#wakers.clear();
    }

    async #letIn(room: string, nick: string, jid: string, id: string): Promise<void> {
        this.occupants.set(room, { jid, nick });
        const { before = "", self = "", after = "" } = this.onJoin(room);
        const x = `<x xmlns='${nsUser}'><item affiliation='none' role='participant'/><status code='110'/></x>`;
        await this.send(
            before.replaceAll("{to}", jid),
            `<presence from='${room}/${nick}' to='${jid}' id='${id}'>${self}${x}</presence>`,
            after.replaceAll("{to}", jid),
            `<message from='${room}' to='${jid}' type='groupchat'><subject/></message>`,
        );
    }

    #answer(room: string, iq: Element, from: string, to: string, id: string): void {
        const query = iq.getChild("query", nsMam);
        const answer = query === undefined ? undefined : this.onQuery(room, query);
        const queryId = query?.attrs.queryid ?? "";
        if (query !== undefined && answer !== undefined) {
            const results = answer.results.map(
                (content, n) =>
                    `<message from='${room}' to='${from}'><result xmlns='${nsMam}' queryid='${queryId}' id='r${n}'>${content}</result></message>`,
            );
            const last = answer.last === undefined ? "" : `<last>${answer.last}</last>`;
            void this.send(
                ...results,
                `<iq type='result' from='${to}' to='${from}' id='${id}'><fin xmlns='${nsMam}' complete='${String(answer.complete ?? true)}'>` +
                    `<set xmlns='http://jabber.org/protocol/rsm'>${last}</set></fin></iq>`,
            );
        } else if (query === undefined && iq.getChild("ping", "urn:xmpp:ping")) {
            void this.send(`<iq type='result' from='${to}' to='${from}' id='${id}'/>`);
        } else if (query === undefined) {
            void this.send(
                `<iq type='error' from='${to}' to='${from}' id='${id}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
            );
        }
    }
}

/** Returns the content of an archive result. */
export function forwarded(message: string, stamp: string): string {
    return `<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='${stamp}'/>${message}</forwarded>`;
}
