// Whether a copy costs more in a larger room; and what the archive adds.
import { interleave } from "../measure.ts";
import { closeStage, joinAll, openStage, type Stage } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import { copyCost } from "./fork.ts";
import type { Run } from "./run.ts";

const few = 100;

export async function growth({ version, rounds, many }: Run): Promise<Row[]> {
    const stages = await Promise.all([
        openStage({ version, accounts: many, minimix: false }),
        openStage({ version, accounts: many, minimix: true }),
    ]);
    const [plainFew = [], moduleFew = []] = await costs(stages, rounds, [0, few]);
    const [plainMany = [], moduleMany = []] = await costs(stages, rounds, [few, many]);
    await Promise.all(stages.map(closeStage));
    return [
        compare(`${few} accounts, S=1, archive on`, "µs/copy", plainFew, moduleFew),
        compare(`${many} accounts, S=1, archive on`, "µs/copy", plainMany, moduleMany),
        compare(
            `growth: ${many} ÷ ${few} accounts`,
            "times",
            divide(plainMany, plainFew),
            divide(moduleMany, moduleFew),
            1,
        ),
    ];
}

async function costs(stages: Stage[], rounds: number, accounts: [number, number]): Promise<number[][]> {
    await Promise.all(stages.map((stage) => joinAll(stage, "s1", accounts)));
    return interleave(stages, rounds, copyCost);
}

export async function archive({ version, rounds }: Run): Promise<Row[]> {
    const common = { version, accounts: few, minimix: true };
    const stages = await Promise.all([
        openStage({ ...common, hostConfig: "minimix_archive = false" }),
        openStage(common),
    ]);
    const [off = [], on = []] = await costs(stages, rounds, [0, few]);
    await Promise.all(stages.map(closeStage));
    return [compare(`archive on ÷ off, ${few} accounts`, "µs/copy", off, on, 1.15)];
}

function divide(values: number[], by: number[]): number[] {
    return values.map((value, index) => value / (by[index] ?? Number.NaN));
}
