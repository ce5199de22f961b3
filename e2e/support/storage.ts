// Storage of archives: Prosody's own files, SQLite, or a PostgreSQL server that runs as long as the test.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { encodeStoreName, freePort, type Server } from "./prosody.ts";

export interface Storage {
    /** Options of the host, as Lua text. */
    readonly config: string;
    /** The options of mod_storage_sql for a database server. */
    readonly sql?: string;
    /** Makes the module's stores fail, until the returned function is called. */
    fail(server: Pick<Server, "folder" | "domain">): Promise<() => Promise<void>>;
    stop(): Promise<void>;
}

export type Backend = "internal" | "SQLite" | "PostgreSQL";

const stores = ["archive", "minimix", "minimix_archive", "minimix_numbers", "minimix_parts"];

/** The folder of PostgreSQL's programs in Debian, which are not in PATH. Undefined if it is not installed. */
const postgres = newestIn("/usr/lib/postgresql");

/** The installed backends. */
export const backends: Backend[] = ["internal", "SQLite", ...(postgres === undefined ? [] : (["PostgreSQL"] as const))];

export async function startStorage(backend: Backend): Promise<Storage> {
    if (backend === "internal") {
        return { config: "", fail: (server) => Promise.resolve(blockFolders(server)), stop: () => Promise.resolve() };
    }
    if (backend === "SQLite") {
        const config = sqlConfig(`driver = "SQLite3", database = "test.sqlite"`);
        return { config, fail: lockDatabase, stop: () => Promise.resolve() };
    }
    return startPostgres(join(postgres ?? "", "bin"));
}

function sqlConfig(sql: string): string {
    return `
storage = { ${stores.map((store) => `${store} = "sql"`).join("; ")} }
sql = { ${sql} }
`;
}

/** Replaces the folders of the module's stores by files, because root may write to any folder. */
function blockFolders({ folder, domain }: Pick<Server, "folder" | "domain">): () => Promise<void> {
    const blocked = stores
        .filter((store) => store !== "archive")
        .map((store) => join(folder, "data", encodeStoreName(domain), encodeStoreName(store)));
    for (const path of blocked) {
        mkdirSync(path, { recursive: true });
        renameSync(path, `${path}.away`);
        writeFileSync(path, "");
    }
    return () => {
        for (const path of blocked) {
            rmSync(path);
            renameSync(`${path}.away`, path);
        }
        return Promise.resolve();
    };
}

/** Another process locks the database. It unlocks it when its input ends. */
const lockScript = String.raw`
local connection = assert(require "DBI".Connect("SQLite3", arg[1]));
connection:autocommit(true);
assert(assert(connection:prepare("BEGIN EXCLUSIVE")):execute());
io.write("locked\n"); io.flush();
io.read "a";
assert(assert(connection:prepare("ROLLBACK")):execute());
`;

async function lockDatabase({ folder }: Pick<Server, "folder">): Promise<() => Promise<void>> {
    const script = join(folder, "lock.lua");
    writeFileSync(script, lockScript);
    for (;;) {
        const locker = spawn("lua5.4", [script, join(folder, "data", "test.sqlite")], {
            stdio: ["pipe", "pipe", "ignore"],
        });
        const ended = once(locker, "exit");
        // The database may be locked by the server at this moment.
        if ((await Promise.race([once(locker.stdout, "data"), ended]))[0] instanceof Buffer) {
            return async () => {
                locker.stdin.end();
                await ended;
            };
        }
    }
}

/** PostgreSQL refuses to run as root. Debian's package creates a user for it. */
async function startPostgres(programs: string): Promise<Storage> {
    const folder = mkdtempSync(join(tmpdir(), "minimix-postgres-"));
    const user = userIds();
    if (user !== undefined) {
        chownSync(folder, user.uid, user.gid);
    }
    const data = join(folder, "data");
    const port = await freePort();
    const options = { ...user, cwd: folder, env: { PATH: process.env.PATH }, stdio: "ignore" as const };
    execFileSync(
        join(programs, "initdb"),
        ["-D", data, "-U", "prosody", "--auth=trust", "-E", "UTF8", "--no-sync"],
        options,
    );
    const start = async () => {
        const child = spawn(
            join(programs, "postgres"),
            ["-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", folder, "-c", "fsync=off"],
            options,
        );
        while (!existsSync(join(folder, `.s.PGSQL.${port}`))) {
            await setTimeout(50);
        }
        return child;
    };
    let server = await start();
    const end = async () => {
        server.kill("SIGINT");
        await once(server, "exit");
    };
    process.once("exit", () => server.kill("SIGKILL"));
    const sql = `driver = "PostgreSQL", database = "postgres", username = "prosody", password = "", host = "127.0.0.1", port = ${port}`;
    return {
        config: sqlConfig(sql),
        sql: `{ ${sql} }`,
        fail: async () => {
            await end();
            return async () => {
                server = await start();
            };
        },
        stop: async () => {
            await end();
            rmSync(folder, { recursive: true, force: true });
        },
    };
}

function userIds(): { uid: number; gid: number } | undefined {
    if (process.getuid?.() !== 0) {
        return undefined;
    }
    const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
    return { uid: id("-u"), gid: id("-g") };
}

/** The folder of the highest version. */
function newestIn(folder: string): string | undefined {
    const versions = existsSync(folder) ? readdirSync(folder).map(Number) : [];
    return versions.length > 0 ? join(folder, String(Math.max(...versions))) : undefined;
}
