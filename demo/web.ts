// The demo in a browser: two clients of Alice and one of Bob on a page, with the state of the server. PROSODY=13.0
// selects the version of the server. ONCE=1 ends when the page is ready.
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
// The servers end with this process. Their files are deleted, except after a failure.
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
