// The Prosody versions the module is tested with, and where tools/setup puts them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * From old to new. The keys name versions in tests and on command lines: "newest" is the release that Debian's testing
 * suite has, whatever its number.
 * @type {Record<string, string>}
 */
const folders = {
    0.12: "/usr",
    "13.0": unpacked("prosody-13.0"),
    newest: unpacked("prosody-newest"),
};

/** @param {string} name */
function unpacked(name) {
    return fileURLToPath(new URL(`../.build/${name}/usr`, import.meta.url));
}

/** @param {string} path */
function read(path) {
    try {
        return readFileSync(path, "utf8").trim();
    } catch {
        return undefined;
    }
}

export const versions = Object.entries(folders).map(([version, folder]) => {
    const lib = `${folder}/lib/prosody`;
    const release = read(`${lib}/prosody.version`) ?? "none";
    /** Why it is unpacked and cannot be used, as tools/setup found out. */
    const unusable = read(`${folder}/../reason`);
    const isRight = version === "newest" ? release !== "none" : release.startsWith(`${version}.`);
    return { version, folder, lib, release, unusable, installed: isRight && unusable === undefined };
});
