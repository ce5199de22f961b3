// Where scenarios are played: a server and its clients, one step after the other.
import { setTimeout } from "node:timers/promises";
import { type Client, connect, type Element, xml } from "../client.ts";
import type { Server } from "../prosody.ts";
import type { Answer } from "./model.ts";
import { isConnectionStep, type Step, stanzaOf } from "./steps.ts";

export interface Stage {
    readonly server: Server;
    /** Connected clients, by session. */
    readonly clients: Map<string, Client>;
    /** Sessions that ask for copies of their account's messages (XEP-0280). */
    readonly withCarbons: ReadonlySet<string>;
}

export function openStage(server: Server, withCarbons: string[] = []): Stage {
    return { server, clients: new Map(), withCarbons: new Set(withCarbons) };
}

/** The id of a step's stanza; it is the same on every server. */
export function idOf(number: number): string {
    return `step-${number}`;
}

/** Does a step and gives what each client that is connected afterwards has got meanwhile, in order. */
export async function perform(stage: Stage, step: Step, number: number): Promise<Map<string, Element[]>> {
    const before = new Map([...stage.clients.values()].map((client) => [client, client.received.length]));
    await act(stage, step, idOf(number));
    await settle(stage, step.who);
    return new Map(
        [...stage.clients].map(([name, client]) => {
            client.take();
            return [name, client.received.slice(before.get(client) ?? 0)];
        }),
    );
}

/** Ends all connections. */
export async function clear({ clients }: Stage): Promise<void> {
    await Promise.all([...clients.values()].map((client) => client.disconnect()));
    clients.clear();
}

/** What the one who did a step got in reply. */
export function answerIn(received: readonly Element[], number: number): Answer {
    const answers = received.filter(({ attrs }) => attrs.id === idOf(number)).map(({ attrs }) => attrs.type);
    return answers.includes("error") ? "error" : answers.includes("result") ? "result" : "none";
}

async function act(stage: Stage, step: Step, id: string): Promise<void> {
    if (step.does === "connect") {
        stage.clients.set(step.who, await enter(stage, step.who));
        return;
    }
    const client = stage.clients.get(step.who);
    if (client === undefined) {
        throw new Error(`${step.who} is not connected`);
    }
    if (step.does === "close" || step.does === "drop") {
        stage.clients.delete(step.who);
        await (step.does === "close" ? client.disconnect() : client.drop());
        await gone(stage.server, client);
        return;
    }
    const stanza = stanzaOf(step, id, client.received);
    await (stanza.name === "iq" && !isConnectionStep(step) ? client.ask(stanza) : client.send(stanza));
}

async function enter({ server, withCarbons }: Stage, session: string): Promise<Client> {
    const client = await connect(server, session);
    const xmlns = "jabber:iq:version";
    client.answer("get", "query", xmlns, () => xml("query", { xmlns }, xml("name", {}, `Client of ${session}`)));
    client.answer("get", "ping", "urn:xmpp:ping", () => undefined);
    if (withCarbons.has(session)) {
        await client.iq("set", undefined, xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
    }
    return client;
}

async function gone(server: Server, { jid }: Client): Promise<void> {
    while (await server.eval(`return prosody.full_sessions["${jid}"] ~= nil`)) {
        await setTimeout(1);
    }
}

/** Returns when all that came of what the actor did has arrived everywhere: rooms of the server answer at once. */
async function settle({ clients }: Stage, actor: string): Promise<void> {
    await clients.get(actor)?.sync();
    await Promise.all([...clients].filter(([name]) => name !== actor).map(([, client]) => client.sync()));
}
