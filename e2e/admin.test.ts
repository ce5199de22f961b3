// O2: commands and information for admins and users: metrics, the shell, ad-hoc commands, service discovery.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { publishBookmark, readBookmarks } from "./support/bookmarks.ts";
import { type Client, type Element, xml } from "./support/client.ts";
import { type House, openHouse } from "./support/house.ts";
import { groupchat, isSubject, join, leave } from "./support/muc.ts";
import { freePort, versions } from "./support/prosody.ts";

const nsCommands = "http://jabber.org/protocol/commands";
const nsForm = "jabber:x:data";
const nsInfo = "http://jabber.org/protocol/disco#info";
const nsItems = "http://jabber.org/protocol/disco#items";
const nsMinimix = "https://modules.prosody.im/mod_minimix";
const nsVersion = "jabber:iq:version";

for (const version of versions) {
    describe(`Prosody ${version}: metrics`, () => {
        let house: House;
        let port: number;

        before(async () => {
            port = await freePort();
            house = await openHouse({
                version,
                extraModules: ["http_openmetrics"],
                globalConfig: `
                    http_ports = { ${port} }
                    http_interfaces = { "127.0.0.1" }
                    statistics = "internal"
                    statistics_interval = "manual"
                `,
                hostConfig: "minimix_max_pending_iqs = 1",
            });
        });

        after(() => house.close());

        /** Returns the module's metrics by name and labels, without the host: `memberships{state="joined"}`. */
        async function scrape(): Promise<Map<string, number>> {
            const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
            const samples = text.matchAll(/^prosody_mod_minimix__(\w+?)(?:_total)?\{host="a\.lab",?(.*)\} (\S+)$/gm);
            return new Map(
                [...samples]
                    .filter(([, name = ""]) => !name.endsWith("_created"))
                    .map(([, name = "", labels = "", value]) => [
                        labels === "" ? name : `${name}{${labels}}`,
                        Number(value),
                    ]),
            );
        }

        function growth(before: Map<string, number>, after: Map<string, number>): Record<string, number> {
            const changes = [...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const);
            return Object.fromEntries(changes.filter(([, by]) => by !== 0));
        }

        test("O2: all of them exist from the start", async () => {
            const names = [...(await scrape()).keys()].sort();
            assert.deepEqual(names, [
                "accounts",
                "archive_writes",
                "attached_sessions",
                "copies_in",
                "copies_out",
                "copies_saved",
                ...["entering", "joined", "joining", "leaving", "lost"].map((state) => `memberships{state="${state}"}`),
                "pending_iqs",
                "rejoins",
                "replays",
                "storage_failures",
                "storage_waiting",
            ]);
        });

        test("O2: the dashboard for Grafana uses exactly these", async () => {
            const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
            const there = new Set(
                [...text.matchAll(/^# TYPE (prosody_mod_minimix__\w+) (\w+)$/gm)].map(([, name = "", type]) =>
                    type === "counter" ? `${name.replace(/_total$/, "")}_total` : name,
                ),
            );
            const path = fileURLToPath(new URL("../docs/grafana.json", import.meta.url));
            const { panels } = JSON.parse(readFileSync(path, "utf8")) as { panels: { targets: { expr: string }[] }[] };
            const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
            const asked = exprs.map((expr) => expr.match(/prosody_\w+/g) ?? []);
            assert(asked.every((names) => names.length > 0));
            assert.deepEqual(new Set(asked.flat()), there);
        });

        test("O2: they count joins, copies, drops and rejoins", async () => {
            const room = await house.bobsRoom("counted");
            const { phone, laptop, bob } = house;
            const start = await scrape();
            await join(phone, room, "Alice");
            // Bob's presence, the account's own presence and the subject; and the account's presence for Bob.
            const joined = await scrape();
            assert.deepEqual(growth(start, joined), {
                accounts: 1,
                attached_sessions: 1,
                'memberships{state="joined"}': 1,
                copies_in: 4,
                copies_out: 4,
            });
            await join(laptop, room, "Alice");
            const replayed = await scrape();
            assert.deepEqual(growth(joined, replayed), { attached_sessions: 1, copies_out: 3, replays: 1 });
            await groupchat(bob, room, "hello");
            for (const client of [phone, laptop, bob]) {
                await client.expect({ room, body: "hello" });
            }
            // Two copies for Alice's sessions, of which one is saved, and one for Bob.
            const said = await scrape();
            assert.deepEqual(growth(replayed, said), {
                archive_writes: 1,
                copies_in: 2,
                copies_out: 3,
                copies_saved: 1,
            });
            await leave(laptop, room, "Alice");
            const left = await scrape();
            assert.deepEqual(growth(said, left), { attached_sessions: -1, copies_out: 1 });
            await leave(phone, room, "Alice");
            assert.deepEqual(growth(left, await scrape()), {
                accounts: -1,
                attached_sessions: -1,
                'memberships{state="joined"}': -1,
                copies_in: 2,
                copies_out: 2,
            });
        });

        test("O2, C3: they count pending IQs and IQs over the limit", async () => {
            const room = await house.roomWithBoth("asked");
            const start = await scrape();
            const query = () => xml("query", { xmlns: nsVersion });
            await house.hold();
            const first = house.phone.iq("get", `${room}/Bob`, query()).catch(() => undefined);
            await assert.rejects(house.phone.iq("get", `${room}/Bob`, query()), { condition: "resource-constraint" });
            // The refusal is the only copy.
            assert.deepEqual(growth(start, await scrape()), {
                pending_iqs: 1,
                copies_out: 1,
                'drops{reason="iq_limit"}': 1,
            });
            await house.release();
            await first;
            assert.equal((await scrape()).get("pending_iqs"), 0);
        });

        test("O2: they continue over a reload", async () => {
            const room = await house.roomWithBoth("reloaded");
            const start = await scrape();
            await house.server.reloadModule("minimix");
            assert.deepEqual(growth(start, await scrape()), {});
            await leave(house.phone, room, "Alice");
            assert.deepEqual(growth(start, await scrape()), { attached_sessions: -1, copies_out: 1 });
        });
    });

    describe(`Prosody ${version}: the admin's view`, () => {
        let house: House;
        let phone: Client;
        let laptop: Client;
        let bob: Client;
        let carol: Client;

        before(async () => {
            house = await openHouse({ version, hostConfig: 'admins = { "bob@a.lab" }' });
            ({ phone, laptop, bob } = house);
            carol = await house.connect("carol/desk");
        });

        after(() => house.close());

        async function isIn(room: string, nick: string): Promise<boolean> {
            return (await house.server.occupants(room)).some((occupant) => occupant.nick === nick);
        }

        /** Returns the output of `prosodyctl shell`, of both streams. */
        async function shell(command: string): Promise<string> {
            try {
                return await house.server.shell(command);
            } catch (error) {
                const { stdout, stderr } = error as { stdout: string; stderr: string };
                return stdout + stderr;
            }
        }

        describe("the shell", () => {
            test("O2: lists the rooms of an account, and the accounts in a room", async () => {
                const room = await house.roomWithBoth("listed");
                const rooms = await shell('minimix:rooms("Alice@A.lab")');
                assert.match(
                    rooms,
                    new RegExp(`^(\\| )?${room}: joined as Alice since [\\dTZ:-]+; laptop, phone$`, "m"),
                );
                assert.match(rooms, /OK: \d+ rooms/);
                const accounts = await shell(`minimix:accounts("${room}")`);
                assert.match(accounts, /^(\| )?alice@a\.lab: joined as Alice since [\dTZ:-]+; laptop, phone$/m);
                assert.match(accounts, /^(\| )?bob@a\.lab: joined as Bob since/m);
                assert.match(accounts, /OK: 2 accounts/);
                assert.match(await shell('minimix:rooms("nobody@a.lab")'), /OK: 0 rooms/);
            });

            test("O2: makes an account leave a room", async () => {
                const room = await house.roomWithBoth("left");
                assert.match(await shell(`minimix:leave("alice@a.lab", "${room}")`), /OK: alice@a.lab has left/);
                assert.equal(await isIn(room, "Alice"), false);
                for (const client of [phone, laptop]) {
                    await client.expect({ type: "unavailable", from: `${room}/Alice`, status: "110" });
                }
                assert.match(await shell(`minimix:leave("alice@a.lab", "${room}")`), /Error: alice@a.lab is not in/);
            });

            test("O2: makes an account rejoin without a visible change for its sessions", async () => {
                const room = await house.roomWithBoth("anew");
                assert.match(await shell(`minimix:rejoin("alice@a.lab", "${room}")`), /OK: alice@a.lab is rejoining/);
                await phone.expectNone({ room });
                await groupchat(bob, room, "still there?");
                await phone.expect({ room, body: "still there?" });
                assert.equal(await isIn(room, "Alice"), true);
                assert.match(await shell(`minimix:rejoin("carol@a.lab", "${room}")`), /Error: carol@a.lab is not in/);
            });

            test("O2: prints totals", async () => {
                const output = await shell("minimix:stats()");
                assert.match(output, /a\.lab/);
                assert.match(output, /attached sessions: \d+/);
                assert.match(output, /OK: 1 hosts/);
            });

            test("O2: explains invalid arguments", async () => {
                const cases: [string, RegExp][] = [
                    ["minimix:rooms()", /Error: nil is not the JID of an account/],
                    ['minimix:rooms("a.lab")', /Error: "a.lab" is not the JID of an account/],
                    ["minimix:rooms({})", /Error: table: \w+ is not the JID of an account/],
                    ['minimix:rooms("alice@b.lab")', /Error: mod_minimix is not loaded on b.lab/],
                    ['minimix:accounts("")', /Error: "" is not the JID of a room/],
                    ['minimix:leave("alice@a.lab")', /Error: nil is not the JID of a room/],
                    ['minimix:rejoin("alice@a.lab", "a b@@")', /Error: "a b@@" is not the JID of a room/],
                ];
                for (const [command, expected] of cases) {
                    assert.match(await shell(command), expected, command);
                }
            });

            test("O2: has help texts", { skip: version === "0.12" && "0.12's help is fixed" }, async () => {
                const help = await shell("help minimix");
                assert.match(help, /minimix rooms <jid>/);
                assert.match(help, /minimix stats/);
            });

            test("O2: has no command of the module after an unload", async () => {
                await house.server.unloadModule("minimix");
                assert.match(await shell("minimix:stats()"), /attempt to index a nil value|couldn't understand/);
                await house.server.loadModule("minimix");
                assert.match(await shell("minimix:stats()"), /OK: 1 hosts/);
                for (const client of [phone, laptop, bob, carol]) {
                    await client.sync();
                    client.take();
                }
            });
        });

        /** Returns the answer to a command: notes and lines of a result. */
        interface Answer {
            status: string;
            info: string[];
            errors: string[];
            lines: string[];
            options: string[];
            sessionid: string;
        }

        async function run(
            client: Client,
            name: string,
            fields?: Record<string, string>,
            sessionid?: string,
            action?: string,
        ): Promise<Answer> {
            const form =
                fields &&
                xml(
                    "x",
                    { xmlns: nsForm, type: "submit" },
                    ...Object.entries(fields).map(([key, value]) =>
                        xml("field", { var: key }, xml("value", {}, value)),
                    ),
                );
            const attributes = { xmlns: nsCommands, node: `${nsMinimix}#${name}`, sessionid, action };
            const command = await client.iq("set", "a.lab", xml("command", attributes, form));
            assert(command);
            const notes = (type: string) =>
                command.getChildren("note").flatMap((note) => (note.attrs.type === type ? [note.text()] : []));
            const shown = command.getChild("x", nsForm)?.getChildren("field") ?? [];
            const values = (field: Element | undefined) =>
                (field?.getChildren("value") ?? []).map((value) => value.text());
            return {
                status: command.attrs.status ?? "",
                info: notes("info"),
                errors: notes("error"),
                lines: values(shown.find(({ attrs }) => attrs.var === "lines")),
                options: shown
                    .flatMap((field) => field.getChildren("option"))
                    .map((option) => option.getChildText("value") ?? ""),
                sessionid: command.attrs.sessionid ?? "",
            };
        }

        /** Requests the form and submits it filled in, as a client's dialog does. */
        async function fill(client: Client, name: string, fields: Record<string, string>): Promise<Answer> {
            const { status, sessionid } = await run(client, name);
            assert.equal(status, "executing");
            return run(client, name, fields, sessionid, "complete");
        }

        async function offered(client: Client): Promise<string[]> {
            const items = await client.iq("get", "a.lab", xml("query", { xmlns: nsItems, node: nsCommands }));
            const nodes = (items?.getChildren("item") ?? []).map(({ attrs }) => String(attrs.node));
            return nodes.filter((node) => node.startsWith(nsMinimix)).map((node) => node.slice(nsMinimix.length + 1));
        }

        describe("ad-hoc commands", () => {
            const forUsers = ["leave-my-room", "my-nick", "my-notify", "my-rooms"];
            const forAdmins = ["accounts", "leave", "rejoin", "rooms", "totals"];

            test("O2: are offered to the users that may run them", async () => {
                assert.deepEqual(await offered(phone), forUsers);
                assert.deepEqual(await offered(bob), [...forAdmins, ...forUsers].sort());
            });

            test("O2: of an admin are refused to others", async () => {
                for (const name of forAdmins) {
                    await assert.rejects(run(phone, name), { condition: "forbidden" }, name);
                    await assert.rejects(run(phone, name, { account: "bob@a.lab" }), { condition: "forbidden" }, name);
                }
            });

            test("O2: of an admin list rooms and accounts, and show totals", async () => {
                const room = await house.roomWithBoth("commanded");
                const rooms = await fill(bob, "rooms", { account: "alice@a.lab" });
                assert(rooms.lines.some((line) => line.startsWith(`${room}: joined as Alice`)));
                const { lines } = await fill(bob, "accounts", { room });
                assert.deepEqual(
                    lines.map((line) => line.split(":")[0]),
                    ["alice@a.lab", "bob@a.lab"],
                );
                // Accounts may still be rejoining after the module was loaded again.
                assert((await run(bob, "totals")).lines.some((line) => /^- lost: \d+$/.test(line)));
            });

            test("O2: of an admin make an account leave or rejoin", async () => {
                const room = await house.roomWithBoth("moved");
                const both = { account: "alice@a.lab", room };
                assert.deepEqual((await fill(bob, "rejoin", both)).info, [`alice@a.lab is rejoining ${room}`]);
                assert.equal(await isIn(room, "Alice"), true);
                await phone.expectNone({ room });
                assert.deepEqual((await fill(bob, "leave", both)).info, [`alice@a.lab has left ${room}`]);
                assert.equal(await isIn(room, "Alice"), false);
                assert.deepEqual((await fill(bob, "leave", both)).errors, [`alice@a.lab is not in ${room}`]);
            });

            test("O2: of a user apply to the user's own rooms", async () => {
                const room = await house.roomWithBoth("own");
                assert.deepEqual((await run(carol, "my-rooms")).info, ["You are not in any group chat"]);
                assert.deepEqual((await run(carol, "leave-my-room")).info, ["You are not in any group chat"]);
                assert.deepEqual((await run(carol, "my-notify")).info, ["You are not in any group chat"]);
                assert(
                    (await run(phone, "my-rooms")).lines.some((line) => line.startsWith(`${room}: joined as Alice`)),
                );
                assert((await run(phone, "leave-my-room")).options.includes(room));
                assert.deepEqual((await fill(phone, "leave-my-room", { room })).info, [`alice@a.lab has left ${room}`]);
                assert.equal(await isIn(room, "Alice"), false);
                await laptop.expect({ type: "unavailable", from: `${room}/Alice`, status: "110" });
            });

            test("O2: change a user's nick, or report the room's refusal", async () => {
                const room = await house.roomWithBoth("named");
                const changed = await fill(phone, "my-nick", { room, nick: "Alicia" });
                assert.deepEqual(changed.info, [`The nick in ${room} is Alicia`]);
                await laptop.expect({ from: `${room}/Alicia`, status: "110" });
                const taken = await fill(phone, "my-nick", { room, nick: "Bob" });
                assert.deepEqual(taken.errors, [`${room} refused the nick Bob`]);
                const same = await fill(phone, "my-nick", { room, nick: "Alicia" });
                assert.deepEqual(same.info, [`The nick in ${room} is Alicia`]);
                assert.equal(await isIn(room, "Alicia"), true);
            });

            test("O2: store the notification setting of a room in the user's bookmark", async () => {
                const room = await house.roomWithBoth("quiet");
                assert((await run(phone, "my-notify")).options.includes(room));
                const missing = await fill(phone, "my-notify", { room, setting: "never" });
                assert.match(
                    missing.errors.join("\n"),
                    /^quiet@rooms\.a\.lab is not bookmarked, .*: add a bookmark first$/,
                );
                await assert.rejects(readBookmarks(phone), { condition: "item-not-found" });
                const other = xml("other", { xmlns: "urn:example:other" });
                await publishBookmark(phone, room, { nick: "Alice", name: "Quiet", extensions: [other] });
                for (const setting of ["always", "on-mention", "never"]) {
                    const { info } = await fill(phone, "my-notify", { room, setting });
                    assert.deepEqual(info, [`Notifications of ${room}: ${setting}`]);
                    const bookmark = (await readBookmarks(laptop)).get(room);
                    assert.equal(bookmark?.attrs.name, "Quiet");
                    assert.equal(bookmark.getChildText("nick"), "Alice");
                    const extensions = bookmark.getChild("extensions");
                    assert(extensions);
                    assert(extensions.getChild("other", "urn:example:other"));
                    const notify = extensions.getChild("notify", "urn:xmpp:notification-settings:1");
                    assert.deepEqual(
                        notify?.getChildElements().map((child) => child.name),
                        [setting],
                    );
                }
            });

            test("O2: explain invalid fields of a form, and can be cancelled", async () => {
                const room = await house.roomWithBoth("wrong");
                const wrong: [Client, string, Record<string, string>, RegExp][] = [
                    [bob, "rooms", {}, /^Account: Required value missing$/],
                    [bob, "rooms", { account: "@@" }, /^Account: Invalid JID: @@$/],
                    [bob, "rooms", { account: "alice@b.lab" }, /^alice@b.lab is not an account of a.lab$/],
                    [bob, "leave", { account: "a.lab", room }, /^a.lab is not an account of a.lab$/],
                    [bob, "rejoin", { account: "carol@a.lab", room }, /^carol@a.lab is not in wrong@/],
                    [phone, "leave-my-room", { room: "nowhere@rooms.a.lab" }, /^alice@a.lab is not in nowhere@/],
                    [phone, "my-nick", { room }, /^Nickname: Required value missing$/],
                    [phone, "my-nick", { room, nick: " " }, /is not a valid nick$/],
                    [phone, "my-notify", { room }, /^Notify me: Required value missing$/],
                    [
                        phone,
                        "my-notify",
                        { room, setting: "loudly" },
                        /^Invalid setting "loudly": expected always, on-mention or never$/,
                    ],
                    [phone, "my-notify", { room: "a.lab", setting: "never" }, /^alice@a.lab is not in a.lab$/],
                ];
                for (const [client, name, fields, expected] of wrong) {
                    const { errors } = await fill(client, name, fields);
                    assert.match(errors.join("\n"), expected, name);
                }
                const { sessionid } = await run(phone, "leave-my-room");
                assert.equal((await run(phone, "leave-my-room", undefined, sessionid, "cancel")).status, "canceled");
                assert.equal(await isIn(room, "Alice"), true);
            });

            test("O2: work in a room with 1,000 occupants", async () => {
                const room = await house.roomWithBoth("crowded");
                await house.server.eval(`
                    local st = require "util.stanza";
                    for i = 1, 1000 do
                        prosody.core_post_stanza(prosody.hosts["rooms.a.lab"], st.presence({ from = "${room}/"..i, to = "alice@a.lab/minimix" })
                            :tag("x", { xmlns = "http://jabber.org/protocol/muc#user" })
                            :tag("item", { affiliation = "none", role = "participant" }):reset());
                    end
                `);
                const tablet = await house.connect("alice/tablet");
                assert.equal((await join(tablet, room, "Alice")).filter((stanza) => !isSubject(stanza)).length, 1002);
                const { lines } = await run(phone, "my-rooms");
                assert(lines.some((line) => line.endsWith("; laptop, phone, tablet")));
                assert.deepEqual((await fill(phone, "my-nick", { room, nick: "Alicia" })).info, [
                    `The nick in ${room} is Alicia`,
                ]);
                assert.deepEqual((await fill(bob, "leave", { account: "alice@a.lab", room })).info, [
                    `alice@a.lab has left ${room}`,
                ]);
            });

            test("O2: end when the module is unloaded", async () => {
                await house.server.unloadModule("minimix");
                assert.deepEqual(await offered(bob), []);
                await house.server.loadModule("minimix");
                assert.deepEqual(await offered(phone), forUsers);
            });
        });

        test("O2: an account announces the module in service discovery", async () => {
            const info = await phone.iq("get", "alice@a.lab", xml("query", { xmlns: nsInfo }));
            const features = (info?.getChildren("feature") ?? []).map(({ attrs }) => String(attrs.var));
            assert(features.includes(nsMinimix));
        });
    });
}
