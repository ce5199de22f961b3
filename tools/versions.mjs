// The Prosody versions the module is tested with, and where tools/setup puts them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** @type {Record<string, string>} */
const folders = {
    0.12: "/usr",
    "13.0": fileURLToPath(new URL("../.build/prosody-13.0/usr", import.meta.url)),
};

/** @param {string} folder */
function installedVersion(folder) {
    try {
        return readFileSync(`${folder}/lib/prosody/prosody.version`, "utf8").trim();
    } catch {
        return "none";
    }
}

export const versions = Object.entries(folders).map(([version, folder]) => ({
    version,
    folder,
    lib: `${folder}/lib/prosody`,
    installed: installedVersion(folder).startsWith(`${version}.`),
}));
