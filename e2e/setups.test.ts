// O3: the same steps on a server without and on one with mod_minimix, in common configurations. MINIMIX_LONG=1 (`make
// setups`) plays them on each version and adds single modules. Otherwise it plays a few steps on one version.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as tools from "../tools/versions.mjs";
import { startPair } from "./support/compare.ts";
import { type Version, versions } from "./support/prosody.ts";
import { compareScenario } from "./support/scenario/equality.ts";

const { MINIMIX_LONG, MINIMIX_SETUP = "" } = process.env;
const isLong = MINIMIX_LONG === "1";
const steps = isLong ? 60 : 30;

const minimal = ["roster", "saslauth"];
const example = [
    ...["blocklist", "bookmarks", "carbons", "csi_simple", "disco", "invites", "limits", "mam", "pep", "ping"],
    ...["private", "register", "roster", "saslauth", "smacks", "time", "uptime", "vcard4", "vcard_legacy", "version"],
];

/** Modules of the host with users, and of the rooms. Modules that a version does not have are left out. */
const setups: Record<string, { modules: string[]; roomModules?: string[] }> = {
    minimal: { modules: minimal },
    "Prosody's example": { modules: example, roomModules: ["muc_mam"] },
    "a server for families": {
        modules: [...example, "cloud_notify", "cloud_notify_filters", "cloud_notify_priority_tag", "lastactivity"],
        roomModules: ["muc_mam"],
    },
    // The modules of Snikket's server, as far as Debian has them.
    "a Snikket circle": {
        modules: [
            ...["announce", "blocklist", "bookmarks", "carbons", "cloud_notify", "cloud_notify_encrypted"],
            ...["cloud_notify_extensions", "cloud_notify_filters", "cloud_notify_priority_tag", "csi_battery_saver"],
            ...["default_bookmarks", "dialback", "disco", "external_services", "firewall", "invites"],
            ...["invites_adhoc", "invites_register", "lastlog", "lastlog2", "limits", "mam", "measure_active_users"],
            ...["offline_hints", "pep", "ping", "presence_dedup", "private", "register", "roster", "s2s_bidi"],
            ...["saslauth", "server_contact_info", "smacks", "time", "tombstones", "uptime", "vcard4"],
            ...["vcard_legacy", "version", "watchregistrations"],
        ],
        roomModules: ["muc_mam"],
    },
    "a big public server": {
        modules: [...example, "firewall", "track_muc_joins", "watchregistrations", "announce", "motd", "tombstones"],
        roomModules: ["muc_mam"],
    },
};

/** Community modules that hook stanzas of users' hosts, each added to the example. */
const singles = [
    ...["block_strangers", "carbons_copies", "csi_battery_saver", "filter_chatstates", "lastlog", "lastlog2"],
    ...["offline_hints", "privacy_lists", "seclabels", "stanza_counter", "throttle_presence", "track_muc_joins"],
    ...["client_management", "delegation", "privilege", "presence_cache", "presence_dedup"],
];

function has(version: Version, module: string): boolean {
    const lib = tools.versions.find((one) => one.version === version)?.lib ?? "";
    return [`mod_${module}`, `mod_${module}.lua`].some((name) => existsSync(join(lib, "modules", name)));
}

async function compare(version: Version, modules: string[], roomModules: string[]): Promise<void> {
    const pair = await startPair({ version, modules, roomModules });
    const sessions = ["bob-set/desk", "alice-set/phone", "carol-set/tablet"];
    const result = await compareScenario(
        pair,
        {
            domain: "a.lab",
            sessions,
            host: sessions[0] ?? "",
            room: (n) => `set-${n}@rooms.a.lab`,
            withSmacks: [],
            withCarbons: [],
            comeAndGo: false,
            considerate: false,
        },
        1,
        steps,
    );
    assert.deepEqual(result.problems, []);
    await pair.stop();
}

interface Case {
    readonly name: string;
    readonly version: Version;
    readonly modules: string[];
    readonly roomModules: string[];
}

function casesOf(version: Version): Case[] {
    const those = (modules: string[]) => modules.filter((module) => has(version, module));
    const configurations = Object.entries(setups).map(([name, { modules, roomModules = [] }]) => ({
        name: `${version}, ${name}`,
        version,
        modules: those(modules),
        roomModules: those(roomModules),
    }));
    const additions = those(isLong ? singles : []).map((module) => ({
        name: `${version}, the example with mod_${module}`,
        version,
        modules: [...those(example), module],
        roomModules: ["muc_mam"],
    }));
    return [...configurations, ...additions];
}

const cases = (isLong ? versions : versions.slice(-1)).flatMap(casesOf);
for (const { name, version, modules, roomModules } of cases.filter(({ name }) => name.includes(MINIMIX_SETUP))) {
    test(name, { timeout: 120_000 }, () => compare(version, modules, roomModules));
}
