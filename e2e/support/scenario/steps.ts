// The steps of scenarios as plain data, and the stanza of each step.
import { type Element, xml } from "../client.ts";

const nsMuc = "http://jabber.org/protocol/muc";
const nsUser = `${nsMuc}#user`;
const nsAdmin = `${nsMuc}#admin`;
const nsOwner = `${nsMuc}#owner`;
const nsForm = "jabber:x:data";
const nsRegister = "jabber:iq:register";
const nsHints = "urn:xmpp:hints";

export type Affiliation = "owner" | "admin" | "member" | "none" | "outcast";
export type Role = "moderator" | "participant" | "visitor" | "none";

/** The content of a presence. */
export interface Shows {
    show?: string;
    status?: string;
    /** XEP-0172, as an example of additions by clients. */
    name?: string;
}

export type Form = Record<string, string | string[]>;

/** Steps of a client on its own connection, and failures of all connections. */
type ConnectionStep =
    | { does: "connect" | "close" | "drop" | "lose" | "resume" | "unavailable" | "available" }
    /** The server restarts. Accounts rejoin by themselves. `returning`: the account of each occupant address. */
    | { does: "restart"; returning: Record<string, string> };

type RoomStep =
    | {
          does: "join";
          nick: string;
          shows: Shows;
          password?: string | undefined;
          history?: Record<string, string> | undefined;
      }
    | { does: "leave"; nick: string; status?: string | undefined }
    | { does: "show" | "rename"; nick: string; shows: Shows }
    | { does: "say"; text: string; payload: Payload }
    | { does: "whisper"; nick: string; text: string; type: "chat" | "normal" | "headline"; invites?: boolean }
    | { does: "probe"; nick: string }
    | { does: "register"; nick: string }
    | { does: "unregister" }
    | { does: "subject"; text: string }
    | { does: "role"; nick: string; role: Role; reason?: string | undefined }
    | { does: "affiliation"; account: string; affiliation: Affiliation; reason?: string | undefined }
    | { does: "configure"; form: Form }
    | { does: "destroy"; reason?: string | undefined }
    | { does: "ask"; nick?: string | undefined; about: Question }
    | { does: "invite" | "directInvite" | "decline"; account: string }
    | { does: "requestVoice" | "grantVoice" };

export type Step = { who: string } & (ConnectionStep | (RoomStep & { room: string }));

/** Differences of the module from plain MUC. Scenarios avoid these steps. The list should become empty. */
export const waitingForSource = {
    /** A session that joins gets the account's older presence, and then an update (J2). */
    oneOwnPresence: false,
    /** The own item has the occupant JID in place of the session's (R1). */
    ownJids: false,
    /** After a restart an account shows something else than before (P1). */
    presenceAfterRestart: false,
    /** Presence of type `probe` is refused (C2). */
    probes: false,
    /** Presence of type `unavailable` in the answer to a join is dropped (J2). */
    offlineMembers: false,
    /** A direct invitation in a private message goes to sessions that are not in the room (C6). */
    invitationsInPrivate: false,
    /** A password that a client used after the account's join is forgotten at a restart (P7). */
    laterPasswords: false,
};

const payloads = {
    plain: () => [],
    "chat state": () => [xml("active", { xmlns: "http://jabber.org/protocol/chatstates" })],
    correction: () => [xml("replace", { xmlns: "urn:xmpp:message-correct:0", id: "step-1" })],
    markable: () => [
        xml("markable", { xmlns: "urn:xmpp:chat-markers:0" }),
        xml("origin-id", { xmlns: "urn:xmpp:sid:0", id: "an-origin" }),
    ],
    encrypted: () => [
        xml(
            "encrypted",
            { xmlns: "eu.siacs.conversations.axolotl" },
            xml("header", { sid: "27183" }, xml("key", { rid: "31415", prekey: "true" }, "BASE64/+=")),
            xml("payload", {}, "BASE64/+="),
        ),
        xml("encryption", { xmlns: "urn:xmpp:eme:0", name: "OMEMO", namespace: "eu.siacs.conversations.axolotl" }),
        xml("store", { xmlns: nsHints }),
    ],
    "not to be kept": () => [xml("no-store", { xmlns: nsHints }), xml("no-copy", { xmlns: nsHints })],
    thread: () => [xml("thread", { parent: "older" }, "a-thread")],
    reply: () => [
        xml("reply", { xmlns: "urn:xmpp:reply:0", to: "room@rooms.example/Someone", id: "step-1" }),
        xml(
            "fallback",
            { xmlns: "urn:xmpp:fallback:0", for: "urn:xmpp:reply:0" },
            xml("body", { start: "0", end: "4" }),
        ),
    ],
    file: () => [xml("x", { xmlns: "jabber:x:oob" }, xml("url", {}, "https://files.example/a?b=1&c=2"))],
    "subject too": () => [xml("subject", {}, "a headline")],
    "delay of its own": () => [
        xml("delay", { xmlns: "urn:xmpp:delay", from: "gateway.example", stamp: "2024-01-01T00:00:00Z" }),
    ],
    "false stanza id": () => [xml("stanza-id", { xmlns: "urn:xmpp:sid:0", id: "false", by: "elsewhere.example" })],
    "much of it": () => [xml("body", { "xml:lang": "la" }, "et cetera ".repeat(500))],
    html: () => [
        xml(
            "html",
            { xmlns: "http://jabber.org/protocol/xhtml-im" },
            xml("body", { xmlns: "http://www.w3.org/1999/xhtml" }, "before", xml("b", {}, " & <bold> "), "after"),
        ),
    ],
} satisfies Record<string, () => Element[]>;

/** Payload of messages without a body. */
const bodiless = {
    composing: () => [xml("composing", { xmlns: "http://jabber.org/protocol/chatstates" })],
    reaction: () => [
        xml("reactions", { xmlns: "urn:xmpp:reactions:0", id: "step-1" }, xml("reaction", {}, "👋🏽")),
        xml("store", { xmlns: nsHints }),
    ],
    retraction: () => [
        xml("retract", { xmlns: "urn:xmpp:message-retract:1", id: "step-1" }),
        xml("store", { xmlns: nsHints }),
    ],
    marker: () => [xml("displayed", { xmlns: "urn:xmpp:chat-markers:0", id: "step-1" })],
} satisfies Record<string, () => Element[]>;

export type Payload = keyof typeof payloads | keyof typeof bodiless;
export const allPayloads = Object.keys({ ...payloads, ...bodiless }) as Payload[];

export function hasBody(payload: Payload): boolean {
    return payload in payloads;
}

const questions = {
    info: ["get", () => xml("query", { xmlns: "http://jabber.org/protocol/disco#info" })],
    items: ["get", () => xml("query", { xmlns: "http://jabber.org/protocol/disco#items" })],
    "reserved nick": [
        "get",
        () => xml("query", { xmlns: "http://jabber.org/protocol/disco#info", node: "x-roomuser-item" }),
    ],
    ping: ["get", () => xml("ping", { xmlns: "urn:xmpp:ping" })],
    version: ["get", () => xml("query", { xmlns: "jabber:iq:version" })],
    vcard: ["get", () => xml("vCard", { xmlns: "vcard-temp" })],
    unknown: ["set", () => xml("query", { xmlns: "urn:example:unknown" }, "text")],
    configuration: ["get", () => xml("query", { xmlns: nsOwner })],
    registration: ["get", () => xml("query", { xmlns: "jabber:iq:register" })],
    members: ["get", () => xml("query", { xmlns: nsAdmin }, xml("item", { affiliation: "member" }))],
    owners: ["get", () => xml("query", { xmlns: nsAdmin }, xml("item", { affiliation: "owner" }))],
    participants: ["get", () => xml("query", { xmlns: nsAdmin }, xml("item", { role: "participant" }))],
    moderators: ["get", () => xml("query", { xmlns: nsAdmin }, xml("item", { role: "moderator" }))],
    outcasts: ["get", () => xml("query", { xmlns: nsAdmin }, xml("item", { affiliation: "outcast" }))],
    "several changes": [
        "set",
        () =>
            xml(
                "query",
                { xmlns: nsAdmin },
                ...["one", "two"].map((name) => xml("item", { jid: `${name}@a.lab`, affiliation: "member" })),
            ),
    ],
    // XEP-0486
    avatar: [
        "set",
        () =>
            xml(
                "vCard",
                { xmlns: "vcard-temp" },
                xml("PHOTO", {}, xml("TYPE", {}, "image/png"), xml("BINVAL", {}, "QUJD")),
            ),
    ],
    // XEP-0425
    moderation: [
        "set",
        () =>
            xml(
                "moderate",
                { xmlns: "urn:xmpp:message-moderate:1", id: "an-id" },
                xml("retract", { xmlns: "urn:xmpp:message-retract:1" }),
            ),
    ],
    archive: [
        "set",
        () =>
            xml(
                "query",
                { xmlns: "urn:xmpp:mam:2", queryid: "a-query" },
                xml("set", { xmlns: "http://jabber.org/protocol/rsm" }, xml("max", {}, "3"), xml("before")),
            ),
    ],
} satisfies Record<string, ["get" | "set", () => Element]>;

export type Question = keyof typeof questions;

/** Queries to a room, and to an occupant. */
export const questionsToRooms: Question[] = [
    "info",
    "items",
    "reserved nick",
    "configuration",
    "registration",
    "members",
    "owners",
    "participants",
    "moderators",
    "outcasts",
    "several changes",
    "vcard",
    "avatar",
    "moderation",
    "archive",
];
export const questionsToOccupants: Question[] = ["info", "ping", "version", "vcard", "unknown"];

export function isConnectionStep(step: Step): step is { who: string } & ConnectionStep {
    return !("room" in step);
}

/** Returns the stanza of a step, except for joins and leaves. `received` has the client's stanzas so far. */
export function stanzaOf(step: Step, id: string, received: readonly Element[]): Element {
    switch (step.does) {
        case "connect":
        case "close":
        case "drop":
        case "lose":
        case "resume":
        case "restart":
            throw new Error(`${step.does} is no stanza`);
        case "available":
            return xml("presence");
        case "unavailable":
            return xml("presence", { type: "unavailable" });
        case "join":
            return presence(step, id, step.shows, joinElement(step.password, step.history));
        case "show":
        case "rename":
            return presence(step, id, step.shows);
        case "leave":
            return xml(
                "presence",
                { to: `${step.room}/${step.nick}`, type: "unavailable", id },
                step.status !== undefined && xml("status", {}, step.status),
            );
        case "say":
            return xml("message", { to: step.room, type: "groupchat", id }, ...content(step.text, step.payload));
        case "whisper":
            return xml(
                "message",
                { to: `${step.room}/${step.nick}`, type: step.type, id },
                xml("body", {}, step.text),
                step.invites && xml("x", { xmlns: "jabber:x:conference", jid: step.room, reason: "tea" }),
                xml("x", { xmlns: nsUser }),
            );
        case "probe":
            return xml("presence", { to: `${step.room}/${step.nick}`, type: "probe", id });
        case "register": {
            const form = submission(`${nsMuc}#register`, { "muc#register_roomnick": step.nick });
            return iq(step.room, id, "set", xml("query", { xmlns: nsRegister }, form));
        }
        case "unregister":
            return iq(step.room, id, "set", xml("query", { xmlns: nsRegister }, xml("remove")));
        case "subject":
            return xml("message", { to: step.room, type: "groupchat", id }, xml("subject", {}, step.text));
        case "role":
            return admin(step, id, { nick: step.nick, role: step.role }, step.reason);
        case "affiliation":
            return admin(step, id, { jid: step.account, affiliation: step.affiliation }, step.reason);
        case "configure":
            return iq(
                step.room,
                id,
                "set",
                xml("query", { xmlns: nsOwner }, submission(`${nsMuc}#roomconfig`, step.form)),
            );
        case "destroy":
            return iq(step.room, id, "set", xml("query", { xmlns: nsOwner }, xml("destroy", {}, reasonOf(step))));
        case "ask": {
            const [type, query] = questions[step.about];
            return iq(step.nick === undefined ? step.room : `${step.room}/${step.nick}`, id, type, query());
        }
        case "invite":
        case "decline":
            return xml(
                "message",
                { to: step.room, id },
                xml("x", { xmlns: nsUser }, xml(step.does, { to: step.account }, xml("reason", {}, "tea"))),
            );
        case "directInvite":
            return xml(
                "message",
                { to: step.account, id },
                xml("x", { xmlns: "jabber:x:conference", jid: step.room, reason: "tea" }),
            );
        case "requestVoice":
            return xml("message", { to: step.room, id }, submission(`${nsMuc}#request`, { "muc#role": "participant" }));
        case "grantVoice":
            return xml("message", { to: step.room, id }, approval(received));
    }
}

function presence(step: Step & { room: string; nick: string }, id: string, shows: Shows, x?: Element): Element {
    const { show, status, name } = shows;
    return xml(
        "presence",
        { to: `${step.room}/${step.nick}`, id },
        show !== undefined && xml("show", {}, show),
        status !== undefined && xml("status", {}, status),
        name !== undefined && xml("nick", { xmlns: "http://jabber.org/protocol/nick" }, name),
        x,
    );
}

function joinElement(password: string | undefined, history: Record<string, string> | undefined): Element {
    return xml(
        "x",
        { xmlns: nsMuc },
        history && xml("history", history),
        password !== undefined && xml("password", {}, password),
    );
}

function content(text: string, payload: Payload): Element[] {
    return payload in payloads
        ? [xml("body", {}, text), ...payloads[payload as keyof typeof payloads]()]
        : bodiless[payload as keyof typeof bodiless]();
}

function admin(
    step: { room: string },
    id: string,
    attributes: Record<string, string>,
    reason: string | undefined,
): Element {
    return iq(step.room, id, "set", xml("query", { xmlns: nsAdmin }, xml("item", attributes, reasonOf({ reason }))));
}

function reasonOf({ reason }: { reason?: string | undefined }): Element | undefined {
    return reason === undefined ? undefined : xml("reason", {}, reason);
}

function iq(to: string, id: string, type: string, payload: Element): Element {
    return xml("iq", { to, id, type }, payload);
}

function submission(type: string, form: Form): Element {
    const fields = Object.entries({ FORM_TYPE: type, ...form }).map(([name, values]) =>
        xml("field", { var: name }, ...[values].flat().map((value) => xml("value", {}, value))),
    );
    return xml("x", { xmlns: nsForm, type: "submit" }, ...fields);
}

/** Grants the last voice request. Its fields are returned unchanged (XEP-0045 8.6). */
function approval(received: readonly Element[]): Element | undefined {
    const request = received.findLast((stanza) => stanza.name === "message" && isVoiceRequest(stanza));
    const fields = request?.getChild("x", nsForm)?.getChildren("field") ?? [];
    const form = fields.map((field): [string, string] => [field.attrs.var ?? "", field.getChildText("value") ?? ""]);
    return submission(`${nsMuc}#request`, { ...Object.fromEntries(form), "muc#request_allow": "true" });
}

function isVoiceRequest(stanza: Element): boolean {
    const form = stanza.getChild("x", nsForm);
    return form?.getChildren("field").some((field) => field.getChildText("value") === `${nsMuc}#request`) ?? false;
}
