// The cost of a task for a server: CPU time of its process, and memory. The clients' own cost is not included.
import type { Server } from "../e2e/support/prosody.ts";

/** Returns the CPU time of a server for a task, in microseconds. */
export async function cpu(server: Server, task: () => Promise<unknown>): Promise<number> {
    const before = await clock(server);
    await task();
    return ((await clock(server)) - before) * 1e6;
}

/** Returns the bytes that a task allocates in a server, including garbage. */
export async function allocated(server: Server, task: () => Promise<unknown>): Promise<number> {
    const count = "return collectgarbage('count') * 1024";
    const before = (await server.eval(`collectgarbage() collectgarbage("stop") ${count}`)) as number;
    await task();
    const after = (await server.eval(count)) as number;
    await server.eval("collectgarbage('restart') collectgarbage()");
    return after - before;
}

/** Returns the memory in use by a server, in bytes. */
export async function inUse(server: Server): Promise<number> {
    return (await server.eval("collectgarbage() collectgarbage() return collectgarbage('count') * 1024")) as number;
}

/** os.clock() is the CPU time of the process, in seconds. */
async function clock(server: Server): Promise<number> {
    return (await server.eval("return os.clock()")) as number;
}

/** Measures the systems in turn, round by round, so that other load of the machine affects all of them. */
export async function interleave<T>(
    contestants: readonly T[],
    rounds: number,
    turn: (contestant: T) => Promise<number>,
): Promise<number[][]> {
    const results: number[][] = contestants.map(() => []);
    for (let round = 0; round < rounds; round++) {
        for (const [index, contestant] of contestants.entries()) {
            results[index]?.push(await turn(contestant));
        }
    }
    return results;
}

export function median(values: readonly number[]): number {
    const sorted = [...values].sort((one, other) => one - other);
    const middle = Math.floor(sorted.length / 2);
    const upper = sorted[middle] ?? Number.NaN;
    return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
