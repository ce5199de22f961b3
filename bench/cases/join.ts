// The cost of joining a large room: for the first session of an account, and for another one.
import { deepStrictEqual } from "node:assert/strict";
import { type Burst, connect, type ConnectOptions, type LightClient } from "../client.ts";
import { cpu, interleave, inUse } from "../measure.ts";
import { closeStage, type Stage, type StageOptions, talk } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import { openCrowdedStage } from "./crowd.ts";
import { usualModules } from "./fork.ts";
import type { Run } from "./run.ts";

const occupants = 500;
const nick = "u2";

interface Visitor {
    stage: Stage;
    client: LightClient;
}

export async function join(run: Run): Promise<Row[]> {
    return [
        ...(await measure("", run, {}, {}, [1.15, 0.4])),
        ...(await measure(", usual modules, XEP-0198", run, { modules: usualModules }, { smacks: true }, [1.6, 1.05])),
    ];
}

async function measure(
    label: string,
    { version, rounds }: Run,
    options: Partial<StageOptions>,
    connectOptions: ConnectOptions,
    targets: readonly number[],
): Promise<Row[]> {
    const common = { version, accounts: 2, ...options };
    const stages = await Promise.all(
        [false, true].map((minimix) => openCrowdedStage({ ...common, minimix }, occupants)),
    );
    // Gives the room a history to replay.
    await Promise.all(stages.map((stage) => talk(stage, 20)));
    const first = await visit(stages, "s1", rounds, connectOptions);
    await Promise.all(stages.map(async (stage) => (await connect(stage.server, `${nick}/s2`)).join(stage.room, nick)));
    const further = await visit(stages, "s3", rounds, connectOptions);
    await Promise.all(stages.map(closeStage));
    return [
        compare(`first join, room of ${occupants}${label}`, "µs", ...first, targets[0]),
        compare(`a further session joins, room of ${occupants}${label}`, "µs", ...further, targets[1]),
    ];
}

/** Joins and leaves repeatedly. The room must look the same with the module and without. */
async function visit(
    stages: Stage[],
    resource: string,
    rounds: number,
    options: ConnectOptions,
): Promise<[plain: number[], module: number[]]> {
    const visitors = await Promise.all(
        stages.map(async (stage) => ({ stage, client: await connect(stage.server, `${nick}/${resource}`, options) })),
    );
    const bursts: Burst[] = [];
    const [plain = [], module = []] = await interleave(visitors, rounds, async ({ stage, client }: Visitor) => {
        await inUse(stage.server);
        const spent = await cpu(stage.server, async () => bursts.push(await client.join(stage.room, nick)));
        await client.leave(stage.room, nick);
        return spent;
    });
    for (const burst of bursts) {
        deepStrictEqual(burst, bursts[0], "not everybody was shown the same");
    }
    return [plain, module];
}
