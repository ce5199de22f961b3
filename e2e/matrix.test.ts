// O3, O4: one story on each version, with the module alone and with common modules. It runs on each storage and each
// transport. MINIMIX_LONG=1 plays all combinations, otherwise a few that differ as much as possible.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Client, connect, type Element, statusCodes, type Transport, xml } from "./support/client.ts";
import { changeNick, create, groupchat, isSubject, join, kick, leave, privateMessage } from "./support/muc.ts";
import { freePort, type Server, startServer, type Version, versions } from "./support/prosody.ts";
import { type Backend, backends, startStorage, type Storage } from "./support/storage.ts";

type Company = "alone" | "in company";

const modules: Record<Company, string[]> = {
    alone: ["bosh", "roster", "saslauth", "websocket"],
    "in company": [
        ...[
            "blocklist",
            "bookmarks",
            "bosh",
            "carbons",
            "cloud_notify",
            "csi_simple",
            "disco",
            "firewall",
            "mam",
            "pep",
        ],
        ...["ping", "roster", "saslauth", "smacks", "vcard_legacy", "websocket"],
    ],
};

/** Rules of mod_firewall: stanzas to drop, and stanzas to inspect and pass. */
const rules = `
::deliver
KIND: message
INSPECT: body#=unspeakable
DROP.

::deliver
KIND: presence
LOG=[debug] a presence comes by
`;

interface Setting {
    version: Version;
    company: Company;
    backend: Backend;
}

const transports: Transport[] = ["c2s", "websocket", "bosh"];
const everything: Setting[] = versions.flatMap((version) =>
    (["alone", "in company"] as const).flatMap((company) => backends.map((backend) => ({ version, company, backend }))),
);
const { MINIMIX_LONG, MINIMIX_MATRIX = "" } = process.env;
const isLong = MINIMIX_LONG === "1";

function isChosen(setting: Setting): boolean {
    const { version, company, backend } = setting;
    const isOfShort =
        backend === (company === "alone" ? "internal" : "SQLite") && (company === "alone") === (version === "0.12");
    return (isLong || isOfShort) && nameOf(setting).includes(MINIMIX_MATRIX);
}

function nameOf({ version, company, backend }: Setting): string {
    return `Prosody ${version}, mod_minimix ${company}, ${backend}`;
}

for (const setting of everything.filter(isChosen)) {
    const { version, company, backend } = setting;
    describe(nameOf(setting), () => {
        let server: Server;
        let storage: Storage;
        const folder = mkdtempSync(joinPath(tmpdir(), "minimix-rules-"));

        before(async () => {
            const script = joinPath(folder, "rules.pfw");
            writeFileSync(script, rules);
            storage = await startStorage(backend);
            server = await startServer({
                version,
                minimix: true,
                users: ["alice", "bob"],
                modules: modules[company],
                roomModules: company === "alone" ? [] : ["muc_mam"],
                hostConfig: `${storage.config}\nfirewall_scripts = { ${JSON.stringify(script)} }`,
                httpPort: await freePort(),
                // mod_smacks searches for a session that mod_bosh has removed, with or without mod_minimix.
                allowedErrors: [/top_tag/],
            });
        });

        after(async () => {
            await server.stop();
            await storage.stop();
            rmSync(folder, { recursive: true });
        });

        for (const transport of transports.filter((name) => isLong || name !== "c2s")) {
            test(transport, () => play(server, transport, company));
        }
    });
}

async function play(server: Server, transport: Transport, company: Company): Promise<void> {
    const room = `matrix-${transport}@${server.rooms}`;
    const smacks = company !== "alone" && transport !== "bosh";
    const open = (name: string) => connect(server, name, { transport, smacks });
    const bob = await open("bob/desk");
    let phone = await open("alice/phone");
    const laptop = await open("alice/laptop");
    const all = [bob, phone, laptop];
    if (company !== "alone") {
        await phone.iq("set", undefined, xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
        await laptop.iq("set", undefined, xml("enable", { xmlns: "urn:xmpp:carbons:2" }));
        await laptop.send(xml("inactive", { xmlns: "urn:xmpp:csi:0" }));
    }
    const sessions = async () => (await server.occupants(room)).flatMap((occupant) => occupant.sessions);

    // The first session's join is sent to the room. The second session is served from the cache.
    await create(bob, room, "Bob");
    await join(phone, room, "Alice");
    checkJoin(await join(laptop, room, "Alice"), room, "Alice");
    assert.deepEqual((await sessions()).sort(), ["alice@a.lab/minimix", "bob@a.lab/minimix"]);

    // Each session gets each message once.
    await groupchat(bob, room, "one");
    await phone.expect({ room, body: "one" });
    await groupchat(phone, room, "two");
    if (company !== "alone") {
        await groupchat(bob, room, "unspeakable");
    }
    await bob.expect({ room, body: "two" });
    await settle(all);
    // The phone and Bob have each read one message above.
    assert.deepEqual(takeBodies(bob, room), ["one"]);
    assert.deepEqual(takeBodies(phone, room), ["two"]);
    assert.deepEqual(takeBodies(laptop, room), ["one", "two"]);

    // Private messages: both sessions get Bob's, and each session gets a copy of the other's.
    await privateMessage(bob, room, "Alice", "psst");
    await phone.expect({ from: `${room}/Bob`, body: "psst" });
    await privateMessage(phone, room, "Bob", "what?");
    await bob.expect({ from: `${room}/Alice`, body: "what?" });
    await settle(all);
    assert.equal(laptop.take({ from: `${room}/Bob`, body: "psst" }).length, 1);
    assert.equal(laptop.take({ child: ["sent", "urn:xmpp:carbons:2"] }).length, company === "alone" ? 0 : 1);

    // One session changes the nick of both.
    await changeNick(laptop, room, "Ally");
    await phone.expect({ from: `${room}/Alice`, type: "unavailable", status: "303" });
    await phone.expect({ from: `${room}/Ally`, type: undefined, status: "110" });
    await bob.expect({ from: `${room}/Ally` });
    for (const client of [phone, laptop]) {
        const answer = await client.ask(selfPing(`${room}/Ally`));
        assert.equal(answer.attrs.type, "result");
    }

    // A session leaves and joins again. The room does not see it.
    await settle(all);
    bob.take();
    await leave(laptop, room, "Ally");
    checkJoin(await join(laptop, room, "Alice"), room, "Ally");
    await settle(all);
    assert.deepEqual(bob.take({ name: "presence", room }).map(String), []);

    // The room removes both sessions, and one joins again.
    await kick(bob, room, "Ally");
    await phone.expect({ from: `${room}/Ally`, type: "unavailable", status: "307" });
    await laptop.expect({ from: `${room}/Ally`, type: "unavailable", status: "307" });
    assert.deepEqual(await sessions(), ["bob@a.lab/minimix"]);
    await join(phone, room, "Alice");

    // The account stays without sessions. A session that joins later gets the messages of that time.
    await phone.disconnect();
    await laptop.disconnect();
    while (await server.eval(`return next(prosody.hosts["a.lab"].sessions.alice or {}) ~= nil`)) {
        await setTimeout(10);
    }
    await groupchat(bob, room, "three");
    await bob.expect({ room, body: "three" });
    phone = await open("alice/phone");
    const stanzas = await join(phone, room, "Alice");
    checkJoin(stanzas, room, "Alice");
    assert.equal(bodiesOf(stanzas).at(-1), "three");

    // The account leaves with the last session.
    await leave(phone, room, "Alice");
    assert.deepEqual(await sessions(), ["bob@a.lab/minimix"]);
    await leave(bob, room, "Bob");
    await phone.disconnect();
    await bob.disconnect();
}

/** The order of XEP-0045 7.1: Bob, the account itself, the subject. */
function checkJoin(stanzas: Element[], room: string, nick: string): void {
    const presences = stanzas.filter(({ name, attrs }) => name === "presence" && attrs.from !== room);
    assert.deepEqual(
        presences.map(({ attrs }) => attrs.from),
        [`${room}/Bob`, `${room}/${nick}`],
    );
    assert(presences.slice(-1).every((presence) => statusCodes(presence).includes("110")));
    assert.equal(stanzas.filter(isSubject).length, 1);
}

function selfPing(to: string): Element {
    return xml("iq", { type: "get", to }, xml("ping", { xmlns: "urn:xmpp:ping" }));
}

async function settle(clients: Client[]): Promise<void> {
    for (const client of [...clients, ...clients]) {
        await client.sync();
    }
}

function takeBodies(client: Client, room: string): string[] {
    return bodiesOf(client.take({ name: "message", type: "groupchat", room }));
}

function bodiesOf(stanzas: Element[]): string[] {
    return stanzas.map((stanza) => stanza.getChildText("body")).filter((body) => body !== null);
}
