// Messages that a room sent while the account had no session attached, as history of a join (XEP-0045 7.2.14).
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { Client, Element } from "./support/client.ts";
import { count, numbers } from "./support/count.ts";
import { type House, openHouse, settings } from "./support/house.ts";
import { join } from "./support/muc.ts";
import { atOnce, inTurn } from "./support/suites.ts";

const nsDelay = "urn:xmpp:delay";

function messagesIn(stanzas: Element[]): Element[] {
    return stanzas.filter((stanza) => stanza.name === "message" && stanza.getChild("body") !== undefined);
}

function bodiesIn(stanzas: Element[]): (string | null)[] {
    return messagesIn(stanzas).map((stanza) => stanza.getChildText("body"));
}

atOnce("history", settings, ({ name, ...setting }) => {
    describe(`${name}: history`, inTurn, () => {
        let house: House;
        let bob: Client;
        let room: string;
        /** The time after the messages before the break. */
        let pause: Date;
        const said = 200;

        before(async () => {
            house = await openHouse({ ...setting, hostConfig: "minimix_max_history = 150" });
            ({ bob } = house);
            room = await house.bobsRoom("history");
            const carol = await house.connect("carol/phone");
            await join(carol, room, "Carol");
            await carol.disconnect();
            await house.gone(carol);
            await count(bob, room, 1, 60);
            await setTimeout(2100);
            pause = new Date();
            await setTimeout(1100);
            await count(bob, room, 61, said);
        });

        after(() => house.close());

        async function cameBack(history?: Record<string, string>): Promise<Element[]> {
            const carol = await house.connect("carol/phone");
            const stanzas = await join(carol, room, "Carol", history === undefined ? {} : { history });
            await carol.expectNone({ room });
            await carol.disconnect();
            return stanzas;
        }

        test("H2: a join without a limit gets the last messages, with a delay", async () => {
            const stanzas = await cameBack();
            assert.deepEqual(bodiesIn(stanzas), numbers(181, said));
            for (const message of messagesIn(stanzas)) {
                const delays = message.getChildren("delay").filter((delay) => delay.getNS() === nsDelay);
                assert.equal(delays.length, 1);
                assert.equal(delays[0]?.attrs.from, room);
                assert(Math.abs(Date.parse(delays[0].attrs.stamp ?? "") - Date.now()) < 60_000);
                assert.equal(message.attrs.from, `${room}/Bob`);
            }
        });

        test("H2: maxstanzas limits the history, also to 0", async () => {
            assert.deepEqual(bodiesIn(await cameBack({ maxstanzas: "5" })), numbers(196, said));
            assert.deepEqual(bodiesIn(await cameBack({ maxstanzas: "0" })), []);
            assert.deepEqual(bodiesIn(await cameBack({ maxchars: "0" })), []);
        });

        test("H2: since and seconds limit the history", async () => {
            assert.deepEqual(bodiesIn(await cameBack({ since: pause.toISOString() })), numbers(61, said));
            const seconds = Math.ceil((Date.now() - pause.getTime()) / 1000);
            assert.deepEqual(bodiesIn(await cameBack({ seconds: String(seconds) })), numbers(61, said));
            assert.deepEqual(bodiesIn(await cameBack({ since: "2000-01-01T00:00:00Z" })), numbers(51, said));
            assert.deepEqual(bodiesIn(await cameBack({ since: new Date(Date.now() + 60_000).toISOString() })), []);
            assert.deepEqual(
                bodiesIn(await cameBack({ since: pause.toISOString(), maxstanzas: "3" })),
                numbers(198, said),
            );
        });

        test("H2: maxchars counts whole stanzas as XML", async () => {
            const all = messagesIn(await cameBack({ maxstanzas: "20" }));
            const wire = all.map((stanza) => stanza.toString().length);
            const ofThree = wire.slice(-3).reduce((sum, length) => sum + length, 0);
            // The length of the XML varies by some characters: quotes, namespaces.
            const some = messagesIn(await cameBack({ maxchars: String(ofThree + 60) }));
            assert.deepEqual(bodiesIn(some), numbers(198, said));
        });
    });
});
