// The same to try in a browser: two clients of Alice's and one of Bob's on a page, and what the server knows beside them.
// PROSODY=13.0 chooses the version of the server; ONCE=1 ends when the page is there.
import { once } from "node:events";
import * as page from "./page.ts";
import { chosenVersion } from "./version.ts";
import { openSite } from "./web/site.ts";

const ended = Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal)));

try {
    await Promise.race([run(), ended]);
} catch (error) {
    page.failure(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
}
// With the process end its servers and, unless something went wrong, their files.
process.exit();

async function run(): Promise<void> {
    const site = await openSite(chosenVersion());
    const { ok, status } = await fetch(site.url);
    if (!ok) {
        throw new Error(`the page answers ${status}`);
    }
    page.heading(`Open ${site.url} in a browser on this machine.`);
    page.text("Ctrl-C ends it.");
    if (process.env.ONCE) {
        await site.close();
    } else {
        await ended;
    }
}
