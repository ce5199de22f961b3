// What else is loaded, or is not, and makes less sense so.

import * as options from "../options";

/** Modules that look after rooms which clients join by themselves. */
const overlaps = new LuaMap<string, string>();
overlaps.set(
    "ping_muc",
    "mod_ping_muc sees no rooms of clients here, as accounts join in their place and mod_minimix asks the rooms itself: " +
        "take it out of modules_enabled",
);
overlaps.set(
    "track_muc_joins",
    "mod_track_muc_joins sees no rooms of clients here, as accounts join in their place: " +
        "what builds on it does nothing, take it out of modules_enabled",
);

/** Names in the log what does not go together, once all modules are loaded. */
export function checkNeighbours(): void {
    const host = prosody.hosts.get(module.host);
    if (host === undefined) {
        return;
    }
    for (const [name, advice] of overlaps) {
        if (host.modules.has(name)) {
            module.log("warn", "%s", advice);
        }
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
