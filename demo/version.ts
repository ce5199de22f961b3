import { type Version, versions } from "../e2e/support/prosody.ts";

/** Returns the version of Prosody to use: $PROSODY, or the first one that is installed. */
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
