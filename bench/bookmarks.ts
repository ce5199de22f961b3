// How the server handles many accounts with autojoin bookmarks. Measures the time until all are in their rooms, CPU
// time and memory, at the first login and after a restart. ACCOUNTS, ROOMS (bookmarks per account), RATE
// (minimix_rejoin_rate), PROSODY (version).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Server, startServer, type Version } from "../e2e/support/prosody.ts";

const accounts = Number(process.env.ACCOUNTS ?? 1000);
const roomsEach = Number(process.env.ROOMS ?? 20);
const rate = Number(process.env.RATE ?? 100);
const version = (process.env.PROSODY as Version | undefined) ?? "13.0";
/** Ten accounts in each room. */
const rooms = Math.ceil((accounts * roomsEach) / 10);

const users = Array.from({ length: accounts }, (_, index) => `u${index + 1}`);
const server = await startServer({
    version,
    users,
    logLevel: "info",
    hostConfig: `minimix_rejoin_rate = ${rate} probe_arrivals = false pep_service_cache_size = ${process.env.PEP_CACHE ?? 1000}`,
    // Otherwise mod_muc writes each room to disk when it loads it.
    roomConfig: `muc_room_locking = false muc_room_default_persistent = true muc_room_cache_size = ${rooms * 2}`,
});
await server.eval(firstAccountsBookmarks());
await server.stop();
copyToOthers(join(server.folder, "data", "a%2elab"));

console.log(
    `Prosody ${version}: ${accounts} accounts with ${roomsEach} bookmarks each, ${rooms} rooms, ${rate} joins a second`,
);
console.log("                      joined        seconds    CPU seconds    resident MiB    in use by Lua MiB");
await server.start();
report("without the module", 0, 0, await cpu(server), await resident(server), await inUse(server));
await server.loadModule("minimix");
await logIn(server);
await measure("first login of all");
// A clean stop would take long: mod_muc announces each occupant that leaves to each other one.
await server.kill();
await server.start();
await server.loadModule("minimix");
await measure("after a restart");
await server.kill();
process.exit();

/** Publishes the bookmarks of one account, as a client would. */
function firstAccountsBookmarks(): string {
    return `
        local st = require "util.stanza";
        local service = prosody.hosts["${server.domain}"].modules.pep.get_pep_service "u1";
        local options = { persist_items = true; max_items = "max"; send_last_published_item = "never"; access_model = "whitelist" };
        for i = 1, ${roomsEach} do
            local room = ("room%d@${server.rooms}"):format(i);
            local item = st.stanza("item", { xmlns = "http://jabber.org/protocol/pubsub"; id = room })
                :tag("conference", { xmlns = "urn:xmpp:bookmarks:1"; autojoin = "true"; name = "Room" })
                :text_tag("nick", "u1"):reset();
            assert(service:publish("urn:xmpp:bookmarks:1", true, room, item, options));
        end
    `;
}

/** Writes the bookmarks of the other accounts to storage, because publishing them takes mod_pep minutes. */
function copyToOthers(data: string): void {
    const node = readFileSync(join(data, "pep", "u1.dat"), "utf8");
    const items = readFileSync(join(data, "pep_urn%3axmpp%3abookmarks%3a1", "u1.list"), "utf8");
    for (const [index, user] of users.slice(1).entries()) {
        const own = items
            .replaceAll('"u1"', `"${user}"`)
            .replace(/"room(\d+)@/g, (_, room: string) => `"room${(index * roomsEach + Number(room) * 7) % rooms}@`);
        writeFileSync(join(data, "pep", `${user}.dat`), node);
        writeFileSync(join(data, "pep_urn%3axmpp%3abookmarks%3a1", `${user}.list`), own);
    }
}

/**
 * The events of a login that the module sees, for all accounts at once. The rest of a login is not part of its cost.
 */
async function logIn(of: Server): Promise<void> {
    await of.eval(`
        local event = { session = {} };
        local login;
        for _, handler in ipairs(prosody.hosts["${of.domain}"].events._handlers["resource-bind"]) do
            if debug.getinfo(handler, "S").source:find "mod_minimix" then login = handler end
        end
        for account = 1, ${accounts} do
            event.session.username = "u"..account;
            login(event);
        end
    `);
}

async function measure(label: string): Promise<void> {
    const began = Date.now();
    let joined = 0;
    let seconds = 0;
    let progress = began;
    while (joined < accounts * roomsEach && Date.now() - progress < 60_000) {
        await setTimeout(1000);
        const before = joined;
        joined = await occupants();
        seconds = (Date.now() - began) / 1000;
        progress = joined > before ? Date.now() : progress;
    }
    report(label, joined, seconds, await cpu(server), await resident(server), await inUse(server));
}

async function occupants(): Promise<number> {
    return (await server.eval(`
        local count = 0;
        for room in prosody.hosts["${server.rooms}"].modules.muc.live_rooms() do
            for _ in room:each_occupant() do count = count + 1; end
        end
        return count;
    `)) as number;
}

/** Since the start of the process. */
async function cpu(of: Server): Promise<number> {
    return (await of.eval("return os.clock()")) as number;
}

async function resident(of: Server): Promise<number> {
    const pid = (await of.eval(`return require "util.pposix".getpid()`)) as number;
    const [, size] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(size) / 1024;
}

async function inUse(of: Server): Promise<number> {
    return (await of.eval("collectgarbage() collectgarbage() return collectgarbage('count') / 1024")) as number;
}

function report(label: string, ...figures: number[]): void {
    console.log(`${label.padEnd(20)}${figures.map((figure) => figure.toFixed(1).padStart(15)).join("")}`);
}
