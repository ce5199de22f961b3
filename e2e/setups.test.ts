// O3: the same steps on a server without and on one with mod_minimix, in common configurations. MINIMIX_LONG=1 (`make
// setups`) plays them on each version and adds single modules. Otherwise it plays a few steps on one version.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

/** Whether a module's source hooks stanzas, their archiving or their copies, or changes what sessions send. */
const hooks = new RegExp(
    [
        /["'](?:pre-)?(?:message|presence|iq(?:-get|-set|-result|-error)?)\//,
        /["'](?:archive-|carbons-|cloud_notify\/|resource-(?:un)?bind)/,
        /add_filter|session\.send\s*=/,
    ]
        .map(({ source }) => source)
        .join("|"),
);

/** Such modules that are not for hosts with users, or not for a test without further servers. */
const notForUsers = new RegExp(
    `^(?:${["muc_.*", "vcard_muc", "pubsub", "pubsub_text_interface", "http_upload.*", "s2s_.*", "dnsbl"].join("|")})$`,
);

/** Such modules that fail in this version, with and without mod_minimix. */
const broken: Record<Version, string[]> = { 0.12: ["client_certs"], "13.0": ["broadcast"], newest: ["broadcast"] };

/** Options without which a module does nothing here. */
const optionsOf: Record<string, string> = {
    anti_spam: 'anti_spam_block_strings = { "cheap watches" }',
    broadcast: 'broadcast_senders = { "alice-set@a.lab" }',
    firewall: 'firewall_scripts = { "module:scripts/spam-blocking.pfw" }',
    turncredentials: 'turncredentials_host = "turn.lab"\nturncredentials_secret = "secret"',
    unified_push: 'unified_push_secret = "secret"',
};

/** Errors that modules log with and without mod_minimix. Here HTTP has no port. */
const allowedErrors = [/Not listening on any ports, '\w+' will be unreachable/];

function folderOf(version: Version): string {
    return join(tools.versions.find((one) => one.version === version)?.lib ?? "", "modules");
}

function has(version: Version, module: string): boolean {
    const files = [`mod_${module}`, `mod_${module}.lua`, `${module}/mod_${module}.lua`];
    return files.some((name) => existsSync(join(folderOf(version), name)));
}

/** Returns the source of a module of Debian's package, without its libraries. */
function sourceOf(version: Version, module: string): string {
    const file = join(folderOf(version), `mod_${module}`, `mod_${module}.lua`);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** Returns the modules of Debian's package that hook stanzas of users' hosts. Each is added to the example. */
function singlesOf(version: Version): string[] {
    const needs = (module: string) =>
        [...sourceOf(version, module).matchAll(/module:depends\s*\(?\s*["'](\w+)["']/g)].map(([, name = ""]) => name);
    return readdirSync(folderOf(version))
        .filter((entry) => /^mod_\w+$/.test(entry))
        .map((entry) => entry.slice("mod_".length))
        .filter((name) => hooks.test(sourceOf(version, name)) && !notForUsers.test(name) && !example.includes(name))
        .filter((name) => !broken[version].includes(name))
        .filter((name) => needs(name).every((needed) => has(version, needed)));
}

async function compare({ version, modules, roomModules, hostConfig }: Case): Promise<void> {
    const pair = await startPair({ version, modules, roomModules, hostConfig, allowedErrors });
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
    readonly hostConfig: string;
}

function casesOf(version: Version): Case[] {
    const those = (modules: string[]) => modules.filter((module) => has(version, module));
    const configurations = Object.entries(setups).map(([name, { modules, roomModules = [] }]) => ({
        name: `${version}, ${name}`,
        version,
        modules: those(modules),
        roomModules: those(roomModules),
        hostConfig: "",
    }));
    const additions = (isLong ? singlesOf(version) : []).map((module) => ({
        name: `${version}, the example with mod_${module}`,
        version,
        modules: [...those(example), module],
        roomModules: ["muc_mam"],
        hostConfig: optionsOf[module] ?? "",
    }));
    return [...configurations, ...additions];
}

const cases = (isLong ? versions : versions.slice(-1)).flatMap(casesOf);
for (const one of cases.filter(({ name }) => name.includes(MINIMIX_SETUP))) {
    test(one.name, { timeout: 120_000 }, () => compare(one));
}
