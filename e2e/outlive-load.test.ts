// P1: how long a server with many memberships takes to rejoin all rooms, and how it responds meanwhile. Takes minutes, so
// it runs with MINIMIX_LONG=1 only. Prints the figures.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Server, freePort, versions } from "./support/prosody.ts";

const accounts = 1000;
const roomsEach = 5;
const occupantsEach = 10;
const rooms = (accounts * roomsEach) / occupantsEach;

for (const version of versions) {
    for (const rate of [100, 1000]) {
        const title = `P1: Prosody ${version} comes back to ${accounts * roomsEach} rooms, ${rate} a second`;
        test(title, { skip: process.env.MINIMIX_LONG !== "1", timeout: 300_000 }, async () => {
            const hostConfig = `minimix_rejoin_rate = ${rate}`;
            const globalConfig = `log = { { levels = { min = "info" }, to = "file", filename = "prosody.log" } }`;
            // Otherwise mod_muc writes each room to disk when it loads it.
            const roomConfig = `muc_room_cache_size = ${rooms * 2}`;
            const server = new Server(
                { version, minimix: true, hostConfig, globalConfig, roomConfig },
                await freePort(),
            );
            writeMemberships(server);
            const begin = Date.now();
            await server.start();
            const up = Date.now();
            await server.eval(watchLoop);
            let joined = 0;
            while (joined < accounts * roomsEach) {
                await setTimeout(250);
                joined = Number(await server.eval(countJoined(server)));
                assert(Date.now() - up < 250_000, `only ${joined} are back`);
            }
            const back = Date.now();
            const [block, cpu] = (await server.eval(`return prosody.loop_watch()`)) as number[];
            console.log(
                `${title}: up after ${up - begin} ms, all back ${back - up} ms later; ` +
                    `longest block ${Math.round((block ?? 0) * 1000)} ms; CPU ${cpu?.toFixed(1)} s`,
            );
            await server.stop();
        });
    }
}

/** The records of the module's store. */
function writeMemberships(server: Server): void {
    const folder = join(server.folder, "data", "a%2elab", "minimix");
    mkdirSync(folder, { recursive: true });
    const now = Math.floor(Date.now() / 1000);
    for (let i = 0; i < accounts; i++) {
        const list = Array.from({ length: roomsEach }, (_, j) => `room${(i * roomsEach + j) % rooms}@${server.rooms}`);
        const records = list.map(
            (room) => `[${JSON.stringify(room)}] = { nick = "user${i}"; state = "in"; since = ${now} };`,
        );
        server.register(`user${i}`);
        writeFileSync(join(folder, `user${i}.dat`), `return { seen = ${now}; rooms = { ${records.join(" ")} }; };\n`);
    }
}

/** A timer with a period of 5 ms. The longest time between two calls is the longest block of the server's loop. */
const watchLoop = `
local now = require "util.time".now;
local last, longest = now(), 0;
require "util.timer".add_task(0.005, function ()
    local time = now();
    longest, last = math.max(longest, time - last - 0.005), time;
    return 0.005;
end);
function prosody.loop_watch() return { longest, os.clock() }; end
`;

// Does not iterate over the rooms, because the test itself would then block the server.
function countJoined(server: Server): string {
    return `
local count = 0;
for room in prosody.hosts[${JSON.stringify(server.rooms)}].modules.muc.live_rooms() do
    for _ in pairs(room._occupants) do count = count + 1; end
end
return count;
`;
}
