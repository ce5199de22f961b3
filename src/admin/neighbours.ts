// What else is loaded, or is not, and makes less sense so.

import * as options from "../options";

const PING_MUC =
    "mod_ping_muc sees no rooms of clients here, as accounts join in their place and mod_minimix asks the rooms itself: " +
    "take it out of modules_enabled";

/** Names in the log what does not go together, once all modules are loaded. */
export function checkNeighbours(): void {
    const host = prosody.hosts.get(module.host);
    if (host === undefined) {
        return;
    }
    if (host.modules.has("ping_muc")) {
        module.log("warn", "%s", PING_MUC);
    }
    if (options.archive === "mam" && !host.modules.has("mam")) {
        module.log(
            "warn",
            'minimix_archive is "mam", but mod_mam is not loaded, so rooms are not archived: load it, or set minimix_archive to true',
        );
    }
    if (host.users?.name === "null") {
        module.log(
            "warn",
            "There are no users on this host and nothing to do: take mod_minimix out, or set authentication",
        );
    }
}
