// Random choices that a seed repeats.

export interface Random {
    /** Returns a whole number from 0 to `limit` - 1. */
    below(limit: number): number;
    /** Returns true in this percentage of cases. */
    chance(percent: number): boolean;
    pick<T>(list: readonly T[]): T;
}

/** Mulberry32: short, and random enough for test data. */
export function seededRandom(seed: number): Random {
    let state = seed | 0;
    const below = (limit: number) => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
    };
    return {
        below,
        chance: (percent) => below(100) < percent,
        pick: <T>(list: readonly T[]) => list[below(list.length)] as T,
    };
}
