// The Prosody versions with which the module is tested, and the folders that tools/setup uses for them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * From old to new. The keys are the names of versions in tests and on command lines. "newest" is the release in Debian's
 * testing suite.
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
    /** The reason for which the unpacked version cannot be used, from tools/setup. */
    const unusable = read(`${folder}/../reason`);
    const isRight = version === "newest" ? release !== "none" : release.startsWith(`${version}.`);
    return { version, folder, lib, release, unusable, installed: isRight && unusable === undefined };
});
