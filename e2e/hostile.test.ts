// R5, B1, B4: a hostile service cannot send stanzas in the name of others, fill the memory, or delay other users.
// Prints for each attack the memory, the longest block in CPU time, and the waiting time of other users.
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { type Client, connect, type Element, xml } from "./support/client.ts";
import { type Answer, componentConfig, forwarded, HostileService } from "./support/component.ts";
import { Bystanders } from "./support/bystanders.ts";
import { join } from "./support/muc.ts";
import { freePort, type Server, someVersions, startServer } from "./support/prosody.ts";

/** Bytes in memory: a room's latest messages (src/state/logs.ts), and the last pages that were searched. */
const held = 524_288 + 1_048_576;

const domain = "hostile.lab";
const long = process.env.MINIMIX_LONG === "1";

/** Longest CPU time in one go, and longest wait of others, in ms on a quiet machine of the size of CI. */
const longest = 50;

/** CPU time in ms that fixed work takes on such a machine. A slower or busier machine gets more time in proportion. */
const usual = 1.1;

const nothing: Answer = { results: [], complete: true };

/** Attempts of a measurement. A pause of the machine does not come back, and a block of the server does. */
const attempts = 3;

class TooLong extends Error {}

interface Cost {
    /** The longest time without a turn of the server's event loop, in ms of CPU time. */
    block: number;
    /** What the server worked until others had 95 in 100 of their messages, in ms of CPU time; and without an attack. */
    wait: number;
    idle: number;
    /** How much slower than a quiet machine this one was. */
    slowness: number;
}

for (const version of someVersions) {
    describe(`Prosody ${version}: a hostile service`, () => {
        let server: Server;
        let service: HostileService;
        let others: Bystanders;
        let rooms = 0;
        const clients: Client[] = [];

        before(async () => {
            const port = await freePort();
            server = await startServer({
                version,
                minimix: true,
                users: ["alice", "carol", "dave", "eve"],
                logLevel: "info",
                modules: ["carbons", "disco", "mam", "ping", "roster", "saslauth", "smacks"],
                globalConfig: `component_ports = { ${port} }; component_interfaces = { "127.0.0.1" }
                    c2s_stanza_size_limit = 1024 * 1024`,
                // mod_storage_internal of 0.12 reads the whole archive for each query.
                hostConfig: `storage = { archive = "memory"; minimix_archive = "${version === "0.12" ? "sql" : "internal"}" }
                    sql = { driver = "SQLite3"; database = "test.sqlite" }
                    minimix_max_rooms = 3000
                    minimix_join_burst = 3000
                    -- mod_probe would keep an entry for each stanza of the service.
                    probe_arrivals = false`,
                roomConfig: componentConfig(domain),
            });
            service = await HostileService.start(domain, port);
            others = await Bystanders.start(server, Number(await server.eval(`return require "util.pposix".getpid()`)));
            await server.eval(loopProbe);
        });

        after(async () => {
            others.stop();
            service.stop();
            await server.stop();
        });

        function newRoom(): string {
            service.onJoin = () => ({});
            service.onQuery = () => nothing;
            return `r${++rooms}@${domain}`;
        }

        /** Sets the answers of a room's archive. Rooms of earlier tests may still be asked. */
        function onQuery(room: string, answer: () => Answer | undefined): void {
            service.onQuery = (asked) => (asked === room ? answer() : nothing);
        }

        async function open(name: string, smacks = false): Promise<Client> {
            const client = await connect(server, name, { smacks });
            clients.push(client);
            return client;
        }

        /** A test of what an attack costs. */
        function measure(name: string, attack: (t: TestContext) => Promise<void>): void {
            test(name, async (t) => {
                for (let left = attempts - 1; ; left--) {
                    try {
                        await attack(t);
                        return;
                    } catch (error) {
                        if (left === 0 || !(error instanceof TooLong)) {
                            throw error;
                        }
                        t.diagnostic(`again: ${error.message}`);
                    } finally {
                        await Promise.all(clients.splice(0).map((client) => client.disconnect()));
                    }
                }
            });
        }

        /** A client of Alice in the room, which has some messages. */
        async function enter(name: string, room: string, smacks = false): Promise<Client> {
            const client = await open(name, smacks);
            await join(client, room, "Alice");
            await service.say(room, "Bob", "message", "type='groupchat' id='first'", "<body>first</body>");
            await client.expect({ body: "first" });
            return client;
        }

        /** Bytes in use after garbage collection. */
        async function used(): Promise<number> {
            return Number(await server.eval(`collectgarbage() collectgarbage() return collectgarbage("count") * 1024`));
        }

        /** How much slower than a quiet machine this one is. */
        async function slowness(): Promise<number> {
            return Number(await server.eval(fixedWork)) / usual;
        }

        /** What a task costs the server, and others meanwhile. */
        async function costOf(task: () => Promise<unknown>): Promise<Cost> {
            const before = await slowness();
            // The first result includes what the work before has left to do.
            await others.wait();
            const idle = await others.wait();
            await server.eval("prosody.longest_block = 0");
            others.talk();
            await task();
            const block = Number(await server.eval("return prosody.longest_block * 1000"));
            const wait = await others.wait();
            return { block, wait, idle, slowness: Math.max(1, before, await slowness()) };
        }

        function report(t: TestContext, cost: Cost, memory?: number, limit = longest): void {
            const size = memory === undefined ? "" : `, ${(memory / 1024).toFixed(0)} kB stay`;
            const others = `others ${cost.wait.toFixed(0)} ms (95 %; before it ${cost.idle.toFixed(0)} ms)`;
            t.diagnostic(`block ${cost.block.toFixed(0)} ms, ${others}${size}; machine ${cost.slowness.toFixed(1)}`);
            if (cost.block >= limit * cost.slowness) {
                throw new TooLong(`${cost.block} ms of CPU time in one go`);
            }
            // A message arrives in one turn of the event loop and leaves in another.
            if (cost.wait >= 2 * limit * cost.slowness) {
                throw new TooLong(`others wait ${cost.wait} ms of CPU time`);
            }
        }

        async function archived(client: Client, room: string): Promise<Element[]> {
            const id = client.newId();
            const value = (name: string, text: string) => xml("field", { var: name }, xml("value", {}, text));
            const form = xml(
                "x",
                { xmlns: "jabber:x:data", type: "submit" },
                value("FORM_TYPE", "urn:xmpp:mam:2"),
                value("with", room),
            );
            await client.send(xml("iq", { type: "set", id }, xml("query", { xmlns: "urn:xmpp:mam:2" }, form)));
            const all = await client.collect({ child: ["result", "urn:xmpp:mam:2"] }, { name: "iq", id });
            return all.slice(0, -1);
        }

        test("R5: its archive can add messages of its own room only", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/lies", room);
            const body = (text: string) => `<body>${text}</body>`;
            const message = (from: string, text: string, more = "") =>
                `<message xmlns='jabber:client' type='groupchat' from='${from}'>${body(text)}${more}</message>`;
            const carbon = (name: string) =>
                `<${name} xmlns='urn:xmpp:carbons:2'>${forwarded(message("carol@a.lab/desk", "carbon"), "2026-01-01T00:00:00Z")}</${name}>`;
            // Results of the second of the join may be older than the join, and do not count.
            const later = new Date(Date.now() + 1000).toISOString();
            onQuery(room, () => ({
                results: [
                    message("other@rooms.a.lab/Bob", "false"),
                    message("carol@a.lab/desk", "false"),
                    message("alice@a.lab", "false", carbon("sent")),
                    message(domain, "false"),
                    message(
                        `${room}/Eve`,
                        "true",
                        `${carbon("sent")}${carbon("received")}<stanza-id xmlns='urn:xmpp:sid:0' by='alice@a.lab' id='x'/>`,
                    ),
                ].map((content) => forwarded(content, later)),
            }));
            await service.lose(room);
            const shown = await phone.expect({ body: "true" });
            await phone.sync();
            assert.equal(shown.attrs.from, `${room}/Eve`);
            assert.equal(shown.getChild("sent"), undefined);
            assert.equal(shown.getChild("received"), undefined);
            assert.ok(shown.getChildren("stanza-id").every((id) => id.attrs.by === room));
            phone.take({ name: "presence" });
            assert.deepEqual(phone.take({ name: "message" }).map(String), []);
            const kept = await archived(phone, room);
            assert.equal(kept.length, 2);
            assert.ok(
                !kept.some((result) => result.toString().includes("carbons") || result.toString().includes("false")),
            );
            await phone.disconnect();
            t.diagnostic("2 of 6 messages passed");
        });

        test("R5: a message with a delay without sender is archived", async () => {
            const room = newRoom();
            const phone = await enter("alice/delay", room);
            const delay = "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>";
            await service.say(room, "Bob", "message", "type='groupchat' id='late'", `<body>late</body>${delay}`);
            await phone.expect({ body: "late" });
            assert.equal((await archived(phone, room)).length, 2);
            await phone.disconnect();
        });

        test("O8: a module that fails on the account's rejoin affects nothing else", async () => {
            server.allowError(/out of order/);
            const room = newRoom();
            const phone = await enter("alice/failing", room);
            await server.eval(`
                prosody.failures = 0;
                prosody.hosts["a.lab"].events.add_handler("pre-presence/full", function (event)
                    if (event.stanza.attr.to or ""):find("${room}", 1, true) then
                        prosody.failures = prosody.failures + 1;
                        error "out of order";
                    end
                end, 10)`);
            const joins = service.received.length;
            await service.lose(room);
            await service.until(() => service.received.slice(joins).some(({ name }) => name === "presence"));
            assert(Number(await server.eval("return prosody.failures")) > 0);
            await service.say(room, "Bob", "message", "type='groupchat' id='after'", "<body>after</body>");
            await phone.expect({ body: "after" });
            // Others still get their messages.
            await others.wait();
            await phone.disconnect();
        });

        measure("B1: an own presence of 480 kB is not kept in memory", async (t) => {
            const before = await used();
            const cost = await costOf(async () => {
                for (let i = 0; i < (long ? 20 : 3); i++) {
                    const room = newRoom();
                    service.onJoin = () => ({ self: `<status>${"x".repeat(480_000)}</status>` });
                    const phone = await open(`alice/self${i}`);
                    await join(phone, room, "Alice");
                    await phone.disconnect();
                }
            });
            const memory = (await used()) - before;
            report(t, cost, memory);
            assert(memory < 480_000 + 200_000, `${memory} bytes stay`);
        });

        measure("B1, B4: 8 MB of cached presence are replayed to a session with stream management", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/crowd", room);
            const status = `<status>${"x".repeat(11_000)}</status><b xmlns='b'>${"<a/>".repeat(300)}</b>`;
            const item = `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>`;
            // As many as minimix_max_room_size allows.
            const count = long ? 675 : 40;
            for (let i = 0; i < count; i++) {
                await service.say(room, `N${i}`, "presence", "", status + item);
            }
            await phone.expect((stanza) => stanza.attrs.from === `${room}/N${count - 1}`, 60_000);
            const before = await used();
            const laptop = await open("alice/smacks", true);
            const cost = await costOf(async () => {
                await join(laptop, room, "Alice", { history: { maxstanzas: "0" }, timeout: 60_000 });
            });
            assert.equal(
                laptop.received.filter(({ name, attrs }) => name === "presence" && attrs.from?.includes("/N")).length,
                count,
            );
            await laptop.sync();
            await laptop.disconnect();
            await phone.disconnect();
            const memory = (await used()) - before;
            report(t, cost, memory);
            assert(memory < 2_000_000, `${memory} bytes stay`);
        });

        measure("B1: a flood while its archive does not answer is buffered up to minimix_max_gap_size", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/gap", room);
            const before = await used();
            let asked = false;
            onQuery(room, () => {
                asked = true;
                return undefined;
            });
            const cost = await costOf(async () => {
                await service.lose(room);
                await service.until(() => asked);
                for (let i = 0; i < (long ? 4000 : 300); i++) {
                    await service.say(
                        room,
                        "Bob",
                        "message",
                        `type='groupchat' id='g${i}'`,
                        `<body>${"x".repeat(10_000)}</body>`,
                    );
                }
                await service.say(room, "Bob", "message", "type='groupchat' id='end'", "<body>end</body>");
                await phone.expect({ body: "end" }, 60_000);
            });
            phone.received.length = 0;
            const memory = (await used()) - before;
            report(t, cost, memory);
            assert(memory < 524_288 * 1.1 + held, `${memory} bytes stay`);
            await phone.disconnect();
        });

        measure("B4: a removal by the room while the buffer is full", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/removed", room);
            let asked = 0;
            onQuery(room, () => (asked++ === 0 ? nothing : undefined));
            await service.lose(room);
            await service.until(() => asked === 2);
            const before = await used();
            const cost = await costOf(async () => {
                for (let i = 0; i < 300; i++) {
                    await service.say(room, "Bob", "message", `type='groupchat' id='b${i}'`, `<body>${i}</body>`);
                }
                const x = `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/><status code='307'/></x>`;
                await service.say(room, "Alice", "presence", "type='unavailable'", x);
                await phone.expect({ type: "unavailable", from: `${room}/Alice` }, 60_000);
            });
            phone.received.length = 0;
            report(t, cost, (await used()) - before);
            // They are stored in slices, and the query waits for them.
            assert.equal((await archived(phone, room)).length, 50);
            await phone.disconnect();
        });

        measure("B4: archive results back in time, and more than requested", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/past", room);
            const count = long ? 1500 : 500;
            for (let i = 0; i < count; i++) {
                await service.say(room, "Bob", "message", `type='groupchat' id='m${i}'`, `<body>${i}</body>`);
            }
            await phone.expect({ body: `${count - 1}` }, 60_000);
            const cost = await costOf(async () => {
                onQuery(room, () => ({
                    results: Array.from({ length: 300 }, (_, i) =>
                        forwarded(
                            `<message xmlns='jabber:client' type='groupchat' from='${room}/Eve' id='p${i}'><body>past ${i}</body></message>`,
                            new Date(Date.now() - 3_000_000 - i * 10_000).toISOString(),
                        ),
                    ),
                }));
                await service.lose(room);
                const joins = service.received.length;
                await service.until(() => service.received.slice(joins).some(({ name }) => name === "presence"));
                await phone.sync();
            });
            report(t, cost);
            await phone.disconnect();
        });

        measure("B4: a join that asks for 1,000 messages of 56 kB", async (t) => {
            const room = newRoom();
            const phone = await enter("alice/history", room);
            const count = long ? 1000 : 70;
            for (let i = 0; i < count; i++) {
                await service.say(
                    room,
                    "Bob",
                    "message",
                    `type='groupchat' id='h${i}'`,
                    `<body>${"x".repeat(56_000)}</body>`,
                );
                if (i % 20 === 0) {
                    await phone.sync();
                    phone.received.length = 0;
                    phone.take();
                }
            }
            await phone.expect({ id: `h${count - 1}` }, 60_000);
            const laptop = await open("alice/big");
            const cost = await costOf(async () => {
                const shown = await join(laptop, room, "Alice", { history: { maxstanzas: "1000" }, timeout: 60_000 });
                assert(shown.length > 20 && shown.length < 45, String(shown.length));
            });
            report(t, cost, undefined, version === "0.12" ? 1.5 * longest : longest);
            await laptop.disconnect();
            await phone.disconnect();
        });

        measure("B4: an archive query of an account that has been in 1,500 rooms", async (t) => {
            const eve = await open("eve/desk");
            const count = long ? 1500 : 150;
            newRoom();
            for (let i = 0; i < count; i++) {
                const room = `many${i}@${domain}`;
                await eve.send(
                    xml("presence", { to: `${room}/Eve` }, xml("x", { xmlns: "http://jabber.org/protocol/muc" })),
                );
            }
            await eve.expect({ from: `many${count - 1}@${domain}`, subject: "" }, 60_000);
            for (let i = 0; i < count; i++) {
                await service.say(
                    `many${i}@${domain}`,
                    "Bob",
                    "message",
                    `type='groupchat' id='w${i}'`,
                    `<body>${i}</body>`,
                );
            }
            await eve.expect({ id: `w${count - 1}` }, 60_000);
            const cost = await costOf(async () => {
                const id = eve.newId();
                const value = (name: string, text: string) => xml("field", { var: name }, xml("value", {}, text));
                const form = xml(
                    "x",
                    { xmlns: "jabber:x:data", type: "submit" },
                    value("FORM_TYPE", "urn:xmpp:mam:2"),
                    value("include-groupchat", "true"),
                );
                await eve.send(xml("iq", { type: "set", id }, xml("query", { xmlns: "urn:xmpp:mam:2" }, form)));
                const all = await eve.collect(
                    { child: ["result", "urn:xmpp:mam:2"] },
                    { name: "iq", id },
                    { timeout: 60_000 },
                );
                assert.equal(all.length, 51);
            });
            report(t, cost);
            await eve.disconnect();
        });
    });
}

/** Records the longest CPU time between two calls of a timer. */
const loopProbe = `
local timer = require "util.timer";
local last = os.clock();
prosody.longest_block = 0;
timer.add_task(0.002, function ()
    local now = os.clock();
    prosody.longest_block = math.max(prosody.longest_block, now - last);
    last = now;
    return 0.002;
end);
`;

/**
 * Does fixed work some times, and returns the time of the slowest but one: the longest block is the slowest of many, too.
 * Garbage is left, because the collector's work depends on the server's data.
 */
const fixedWork = `
local xml = require "util.xml";
local text = "<message from='room@hostile.lab/Bob' type='groupchat' id='m1'><body>" .. ("x"):rep(100)
    .. "</body><stanza-id xmlns='urn:xmpp:sid:0' by='room@hostile.lab' id='a'/></message>";
local times = {};
collectgarbage "stop";
for i = 1, 60 do
    local before = os.clock();
    for _ = 1, 40 do tostring(xml.parse(text)); end
    times[i] = (os.clock() - before) * 1000;
end
collectgarbage "restart";
table.sort(times);
return times[59];
`;
