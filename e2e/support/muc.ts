// Actions of a client in a room (XEP-0045).
import { type Client, type CollectOptions, type Element, type Match, matches, StanzaError, xml } from "./client.ts";

const nsMuc = "http://jabber.org/protocol/muc";
const nsOwner = `${nsMuc}#owner`;
const nsAdmin = `${nsMuc}#admin`;

export interface JoinOptions {
    password?: string;
    /** Attributes of `<history/>`: maxstanzas, maxchars, seconds, since. */
    history?: Record<string, string>;
    id?: string;
    /** Children of the presence besides `<x/>`. */
    payload?: Element[];
    timeout?: number;
}

/** Joins and returns all stanzas of the room, up to and including the subject. Rejects with a StanzaError. */
export async function join(client: Client, room: string, nick: string, options: JoinOptions = {}): Promise<Element[]> {
    const { password, history, id = client.newId(), payload = [], timeout } = options;
    const x = xml("x", { xmlns: nsMuc }, history && xml("history", history), password && xml("password", {}, password));
    const since = client.received.length;
    await client.send(xml("presence", { to: `${room}/${nick}`, id }, x, ...payload));
    const what = `the subject of ${room}, or an error`;
    return answered(client, room, isSubject, { since, what, ...(timeout !== undefined && { timeout }) });
}

/** Joins. If this creates the room, unlocks it with the fields of the configuration form. */
export async function create(client: Client, room: string, nick: string, form: Form = {}): Promise<Element[]> {
    const stanzas = await join(client, room, nick);
    await configure(client, room, form);
    return stanzas;
}

/** Leaves and returns the room's confirmation. */
export async function leave(client: Client, room: string, nick: string, status?: string): Promise<Element> {
    const presence = xml("presence", { to: `${room}/${nick}`, type: "unavailable", id: client.newId() });
    if (status !== undefined) {
        presence.append(xml("status", {}, status));
    }
    await client.send(presence);
    return client.expect({ name: "presence", type: "unavailable", room, status: "110" });
}

/** Changes the nick and returns the room's stanzas up to the confirmation. Rejects with a StanzaError. */
export async function changeNick(client: Client, room: string, nick: string): Promise<Element[]> {
    const since = client.received.length;
    await client.send(xml("presence", { to: `${room}/${nick}`, id: client.newId() }));
    const own: Match = { name: "presence", type: undefined, from: `${room}/${nick}`, status: "110" };
    return answered(client, room, own, { since, what: `the nick ${nick} in ${room}, or an error` });
}

/** Sends a groupchat message and returns its id. Use expect() to wait for the room's copy. */
export async function groupchat(client: Client, room: string, body: string, ...payload: Element[]): Promise<string> {
    const id = client.newId();
    await client.send(xml("message", { to: room, type: "groupchat", id }, xml("body", {}, body), ...payload));
    return id;
}

export async function setSubject(client: Client, room: string, subject: string): Promise<Element> {
    await client.send(xml("message", { to: room, type: "groupchat", id: client.newId() }, xml("subject", {}, subject)));
    return client.expect({ name: "message", type: "groupchat", room, subject });
}

export async function privateMessage(client: Client, room: string, nick: string, body: string): Promise<string> {
    const id = client.newId();
    const x = xml("x", { xmlns: `${nsMuc}#user` });
    await client.send(xml("message", { to: `${room}/${nick}`, type: "chat", id }, xml("body", {}, body), x));
    return id;
}

export async function setRole(
    client: Client,
    room: string,
    nick: string,
    role: string,
    reason?: string,
): Promise<void> {
    await administer(client, room, { nick, role }, reason);
}

export async function setAffiliation(
    client: Client,
    room: string,
    jid: string,
    affiliation: string,
    reason?: string,
): Promise<void> {
    await administer(client, room, { jid, affiliation }, reason);
}

export async function kick(client: Client, room: string, nick: string, reason?: string): Promise<void> {
    await setRole(client, room, nick, "none", reason);
}

export async function ban(client: Client, room: string, jid: string, reason?: string): Promise<void> {
    await setAffiliation(client, room, jid, "outcast", reason);
}

export type Form = Record<string, string | string[]>;

/** Submits the owner's configuration form. An empty form creates an instant room. */
export async function configure(client: Client, room: string, form: Form = {}): Promise<void> {
    const fields = Object.entries(form).map(([name, value]) => field(`muc#roomconfig_${name}`, [value].flat()));
    const x = xml(
        "x",
        { xmlns: "jabber:x:data", type: "submit" },
        field("FORM_TYPE", [`${nsMuc}#roomconfig`]),
        ...fields,
    );
    await client.iq("set", room, xml("query", { xmlns: nsOwner }, x));
}

export async function destroy(client: Client, room: string, alternate?: string, reason?: string): Promise<void> {
    const element = xml("destroy", { jid: alternate }, reason && xml("reason", {}, reason));
    await client.iq("set", room, xml("query", { xmlns: nsOwner }, element));
}

export function isSubject(stanza: Element): boolean {
    return stanza.name === "message" && stanza.getChild("subject") !== undefined && !stanza.getChild("body");
}

async function administer(
    client: Client,
    room: string,
    attributes: Record<string, string>,
    reason: string | undefined,
): Promise<void> {
    const item = xml("item", attributes, reason && xml("reason", {}, reason));
    await client.iq("set", room, xml("query", { xmlns: nsAdmin }, item));
}

function field(name: string, values: string[]): Element {
    return xml("field", { var: name }, ...values.map((value) => xml("value", {}, value)));
}

/** Returns the room's stanzas up to `last`. Rejects if the room refuses the request. */
async function answered(client: Client, room: string, last: Match, options: CollectOptions): Promise<Element[]> {
    const isEnd = (stanza: Element) => matches(stanza, { room }) && (isRefusal(stanza) || matches(stanza, last));
    const stanzas = await client.collect({ room }, isEnd, options);
    const end = stanzas.at(-1);
    if (end !== undefined && isRefusal(end)) {
        throw new StanzaError(end);
    }
    return stanzas;
}

function isRefusal({ name, attrs }: Element): boolean {
    return name === "presence" && attrs.type === "error";
}
