// What it costs to come into a large room: for the first session of an account, and for a further one.
import { deepStrictEqual } from "node:assert/strict";
import { type Burst, connect, type LightClient } from "../client.ts";
import { cpu, interleave, inUse } from "../measure.ts";
import { closeStage, type Stage, talk } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import { openCrowdedStage } from "./crowd.ts";
import type { Run } from "./run.ts";

const occupants = 500;
const nick = "u2";

interface Visitor {
    stage: Stage;
    client: LightClient;
}

export async function join({ version, rounds }: Run): Promise<Row[]> {
    const stages = await Promise.all(
        [false, true].map((minimix) => openCrowdedStage({ version, accounts: 2, minimix }, occupants)),
    );
    // A history for those who join.
    await Promise.all(stages.map((stage) => talk(stage, 20)));
    const first = await visit(stages, "s1", rounds);
    await Promise.all(stages.map(async (stage) => (await connect(stage.server, `${nick}/s2`)).join(stage.room, nick)));
    const further = await visit(stages, "s3", rounds);
    await Promise.all(stages.map(closeStage));
    return [
        compare(`first join, room of ${occupants}`, "µs", ...first, 1.15),
        compare(`a further session joins, room of ${occupants}`, "µs", ...further, 0.4),
    ];
}

/** Joins and leaves time and again. The room has to look the same with the module and without. */
async function visit(stages: Stage[], resource: string, rounds: number): Promise<[plain: number[], module: number[]]> {
    const visitors = await Promise.all(
        stages.map(async (stage) => ({ stage, client: await connect(stage.server, `${nick}/${resource}`) })),
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
