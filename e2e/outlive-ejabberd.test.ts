// P1, P2, R3, L5, L6, O5: the account outlives its clients, the rooms' servers and its own server. The rooms are on the
// same server and on ejabberd. MINIMIX_LONG=1 tries more.
import { describe } from "node:test";
import type { NetworkOptions } from "./support/network.ts";
import { story } from "./support/outlive-story.ts";
import { versions } from "./support/prosody.ts";

const [oldest = "0.12"] = versions;
const newest = versions.at(-1) ?? oldest;
const isLong = process.env.MINIMIX_LONG === "1";
const combinations: NetworkOptions[] = [
    { version: newest, room: "ejabberd", occupant: "full" },
    { version: oldest, room: "ejabberd", occupant: "bare" },
];

for (const combination of combinations.slice(0, isLong ? undefined : 1)) {
    const { version, room, occupant } = combination;
    describe(`Prosody ${version} with ${occupant} occupant JIDs, rooms of its own and of ${room}`, () => {
        story(combination, !isLong);
    });
}
