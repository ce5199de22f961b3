// What an account costs that is in a room: in memory, and in time while none of its sessions is there.
import { connect, type LightClient } from "../client.ts";
import { cpu, interleave, inUse } from "../measure.ts";
import { closeStage, joinAll, openStage, type Stage, type StageOptions, talk, username } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import { openCrowdedStage } from "./crowd.ts";
import type { Run } from "./run.ts";

/**
 * The room's own share is what the same message costs for as many occupants of a host that does nothing with it. One
 * more account has a client, and speaks.
 */
export async function detached({ version, rounds }: Run): Promise<Row[]> {
    const occupants = 200;
    const common = { version, accounts: occupants + 1 };
    const [sink, ...modules] = await Promise.all([
        openCrowdedStage({ ...common, minimix: false }, occupants),
        openDetachedStage({ ...common, minimix: true, hostConfig: "minimix_archive = false" }),
        openDetachedStage({ ...common, minimix: true }),
    ]);
    const stages = [sink, ...modules];
    const [share = [], module = [], archive = []] = await interleave(stages, rounds, async (stage) => {
        const times = 50;
        const spent = await cpu(stage.server, () => talk(stage, times));
        return spent / times / occupants;
    });
    await Promise.all(stages.map(closeStage));
    return [
        compare("detached account ÷ the room's own share", "µs/message", share, module, 1.1),
        compare("detached account ÷ the room's own share, archive on", "µs/message", share, archive),
    ];
}

async function openDetachedStage(options: StageOptions): Promise<Stage> {
    const stage = await openStage(options);
    await joinAll(stage, "s1", [0, options.accounts]);
    const [, ...others] = stage.clients;
    stage.clients.length = 1;
    await Promise.all(others.map((client) => client.disconnect()));
    return stage;
}

/** What one more account keeps for each occupant it was shown, its session aside. */
export async function memory({ version }: Run): Promise<Row[]> {
    const occupants = 1000;
    const more = 20;
    const [plain = 0, module = 0] = await Promise.all(
        [false, true].map(async (minimix) => {
            const stage = await openCrowdedStage({ version, accounts: more + 2, minimix }, occupants);
            const [first, ...others] = await connectAll(stage, [1, more + 2]);
            await first?.client.join(stage.room, first.nick);
            const before = await inUse(stage.server);
            for (const { client, nick } of others) {
                await client.join(stage.room, nick);
            }
            const kept = (await inUse(stage.server)) - before;
            await closeStage(stage);
            return kept / more / occupants;
        }),
    );
    const label = `one more account, room of ${occupants}, for each occupant`;
    return [{ label, unit: "bytes", plain, module, ratio: module / plain, target: 60, absolute: true }];
}

async function connectAll(
    stage: Stage,
    [from, to]: [from: number, to: number],
): Promise<{ client: LightClient; nick: string }[]> {
    const clients = [];
    for (let index = from; index < to; index++) {
        const nick = username(index);
        clients.push({ client: await connect(stage.server, `${nick}/s1`), nick });
    }
    return clients;
}
