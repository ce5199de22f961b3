// Plays a story in a plain room and in a room with the module. Then the server runs on for the reader's own client.
// PROSODY=13.0 chooses the version of the server; ONCE=1 ends after the story.
import { once } from "node:events";
import type { Server, Version } from "../e2e/support/prosody.ts";
import * as page from "./page.ts";
import { setUp, type Stage, switchOff } from "./stage.ts";
import { play } from "./story.ts";
import { chosenVersion } from "./version.ts";

const ended = Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal)));

try {
    await Promise.race([run(chosenVersion()), ended]);
} catch (error) {
    page.failure(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
}
// The servers end with this process. Their files are deleted, except after a failure.
process.exit();

async function run(version: Version): Promise<void> {
    const plain = await setUp(version, false);
    const minimix = await setUp(version, true);
    page.heading(`mod_minimix on Prosody ${String(await minimix.server.eval("return prosody.version"))}`);
    page.text("Every step is played twice, with real clients: in a plain room, and with the module.\n");
    await play(plain, minimix);
    plain.server.checkLog();
    minimix.server.checkLog();
    if (!process.env.ONCE) {
        await Promise.all([switchOff(plain), switchOff(minimix)]);
        invite(plain.server, minimix);
        await ended;
    }
}

function invite(plain: Server, { server, room }: Stage): void {
    page.heading("Try it with your own client:");
    page.text(`   address   127.0.0.1, port ${server.port}; without the module: port ${plain.port}`);
    page.text("             (not encrypted; a client may have to be told that this is fine)");
    page.text(`   domain    ${server.domain}`);
    page.text(`   accounts  alice@${server.domain}, password alice; bob@${server.domain}, password bob`);
    page.text(`   room      ${room}`);
    page.text("Ctrl-C ends it.");
}
