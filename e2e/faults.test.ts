// S1, S2, S3, S4, S5: real outages of the storage, with clients that join, talk and leave meanwhile. After an outage the
// account is in its rooms, and has its messages, without a restart. MINIMIX_LONG=1 plays outages of several lengths for
// each version on each storage.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { publishBookmark } from "./support/bookmarks.ts";
import { type Client, StanzaError } from "./support/client.ts";
import { bodiesOf, readArchive } from "./support/mam.ts";
import { create, groupchat, join, kick, leave } from "./support/muc.ts";
import { eventually, reconnect } from "./support/outlive.ts";
import { type Server, startServer, type Version, versions } from "./support/prosody.ts";
import { type Backend, backends, startStorage, type Storage } from "./support/storage.ts";
const isLong = process.env.MINIMIX_LONG === "1";
/** Seconds of an outage. */
const lengths = isLong ? [0.8, 2, 20] : [2];
/** Seconds until everything is in place again. */
const limit = 30_000;
const patience = 60_000;

interface Setting {
    version: Version;
    backend: Backend;
}

/** The short run has every version and every storage, but not every combination. */
const settings: Setting[] = backends.flatMap((backend, i) =>
    versions.filter((_, j) => isLong || i % versions.length === j).map((version) => ({ version, backend })),
);

/** Defines a test, unless MINIMIX_FAULT names others. */
function play(title: string, story: () => Promise<void>): void {
    if (title.includes(process.env.MINIMIX_FAULT ?? "")) {
        test(title, { timeout: 240_000 }, story);
    }
}

/** Accounts in a room, with the messages that each has received. */
class Story {
    readonly server: Server;
    readonly storage: Storage;
    readonly talk: string;
    readonly other: string;
    readonly clients = new Map<string, Client>();
    said = 0;
    /** The messages that each account got. */
    readonly heard = new Map<string, string[]>();

    constructor(server: Server, storage: Storage) {
        this.server = server;
        this.storage = storage;
        this.talk = `talk@${server.rooms}`;
        this.other = `other@${server.rooms}`;
    }

    client(name: string): Client {
        const client = this.clients.get(name);
        assert(client, `no client ${name}`);
        return client;
    }

    async connect(name: string): Promise<Client> {
        const client = await reconnect(this.server, `${name}/phone`);
        this.clients.set(name, client);
        return client;
    }

    async begin(): Promise<void> {
        for (const name of ["bob", "alice", "carol", "dave", "erin"]) {
            await this.connect(name);
        }
        await create(this.client("bob"), this.talk, "bob", { persistentroom: "1" });
        await create(this.client("bob"), this.other, "bob", { persistentroom: "1" });
        for (const name of ["alice", "carol", "dave"]) {
            await join(this.client(name), this.talk, name, { history: { maxstanzas: "0" } });
        }
        await this.say(5, ["bob", "alice", "carol", "dave"]);
    }

    /** Says some numbers. Those who are in the room must get each. */
    async say(count: number, listeners: string[]): Promise<void> {
        for (let i = 0; i < count; i += 1) {
            this.said += 1;
            const body = String(this.said);
            await groupchat(this.client("bob"), this.talk, body);
            for (const name of listeners) {
                await this.client(name).expect({ room: this.talk, body }, patience);
                this.heard.set(name, [...(this.heard.get(name) ?? []), body]);
            }
        }
    }

    /** What happens in an outage. */
    async act(): Promise<void> {
        await this.say(3, ["bob", "alice", "carol", "dave"]);
        await join(this.client("erin"), this.talk, "erin", { history: { maxstanzas: "0" }, timeout: patience });
        await leave(this.client("carol"), this.talk, "carol");
        await kick(this.client("bob"), this.talk, "dave");
        await publishBookmark(this.client("alice"), this.other, { autojoin: true, nick: "alice" });
        await this.say(3, ["bob", "alice", "erin"]);
    }

    /** Waits until everything that a client has been told is so. */
    async assertInPlace(since: number): Promise<void> {
        const wanted = JSON.stringify([
            ["alice", "bob", "erin"],
            ["alice", "bob"],
        ]);
        const nicks = async (room: string) => (await this.server.occupants(room)).map(({ nick }) => nick).sort();
        await eventually(
            async () => JSON.stringify([await nicks(this.talk), await nicks(this.other)]),
            (found) => found === wanted,
            Math.max(1, since + limit - Date.now()),
        );
    }

    async assertArchives(): Promise<void> {
        for (const [name, heard] of this.heard) {
            const reader = await reconnect(this.server, `${name}/reader`);
            const bodies = bodiesOf(await readArchive(reader, { form: { with: this.talk } }));
            // The subject of a new room has no body.
            assert.deepEqual(
                bodies.filter((body) => body !== null),
                heard,
                `the archive of ${name}`,
            );
            await reader.disconnect();
        }
    }

    /** The log lines of the outages so far. */
    outages(): { begun: number; ended: number } {
        const log = this.server.log();
        return {
            begun: log.match(/Storage fails, retrying/g)?.length ?? 0,
            ended: log.match(/Storage works again/g)?.length ?? 0,
        };
    }

    /** The end of an outage, and of the failed writes, within the limit. */
    async recovered(): Promise<void> {
        await eventually(
            async () => this.server.shell("minimix:stats()"),
            () => {
                const { begun, ended } = this.outages();
                return begun === ended;
            },
            limit,
        );
    }
}

/** The number of tests at a time: each has a server, and databases. */
const concurrency = 4;

describe("outages of the storage", { concurrency }, () => {
    for (const setting of settings) {
        define(setting);
    }
});

function define({ version, backend }: Setting): void {
    for (const seconds of lengths) {
        play(
            `Prosody ${version} on ${backend}: S2, S3: an outage of ${seconds} s loses nothing that clients were told`,
            async () => {
                const story = await newStory({ version, backend });
                const { server, storage } = story;
                await story.begin();
                const end = await storage.fail(server);
                const failing = setTimeout(seconds * 1000).then(end);
                await story.act();
                await failing;
                const since = Date.now();
                await story.say(2, ["bob", "alice", "erin"]);
                await story.recovered();
                await story.assertInPlace(since);
                await story.assertArchives();
                const { begun } = story.outages();
                assert(begun <= 1, `${begun} lines for one outage`);
                if (seconds >= 2) {
                    assert.equal(begun, 1, "nothing has failed");
                }
                await server.kill();
                await server.start();
                await story.assertInPlace(Date.now());
                await story.assertArchives();
                await finish(story);
            },
        );

        play(`Prosody ${version} on ${backend}: S4: an outage of ${seconds} s at the start loses no room`, async () => {
            const story = await newStory({ version, backend });
            const { server, storage } = story;
            await story.begin();
            await story.act();
            await server.kill();
            const end = await storage.fail(server);
            await server.start();
            const carol = await story.connect("carol");
            const joined = join(carol, story.talk, "carol", { timeout: patience }).catch((error: unknown) => error);
            await setTimeout(seconds * 1000);
            await end();
            const since = Date.now();
            const answer = await joined;
            if (answer instanceof StanzaError) {
                assert.equal(answer.type, "wait", answer.message);
            } else {
                assert(Array.isArray(answer), String(answer));
                await leave(carol, story.talk, "carol");
            }
            await story.recovered();
            await story.assertInPlace(since);
            story.heard.delete("carol");
            await story.assertArchives();
            assert(story.outages().begun <= 1);
            await finish(story);
        });
    }
}

/**
 * The module's line at the beginning of an outage, and all of Prosody's drivers and of mod_mam. Some of the drivers end
 * with a traceback.
 */
const expectedErrors = [
    /:minimix\terror\tStorage fails, retrying: /,
    /:minimix\terror\tThe record of \S+ in \S+ cannot be read: /,
    /^\S+ \d+ \S+ (datamanager|sql|\S+:storage_sql|\S+:mam)\t/,
    /^\s*stack traceback:$/,
];

async function newStory({ version, backend }: Setting): Promise<Story> {
    const storage = await startStorage(backend);
    const server = await startServer({
        version,
        minimix: true,
        users: ["alice", "bob", "carol", "dave", "erin"],
        hostConfig: storage.config,
        allowedErrors: expectedErrors,
    });
    return new Story(server, storage);
}

async function finish({ server, storage }: Story): Promise<void> {
    await server.stop();
    await storage.stop();
}
