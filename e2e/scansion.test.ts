// O3: Prosody's own test scripts, each on a new server. MINIMIX_LONG=1 plays all, with and without the module.
// Otherwise some are played with the module. MINIMIX_SCRIPT="muc_register" selects the scripts with this text in the
// name.
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";
import { freePort, type Server, startServer, type Version, versions } from "./support/prosody.ts";
import { playScript, scriptFolder } from "./support/scansion/play.ts";

const { MINIMIX_LONG, MINIMIX_SCRIPT } = process.env;
const isLong = MINIMIX_LONG === "1";

const short = [
    ...["issue1224", "muc_affiliation_notify", "muc_create_destroy", "muc_members_only_change", "muc_nickname_change"],
    ...["muc_password", "muc_register", "muc_whois_anyone_member"],
];

/** The scripts are those of 13.0. These fail on 0.12 without the module as well. */
const newerThan012 = [
    ...["disco_self", "muc_outcast_reason", "pubsub_config", "pubsub_max_items", "pubsub_multi_items"],
    "pubsub_preconditions",
];

/** These fail with the module. */
const excluded = [
    // By design: an account has one address in a room, so a room never shows two sessions under one nick.
    "issue978-multi",
    // By design: no error of a client reaches a room, so the room does not remove the occupant.
    "issue978",
];

const modules = [
    ...["blocklist", "carbons", "disco", "external_services", "lastactivity", "mam", "pep", "ping", "private"],
    ...["register", "roster", "saslauth", "server_contact_info", "time", "tombstones", "uptime"],
    ...["user_account_management", "vcard4", "vcard_legacy", "version"],
];

const occupantResource = "minimix";

function isChosen(version: Version, minimix: boolean, name: string): boolean {
    const isExcluded = (version === "0.12" && newerThan012.includes(name)) || (minimix && excluded.includes(name));
    return (
        !isExcluded && (MINIMIX_SCRIPT === undefined ? isLong || short.includes(name) : name.includes(MINIMIX_SCRIPT))
    );
}

function scripts(): string[] {
    return readdirSync(scriptFolder)
        .filter((file) => file.endsWith(".scs"))
        .map((file) => file.replace(/\.scs$/, ""));
}

const concurrency = availableParallelism();

for (const version of versions) {
    for (const minimix of isLong ? [false, true] : [true]) {
        describe(`Prosody ${version}, ${minimix ? "mod_minimix" : "plain MUC"}`, { concurrency }, () => {
            for (const name of scripts().filter((name) => isChosen(version, minimix, name))) {
                test(`${name}.scs`, async () => {
                    const server = await start(version, minimix);
                    await playScript(server, name, minimix ? { occupantResource } : {}).catch(
                        async (error: unknown) => {
                            await server.kill();
                            throw error;
                        },
                    );
                    await server.stop();
                });
            }
        });
    }
}

/** As in spec/scansion/prosody.cfg.lua. */
async function start(version: Version, minimix: boolean): Promise<Server> {
    return startServer({
        version,
        minimix,
        domain: "localhost",
        rooms: "conference.localhost",
        modules,
        httpPort: await freePort(),
        roomModules: ["muc_mam"],
        globalConfig: `
admins = { "admin@localhost" }
contact_info = {
    abuse = { "mailto:abuse@localhost", "xmpp:abuse@localhost" };
    admin = { "mailto:admin@localhost", "xmpp:admin@localhost" };
    feedback = { "http://localhost/feedback.html", "mailto:feedback@localhost", "xmpp:feedback@localhost" };
    sales = { "xmpp:sales@localhost" };
    security = { "xmpp:security@localhost" };
    status = { "gopher://status.localhost" };
    support = { "https://localhost/support.html", "xmpp:support@localhost" };
}
external_service_host = "default.example"
external_service_port = 9876
external_service_secret = "<secret>"
external_services = {
    { type = "stun"; transport = "udp" };
    { type = "turn"; transport = "udp"; secret = true };
    { type = "turn"; transport = "udp"; secret = "foo" };
    { type = "ftp"; transport = "tcp"; port = 2121; username = "john"; password = "password" };
    { type = "ftp"; transport = "tcp"; host = "ftp.example.com"; port = 21; username = "john"; password = "password" };
}
allow_registration = false
mam_smart_enable = true
bounce_blocked_messages = true
hide_os_type = true
`,
        hostConfig: `
minimix_resource = "${occupantResource}"
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
`,
        roomConfig: `
admins = { "Admin@localhost" }

Component "pubsub.localhost" "pubsub"
expose_publisher = true

Component "upload.localhost" "http_file_share"
http_file_share_size_limit = 10000000
http_file_share_allowed_file_types = { "text/plain", "image/*" }
`,
    });
}
