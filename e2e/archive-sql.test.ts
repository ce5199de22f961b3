// e2e/archive.test.ts with the archive in SQL databases. MINIMIX_LONG=1 stores more messages.
import { testArchive } from "./support/archive.ts";
import { versions } from "./support/prosody.ts";
import { backends } from "./support/storage.ts";

const messages = process.env.MINIMIX_LONG === "1" ? 300 : 150;

for (const version of versions) {
    for (const backend of backends.filter((name) => name !== "internal")) {
        testArchive(version, backend, messages);
    }
}
