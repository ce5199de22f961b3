// The cost of an account in a room: memory, and CPU time while it has no attached session.
import { connect, type LightClient } from "../client.ts";
import { cpu, interleave, inUse } from "../measure.ts";
import { check, closeStage, joinAll, type Stage, talk, username } from "../stage.ts";
import { compare, type Row } from "../table.ts";
import { openCrowdedStage } from "./crowd.ts";
import type { Run } from "./run.ts";

/**
 * The room's own share is the cost of the same message for as many occupants of a host that ignores it. That room is on
 * the same server, because a larger heap makes garbage collection slower.
 */
export async function detached(run: Run): Promise<Row[]> {
    return [
        await detachedCost("a detached account ÷ the room's own share", run, "minimix_archive = false", 1.1),
        await detachedCost("a detached account ÷ the room's own share, archive on", run, "", undefined),
    ];
}

async function detachedCost(
    label: string,
    { version, rounds }: Run,
    hostConfig: string,
    target: number | undefined,
): Promise<Row> {
    const occupants = 200;
    const times = 50;
    const crowd = await openCrowdedStage({ version, accounts: occupants + 2, minimix: true, hostConfig }, occupants);
    const accounts = await openDetachedRoom(crowd, occupants + 2);
    const [share = [], module = []] = await interleave([crowd, accounts], rounds, async (stage) => {
        const spent = await cpu(stage.server, () => talk(stage, times));
        return spent / times / occupants;
    });
    await check(accounts);
    await closeStage(crowd);
    return compare(label, "µs/message", share, module, target);
}

/** Another room: u2 sends the messages, and the accounts after it have no clients. */
async function openDetachedRoom({ server }: Stage, end: number): Promise<Stage> {
    const stage: Stage = { server, room: `detached@${server.rooms}`, clients: [], said: 0 };
    await joinAll(stage, "s1", [1, end]);
    const gone = stage.clients.splice(1);
    await Promise.all(gone.map((client) => client.disconnect()));
    return stage;
}

/** Memory of one more account, for each occupant that it sees, without its session. */
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
