// P1, H1: the server is killed with SIGKILL at the writes of a story, before and after the write. Each story has its own account
// and rooms. MINIMIX_LONG=1 kills at each write, on each version with internal storage and SQLite.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { publishBookmark, readBookmarks, retractBookmark } from "./support/bookmarks.ts";
import { type Client, connect } from "./support/client.ts";
import { bodiesOf, readArchive } from "./support/mam.ts";
import { create, groupchat, join, kick, leave } from "./support/muc.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { bodies, eventually, ownPresences, reconnect, whoIsIn } from "./support/outlive.ts";
import { type Version, versions } from "./support/prosody.ts";
import { type Backend, startStorage } from "./support/storage.ts";

const isLong = process.env.MINIMIX_LONG === "1";
const nick = "Me";
const [oldest = "0.12"] = versions;
const newest = versions.at(-1) ?? oldest;
const backends = ["internal", "SQLite"] as const;

/** The short run has every version and both storages, but not every combination, and few kills. */
const settings = versions.flatMap((version, i) =>
    backends.filter((_, j) => isLong || i % backends.length === j).map((backend) => ({ version, backend })),
);

type Moment = "before" | "after";

interface Kill {
    readonly at: number;
    readonly when: Moment;
}

/** The rooms of a story: `own` is on the killed server, and has no archive. The others are on another server. */
type Name = "own" | "left" | "kicked" | "marked";
const names: Name[] = ["own", "left", "kicked", "marked"];

/** A room that the current step changes, and whether the account is in it after the step. */
interface Step {
    readonly room?: Name;
    readonly inside?: boolean;
    act(): Promise<unknown>;
}

for (const { version, backend } of settings) {
    describe(`Prosody ${version} on ${backend}`, () => {
        test(
            "P1: a server killed at a write of a story keeps what a client has seen",
            { timeout: 3_600_000 },
            async () => {
                const storage = await startStorage(backend);
                const room = `prosody-${version === oldest ? newest : oldest}` as const;
                const hostConfig = `${storage.config}\n${driverOf(backend)}`;
                const network = await startNetwork({ version, room, hostConfig });
                const owner = await connect(network.theirs, "bob/desk");
                const first = await playStory(network, owner, 0);
                assert(first.writes > 20, `a story has ${first.writes} writes`);
                const kills = killsOf(first.writes, version);
                let hits = 0;
                for (const [i, kill] of kills.entries()) {
                    await network.ours.stop();
                    const armed = `killer_at = ${kill.at}; killer_when = "${kill.when}"`;
                    const { isHit, problems } = await killStory(network, owner, i + 1, hostConfig, armed);
                    hits += isHit ? 1 : 0;
                    assert.deepEqual(problems, [], `killed ${kill.when} write ${kill.at} of ${first.writes}`);
                }
                // A story may have some writes less than the first one.
                assert(hits > 0.7 * kills.length, `${hits} of ${kills.length} kills hit`);
                if (isLong) {
                    console.log(`Prosody ${version} on ${backend}: ${hits} kills at ${first.writes} writes`);
                }
                await network.stop();
                await storage.stop();
            },
        );
    });
}

function driverOf(backend: Backend): string {
    const stores = ["minimix", "minimix_archive", "minimix_numbers", "minimix_parts"];
    const others = backend === "SQLite" ? `archive = "sql"; ` : "";
    return `
storage = { ${others}${stores.map((store) => `${store} = "killer"`).join("; ")} }
killer_driver = "${backend === "SQLite" ? "sql" : "internal"}"
`;
}

/** The first writes are those of the start. */
function killsOf(writes: number, version: Version): Kill[] {
    const all = Array.from({ length: writes }, (_, i) => i + 1).flatMap((at) => [
        { at, when: "before" as const },
        { at, when: "after" as const },
    ]);
    const few = 4;
    const shift = versions.indexOf(version) * 3 + 1;
    return isLong ? all : all.filter((_, i) => (i + shift) % Math.ceil(all.length / few) === 0);
}

/** A story with its own account and rooms. */
class Story {
    readonly user: string;
    readonly rooms: Record<Name, string>;
    readonly #network: Network;
    readonly #owner: Client;
    readonly #known = new Map<Name, boolean>();
    #phone: Client | undefined;
    #pending: Step | undefined;
    #presences = 0;

    constructor(network: Network, owner: Client, number: number) {
        this.#network = network;
        this.#owner = owner;
        this.user = `user${number}`;
        const on = (name: Name, domain: string) => `${name}${number}@${domain}`;
        const { ours, theirs } = network;
        this.rooms = {
            own: on("own", ours.rooms),
            left: on("left", theirs.rooms),
            kicked: on("kicked", theirs.rooms),
            marked: on("marked", theirs.rooms),
        };
    }

    async prepare(): Promise<void> {
        this.#network.ours.register(this.user);
        for (const name of ["left", "kicked", "marked"] as const) {
            await create(this.#owner, this.rooms[name], "Owner", { persistentroom: "1" });
        }
    }

    async play(): Promise<void> {
        const phone = await connect(this.#network.ours, `${this.user}/phone`);
        this.#phone = phone;
        const { own, left, kicked, marked } = this.rooms;
        const steps: Step[] = [
            { room: "own", inside: true, act: () => create(phone, own, nick, { persistentroom: "1" }) },
            { act: () => talk(phone, own, 1, 3) },
            { room: "left", inside: true, act: () => join(phone, left, nick) },
            { room: "left", inside: false, act: () => leave(phone, left, nick) },
            { room: "kicked", inside: true, act: () => join(phone, kicked, nick) },
            {
                room: "kicked",
                inside: false,
                act: async () => {
                    await kick(this.#owner, kicked, nick);
                    await phone.expect({ room: kicked, type: "unavailable", status: "307" });
                },
            },
            { act: () => publishBookmark(phone, marked, { autojoin: true, nick }) },
            { act: () => this.becomes("marked", true) },
            { act: () => talk(phone, own, 4, 6) },
            { act: () => retractBookmark(phone, marked) },
            { act: () => this.becomes("marked", false) },
            { act: () => talk(phone, own, 7, 8) },
        ];
        for (const step of steps) {
            this.#pending = step;
            this.#presences = this.#seen(step.room);
            await step.act();
            if (step.room !== undefined && step.inside !== undefined) {
                this.#known.set(step.room, step.inside);
            }
        }
        this.#pending = undefined;
        await phone.disconnect();
    }

    async isIn(name: Name): Promise<boolean> {
        const occupants = await whoIsIn(this.#network, this.rooms[name], this.#owner);
        return occupants.some((occupant) => occupant.startsWith(`${nick} `));
    }

    async becomes(name: Name, inside: boolean): Promise<void> {
        await eventually(
            () => this.isIn(name),
            (isIn) => isIn === inside,
        );
    }

    /** Returns what differs from what the client has seen, after the restart. */
    async check(): Promise<string[]> {
        const reader = await reconnect(this.#network.ours, `${this.user}/reader`);
        const marks = await readBookmarks(reader).catch(() => new Map<string, unknown>());
        const expected = this.#expected(marks.has(this.rooms.marked));
        const differences = async () => {
            const problems: string[] = [];
            for (const name of names) {
                const isIn = await this.isIn(name);
                if (expected.get(name) !== undefined && expected.get(name) !== isIn) {
                    problems.push(`${isIn ? "in" : "not in"} ${name}`);
                }
            }
            return problems;
        };
        // The account returns by itself, so nothing may change afterwards.
        const problems = await eventually(differences, (found) => found.length === 0).catch(differences);
        const archived = this.#phone === undefined ? [] : await readArchive(reader, { form: { with: this.rooms.own } });
        const kept = bodiesOf(archived).map(String);
        const heard = this.#phone === undefined ? [] : bodies(this.#phone, this.rooms.own, "");
        const lost = heard.filter((body) => body !== "" && !kept.includes(body));
        const inOrder = [...new Set(kept)].sort((one, other) => Number(one) - Number(other));
        await reader.disconnect();
        return [
            ...problems,
            ...(lost.length > 0 ? [`lost ${lost.join()}`] : []),
            ...(kept.join() === inOrder.join() ? [] : [`reads ${kept.join()}`]),
        ];
    }

    /** Whether the account must be in each room. Undefined if no client has seen the result. */
    #expected(isMarked: boolean): Map<Name, boolean | undefined> {
        const expected = new Map<Name, boolean | undefined>(
            names.map((name) => [name, this.#known.get(name) ?? false]),
        );
        const pending = this.#pending;
        if (pending?.room !== undefined) {
            const isTold = this.#seen(pending.room) > this.#presences;
            expected.set(pending.room, isTold ? pending.inside : undefined);
        }
        expected.set("marked", isMarked);
        return expected;
    }

    /** Counts the client's own presences of a room. */
    #seen(name: Name | undefined): number {
        return name === undefined || this.#phone === undefined
            ? 0
            : ownPresences(this.#phone, this.rooms[name], nick).length;
    }
}

async function talk(phone: Client, room: string, from: number, to: number): Promise<void> {
    for (let number = from; number <= to; number++) {
        await groupchat(phone, room, String(number));
        await phone.expect({ room, body: String(number) });
    }
}

/** Plays a story without a kill. Returns the number of writes. */
async function playStory(network: Network, owner: Client, number: number): Promise<{ writes: number }> {
    const story = new Story(network, owner, number);
    await story.prepare();
    await story.play();
    const module = `prosody.hosts[${JSON.stringify(network.ours.domain)}].modules.storage_killer`;
    const writes = Number(await network.ours.eval(`return ${module}.writes()`));
    assert.deepEqual(await story.check(), []);
    await forget(network, story);
    return { writes };
}

/** Plays a story until the server is dead, and starts it again. */
async function killStory(
    network: Network,
    owner: Client,
    number: number,
    hostConfig: string,
    armed: string,
): Promise<{ isHit: boolean; problems: string[] }> {
    const story = new Story(network, owner, number);
    await story.prepare();
    const isStarted = await network.ours.start({ hostConfig: `${hostConfig}\n${armed}` }).then(
        () => true,
        () => false,
    );
    let isHit = !isStarted;
    if (isStarted) {
        const played = story.play().then(
            () => false,
            () => true,
        );
        isHit = await Promise.race([network.ours.ended().then(() => true), played]);
        await network.ours.kill();
    }
    await network.ours.start({ hostConfig });
    const problems = await story.check();
    await forget(network, story);
    return { isHit, problems };
}

/** Deletes the account, so that later starts have less to do. */
async function forget(network: Network, story: Story): Promise<void> {
    await network.ours.eval(
        `return require "core.usermanager".delete_user(${JSON.stringify(story.user)}, ${JSON.stringify(network.ours.domain)})`,
    );
}
