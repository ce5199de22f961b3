// Runs the module and plain MUC side by side, with the same work, and prints the cost for the server. BENCH=fork,join
// runs only these cases. PROSODY=0.12 selects the version. MINIMIX_LONG=1 measures more rounds, larger rooms and more
// accounts. MINIMIX_ROUNDS=1 sets the number of rounds. MINIMIX_ACCOUNTS=2000 is a large server for BENCH=scale, which
// takes more than half a day. BENCH=local, remote and storms are its parts.
import { type Version, versions } from "../e2e/support/prosody.ts";
import { detached, memory } from "./cases/account.ts";
import { federation } from "./cases/federation.ts";
import { fork, forkSmacks, forkUsual } from "./cases/fork.ts";
import { archive, growth, kept } from "./cases/growth.ts";
import { join } from "./cases/join.ts";
import type { Run } from "./cases/run.ts";
import { local, remote, scale, storms } from "./cases/scale.ts";
import { small } from "./cases/small.ts";
import { format, isOver, type Row } from "./table.ts";

const cases: Record<string, (run: Run) => Promise<Row[]>> = {
    fork,
    usual: forkUsual,
    smacks: forkSmacks,
    s2s: federation,
    join,
    detached,
    memory,
    growth,
    archive,
    kept,
    small,
    scale,
};

/** The parts of `scale`, to run one alone. */
const parts: typeof cases = { local, remote, storms };

function chosenCases(): string[] {
    const names = process.env.BENCH?.split(",") ?? Object.keys(cases);
    const known = Object.keys({ ...cases, ...parts });
    const unknown = names.filter((name) => !known.includes(name));
    if (unknown.length > 0) {
        throw new Error(`BENCH=${unknown.join(",")}: there are only ${known.join(", ")}`);
    }
    return names;
}

function chosenVersion(): Version {
    const wanted = process.env.PROSODY ?? "13.0";
    const found = versions.find((version) => version === wanted);
    if (found === undefined) {
        throw new Error(`Prosody ${wanted} is not installed, only: ${versions.join(", ") || "none"}; run tools/setup`);
    }
    return found;
}

const long = process.env.MINIMIX_LONG === "1";
const rounds = Number(process.env.MINIMIX_ROUNDS ?? (long ? 15 : 5));
const accounts = Number(process.env.MINIMIX_ACCOUNTS ?? (long ? 200 : 30));
const run: Run = { version: chosenVersion(), rounds, many: long ? 1000 : 300, accounts };
const rows: Row[] = [];
for (const name of chosenCases()) {
    console.error(`${name} ...`);
    rows.push(...((await (cases[name] ?? parts[name])?.(run)) ?? []));
}
console.log(`\nProsody ${run.version}, medians of ${run.rounds} rounds\n\n${format(rows)}\n`);
const over = rows.filter(isOver);
console.log(over.length === 0 ? "All is within its target." : `Over the target: ${over.length}`);
// The servers end with this process. Their files are deleted, except after a failure.
process.exit();
