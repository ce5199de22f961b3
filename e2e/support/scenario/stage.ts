// A server and its clients, on which scenarios are played step by step.
import { setTimeout } from "node:timers/promises";
import { bare, type Client, connect, type Element, xml } from "../client.ts";
import type { Server } from "../prosody.ts";
import type { Answer } from "./model.ts";
import { isConnectionStep, type Step, stanzaOf } from "./steps.ts";

const returnLimit = 60_000;
/** Some joins get no answer that ends them, such as those of a nick in use by the account itself. */
const answerLimit = 3000;

export interface Stage {
    readonly server: Server;
    /** Connected clients, by session. */
    readonly clients: Map<string, Client>;
    /** Clients with a lost connection, and the number of stanzas that they had received until then. */
    readonly asleep: Map<string, { client: Client; count: number }>;
    readonly withSmacks: ReadonlySet<string>;
    /** Sessions that have enabled carbons (XEP-0280). */
    readonly withCarbons: ReadonlySet<string>;
    /** Whether accounts outlive their clients on this side. */
    readonly outlives: boolean;
}

/** Requests of sessions to the server: stream management, carbons. */
export interface Wishes {
    readonly withSmacks?: readonly string[];
    readonly withCarbons?: readonly string[];
}

export function openStage(server: Server, outlives: boolean, { withSmacks, withCarbons }: Wishes = {}): Stage {
    return {
        server,
        outlives,
        clients: new Map(),
        asleep: new Map(),
        withSmacks: new Set(withSmacks),
        withCarbons: new Set(withCarbons),
    };
}

/** Returns the id of a step's stanza. It is the same on every server. */
export function idOf(number: number): string {
    return `step-${number}`;
}

/** Plays a step. Returns the stanzas of each client that is connected afterwards, in order. */
export async function perform(stage: Stage, step: Step, number: number): Promise<Map<string, Element[]>> {
    const before = new Map([...stage.clients.values()].map((client) => [client, client.received.length]));
    for (const { client, count } of stage.asleep.values()) {
        before.set(client, count);
    }
    try {
        await act(stage, step, idOf(number));
        await settle(stage, step.who);
    } catch (error) {
        throw new Error(`step ${number}, ${JSON.stringify(step)}`, { cause: error });
    }
    return new Map(
        [...stage.clients].map(([name, client]) => {
            client.take();
            return [name, client.received.slice(before.get(client) ?? 0)];
        }),
    );
}

/** Ends all connections. */
export async function clear({ server, clients, asleep }: Stage): Promise<void> {
    for (const { client } of asleep.values()) {
        await server.eval(`prosody.full_sessions["${client.jid}"]:close()`);
    }
    await Promise.all([...clients.values()].map((client) => client.disconnect()));
    clients.clear();
}

/** Returns the answer that the acting session of a step got. */
export function answerIn(received: readonly Element[], number: number): Answer {
    const answers = received.filter(({ attrs }) => attrs.id === idOf(number)).map(({ attrs }) => attrs.type);
    return answers.includes("error") ? "error" : answers.includes("result") ? "result" : "none";
}

async function act(stage: Stage, step: Step, id: string): Promise<void> {
    if (step.does === "connect") {
        stage.clients.set(step.who, await enter(stage, step.who));
        return;
    }
    if (step.does === "resume") {
        await wake(stage, step.who);
        return;
    }
    if (step.does === "restart") {
        await restart(stage, step.returning);
        return;
    }
    const client = stage.clients.get(step.who);
    if (client === undefined) {
        throw new Error(`${step.who} is not connected`);
    }
    if (step.does === "close" || step.does === "drop") {
        stage.clients.delete(step.who);
        await (step.does === "close" ? client.disconnect() : client.drop());
        await until(stage.server, `full_sessions["${client.jid}"] == nil`);
        return;
    }
    if (step.does === "lose") {
        stage.clients.delete(step.who);
        await client.drop();
        stage.asleep.set(step.who, { client, count: client.received.length });
        await until(stage.server, `full_sessions["${client.jid}"].hibernating`);
        return;
    }
    const stanza = stanzaOf(step, id, client.received);
    const before = client.received.length;
    await (stanza.name === "iq" && !isConnectionStep(step) ? client.ask(stanza) : client.send(stanza));
    if (step.does === "join") {
        await answered(client, step.room, id, before);
    }
}

/** Returns when a join is answered. A busy server may send the answer in parts, and other stanzas in between. */
async function answered(client: Client, room: string, id: string, before: number): Promise<void> {
    const isLast = (stanza: Element) =>
        (stanza.attrs.type === "error" && stanza.attrs.id === id) ||
        (bare(stanza.attrs.from ?? "") === room &&
            stanza.getChild("subject") !== undefined &&
            stanza.getChild("body") === undefined);
    const limit = Date.now() + answerLimit;
    while (!client.received.slice(before).some((stanza) => isLast(stanza)) && Date.now() < limit) {
        await setTimeout(1);
    }
}

async function enter({ server, withSmacks, withCarbons }: Stage, session: string): Promise<Client> {
    server.register(session.replace(/\/.*/, ""));
    const client = await connect(server, session, { smacks: withSmacks.has(session) });
    const xmlns = "jabber:iq:version";
    client.answer("get", "query", xmlns, () => xml("query", { xmlns }, xml("name", {}, `Client of ${session}`)));
    client.answer("get", "ping", "urn:xmpp:ping", () => undefined);
    if (withCarbons.has(session)) {
        await client.iq("set", undefined, xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
    }
    return client;
}

async function wake({ clients, asleep }: Stage, session: string): Promise<void> {
    const client = asleep.get(session)?.client;
    if (client === undefined || !(await client.resume())) {
        throw new Error(`${session} cannot be resumed`);
    }
    asleep.delete(session);
    clients.set(session, client);
}

/** Ends all sessions. Waits until each account has got its own presence from every room. */
async function restart(stage: Stage, returning: Record<string, string>): Promise<void> {
    const { server, clients, asleep, outlives } = stage;
    const disconnected = [...clients.values()].map((client) => client.disconnected());
    await Promise.all([server.restart(), ...disconnected]);
    clients.clear();
    asleep.clear();
    const missing = new Set(outlives ? Object.keys(returning) : []);
    const limit = Date.now() + returnLimit;
    while (missing.size > 0) {
        for (const { name, from, to } of await server.arrivals()) {
            if (name === "presence" && returning[from] === bare(to)) {
                missing.delete(from);
            }
        }
        if (Date.now() > limit) {
            throw new Error(`not back: ${[...missing].join()}`);
        }
        await setTimeout(20);
    }
}

/** Returns when a condition holds in the server. */
async function until(server: Server, condition: string): Promise<void> {
    while (!(await server.eval(`return not not (prosody.${condition})`))) {
        await setTimeout(1);
    }
}

/** Returns when all results of the actor's step have arrived at all clients. Local rooms answer at once. */
async function settle({ clients }: Stage, actor: string): Promise<void> {
    await clients.get(actor)?.sync();
    await Promise.all([...clients].filter(([name]) => name !== actor).map(([, client]) => client.sync()));
}
