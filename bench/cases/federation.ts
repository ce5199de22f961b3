// Traffic from a room to its occupants' server, when these are two servers.
import { startDns } from "../../e2e/support/dns.ts";
import { freePort, type Server } from "../../e2e/support/prosody.ts";
import { closeStage, joinAll, openStage, type Stage, type StageOptions, talk } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import type { Run } from "./run.ts";

const accounts = 20;
const sessions = 3;
const times = 50;

const domains = { rooms: "rooms.lab", plain: "plain.lab", module: "module.lab" };

export async function federation({ version }: Run): Promise<Row[]> {
    const ports = { rooms: await freePort(), plain: await freePort(), module: await freePort() };
    const dns = await startDns(
        new Map([
            [`rooms.${domains.rooms}`, ports.rooms],
            [domains.plain, ports.plain],
            [domains.module, ports.module],
        ]),
    );
    const open = (name: keyof typeof domains, options: Partial<StageOptions>) =>
        openStage({
            version,
            accounts,
            minimix: false,
            domain: domains[name],
            s2s: { port: ports[name], dns: dns.port },
            ...options,
        });
    const rooms = await open("rooms", { roomConfig: "restrict_room_creation = false" });
    const stages = [await open("plain", {}), await open("module", { minimix: true })];
    const traffic = [];
    for (const stage of stages) {
        stage.room = `${stage.server.domain}@${rooms.server.rooms}`;
        traffic.push(await measure(stage));
    }
    const [plain, module] = traffic;
    await Promise.all([...stages, rooms].map(closeStage));
    dns.close();
    const label = `from another server, ${accounts} accounts, S=${sessions}`;
    return [
        compare(label, "bytes/message", [plain?.bytes ?? 0], [module?.bytes ?? 0], 0.34),
        compare(label, "stanzas/message", [plain?.stanzas ?? 0], [module?.stanzas ?? 0], 0.34),
    ];
}

interface Traffic {
    bytes: number;
    stanzas: number;
}

async function measure(stage: Stage): Promise<Traffic> {
    for (let session = 1; session <= sessions; session++) {
        await joinAll(stage, `s${session}`, [0, accounts]);
    }
    await countStanzas(stage.server);
    const before = await received(stage.server);
    await talk(stage, times);
    const after = await received(stage.server);
    return { bytes: (after.bytes - before.bytes) / times, stanzas: (after.stanzas - before.stanzas) / times };
}

/** Counts the data that arrives over the connections from other servers. */
async function countStanzas(server: Server): Promise<void> {
    await server.eval(`
        local filters = require "util.filters";
        for session in pairs(prosody.incoming_s2s) do
            session.stanzas_counted = 0;
            filters.add_filter(session, "stanzas/in", function (stanza)
                session.stanzas_counted = session.stanzas_counted + 1;
                return stanza;
            end);
        end
    `);
}

async function received(server: Server): Promise<Traffic> {
    return (await server.eval(`
        local bytes, stanzas = 0, 0;
        for session in pairs(prosody.incoming_s2s) do
            bytes = bytes + session.conn.conn:getstats();
            stanzas = stanzas + session.stanzas_counted;
        end
        return { bytes = bytes, stanzas = stanzas };
    `)) as Traffic;
}
