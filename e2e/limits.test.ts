// B1: while an account or a room floods the server, other users' messages and joins are hardly slower. Prints the
// times.
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { type Client, connect, xml } from "./support/client.ts";
import { create, groupchat, join, leave } from "./support/muc.ts";
import { type Server, someVersions, startServer } from "./support/prosody.ts";

/** Limit for the 95th percentile of messages and joins, in milliseconds. A loaded machine may be slow. */
const bound = 1000;
const samples = process.env.MINIMIX_LONG === "1" ? 300 : 24;

interface Figures {
    messages: number[];
    joins: number[];
}

for (const version of someVersions) {
    describe(`Prosody ${version}: in a quiet room`, () => {
        let server: Server;
        let carol: Client;
        let watch: Client;
        let devices: Client[];
        const room = (name: string) => `${name}@rooms.a.lab`;

        before(async () => {
            server = await startServer({
                version,
                minimix: true,
                users: ["alice", "carol", "dave"],
                logLevel: "info",
                modules: ["disco", "ping", "roster", "saslauth", "smacks"],
                // As in the configuration that Prosody comes with.
                globalConfig: `modules_enabled = { "probe", "limits" }
                    limits = { c2s = { rate = "10kb/s" } }
                    unlimited_jids = { "carol@a.lab" }`,
                hostConfig: "minimix_max_rooms = 10",
            });
            carol = await connect(server, "carol/desk");
            watch = await connect(server, "carol/watch");
            devices = await Promise.all(["phone", "laptop", "tablet"].map((name) => connect(server, `alice/${name}`)));
            const dave = await connect(server, "dave/desk");
            await create(dave, room("quiet"), "Dave");
            await create(dave, room("loud"), "Dave");
            await dave.disconnect();
            await join(carol, room("quiet"), "Carol");
            for (const device of devices) {
                await join(device, room("loud"), "Alice");
            }
        });

        after(() => server.stop());

        async function measure(): Promise<Figures> {
            const figures: Figures = { messages: [], joins: [] };
            for (let i = 0; i < samples; i++) {
                figures.messages.push(
                    await timeOf(async () => {
                        await carol.expect({ id: await groupchat(carol, room("quiet"), `message ${i}`) });
                    }),
                );
                figures.joins.push(await timeOf(() => join(watch, room("quiet"), "Carol")));
                await leave(watch, room("quiet"), "Carol");
                carol.take();
                watch.take();
            }
            return figures;
        }

        async function report(t: TestContext): Promise<void> {
            const { messages, joins } = await measure();
            t.diagnostic(`messages ${summary(messages)}, joins ${summary(joins)} (median, 95 %)`);
            assert(quantile(messages, 0.95) < bound);
            assert(quantile(joins, 0.95) < bound);
        }

        test("B1: the reference, without a flood", report);

        test("B1: an account sends joins, IQs, messages and nick changes as fast as possible", async (t) => {
            let over = false;
            let sent = 0;
            const flood = async (alice: Client) => {
                while (!over) {
                    await alice.send(joinOf(room("loud"), "Alice"));
                    await alice.send(joinOf(room(`loud-${sent}`), "Alice"));
                    await alice.send(xml("presence", { to: `${room("loud")}/Alice${sent % 2}`, id: alice.newId() }));
                    await alice.send(disco(`${room("loud")}/Dave`, alice.newId()));
                    await groupchat(alice, room("loud"), "noise");
                    sent += 5;
                    // Waits for the results, so that the test process itself is not the bottleneck.
                    await alice.sync().catch(() => undefined);
                    alice.take();
                }
            };
            const flooded = Promise.all(devices.map(flood));
            await report(t).finally(() => {
                over = true;
            });
            await flooded;
            t.diagnostic(`${sent} stanzas of the account`);
            assert(sent > samples);
            assert.match(server.log(), /alice is over the limit minimix_/);
        });

        test("B1: a room floods an account", async (t) => {
            await Promise.all(devices.map((device) => device.disconnect()));
            await server.eval(roomFlood(room("loud")));
            await report(t);
            const said = await server.eval("prosody.flooding = false; return prosody.flooded");
            t.diagnostic(`${String(said)} stanzas of the room`);
            assert(Number(said) > samples);
        });
    });
}

/** 2,000 messages and presences in a second, as a room of this server would send them. */
function roomFlood(room: string): string {
    return `
local st, timer = require "util.stanza", require "util.timer";
local host = prosody.hosts["rooms.a.lab"];
prosody.flooding, prosody.flooded = true, 0;
timer.add_task(0.02, function ()
    if not prosody.flooding then return; end
    for i = 1, 20 do
        prosody.flooded = prosody.flooded + 2;
        prosody.core_post_stanza(host, st.message({ from = "${room}/Mallory"; to = "alice@a.lab/minimix"; type = "groupchat" })
            :text_tag("body", "noise "..prosody.flooded));
        prosody.core_post_stanza(host, st.presence({ from = "${room}/Mallory"..prosody.flooded; to = "alice@a.lab/minimix" })
            :tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):tag("item", { role = "visitor" }):up():up());
    end
    return 0.02;
end);
`;
}

function joinOf(room: string, nick: string) {
    return xml("presence", { to: `${room}/${nick}` }, xml("x", { xmlns: "http://jabber.org/protocol/muc" }));
}

function disco(to: string, id: string) {
    return xml("iq", { type: "get", to, id }, xml("query", { xmlns: "http://jabber.org/protocol/disco#info" }));
}

async function timeOf(task: () => Promise<unknown>): Promise<number> {
    const start = performance.now();
    await task();
    return performance.now() - start;
}

function quantile(values: number[], part: number): number {
    return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? NaN;
}

function summary(values: number[]): string {
    return `${quantile(values, 0.5).toFixed(1)} and ${quantile(values, 0.95).toFixed(1)} ms`;
}
