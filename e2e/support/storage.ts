// Storage of archives: Prosody's own files, SQLite, or a PostgreSQL server that runs as long as the test.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { freePort } from "./prosody.ts";

export interface Storage {
    /** Options of the host, as Lua text. */
    readonly config: string;
    /** The options of mod_storage_sql for a database server. */
    readonly sql?: string;
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
        return { config: "", stop: () => Promise.resolve() };
    }
    if (backend === "SQLite") {
        return { config: sqlConfig(`driver = "SQLite3", database = "test.sqlite"`), stop: () => Promise.resolve() };
    }
    return startPostgres(join(postgres ?? "", "bin"));
}

function sqlConfig(sql: string): string {
    return `
storage = { ${stores.map((store) => `${store} = "sql"`).join("; ")} }
sql = { ${sql} }
`;
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
    const server = spawn(
        join(programs, "postgres"),
        ["-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", folder, "-c", "fsync=off"],
        options,
    );
    process.once("exit", () => server.kill("SIGKILL"));
    while (!existsSync(join(folder, `.s.PGSQL.${port}`))) {
        await setTimeout(50);
    }
    const sql = `driver = "PostgreSQL", database = "postgres", username = "prosody", password = "", host = "127.0.0.1", port = ${port}`;
    return {
        config: sqlConfig(sql),
        sql: `{ ${sql} }`,
        stop: async () => {
            server.kill("SIGINT");
            await once(server, "exit");
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
