// O3: an anonymous host with several room services, as web chats and conferences run it. Two guests meet in a room of the
// same name on each service, and get the same with mod_minimix as without it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client as anonymousClient, type Element, xml } from "@xmpp/client";
import { bare, streamManaged } from "./support/client.ts";
import { eventually } from "./support/outlive.ts";
import { type Server, startServer, type Version, versions } from "./support/prosody.ts";

const nsMuc = "http://jabber.org/protocol/muc";
const services = ["rooms.guest.example", "breakout.guest.example", "lobby.guest.example"];

interface Guest {
    readonly received: Element[];
    send(stanza: Element): Promise<void>;
    /** Waits for a stanza of a room. */
    until(room: string, isWanted: (stanza: Element) => boolean): Promise<void>;
    stop(): Promise<void>;
}

async function enter(server: Server): Promise<Guest> {
    const client = anonymousClient({ service: `xmpp://127.0.0.1:${server.port}`, domain: server.domain });
    const received: Element[] = [];
    client.reconnect.stop();
    client.on("error", () => undefined);
    client.on("stanza", (stanza: Element) => received.push(stanza));
    await Promise.all([client.start(), streamManaged(client)]);
    return {
        received,
        send: (stanza) => client.send(stanza),
        until: async (room, isWanted) => {
            const isThere = (stanza: Element) => bare(stanza.attrs.from ?? "") === room && isWanted(stanza);
            await eventually(() => Promise.resolve(received.some(isThere)), Boolean, 10_000);
        },
        stop: async () => {
            await client.stop().catch(() => undefined);
        },
    };
}

function isSubject(stanza: Element): boolean {
    return stanza.name === "message" && stanza.getChild("subject") !== undefined;
}

/** Returns what the first guest receives, one line for each stanza of a room. */
async function play(version: Version, minimix: boolean): Promise<string[]> {
    const server = await startServer({
        version,
        minimix,
        domain: "guest.example",
        hostConfig: 'authentication = "anonymous"',
        roomConfig: services
            .map((service, i) => `${i === 0 ? "" : `Component "${service}" "muc"\n`}muc_room_locking = false\n`)
            .join("\n"),
    });
    const [one, two] = [await enter(server), await enter(server)];
    for (const room of services.map((service) => `tea@${service}`)) {
        for (const [guest, nick] of [[one, "One"] as const, [two, "Two"] as const]) {
            await guest.send(xml("presence", { to: `${room}/${nick}` }, xml("x", { xmlns: nsMuc })));
            await guest.until(room, isSubject);
        }
        await two.send(xml("message", { to: room, type: "groupchat" }, xml("body", {}, `hello ${room}`)));
        await one.until(room, (stanza) => stanza.getChildText("body") === `hello ${room}`);
        await two.send(xml("message", { to: `${room}/One`, type: "chat" }, xml("body", {}, "psst")));
        await one.until(room, (stanza) => stanza.getChildText("body") === "psst");
        await two.send(xml("presence", { to: `${room}/Two`, type: "unavailable" }));
        await one.until(room, ({ name, attrs }) => name === "presence" && attrs.type === "unavailable");
    }
    await one.stop();
    await two.stop();
    await server.stop();
    return one.received
        .filter(({ attrs }) => services.includes(bare(attrs.from ?? "").replace("tea@", "")))
        .map((stanza) => {
            const codes = stanza.getChild("x", `${nsMuc}#user`)?.getChildren("status") ?? [];
            const { from = "", type = "" } = stanza.attrs;
            const body = stanza.getChildText("body") ?? "";
            return [stanza.name, type, from, ...codes.map(({ attrs }) => attrs.code).sort(), body].join(" ");
        });
}

for (const version of versions) {
    test(
        `O3: Prosody ${version}, guests of an anonymous host meet on three services`,
        { timeout: 60_000 },
        async () => {
            const plain = await play(version, false);
            assert.equal(plain.filter((line) => line.startsWith("message groupchat")).length >= services.length, true);
            assert.deepEqual(await play(version, true), plain);
        },
    );
}
