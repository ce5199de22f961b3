// The cost of one copy of a message, in rooms whose occupants have one or several sessions each.
import type { ConnectOptions } from "../client.ts";
import { allocated, cpu, interleave } from "../measure.ts";
import { closeStage, joinAll, openStage, type Stage, type StageOptions, talk } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import type { Run } from "./run.ts";

const accounts = 40;
/** Copies per round. */
const copies = 4000;

/** The modules of a usual server. */
export const usualModules = ["roster", "saslauth", "disco", "smacks", "carbons", "csi_simple", "mam"];

/** Plain streams only: the largest possible gain. */
export async function fork(run: Run): Promise<Row[]> {
    const targets = new Map([
        [1, 0.75],
        [2, 0.6],
        [3, 0.55],
        [5, 0.5],
    ]);
    return measure("fork", run, targets, {});
}

/** With the modules of a usual server, which handle each stanza. */
export async function forkUsual(run: Run): Promise<Row[]> {
    return measure("usual modules", run, new Map([[3, 0.35]]), { modules: usualModules });
}

/** With stream management, which keeps a copy of each stanza for each session. */
export async function forkSmacks(run: Run): Promise<Row[]> {
    const options = { modules: usualModules };
    return measure("usual modules, XEP-0198 in use", run, new Map([[3, 0.65]]), options, { smacks: true });
}

async function measure(
    label: string,
    { version, rounds }: Run,
    targets: ReadonlyMap<number, number>,
    options: Partial<StageOptions>,
    connectOptions: ConnectOptions = {},
): Promise<Row[]> {
    const common = { version, accounts, ...options };
    const stages = await Promise.all([
        openStage({ ...common, minimix: false }),
        openStage({ ...common, minimix: true, hostConfig: "minimix_archive = false" }),
        openStage({ ...common, minimix: true }),
    ]);
    const rows: Row[] = [];
    let sessions = 0;
    for (const [wanted, target] of targets) {
        for (; sessions < wanted; sessions++) {
            const resource = `s${sessions + 1}`;
            await Promise.all(stages.map((stage) => joinAll(stage, resource, [0, accounts], connectOptions)));
        }
        const name = `${label}, S=${sessions}`;
        const [plain = [], module = [], archive = []] = await interleave(stages, rounds, copyCost);
        rows.push(compare(name, "µs/copy", plain, module, target));
        rows.push(compare(`${name}, archive on`, "µs/copy", plain, archive));
        const [plainBytes = [], moduleBytes = []] = await interleave(stages, 1, copyBytes);
        rows.push(compare(`${name}, allocated`, "bytes/copy", plainBytes, moduleBytes));
    }
    await Promise.all(stages.map(closeStage));
    return rows;
}

/** CPU time per copy of a message. */
export async function copyCost(stage: Stage): Promise<number> {
    const times = Math.ceil(copies / stage.clients.length);
    await talk(stage, 2);
    const spent = await cpu(stage.server, () => talk(stage, times));
    return spent / times / stage.clients.length;
}

async function copyBytes(stage: Stage): Promise<number> {
    const times = 10;
    const bytes = await allocated(stage.server, () => talk(stage, times));
    return bytes / times / stage.clients.length;
}
