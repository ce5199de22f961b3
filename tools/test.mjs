// Runs all checks, or the groups named on the command line. A failed check does not stop the others.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
const bundle = "mod_minimix.lua";
const e2eCounts = ".build/e2e.json";

/** The bundle must parse on every Lua version that Prosody supports or has supported. */
const compilers = [
    ...["5.1", "5.2", "5.3", "5.4"].map((version) => [`luac${version}`, "-p", join("lua-out", bundle)]),
    ["luajit", "-bl", join("lua-out", bundle), "/dev/null"],
];
const failures = [];
/** Settled while no child process writes to this one's output. */
let live = Promise.resolve();
/** Settled when all reports are printed. */
let printed = Promise.resolve();
const total = { passed: 0, failed: 0, skipped: 0 };

async function setup() {
    await check("setup", "tools/setup");
}

// The committed bundle is what people install and what the tests run. It must match the sources.
function build() {
    const scratch = ".build/lua-out";
    return async () => {
        rmSync(scratch, { recursive: true, force: true });
        if (await check("build", tool("tstl"), ["-p", "tstl.json", "--outDir", scratch])) {
            const isFresh = read(join(scratch, bundle)) === read(join("lua-out", bundle));
            report("lua-out", isFresh ? "fresh" : "lua-out is stale: run make build and commit");
            count("lua-out", { passed: isFresh ? 1 : 0, failed: isFresh ? 0 : 1 });
        }
    };
}

/** Returns the checks as functions. Those that take longest come first. */
function lint() {
    const checks = [
        ["eslint", tool("eslint"), ["."]],
        ["prettier", tool("prettier"), ["--check", "--log-level", "warn", "."]],
        // With demo/ and bench/, which use files of e2e/.
        ["tsc e2e", tool("tsc"), ["-p", "e2e"]],
        ["luacheck", "luacheck", ["-q", "--no-color", "lua-out", "spec", "e2e", "demo", "bench"]],
        ["rules", process.execPath, ["tools/rules.mjs"]],
        ["comments", process.execPath, ["tools/comments.mjs"]],
        ...compilers.filter(isInstalled).map(([compiler, ...parameters]) => [compiler, compiler, parameters]),
    ];
    return checks.map((each) => () => check(...each));
}

/** Returns a function for each version and file. Only the newest version runs the specs tagged #once. They take long. */
async function spec() {
    const { versions } = await import("./versions.mjs");
    const newest = versions.findLast(({ installed }) => installed);
    return versions.toReversed().flatMap((version) => {
        const name = `busted, Prosody ${label(version)}`;
        const parameters = version === newest ? [] : ["--exclude-tags=once"];
        return version.installed ? busted(name, version.lib, parameters) : () => notRun(name, version);
    });
}

function label({ version, release }) {
    return version === "newest" ? `${version} (${release})` : version;
}

/**
 * Returns a function for each file. Each runs a process: in one process for all, the memory of earlier specs makes each
 * garbage collection longer. The last one to end prints the report.
 */
function busted(name, prosodyLib, parameters) {
    const files = readdirSync("spec").filter((each) => each.endsWith("_spec.lua"));
    const env = { ...process.env, PROSODY_LIB: prosodyLib };
    const reports = new Map();
    return files.map((file) => async () => {
        const started = performance.now();
        const command = ["--output=plainTerminal", ...parameters, join("spec", file)];
        const { output, status } = await capture("busted", command, env);
        const [, passed, failed, errors, skipped] =
            /(\d+) success\w* \/ (\d+) failure\w* \/ (\d+) error\w* \/ (\d+) pending/.exec(output)?.map(Number) ?? [];
        count(`${name}, ${file}`, settled({ passed, failed: failed + errors, skipped }, status));
        reports.set(file, `${timed(file, started)}\n${output}`);
        if (reports.size === files.length) {
            report(name, files.map((each) => reports.get(each)).join("\n"));
        }
    });
}

async function e2e(chosen) {
    const { versions } = await import("./versions.mjs");
    for (const version of versions.filter(({ installed }) => !installed)) {
        notRun(`e2e, Prosody ${label(version)}`, version);
    }
    rmSync(e2eCounts, { force: true });
    heading("e2e");
    const child = spawn(process.execPath, ["--import", "tsx", "tools/e2e.mjs", ...chosen], {
        cwd: folder,
        env: { ...process.env, COUNTS: e2eCounts },
        stdio: "inherit",
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    live = ended;
    const status = await ended;
    count("e2e", settled(JSON.parse(read(e2eCounts) || "{}"), status));
}

/** A run without figures, or a failed run without a failed test, counts as one failure. */
function settled(counts, status) {
    const { passed = 0, failed = 0, skipped = 0 } = counts;
    return { passed, failed: status !== 0 && !(failed > 0) ? 1 : failed || 0, skipped };
}

async function check(name, command, parameters = []) {
    const started = performance.now();
    const { output, status } = await capture(command, parameters);
    report(timed(name, started), output);
    count(name, { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 });
    return status === 0;
}

function isInstalled([compiler]) {
    return !spawnSync(compiler, ["-v"]).error;
}

/** A missing version is a failure. A version that cannot run on this system is not. */
function notRun(name, { unusable }) {
    report(name, `not run: ${unusable ?? "this version is not installed"}`);
    count(name, unusable === undefined ? { failed: 1 } : { skipped: 1 });
}

/**
 * Returns the output and the exit status of a process. If it does not start, the output says why. The e2e tests run
 * meanwhile. They mostly wait, and have priority.
 */
async function capture(command, parameters, env = process.env) {
    const child = spawn("nice", ["-n", "15", command, ...parameters], {
        cwd: folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text) => (output += text));
    }
    const status = await new Promise((resolve) => {
        child.on("error", ({ message }) => {
            output += message;
            resolve(message);
        });
        child.on("close", resolve);
    });
    return { output, status };
}

/** Prints output when all of it is known and no process writes, so that no output of others is between. */
function report(title, output) {
    const print = () => {
        heading(title);
        console.log(output);
    };
    printed = Promise.all([printed, live]).then(print);
}

function timed(name, started) {
    return `${name} (${Math.round((performance.now() - started) / 1000)} s)`;
}

function heading(name) {
    console.log(`\n== ${name}`);
}

function count(name, { passed = 0, failed = 0, skipped = 0 }) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
    if (failed > 0) {
        failures.push(`${name}: ${failed}`);
    }
}

function tool(name) {
    return join("node_modules", ".bin", name);
}

function read(path) {
    return existsSync(path) ? readFileSync(path, "utf8") : "";
}

process.chdir(folder);
mkdirSync(".build", { recursive: true });
const [group, ...chosen] = process.argv.slice(2);

function isWanted({ name }) {
    return group === undefined || group === name;
}

/** Runs what the groups return, in a process per core. No core is idle before all has started. */
async function inPool(...groups) {
    const lists = await Promise.all(groups.filter(isWanted).map((each) => each()));
    const pending = lists.flat();
    const work = async () => {
        for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
            await next();
        }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
}

if (isWanted(setup)) {
    await setup();
}
await Promise.all([isWanted(e2e) && e2e(chosen), inPool(lint, build, spec)]);
await printed;

console.log("");
for (const failure of failures) {
    console.log(`failed in ${failure}`);
}
if (total.skipped > 0) {
    console.log(`${total.skipped} skipped`);
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
