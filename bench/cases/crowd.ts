// Rooms full of occupants without clients (bench/modules/mod_crowd.lua).
import { joinAll, openStage, type Stage, type StageOptions } from "../stage.ts";

const crowdHost = "crowd.a.lab";

/** A room with one account, u1, and a crowd that was not announced to it. */
export async function openCrowdedStage(options: StageOptions, crowd: number): Promise<Stage> {
    const stage = await openStage({ ...options, roomConfig: `Component "${crowdHost}" "crowd"` });
    await joinAll(stage, "s1", [0, 1]);
    await stage.server.eval(`prosody.hosts["${crowdHost}"].modules.crowd.enter("${stage.room}", ${crowd})`);
    return stage;
}
