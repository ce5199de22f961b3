// O5: accounts are in rooms by their bare JIDs, as in earlier versions. The server starts again with the default
// occupant JID. No room has the former address any more, no room is lost, and messages sent meanwhile are received.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { describe, test } from "node:test";
import { connect } from "./support/client.ts";
import { create, groupchat, join } from "./support/muc.ts";
import { startNetwork } from "./support/network.ts";
import { eventually, reconnect, whoIsIn } from "./support/outlive.ts";
import { versions } from "./support/prosody.ts";

const newest = versions.at(-1) ?? "13.0";
const limit = 60_000;

for (const service of [`prosody-${newest}`, "ejabberd"] as const) {
    describe(`Prosody ${newest}, rooms of its own and of ${service}: upgrade`, { concurrency: 2 }, () => {
        for (const way of ["restart", "kill"] as const) {
            test(`O5: from the bare JID to the default, by a ${way}`, { timeout: 3 * limit }, async () => {
                const network = await startNetwork({ version: newest, room: service, occupant: "bare" });
                const { ours, theirs } = network;
                ours.allowError(/s2s/);
                const owner = await connect(theirs, "bob/desk");
                const alice = await connect(ours, "alice/phone");
                const remote = `kept@${theirs.rooms}`;
                const own = `own@${ours.rooms}`;
                await create(owner, remote, "Bob", { persistentroom: "1" });
                await create(owner, own, "Bob", { persistentroom: "1" });
                for (const room of [remote, own]) {
                    await join(alice, room, "Alice", { timeout: 20_000 });
                    assert((await whoIsIn(network, room, owner)).includes("Alice alice@a.lab"));
                }
                await alice.disconnect();
                const record = () => readFileSync(joinPath(ours.folder, "data/a%2elab/minimix/alice.dat"), "utf8");
                assert.doesNotMatch(record(), /resource/, "a record of a version before stores no address");

                await (way === "kill" ? ours.kill() : ours.stop());
                await groupchat(owner, remote, "while you were away");
                await ours.start({ hostConfig: "" });
                for (const room of [remote, own]) {
                    const seen = async () => {
                        const names = await whoIsIn(network, room, owner);
                        return names.filter((name) => name.startsWith("Alice")).join();
                    };
                    await eventually(seen, (names) => names === "Alice alice@a.lab/minimix", limit);
                }
                const back = await reconnect(ours, "alice/phone");
                await join(back, remote, "Alice", { timeout: 20_000 });
                await groupchat(owner, remote, "welcome");
                await back.expect({ room: remote, body: "welcome" });
                await eventually(
                    () => Promise.resolve(record()),
                    (text) => !text.includes("former"),
                    limit,
                );
                await network.stop();
            });
        }
    });
}
