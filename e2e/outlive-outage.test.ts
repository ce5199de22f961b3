// P1, S2, S4: many accounts return to their rooms while the database is away in the middle. Takes minutes, so it runs with
// MINIMIX_LONG=1 only. Prints the figures. MINIMIX_ACCOUNTS sets the number of accounts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { eventually } from "./support/outlive.ts";
import { type Server, startServer, versions } from "./support/prosody.ts";
import { type Backend, startStorage } from "./support/storage.ts";

const accounts = Number(process.env.MINIMIX_ACCOUNTS ?? 2000);
const roomsEach = 5;
const occupantsEach = 10;
const rooms = (accounts * roomsEach) / occupantsEach;
const all = accounts * roomsEach;
const outage = 20_000;
/** Rejoins per second (`minimix_rejoin_rate`), if the machine is fast enough. */
const rate = 100;
/** Three times as long as the rate allows, because rejoins take half of the server's time at most. */
const limit = outage + 30_000 + (3000 * all) / rate;
const backends: Backend[] = ["SQLite", "PostgreSQL"];

for (const version of versions) {
    for (const backend of backends) {
        const title = `P1: Prosody ${version} on ${backend} comes back to ${all} rooms, with an outage of 20 s`;
        test(title, { skip: process.env.MINIMIX_LONG !== "1", timeout: 2 * limit }, async () => {
            const storage = await startStorage(backend);
            const server = await startServer({
                version,
                minimix: true,
                logLevel: "info",
                hostConfig: storage.config,
                // Otherwise mod_muc writes each room to disk when it loads it.
                roomConfig: `muc_room_cache_size = ${rooms * 2}`,
                // mod_storage_sql logs each failed transaction with a traceback.
                allowedErrors: [
                    /:minimix\terror\tStorage fails, retrying: /,
                    /^\S+ \d+ \S+ (sql|\S+:storage_sql)\t/,
                    /^\s*stack traceback:$/,
                ],
            });
            for (let i = 0; i < accounts; i++) {
                server.register(`user${i}`);
            }
            await server.unloadModule("minimix");
            await server.eval(writeMemberships(server));
            await server.stop();
            const begin = Date.now();
            await server.start();
            const up = Date.now();
            await joined(server, all / 10);
            const mend = await storage.fail(server);
            const failed = Date.now();
            await setTimeout(outage);
            const before = await countJoined(server);
            await mend();
            const mended = Date.now();
            await joined(server, all);
            const back = Date.now();
            const cpu = Number(await server.eval("return os.clock()"));
            // Until everything is written.
            await eventually(
                () => Promise.resolve(server.log().includes("Storage works again")),
                (isOver) => isOver,
            );
            const written = Date.now();
            const lines = (pattern: RegExp) =>
                server
                    .log()
                    .split("\n")
                    .filter((line) => pattern.test(line)).length;
            console.log(
                `${title}: up after ${up - begin} ms, outage from ${failed - up} to ${mended - up} ms ` +
                    `(${before} were back), all back after ${back - up} ms (${(all / rate) * 1000} ms by the rate alone), ` +
                    `all written ${written - mended} ms after the outage; CPU ${cpu.toFixed(1)} s`,
            );
            assert.equal(lines(/Storage fails/), lines(/Storage works again/));
            assert.equal(lines(/Traceback/), 0);
            // For each room, mod_muc writes the list of all rooms. With 1,000 rooms this takes 20 s on a slow machine.
            await server.stop(90_000);
            await storage.stop();
        });
    }
}

/** Waits until so many memberships are back. */
async function joined(server: Server, count: number): Promise<void> {
    const begin = Date.now();
    for (;;) {
        const back = await countJoined(server);
        if (back >= count) {
            return;
        }
        assert(Date.now() - begin < limit, `only ${back} are back`);
        await setTimeout(250);
    }
}

/** Writes the records of the module's store, as the module does. */
function writeMemberships(server: Server): string {
    return `
local store = require "core.storagemanager".open(${JSON.stringify(server.domain)}, "minimix", "keyval");
local now = os.time();
for i = 0, ${accounts - 1} do
    local rooms = {};
    for j = 0, ${roomsEach - 1} do
        rooms["room"..((i * ${roomsEach} + j) % ${rooms}).."@${server.rooms}"] = { nick = "user"..i, state = "in", since = now };
    end
    assert(store:set("user"..i, { idle = 0, resource = "minimix", rooms = rooms }));
end
`;
}

// Does not iterate over the rooms, because the test itself would then block the server.
async function countJoined(server: Server): Promise<number> {
    return Number(
        await server.eval(`
local count = 0;
for room in prosody.hosts[${JSON.stringify(server.rooms)}].modules.muc.live_rooms() do
    for _ in pairs(room._occupants) do count = count + 1; end
end
return count;
`),
    );
}
