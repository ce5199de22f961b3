// Tests the harness itself, with rooms on another server, and a link that can be cut or paused.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, connect, StanzaError, xml } from "./support/client.ts";
import { create } from "./support/muc.ts";
import { type Network, roomServices, startNetwork } from "./support/network.ts";
import { versions } from "./support/prosody.ts";

const nsDiscoInfo = "http://jabber.org/protocol/disco#info";

for (const service of roomServices) {
    describe(`A network with rooms of ${service}`, () => {
        let network: Network;
        let room: string;
        let alice: Client;

        before(async () => {
            network = await startNetwork({ version: versions.at(-1) ?? "13.0", room: service });
            room = `kept@${network.theirs.rooms}`;
            alice = await connect(network.ours, "alice/phone");
            const bob = await connect(network.theirs, "bob/desk");
            await create(bob, room, "Bob", { persistentroom: "1", roomname: "Kept" });
        });

        after(async () => {
            await network.stop();
        });

        async function roomName(): Promise<string | undefined> {
            const info = await alice.iq("get", room, xml("query", { xmlns: nsDiscoInfo }));
            return info?.getChild("identity")?.attrs.name;
        }

        test("the servers talk to each other", async () => {
            assert.equal(await roomName(), "Kept");
            assert.match(network.toThem.carried, /disco#info/);
            assert.match(network.toUs.carried, /Kept/);
        });

        test("a link can be cut and restored", async () => {
            await network.cut();
            await assert.rejects(roomName(), StanzaError);
            await network.restore();
            assert.equal(await roomName(), "Kept");
        });

        test("a link can hold back stanzas, and deliver them later", async () => {
            network.hold();
            const answer = roomName();
            await alice.sync();
            await alice.expectNone({ name: "iq", from: room });
            network.letGo();
            assert.equal(await answer, "Kept");
        });

        test("the other server starts again with the same data, whether stopped or killed", async () => {
            await network.theirs.restart();
            assert.equal(await roomName(), "Kept");
            await network.theirs.kill();
            await network.theirs.start();
            assert.equal(await roomName(), "Kept");
            await (await connect(network.theirs, "bob/desk")).disconnect();
        });
    });
}
