// O3, O6, O7: with modules that filter, throttle or isolate, rooms work with mod_minimix as without it.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, describe, test } from "node:test";
import * as tools from "../tools/versions.mjs";
import { openHouse } from "./support/house.ts";
import { publishBookmark } from "./support/bookmarks.ts";
import { groupchat, join, setAffiliation } from "./support/muc.ts";
import { eventually } from "./support/outlive.ts";
import { type ServerOptions, type Version, versions } from "./support/prosody.ts";

/** A server with one such module, and the module's expected effect on rooms. */
interface Neighbour {
    readonly options: Partial<ServerOptions>;
    /** Whether the module is from Debian's prosody-modules. */
    readonly module?: string;
    /** A word that the module searches for. */
    readonly word?: string;
}

const neighbours: Record<string, Neighbour> = {
    "mod_firewall with its spam-blocking script": {
        module: "firewall",
        options: {
            extraModules: ["firewall"],
            hostConfig: 'firewall_scripts = { "module:scripts/spam-blocking.pfw" }',
        },
    },
    mod_block_strangers: { module: "block_strangers", options: { extraModules: ["block_strangers"] } },
    "mod_anti_spam with a string to block": {
        module: "anti_spam",
        options: { extraModules: ["anti_spam"], hostConfig: 'anti_spam_block_strings = { "cheap watches" }' },
        word: "cheap watches",
    },
    "a throttle of unsolicited messages": { options: { extraModules: ["unsolicited"] } },
};

function isThere(version: Version, { module }: Neighbour): boolean {
    const lib = tools.versions.find((one) => one.version === version)?.lib ?? "";
    return module === undefined || existsSync(joinPath(lib, "modules", `mod_${module}`));
}

for (const version of versions) {
    describe(`Prosody ${version}, neighbours`, () => {
        for (const [name, neighbour] of Object.entries(neighbours)) {
            test(`O6: rooms work with ${name}`, { skip: !isThere(version, neighbour), timeout: 60_000 }, async () => {
                const house = await openHouse({ version, ...neighbour.options });
                const room = await house.roomWithBoth("tea");
                for (let number = 1; number <= 15; number++) {
                    const body = `${number} ${neighbour.word ?? "hello"}`;
                    await groupchat(house.phone, room, body);
                    for (const client of [house.phone, house.laptop, house.bob]) {
                        await client.expect({ room, body, type: "groupchat" });
                    }
                    await groupchat(house.bob, room, `${body} to you`);
                    for (const client of [house.phone, house.laptop, house.bob]) {
                        await client.expect({ room, body: `${body} to you`, type: "groupchat" });
                    }
                }
                assert.deepEqual(await house.sessionsOf(room, "Alice"), [house.occupantJid(house.phone)]);
                await house.close();
            });
        }

        const spamRules = neighbours["mod_firewall with its spam-blocking script"];
        test("O6: mod_firewall's spam-blocking script passes a change of affiliation", async () => {
            const house = await openHouse({ version, ...spamRules?.options });
            const room = await house.roomWithBoth("tea", { whois: "anyone" });
            await setAffiliation(house.bob, room, "carol@a.lab", "member");
            for (const client of [house.phone, house.laptop, house.bob]) {
                await client.expect(
                    ({ name, attrs, children }) =>
                        name === "message" && attrs.from === room && children.join().includes("carol@a.lab"),
                );
            }
            await house.close();
        });

        test("O3: mod_pastebin, which does not see messages of rooms, is named at load", async () => {
            const house = await openHouse({
                version,
                extraModules: ["pastebin"],
                hostConfig: "pastebin_threshold = 10",
                // No port for HTTP.
                allowedErrors: [/'pastebin' will be unreachable/],
            });
            assert.match(house.server.log(), /\twarn\tmod_pastebin does not replace long messages of rooms/);
            const room = await house.roomWithBoth("tea");
            await groupchat(house.bob, room, "longer than that");
            await house.phone.expect({ room, body: "longer than that", type: "groupchat" });
            await house.close();
        });

        for (const resource of [undefined, false] as const) {
            const form = resource === false ? "bare" : "full";
            test(`O6: a copy to a member's bare JID is not shown twice, with a ${form} occupant JID`, async () => {
                const house = await openHouse({
                    version,
                    ...(resource === undefined ? {} : { resource }),
                    roomModules: ["member_copies"],
                });
                const room = await house.bobsRoom("tea");
                await setAffiliation(house.bob, room, house.phone.account, "member");
                await join(house.phone, room, "Alice");
                for (const client of [house.bob, house.phone]) {
                    await groupchat(client, room, `by ${client.name}`);
                    await house.phone.expect({ room, body: `by ${client.name}` });
                    await house.phone.sync();
                    await house.phone.expectNone({ room, body: `by ${client.name}` });
                }
                await house.close();
            });
        }
    });

    describe(`Prosody ${version}, rules that keep a user from rooms`, () => {
        const folder = mkdtempSync(joinPath(tmpdir(), "minimix-rules-"));
        const script = joinPath(folder, "rules.pfw");
        const rules: Record<string, Partial<ServerOptions>> = {
            "a rule of mod_firewall": {
                extraModules: ["firewall"],
                hostConfig: `firewall_scripts = { ${JSON.stringify(script)} }`,
            },
            "an isolated host": { extraModules: ["isolate"] },
        };

        before(() => {
            writeFileSync(script, "::preroute\nTO: <*>@rooms.a.lab\nKIND: presence\nBOUNCE=policy-violation\n");
        });

        after(() => {
            rmSync(folder, { recursive: true });
        });

        for (const [name, options] of Object.entries(rules)) {
            test(`O7: a join by bookmark obeys ${name}`, async () => {
                const house = await openHouse({ version, ...options });
                const { phone, server } = house;
                const room = `closed@${server.rooms}`;
                await assert.rejects(join(phone, room, "Alice"));
                await publishBookmark(phone, room, { autojoin: true, nick: "Alice" });
                const listed = await eventually(
                    () => server.shell('minimix:rooms("alice@a.lab")'),
                    (text) => text.includes(room) && !text.includes("lost"),
                    20_000,
                );
                assert.match(listed, /forbidden by this server/);
                assert.deepEqual(await server.occupants(room), []);
                await house.close();
            });
        }
    });
}
