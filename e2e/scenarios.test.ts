// Generated scenarios. A client receives the same with mod_minimix as without. Several clients of an account receive
// the expected stanzas. MINIMIX_STEPS sets the number of steps, MINIMIX_SEED the first seed, PROSODY the version.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, before, describe, test, type TestContext } from "node:test";
import { type Pair, startPair } from "./support/compare.ts";
import { type Version, versions } from "./support/prosody.ts";
import { checkScenario } from "./support/scenario/delivery.ts";
import { compareScenario, type Result } from "./support/scenario/equality.ts";
import type { Cast } from "./support/scenario/generate.ts";

const { MINIMIX_STEPS, MINIMIX_SEED, PROSODY } = process.env;
const isShort = MINIMIX_STEPS === undefined;
const wantedSteps = Number(MINIMIX_STEPS ?? 60);
const longest = 60;
// The short form uses the same seed every time, a long one a new seed.
const firstSeed = Number(MINIMIX_SEED ?? (isShort ? 1 : randomInt(1_000_000)));

type Scenario = (seed: number, length: number) => Promise<Result>;

async function play(t: TestContext, version: Version, scenario: Scenario): Promise<void> {
    const start = performance.now();
    let steps = 0;
    // In the short form each version has another seed.
    const first = firstSeed + (isShort ? versions.indexOf(version) : 0);
    for (let seed = first; steps < wantedSteps; seed++) {
        steps += (await playOne(scenario, seed, Math.min(longest, wantedSteps))).length;
    }
    const seconds = (performance.now() - start) / 1000;
    t.diagnostic(`${steps} steps from seed ${first}, ${Math.round(steps / seconds)} a second`);
}

async function playOne(scenario: Scenario, seed: number, length: number): Promise<Result["steps"]> {
    const { steps, problems } = await scenario(seed, length).catch((cause: unknown) => {
        throw new Error(`in the scenario of MINIMIX_SEED=${seed}`, { cause });
    });
    const script = steps.map((step, number) => `${number} ${JSON.stringify(step)}`);
    assert.equal(problems.length, 0, [`MINIMIX_SEED=${seed} repeats this`, ...script, ...problems].join("\n"));
    return steps;
}

/** Rooms and accounts that belong to one scenario. */
function cast(
    name: string,
    seed: number,
    resources: Record<string, string[]>,
): Omit<Cast, "comeAndGo" | "considerate"> {
    const sessions = Object.entries(resources).flatMap(([user, names]) =>
        names.map((resource) => `${user}-${name}${seed}/${resource}`),
    );
    return {
        domain: "a.lab",
        sessions,
        host: sessions[0] ?? "",
        room: (n) => `${name}${seed}-${n}@rooms.a.lab`,
        withSmacks: sessions.filter((session) => session.endsWith("/laptop") && resources.alice?.includes("laptop")),
        withCarbons: sessions.filter((session) => !session.endsWith("/tablet")),
    };
}

const oneEach = { bob: ["desk"], alice: ["phone"], carol: ["tablet"], dave: ["laptop"] };
const severalEach = { bob: ["desk", "pocket"], alice: ["phone", "laptop", "tablet"], carol: ["watch"] };

/** Faults that the comparison must find, and the text of the messages. */
const tampering = [
    ["lost", "lose this for phone"],
    ["doubled", "double this for phone"],
] as const;

for (const version of versions.filter((name) => name === (PROSODY ?? name))) {
    describe(`Generated scenarios on Prosody ${version}`, () => {
        let pair: Pair;

        before(async () => {
            pair = await startPair({ version, roomModules: ["muc_mam"] });
        });

        after(async () => {
            await pair.stop();
        });

        test("R1, O6: one client for each account receives the same as without the module", async (t) => {
            await play(t, version, (seed, length) =>
                compareScenario(
                    pair,
                    { ...cast("steady", seed, oneEach), comeAndGo: false, considerate: false },
                    seed,
                    length,
                ),
            );
        });

        test("R1, O6: the same if clients disconnect and connect", async (t) => {
            await play(t, version, (seed, length) =>
                compareScenario(
                    pair,
                    { ...cast("coming", seed, oneEach), comeAndGo: true, considerate: true },
                    seed,
                    length,
                ),
            );
        });

        test("R1: several clients of each account get their expected stanzas, once", async (t) => {
            await play(t, version, (seed, length) =>
                checkScenario(
                    pair.minimix,
                    { ...cast("several", seed, severalEach), comeAndGo: true, considerate: false },
                    seed,
                    length,
                ),
            );
        });

        for (const [what, text] of isShort && version === versions.at(-1) ? tampering : []) {
            test(`the comparison finds a message that is ${what} on its way`, async () => {
                const play = async (name: string, scenario: (cast: Cast) => Promise<Result>) => {
                    const parts = cast(`${what}${name}`, 1, oneEach);
                    return scenario({ ...parts, comeAndGo: false, considerate: false, text: () => text });
                };
                await pair.minimix.loadModule("tamper");
                const compared = await play("compared", (cast) => compareScenario(pair, cast, 1, longest));
                const checked = await play("checked", (cast) => checkScenario(pair.minimix, cast, 1, longest));
                await pair.minimix.unloadModule("tamper");
                const sign = what === "lost" ? "-" : "\\+";
                const difference = new RegExp(`^alice-\\w+/phone ${sign} .*<body>${text}`);
                assert.notEqual(compared.problems.length, 0);
                assert.deepEqual(
                    compared.problems.filter((problem) => !difference.test(problem)),
                    [],
                );
                assert.match(
                    checked.problems[0] ?? "",
                    new RegExp(`^alice-\\w+/phone in .* ${sign} message groupchat`),
                );
            });
        }
    });
}
