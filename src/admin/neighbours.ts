// Warns about other modules that conflict with this one, or that it needs.

import { hasModule } from "../host";
import * as options from "../options";

const PING_MUC =
    "mod_ping_muc has no effect here, because accounts join rooms instead of clients, and mod_minimix sends the self-pings: " +
    "remove it from modules_enabled";

/** Its hook of `message/full` (0) comes after the module's. */
const PASTEBIN =
    "mod_pastebin does not replace long messages of rooms for users of this host, because mod_minimix delivers them first: " +
    "load mod_pastebin on the component with the rooms";

/** Logs conflicts with other modules, once all modules are loaded. */
export function checkNeighbours(): void {
    if (hasModule("ping_muc")) {
        module.log("warn", "%s", PING_MUC);
    }
    if (options.archive !== "mam" && hasModule("pastebin")) {
        module.log("warn", "%s", PASTEBIN);
    }
    if (options.archive === "mam" && !hasModule("mam")) {
        module.log(
            "warn",
            'minimix_archive is "mam", but mod_mam is not loaded, so messages of rooms are not archived: load mod_mam, or set minimix_archive to true',
        );
    }
    if (prosody.hosts.get(module.host)?.users?.name === "null") {
        module.log("warn", "This host has no users: remove mod_minimix, or set authentication");
    }
}
