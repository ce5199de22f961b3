// The same with the archive in SQL databases.
import { testArchive } from "./support/archive.ts";
import { versions } from "./support/prosody.ts";
import { backends } from "./support/storage.ts";

for (const version of versions) {
    for (const backend of backends.filter((name) => name !== "internal")) {
        testArchive(version, backend, 300);
    }
}
