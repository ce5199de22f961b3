import { type Version, versions } from "../e2e/support/prosody.ts";

/** The version of Prosody to use: that of PROSODY, or else the first one installed. */
export function chosenVersion(): Version {
    const version = process.env.PROSODY ?? versions[0];
    const found = versions.find((installed) => installed === version);
    if (found === undefined) {
        throw new Error(
            `Prosody ${version ?? ""} is not installed, only: ${versions.join(", ") || "none"}; run tools/setup`,
        );
    }
    return found;
}
