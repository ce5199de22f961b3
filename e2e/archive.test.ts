// Messages of rooms in the archive of the account (XEP-0313). MINIMIX_LONG=1 stores more of them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testArchive } from "./support/archive.ts";
import { connect, xml } from "./support/client.ts";
import { count, numbers } from "./support/count.ts";
import { bodiesOf, queryArchive, readArchive } from "./support/mam.ts";
import { create } from "./support/muc.ts";
import { startServer, versions } from "./support/prosody.ts";

const messages = process.env.MINIMIX_LONG === "1" ? 1000 : 200;

for (const version of versions) {
    testArchive(version, "internal", messages);

    describe(`Prosody ${version}, without mod_mam`, () => {
        test("H3: a room's archive can be queried, and no other is announced", async () => {
            const modules = ["disco", "roster", "saslauth", "ping"];
            const server = await startServer({ version, minimix: true, users: ["alice"], modules });
            const alice = await connect(server, "alice/phone");
            const room = `room@${server.rooms}`;
            await create(alice, room, "Alice");
            await count(alice, room, 1, messages);
            for (const backwards of [false, true]) {
                const page = { form: { with: room }, max: 37 };
                assert.deepEqual(bodiesOf(await readArchive(alice, page, backwards)), numbers(1, messages));
            }
            await assert.rejects(queryArchive(alice, {}), { condition: "service-unavailable" });
            const info = await alice.iq(
                "get",
                alice.account,
                xml("query", { xmlns: "http://jabber.org/protocol/disco#info" }),
            );
            const features = info?.getChildren("feature").map(({ attrs }) => attrs.var ?? "") ?? [];
            assert.deepEqual(
                features.filter((feature) => feature.startsWith("urn:xmpp:mam")),
                [],
            );
            await server.stop();
        });
    });
}
