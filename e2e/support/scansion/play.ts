// Plays a script of scansion on a server.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bare, type Element, xml } from "../client.ts";
import type { Server } from "../prosody.ts";
import { matchesScript } from "./match.ts";
import { type Action, type Actor, parseScript, type Script } from "./script.ts";
import { openStream, type Stream } from "./stream.ts";

/** The folder into which tools/setup unpacks the scripts. */
export const scriptFolder = fileURLToPath(new URL("../../../.build/scansion", import.meta.url));

const nsMucUser = "http://jabber.org/protocol/muc#user";

interface PlayOptions {
    /** The server runs mod_minimix with this `minimix_resource`. */
    readonly occupantResource?: string | undefined;
}

interface Play extends PlayOptions {
    readonly server: Server;
    readonly script: Script;
    readonly streams: Map<string, Stream>;
}

/** Rejects with the line of the script at which the server's stanzas differ. */
export async function playScript(server: Server, name: string, options: PlayOptions = {}): Promise<void> {
    const script = parseScript(readFileSync(`${scriptFolder}/${name}.scs`, "utf8"));
    const play: Play = { ...options, server, script, streams: new Map() };
    try {
        for (const action of script.actions) {
            await act(play, action).catch((cause: unknown) => {
                const reason = cause instanceof Error ? cause.message : String(cause);
                throw new Error(`${name}.scs:${action.line}: ${action.actor} ${action.does}: ${reason}`, { cause });
            });
        }
    } finally {
        await Promise.all([...play.streams.values()].map((stream) => stream.close()));
    }
}

async function act(play: Play, { actor, does, xml: text }: Action): Promise<void> {
    if (does === "connects") {
        play.streams.set(actor, await logIn(play, actor));
        return;
    }
    const stream = play.streams.get(actor);
    if (does === "disconnects") {
        await stream?.close();
        return;
    }
    if (stream === undefined) {
        throw new Error("not connected");
    }
    const stanzas = parseStanzas(fillIn(play, text));
    await (does === "sends" ? send(stream, stanzas) : receive(stream, withOccupantJids(play, stanzas, stream.jid)));
}

async function logIn({ server, script }: Play, name: string): Promise<Stream> {
    const { jid, password } = actorNamed(script, name);
    const [, username = "", domain = "", resource] = /^(.*?)@(.*?)(?:\/(.*))?$/.exec(jid) ?? [];
    return openStream(server.port, { username, domain, password, resource });
}

function actorNamed({ actors }: Script, name: string): Actor {
    const actor = actors.find((candidate) => candidate.name === name);
    if (actor === undefined) {
        throw new Error("no such client");
    }
    return actor;
}

/** One stanza after the other, so that the stanzas of two clients are in the order of the script. */
async function send(stream: Stream, stanzas: Element[]): Promise<void> {
    for (const stanza of stanzas) {
        if (stanza.name === "iq") {
            stanza.attrs.id ??= "an-id";
        }
        stream.send(stanza);
    }
    await stream.sync();
}

/** Several stanzas may come in any order. Others may come before and between them. */
async function receive(stream: Stream, stanzas: Element[]): Promise<void> {
    const missing = [...stanzas];
    const skipped: Element[] = [];
    while (missing.length > 0) {
        const received = await stream.next().catch((cause: unknown) => {
            throw new Error(`no ${missing.join(" and no ")}; received: ${skipped.join("\n") || "nothing"}`, { cause });
        });
        const index = missing.findIndex((expected) => matchesScript(expected, received));
        if (index < 0) {
            skipped.push(received);
        } else {
            missing.splice(index, 1);
        }
    }
}

/** `${Romeo's full JID}` is the full JID that the server has bound. */
function fillIn({ script, streams }: Play, text: string): string {
    return text.replace(/\$\{(.*?)'s (full )?JID\}/g, (_, name: string, full: string | undefined) => {
        const { jid } = actorNamed(script, name);
        return full === undefined ? bare(jid) : (streams.get(name)?.jid ?? jid);
    });
}

/** A room shows the occupant JID of another account. Without the module it would show a session's full JID. */
function withOccupantJids({ streams, occupantResource }: Play, stanzas: Element[], receiver: string): Element[] {
    if (occupantResource !== undefined) {
        const others = [...streams.values()].map(({ jid }) => jid).filter((jid) => bare(jid) !== bare(receiver));
        for (const element of stanzas.flatMap(descendants)) {
            const jid = element.attrs.jid ?? "";
            if (element.getNS() === nsMucUser && others.includes(jid)) {
                element.attrs.jid = `${bare(jid)}/${occupantResource}`;
            }
        }
    }
    return stanzas;
}

function descendants(element: Element): Element[] {
    return element.getChildElements().flatMap((child) => [child, ...descendants(child)]);
}

function parseStanzas(text: string): Element[] {
    const stanzas: Element[] = [];
    const parser = new xml.Parser();
    parser.on("error", (error: Error) => {
        throw error;
    });
    parser.on("element", (element: Element) => stanzas.push(withoutIndentation(element)));
    parser.write(`<stream xmlns="jabber:client">${text}</stream>`);
    return stanzas;
}

function withoutIndentation(element: Element): Element {
    const children = element.getChildElements();
    if (children.length > 0) {
        element.children = children.map(withoutIndentation);
    }
    return element;
}
