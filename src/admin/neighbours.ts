// Warns about other modules that conflict with this one, or that it needs.

import { hasModule } from "../host";
import * as options from "../options";

const PING_MUC =
    "mod_ping_muc has no effect here, because accounts join rooms instead of clients, and mod_minimix sends the self-pings: " +
    "remove it from modules_enabled";

/** Logs conflicts with other modules, once all modules are loaded. */
export function checkNeighbours(): void {
    if (hasModule("ping_muc")) {
        module.log("warn", "%s", PING_MUC);
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
