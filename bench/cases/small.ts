// The cost of a message in small rooms, compared with plain MUC with and without mod_muc_mam. And the cost of the
// archive, compared with one append of the storage driver for each message. In a loop, an append takes half of the time:
// then its code and data are in the processor's caches.
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

/** Number of rounds instead of each long one. */
const SHORT = 4;

/** Storage does not delete old messages during the measurement. */
const unlimited = "storage_archive_item_limit = 1000000\n";

export async function small(run: Run): Promise<Row[]> {
    const rows: Row[] = [];
    for (const size of sizes) {
        rows.push(...(await measure(size, run)));
    }
    return rows;
}

async function measure({ accounts, sessions, target }: Size, { version, rounds }: Run): Promise<Row[]> {
    const common = { version, accounts, hostConfig: unlimited, roomConfig: unlimited };
    const off = { ...common, minimix: true, hostConfig: `${unlimited}minimix_archive = false` };
    const stages = await Promise.all([
        openStage({ ...common, minimix: false }),
        openStage({
            ...common,
            minimix: false,
            roomModules: ["muc_mam"],
            roomConfig: `${unlimited}muc_log_by_default = true`,
        }),
        openStage(off),
        openStage({ ...common, minimix: true }),
        openStage({ ...off, roomModules: ["append"] }),
    ]);
    for (let session = 1; session <= sessions; session++) {
        await Promise.all(stages.map((stage) => joinAll(stage, `s${session}`, [0, accounts])));
    }
    // The first append counts the stored items.
    await Promise.all(stages.map((stage) => talk(stage, 20)));
    // Short rounds, because the machine's other load differs from one to the next.
    const costs = await interleave(stages, rounds * SHORT, messageCost);
    const [plain = [], mam = [], without = [], on = [], append = []] = costs;
    await Promise.all(stages.map(closeStage));
    const label = `${accounts} accounts, S=${sessions}`;
    const rows = [
        compare(`${label}, archive off`, "µs/message", plain, without),
        compare(`${label}, archive on`, "µs/message", plain, on),
        compare(`${label}, archive on ÷ plain with muc_mam`, "µs/message", mam, on, target),
    ];
    // If the difference is small compared with the total, it has no meaning.
    if (accounts === 2) {
        const [bare, archive] = [append, on].map((costs) => costs.map((cost, round) => cost - (without[round] ?? 0)));
        rows.push(compare(`${label}, archive on - off ÷ one append`, "µs/message", bare ?? [], archive ?? [], 1.15));
    }
    return rows;
}

/** CPU time for one message. */
async function messageCost(stage: Stage): Promise<number> {
    const times = Math.ceil(Math.max(40, 1600 / stage.clients.length) / SHORT);
    const spent = await cpu(stage.server, () => talk(stage, times));
    return spent / times;
}
