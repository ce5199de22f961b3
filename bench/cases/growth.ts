// The cost of a copy in larger rooms, and the cost of the archive.
import { setTimeout } from "node:timers/promises";
import { interleave } from "../measure.ts";
import { closeStage, joinAll, openStage, type Stage, talk } from "../stage.ts";
import { compare, figureOf, type Row } from "../table.ts";
import { copyCost } from "./fork.ts";
import type { Run } from "./run.ts";

const few = 100;

/** Times the rounds for the cost of the archive, which is not much more than the differences between rounds. */
const MORE = 4;

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
    const [off = [], on = []] = await costs(stages, rounds * MORE, [0, few]);
    await Promise.all(stages.map(closeStage));
    return [compare(`archive on ÷ off, ${few} accounts`, "µs/copy", off, on, 1.1)];
}

function divide(values: number[], by: number[]): number[] {
    return values.map((value, index) => value / (by[index] ?? Number.NaN));
}

/**
 * The cost of one message in a room with a growing number of accounts: writes to storage, bytes on disk, and CPU time.
 */
export async function kept({ version, rounds, many }: Run): Promise<Row[]> {
    const rows: Row[] = [];
    const stages = await Promise.all([
        openStage({ version, accounts: many, minimix: true, hostConfig: "minimix_archive = false" }),
        openStage({ version, accounts: many, minimix: true }),
    ]);
    let joined = 0;
    for (const accounts of [1, few, many]) {
        const [off = [], on = []] = await costs(stages, rounds, [joined, accounts]);
        joined = accounts;
        const [written = [0, 0]] = await Promise.all(stages.slice(1).map(writtenPerMessage));
        rows.push(
            compare(`archive on ÷ off, ${accounts} accounts`, "µs/copy", off, on),
            figureOf(`... writes`, "per message", written[0] ?? 0, 1),
            figureOf(`... on disk`, "bytes/message", written[1] ?? 0, undefined),
        );
    }
    await Promise.all(stages.map(closeStage));
    return rows;
}

/** Calls of the storage driver, and the growth of the files of the room's log and of the accounts' ranges. */
async function writtenPerMessage(stage: Stage): Promise<number[]> {
    const times = 20;
    const { server } = stage;
    await settle();
    await server.eval(`
        local datamanager = require "core.storagemanager".olddm
        local counts = rawget(_G, "minimix_writes") ~= nil
        rawset(_G, "minimix_writes", 0)
        for _, name in ipairs { "store", "list_append", "append_raw" } do
            local write = datamanager[name]
            if write and not counts then
                datamanager[name] = function (...)
                    rawset(_G, "minimix_writes", minimix_writes + 1)
                    return write(...)
                end
            end
        end`);
    const before = await diskUse(stage);
    await talk(stage, times);
    await settle();
    const writes = (await server.eval("return minimix_writes")) as number;
    return [writes / times, ((await diskUse(stage)) - before) / times];
}

/** The ranges of accounts are written a second later. */
function settle(): Promise<void> {
    return setTimeout(1500);
}

async function diskUse({ server }: Stage): Promise<number> {
    return (await server.eval(`
        local lfs, size = require "lfs", 0
        for _, name in ipairs { "minimix_archive", "minimix_parts" } do
            local folder = prosody.paths.data.."/"..("${server.domain}"):gsub("%W", function (c) return ("%%%02x"):format(c:byte()) end).."/"..name
            if lfs.attributes(folder) then
                for file in lfs.dir(folder) do
                    local path = folder.."/"..file
                    if lfs.attributes(path, "mode") == "file" then size = size + lfs.attributes(path, "size") end
                end
            end
        end
        return size`)) as number;
}
