// The story: actions, and their visible results in a plain room and in a room with the module.
import { isDeepStrictEqual } from "node:util";
import * as page from "./page.ts";
import * as stage from "./stage.ts";
import type { Stage } from "./stage.ts";

interface Step {
    title: string;
    act: (stage: Stage) => Promise<void>;
    rows: Row[];
    /** The claim that the rows prove. */
    lesson: string;
}

/** The place to look at, and the expected result without and with the module. */
type Row = [what: keyof typeof looks, plain: string[], minimix: string[]];

const looks = {
    phone: (s: Stage) => stage.seenBy(s, s.phone),
    laptop: (s: Stage) => stage.seenBy(s, s.laptop),
    desk: (s: Stage) => stage.seenBy(s, s.desk),
    occupants: stage.occupants,
    copies: stage.copies,
    "room sent": stage.traffic,
};

const steps: Step[] = [
    {
        title: "Bob opens a room. Alice joins it on her phone, then on her laptop, too.",
        async act(s) {
            await stage.createRoom(s, s.desk);
            await stage.join(s, s.phone);
            await stage.join(s, s.laptop);
        },
        rows: [
            ["phone", ["Bob is in", "you are in", "you are in"], ["Bob is in", "you are in"]],
            alike("laptop", "Bob is in", "you are in"),
            ["desk", ["you are in", "Alice is in", "Alice is in"], ["you are in", "Alice is in"]],
            [
                "occupants",
                ["Alice = alice/laptop, alice/phone", "Bob = bob/desk"],
                ["Alice = alice/minimix", "Bob = bob/minimix"],
            ],
        ],
        lesson: "The plain room deals with three devices; with the module, a room deals with two accounts.",
    },
    {
        title: "One message: Bob says that tea is ready. How many copies leave the room?",
        act: (s) => stage.say(s, s.desk, "Tea is ready"),
        rows: [
            alike("phone", "<Bob> Tea is ready"),
            alike("laptop", "<Bob> Tea is ready"),
            alike("desk", "<Bob> Tea is ready"),
            ["copies", ["3: alice/laptop, alice/phone, bob/desk"], ["2: alice/minimix, bob/minimix"]],
        ],
        lesson: "Every device has it once. The plain room sent 3 copies, with the module it was 2.",
    },
    {
        title: "The phone leaves the room, the laptop stays.",
        act: (s) => stage.leave(s, s.phone),
        rows: [alike("phone", "you left"), ["laptop", ["you are in"], []], ["desk", ["Alice is in"], []]],
        lesson: "With the module, only the phone is told; neither the laptop nor Bob's desk sees anything.",
    },
    {
        title: "Alice loses all her connections. Bob talks on.",
        async act(s) {
            await stage.loseConnections(s, s.phone, s.laptop);
            await stage.say(s, s.desk, "More tea?");
        },
        rows: [
            ["desk", ["Alice left", "<Bob> More tea?"], ["<Bob> More tea?"]],
            ["occupants", ["Bob = bob/desk"], ["Alice = alice/minimix", "Bob = bob/minimix"]],
        ],
        lesson: "With the module, Alice is still in the room, without any device.",
    },
    {
        title: "Alice comes back with both devices.",
        async act(s) {
            await stage.reconnect(s, s.phone, s.laptop);
            await stage.join(s, s.phone);
            await stage.join(s, s.laptop);
        },
        rows: [
            ["phone", ["Bob is in", "you are in", "you are in"], ["Bob is in", "you are in"]],
            alike("laptop", "Bob is in", "you are in"),
            ["desk", ["Alice is in", "Alice is in"], []],
            ["room sent", ["13 stanzas"], ["0 stanzas"]],
        ],
        lesson: "With the module, both are in at once: the room had nothing to send, and Bob saw nothing.",
    },
    {
        title: "Bob kicks Alice out.",
        act: (s) => stage.kick(s, s.desk, "Alice"),
        rows: [
            alike("phone", "you were kicked (code 307)"),
            alike("laptop", "you were kicked (code 307)"),
            alike("desk", "Alice was kicked (code 307)"),
            ["occupants", ["Bob = bob/desk"], ["Bob = bob/minimix"]],
        ],
        lesson: "Both devices know it, and why: code 307. Neither room has Alice in it any more.",
    },
];

function alike(what: Row[0], ...seen: string[]): Row {
    return [what, seen, seen];
}

/** Plays the story on both stages. Throws if a result differs from the expected one. */
export async function play(plain: Stage, minimix: Stage): Promise<void> {
    page.columns("plain room", "with mod_minimix");
    for (const [index, step] of steps.entries()) {
        page.heading(`${index + 1}. ${step.title}`);
        await playStep(step, plain, minimix);
        page.check(step.lesson);
        page.text("");
    }
}

async function playStep({ act, rows }: Step, plain: Stage, minimix: Stage): Promise<void> {
    const both = [plain, minimix];
    await Promise.all(both.map(stage.startCounting));
    await Promise.all(both.map(act));
    const differences: string[] = [];
    for (const [what, ...expected] of rows) {
        const seen = await Promise.all(both.map(looks[what]));
        page.row(what, seen);
        if (!isDeepStrictEqual(seen.map(withoutHistory), expected)) {
            differences.push(`${what}: expected ${JSON.stringify(expected)}`);
        }
    }
    if (differences.length > 0) {
        throw new Error(differences.join("\n"));
    }
}

/** A room may send any number of messages as history. */
function withoutHistory(seen: string[]): string[] {
    return seen.filter((line) => !line.endsWith("(earlier)"));
}
