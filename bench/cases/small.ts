// The cost of a message in small rooms, compared with plain MUC with and without mod_muc_mam. And the cost of the
// archive, compared with one append of the storage driver.
import { cpu, interleave } from "../measure.ts";
import { closeStage, joinAll, openStage, type Stage, talk } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import type { Run } from "./run.ts";

interface Size {
    accounts: number;
    sessions: number;
    /** The target for a message with the archive on, relative to mod_muc_mam. */
    target?: number;
}

const sizes: readonly Size[] = [
    { accounts: 2, sessions: 1, target: 0.9 },
    { accounts: 2, sessions: 3 },
    { accounts: 5, sessions: 1 },
    { accounts: 5, sessions: 3 },
    { accounts: 10, sessions: 1 },
    { accounts: 10, sessions: 3 },
    { accounts: 40, sessions: 1 },
    { accounts: 40, sessions: 3, target: 0.55 },
];

export async function small(run: Run): Promise<Row[]> {
    const rows: Row[] = [];
    for (const size of sizes) {
        rows.push(...(await measure(size, run)));
    }
    return rows;
}

async function measure({ accounts, sessions, target }: Size, { version, rounds }: Run): Promise<Row[]> {
    const common = { version, accounts };
    const stages = await Promise.all([
        openStage({ ...common, minimix: false }),
        openStage({
            ...common,
            minimix: false,
            roomModules: ["muc_mam"],
            roomConfig: "muc_log_by_default = true",
        }),
        openStage({ ...common, minimix: true, hostConfig: "minimix_archive = false" }),
        openStage({ ...common, minimix: true }),
    ]);
    for (let session = 1; session <= sessions; session++) {
        await Promise.all(stages.map((stage) => joinAll(stage, `s${session}`, [0, accounts])));
    }
    // The first append counts the stored items.
    await Promise.all(stages.map((stage) => talk(stage, 20)));
    const appends: number[] = [];
    const [plain = [], mam = [], off = [], on = []] = await interleave(stages, rounds, async (stage) => {
        if (stage === stages[3]) {
            appends.push(await appendCost(stage));
        }
        return messageCost(stage);
    });
    await Promise.all(stages.map(closeStage));
    const label = `${accounts} accounts, S=${sessions}`;
    const added = on.map((cost, round) => cost - (off[round] ?? Number.NaN));
    const rows = [
        compare(`${label}, archive off`, "µs/message", plain, off),
        compare(`${label}, archive on`, "µs/message", plain, on),
        compare(`${label}, archive on ÷ plain with muc_mam`, "µs/message", mam, on, target),
    ];
    // If the difference is small compared with the total, it has no meaning.
    if (accounts === 2) {
        rows.push(compare(`${label}, archive on - off ÷ one append`, "µs/message", appends, added, 1.15));
    }
    return rows;
}

/** CPU time for one message. */
async function messageCost(stage: Stage): Promise<number> {
    const times = Math.max(40, Math.ceil(1600 / stage.clients.length));
    const spent = await cpu(stage.server, () => talk(stage, times));
    return spent / times;
}

/** CPU time of one append of the storage driver, for a message as the room sends it, with the occupant-id it adds. */
async function appendCost({ server, room }: Stage): Promise<number> {
    const times = 300;
    return (await server.eval(`
        local st = require "util.stanza";
        local store = require "core.storagemanager".open("${server.domain}", "minimix_bench", "archive");
        local id = "5f0d1c2e-8a37-4b57-9c1e-000000000001";
        local message = st.message({ type = "groupchat"; from = "${room}/u1"; id = id })
            :text_tag("body", "1 is the number of this line, which is about as long as most")
            :tag("origin-id", { xmlns = "urn:xmpp:sid:0"; id = id }):up()
            :tag("occupant-id", { xmlns = "urn:xmpp:occupant-id:0"; id = ("x"):rep(44) }):reset();
        local function append(number)
            assert(store:append("${room}", nil, message, os.time(), ("%d"):format(number)));
        end
        append(os.time() * 1000);
        local before = os.clock();
        for i = 1, ${times} do append(os.time() * 1000 + i); end
        return (os.clock() - before) / ${times} * 1e6;
    `)) as number;
}
