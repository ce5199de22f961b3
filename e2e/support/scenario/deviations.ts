// Intended differences between a client with mod_minimix and one without. All other differences are failures.
import { bare, type Element, xml } from "../client.ts";
import { idOf } from "./stage.ts";
import { type Step, waitingForSource } from "./steps.ts";

const nsDelay = "urn:xmpp:delay";
const nsMucUser = "http://jabber.org/protocol/muc#user";

export type Side = "plain" | "minimix";

/** Known facts about a step before it runs. */
export interface Moment {
    readonly step: Step;
    readonly number: number;
    /** Occupant addresses of the account of the step. */
    readonly own: ReadonlySet<string>;
    /** Whether the account is in the room of the step already, and whether its session has joined it. */
    readonly isIn: boolean;
    readonly isAttached: boolean;
    /** Whether an attached session joins under another nick. */
    readonly isRename: boolean;
    /** Whether the account's cache cannot serve a replay, so that the room answers the join itself. */
    readonly isResync: boolean;
    /** Whether the room may answer the join itself. */
    readonly mayBeResync: boolean;
    /** Whether the step repeats the presence that the room shows already. */
    readonly saysNothingNew: boolean;
    /** Occupant addresses of accounts that are in a room without their client. */
    readonly absent: ReadonlySet<string>;
    /** Ids of messages that the account got in the room of the step, and in earlier rooms of the same address. */
    readonly heard: ReadonlySet<string>;
    readonly heardEarlier: ReadonlySet<string>;
    /** Ids of messages of the room that any client got before the last restart. */
    readonly saidBefore: ReadonlySet<string>;
}

interface Deviation {
    readonly rule: string;
    /** The side whose clients get the stanzas that `undo` removes. */
    readonly sides: readonly Side[];
    readonly applies: (moment: Moment) => boolean;
    /** Converts the stanzas of one client to those that the other side's client should get. */
    readonly undo: (stanzas: Element[], moment: Moment, isActor: boolean) => Element[];
}

const deviations: Deviation[] = [
    {
        rule: "C2, J6: others get a presence only if it says something new",
        sides: ["plain"],
        applies: ({ saysNothingNew, isResync, mayBeResync }) => saysNothingNew && (!isResync || mayBeResync),
        undo: (stanzas, { own }, isActor) =>
            stanzas.filter((stanza) => isActor || !(isFrom(stanza, own) && isAvailable(stanza))),
    },
    {
        rule: "J6: others get one presence if the room answers a join itself",
        sides: ["minimix"],
        applies: ({ saysNothingNew, mayBeResync }) => saysNothingNew && mayBeResync,
        undo: (stanzas, { own }, isActor) => {
            const presence = stanzas.find((stanza) => isFrom(stanza, own) && isAvailable(stanza));
            return stanzas.filter((stanza) => isActor || stanza !== presence);
        },
    },
    {
        rule: "J2, C2: what a session shows anew when it comes back follows on the replay",
        sides: ["minimix"],
        applies: ({ step, isIn, saysNothingNew }) =>
            waitingForSource.oneOwnPresence && step.does === "join" && isIn && !saysNothingNew,
        undo: (stanzas, moment, isActor) => (isActor ? withUpdateInPlace(stanzas, moment) : stanzas),
    },
    {
        rule: "J6: a nick change by such a join is one first",
        sides: ["minimix"],
        applies: ({ isResync, mayBeResync, isRename }) => (isResync || mayBeResync) && isRename,
        undo: (stanzas, { own }, isActor) => {
            const shown = stanzas.filter((stanza) => isFrom(stanza, own) && isAvailable(stanza));
            return stanzas.filter((stanza) => isActor || shown.length < 2 || stanza !== shown[0]);
        },
    },
    {
        rule: "J2: all that is known of the room is said in status codes, where Prosody does not repeat itself",
        sides: ["minimix"],
        applies: ({ step, isIn }) => step.does === "join" && isIn,
        undo: (stanzas, { own, isAttached }, isActor) => {
            const codes = isAttached ? ["100", "170"] : ["170"];
            return stanzas.map((stanza) => (isActor && isFrom(stanza, own) ? withoutStatus(stanza, codes) : stanza));
        },
    },
    {
        rule: "C5: the server answers the pings of other occupants",
        sides: ["plain"],
        applies: ({ step }) => step.does === "ask" && step.about === "ping",
        undo: (stanzas) =>
            stanzas.filter((stanza) => !(stanza.name === "iq" && stanza.attrs.type === "get")).map(withoutLanguage),
    },
    {
        rule: "L1: without its client the account stays",
        sides: ["plain"],
        applies: ({ step: { does } }) => does === "close" || does === "drop" || does === "unavailable",
        undo: (stanzas, { own }, isActor) =>
            stanzas.filter((stanza) => isActor || !(isFrom(stanza, own) && isUnavailable(stanza))),
    },
    {
        rule: "L1: rooms that the client joined are told nothing, and so those that have ended do not complain",
        sides: ["plain", "minimix"],
        applies: ({ step }) => step.does === "unavailable",
        undo: (stanzas) => stanzas.filter(({ name, attrs }) => !(name === "presence" && attrs.type === "error")),
    },
    {
        rule: "L1, L2: who goes unavailable is told by the server, in brief and in any order",
        sides: ["plain", "minimix"],
        applies: ({ step }) => step.does === "unavailable",
        undo: (stanzas, { own }, isActor) =>
            isActor
                ? stanzas.map((stanza) => (isFrom(stanza, own) ? inBrief(stanza) : stanza)).sort(byAddress)
                : stanzas,
    },
    {
        rule: "L1: who stays is in the list of occupants, which a new moderator gets again",
        sides: ["minimix"],
        applies: ({ step }) => step.does === "join" || step.does === "affiliation",
        undo: (stanzas, { step, absent, own }, isActor) =>
            stanzas.filter(
                (stanza) =>
                    (step.does === "join" && (!isActor || isFrom(stanza, own))) ||
                    !isAvailable(stanza) ||
                    !isFrom(stanza, absent),
            ),
    },
    {
        rule: "L1: who stays is counted",
        sides: ["minimix"],
        applies: ({ step }) => step.does === "ask" && step.nick === undefined,
        undo: (stanzas, { absent }) =>
            stanzas.map((stanza) => (stanza.name === "iq" ? withoutAbsent(stanza, absent) : stanza)),
    },
    {
        rule: "H1, H2: history is what the account got itself",
        sides: ["plain"],
        applies: isReplay,
        undo: (stanzas, { heard }, isActor) =>
            stanzas.filter((stanza) => !isActor || !isPast(stanza) || heard.has(idIn(stanza))),
    },
    {
        // Prosody does not announce that it removes non-members (muc/members_only.lib.lua).
        rule: "J6: an answer of the room shows which occupants it has removed without a word",
        sides: ["minimix"],
        applies: ({ step, isResync, mayBeResync }) => step.does === "join" && (isResync || mayBeResync),
        undo: (stanzas) => stanzas.filter((stanza) => !isUnannounced(stanza)),
    },
    {
        rule: "J6: history is the room's if the room answers a join itself",
        sides: ["minimix"],
        applies: (moment) => isReplay(moment) && moment.mayBeResync,
        undo: (stanzas, { heard }, isActor) =>
            stanzas.filter((stanza) => !isActor || !isPast(stanza) || heard.has(idIn(stanza))),
    },
    {
        rule: "H1, H2: in an earlier room of the same address, too",
        sides: ["minimix"],
        applies: isReplay,
        undo: (stanzas, { heard, heardEarlier }, isActor) =>
            stanzas.filter(
                (stanza) => !isActor || !isPast(stanza) || heard.has(idIn(stanza)) || !heardEarlier.has(idIn(stanza)),
            ),
    },
    {
        rule: "P3: after a restart an account asks the room's archive what has been said for a while",
        sides: ["minimix"],
        applies: isReplay,
        undo: (stanzas, { heard, saidBefore }, isActor) =>
            stanzas.filter(
                (stanza) => !isActor || !isPast(stanza) || heard.has(idIn(stanza)) || !saidBefore.has(idIn(stanza)),
            ),
    },
    {
        rule: "H1, H2: and as it was said, while a room's archive may add who said it",
        sides: ["plain", "minimix"],
        applies: isReplay,
        undo: (stanzas, _moment, isActor) =>
            stanzas.map((stanza) => (isActor && isPast(stanza) ? withoutAdditions(stanza) : stanza)),
    },
];

/** Returns the stanzas of a client without intended differences, which must be equal on both sides. */
export function comparable(stanzas: Element[], moment: Moment, side: Side, isActor: boolean): Element[] {
    return deviations
        .filter(({ sides, applies }) => sides.includes(side) && applies(moment))
        .reduce((list, { undo }) => undo(list, moment, isActor), stanzas);
}

function isReplay({ step, isIn, isResync }: Moment): boolean {
    return step.does === "join" && isIn && !isResync;
}

function isFrom({ attrs }: Element, addresses: ReadonlySet<string>): boolean {
    return addresses.has(attrs.from ?? "");
}

function isAvailable({ name, attrs }: Element): boolean {
    return name === "presence" && attrs.type === undefined;
}

function isUnavailable({ name, attrs }: Element): boolean {
    return name === "presence" && attrs.type === "unavailable";
}

/** Whether a presence says that an occupant without affiliation is gone, and not why. */
function isUnannounced(stanza: Element): boolean {
    const x = stanza.getChild("x", nsMucUser);
    const isStranger = x?.getChild("item")?.attrs.affiliation === "none";
    return isUnavailable(stanza) && isStranger && x.getChild("status") === undefined;
}

/** A message of the past in the form of XEP-0045 7.2.14. The subject is not one. */
export function isPast(stanza: Element): boolean {
    const room = bare(stanza.attrs.from ?? "");
    const isDelayed = stanza.getChildren("delay", nsDelay).some(({ attrs }) => attrs.from === room);
    return isDelayed && !(stanza.getChild("subject") !== undefined && stanza.getChild("body") === undefined);
}

function idIn({ attrs }: Element): string {
    return attrs.id ?? "";
}

/** Merges a presence update after a replay into the own presence of the replay. */
function withUpdateInPlace(stanzas: Element[], { own, number }: Moment): Element[] {
    const update = stanzas.at(-1);
    const shown = stanzas.find((stanza) => isFrom(stanza, own) && stanza.attrs.id === idOf(number));
    if (update === undefined || shown === undefined || !isFrom(update, own) || !isAvailable(update)) {
        return stanzas;
    }
    const said = update.children.filter((child) => child !== update.getChild("x", nsMucUser));
    shown.children = [...said, shown.getChild("x", nsMucUser) ?? ""];
    return stanzas.slice(0, -1);
}

function withoutStatus(stanza: Element, codes: string[]): Element {
    const x = stanza.getChild("x", nsMucUser);
    for (const status of x?.getChildren("status").filter(({ attrs }) => codes.includes(attrs.code ?? "")) ?? []) {
        x?.remove(status);
    }
    return stanza;
}

/** Stanzas of a client have the language of its stream. */
function withoutLanguage(stanza: Element): Element {
    delete stanza.attrs["xml:lang"];
    return stanza;
}

/** Reduces an own `unavailable` to the content that XEP-0045 7.14 requires. */
function inBrief(stanza: Element): Element {
    const x = stanza.getChild("x", nsMucUser);
    stanza.children = x === undefined ? [] : [x];
    delete x?.getChild("item")?.attrs.jid;
    return withoutLanguage(stanza);
}

function byAddress(one: Element, other: Element): number {
    return (one.attrs.from ?? "") < (other.attrs.from ?? "") ? -1 : 1;
}

/** Removes absent occupants from a room's disco information. */
function withoutAbsent(stanza: Element, absent: ReadonlySet<string>): Element {
    const room = bare(stanza.attrs.from ?? "");
    const query = stanza.getChild("query");
    for (const item of query?.getChildren("item") ?? []) {
        if (absent.has(item.attrs.jid ?? "") || absent.has(`${room}/${item.attrs.nick ?? ""}`)) {
            query?.remove(item);
        }
    }
    const count = [...absent].filter((address) => bare(address) === room).length;
    const fields = query?.getChild("x", "jabber:x:data")?.getChildren("field") ?? [];
    for (const field of fields.filter(({ attrs }) => attrs.var === "muc#roominfo_occupants")) {
        field.children = [xml("value", {}, String(Number(field.getChildText("value")) - count))];
    }
    return stanza;
}

/** Returns a message of the past without additions by archives, in an order common to both sides. */
function withoutAdditions(stanza: Element): Element {
    const isOf = (child: Element | string, ...names: string[]) =>
        typeof child !== "string" && names.includes(`${child.name} ${child.getNS() ?? ""}`);
    const marks = stanza.children.filter((child) => isOf(child, `delay ${nsDelay}`, "stanza-id urn:xmpp:sid:0"));
    const content = stanza.children.filter((child) => !marks.includes(child) && !isOf(child, `x ${nsMucUser}`));
    const own = marks.filter((child) => typeof child !== "string" && child.attrs.by === bare(stanza.attrs.from ?? ""));
    stanza.children = [...content, ...marks.filter((child) => !own.includes(child)), ...own];
    return stanza;
}
