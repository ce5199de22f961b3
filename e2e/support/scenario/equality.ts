// The same steps on a server without and on one with mod_minimix, one client for each account. The stanzas of each
// client are compared after each step.
import { bare, type Element, xml } from "../client.ts";
import { canonical, copy, diff, sortOccupants } from "../compare.ts";
import type { Server } from "../prosody.ts";
import { comparable, isPast, type Moment, type Side } from "./deviations.ts";
import { type Cast, closing, nextStep } from "./generate.ts";
import { occupantJid } from "../house.ts";
import { accountOf, apply, type Model, newModel, type Room, roomOf } from "./model.ts";
import { seededRandom } from "./random.ts";
import { answerIn, clear, idOf, openStage, perform, type Stage } from "./stage.ts";
import { isConnectionStep, type Step, waitingForSource } from "./steps.ts";

export interface Pair {
    readonly plain: Server;
    readonly minimix: Server;
}

export interface Result {
    /** Number of steps played. */
    readonly steps: Step[];
    /** Describes the last difference. */
    readonly problems: string[];
}

/** Plays one scenario to its end, or to the first difference. */
export async function compareScenario(pair: Pair, cast: Cast, seed: number, length: number): Promise<Result> {
    const random = seededRandom(seed);
    const model = newModel();
    const memory: Memory = { heard: new Map(), heardEarlier: new Map(), saidBefore: new Map() };
    const plain = openView(pair.plain, "plain", cast);
    const minimix = openView(pair.minimix, "minimix", cast);
    const steps: Step[] = [];
    const ending = closing(model, cast);
    let problems: string[] = [];
    try {
        while (problems.length === 0) {
            const number = steps.length;
            const step = number < length ? nextStep(random, model, cast, number) : ending.next().value;
            if (step === undefined) {
                break;
            }
            steps.push(step);
            const moment = momentOf(model, memory, step, number, cast);
            const [before, after] = await Promise.all([
                perform(plain.stage, step, number),
                perform(minimix.stage, step, number),
            ]);
            const lines = linesOf(after, minimix, moment);
            problems = [...linesOf(before, plain, moment)].flatMap(([name, expected]) =>
                diff(expected, lines.get(name) ?? []).map((line) => `${name} ${line}`),
            );
            apply(model, step, accountOf(step.who, cast.domain), answerIn(after.get(step.who) ?? [], number));
            remember(memory, model, after, moment, cast);
        }
    } finally {
        await Promise.all([clear(plain.stage), clear(minimix.stage)]);
    }
    return { steps, problems };
}

/** The visible results of one side. */
interface View {
    readonly stage: Stage;
    readonly side: Side;
    /** JIDs of all sessions and occupants. */
    readonly jids: readonly string[];
    /** Names for the ids that the server has created. */
    readonly names: Map<string, string>;
}

function openView(server: Server, side: Side, cast: Cast): View {
    const jids = cast.sessions.flatMap((session) => [
        session.replace("/", `@${cast.domain}/`),
        occupantJid(accountOf(session, cast.domain)),
    ]);
    return { stage: openStage(server, side === "minimix"), side, jids, names: new Map() };
}

/** The stanzas of each client, in order. */
type Received = Map<string, Element[]>;

/** Ids of messages, by account and room. */
interface Memory {
    readonly heard: Map<string, Set<string>>;
    readonly heardEarlier: Map<string, Set<string>>;
    /** Before the last restart, by room. */
    readonly saidBefore: Map<string, Set<string>>;
}

function momentOf(model: Model, memory: Memory, step: Step, number: number, cast: Cast): Moment {
    const account = accountOf(step.who, cast.domain);
    const room = isConnectionStep(step) ? undefined : roomOf(model, step.room);
    const self = room?.occupants.get(account);
    const all = [...model.rooms.values()].flatMap(({ jid, occupants }) =>
        [...occupants].map(([name, { nick, sessions }]) => ({
            address: `${jid}/${nick}`,
            isOwn: name === account,
            isAbsent: sessions.size === 0,
        })),
    );
    const key = `${account} ${room?.jid ?? ""}`;
    return {
        step,
        number,
        own: new Set([...all.filter(({ isOwn }) => isOwn).map(({ address }) => address), wishedAddress(step)]),
        isIn: self !== undefined,
        isAttached: self?.sessions.has(step.who) ?? false,
        isRename: step.does === "join" && (self?.sessions.has(step.who) ?? false) && step.nick !== self?.nick,
        isResync: step.does === "join" && (self?.isOutdated ?? false),
        mayBeResync: step.does === "join" && (self?.mayBeOutdated ?? false),
        saysNothingNew:
            "shows" in step && step.nick === self?.nick && JSON.stringify(self.shows) === JSON.stringify(step.shows),
        absent: new Set(all.filter(({ isAbsent }) => isAbsent).map(({ address }) => address)),
        heard: memory.heard.get(key) ?? new Set(),
        heardEarlier: memory.heardEarlier.get(key) ?? new Set(),
        saidBefore: memory.saidBefore.get(room?.jid ?? "") ?? new Set(),
    };
}

/** The occupant address that a presence asks for. */
function wishedAddress(step: Step): string {
    return "shows" in step ? `${step.room}/${step.nick}` : "";
}

function remember(memory: Memory, model: Model, received: Received, moment: Moment, cast: Cast): void {
    for (const [key, ids] of moment.step.does === "restart" ? memory.heard : []) {
        for (const id of ids) {
            idsIn(memory.saidBefore, key.replace(/^.* /, "")).add(id);
        }
    }
    for (const room of model.rooms.values()) {
        for (const [name, stanzas] of received) {
            for (const stanza of stanzas.filter((stanza) => isMessageIn(stanza, room))) {
                if (isPast(stanza) && (moment.isResync || moment.mayBeResync)) {
                    continue;
                }
                const accounts = isPast(stanza) ? [accountOf(name, cast.domain)] : room.occupants.keys();
                for (const account of accounts) {
                    idsIn(memory.heard, `${account} ${room.jid}`).add(stanza.attrs.id ?? "");
                }
            }
        }
        if (room.occupants.size === 0 && room.state !== "open") {
            forget(memory, room);
        }
    }
}

/** The room has ended. Another may be created at its address. */
function forget({ heard, heardEarlier }: Memory, room: Room): void {
    for (const [key, ids] of heard) {
        if (key.endsWith(` ${room.jid}`)) {
            for (const id of ids) {
                idsIn(heardEarlier, key).add(id);
            }
            heard.delete(key);
        }
    }
}

function idsIn(map: Map<string, Set<string>>, key: string): Set<string> {
    const ids = map.get(key) ?? new Set();
    map.set(key, ids);
    return ids;
}

function isMessageIn({ attrs }: Element, room: Room): boolean {
    return attrs.type === "groupchat" && (attrs.from?.startsWith(`${room.jid}/`) ?? false);
}

/** Returns the stanzas of each client, one line each, without intended or meaningless differences. */
function linesOf(received: Received, view: View, moment: Moment): Map<string, string[]> {
    return new Map(
        [...received].map(([name, stanzas]) => {
            const isActor = name === moment.step.who;
            const list = comparable(sortOccupants(stanzas.map(copy)), moment, view.side, isActor);
            const lines = list.map((stanza) => lineOf(stanza, view, name, isActor ? idOf(moment.number) : undefined));
            // Prosody returns the fields of a form in any order.
            return [name, moment.step.does === "configure" ? lines.sort() : lines];
        }),
    );
}

function lineOf(stanza: Element, { jids, names }: View, name: string, answeredId: string | undefined): string {
    const { to } = stanza.attrs;
    delete stanza.attrs.to;
    if (stanza.name === "presence" && stanza.attrs.id !== answeredId) {
        // The id of an occupant's presence has no meaning for others.
        delete stanza.attrs.id;
    }
    const rename = (id: string) => {
        if (id.startsWith("step-") || id.startsWith(name.replace("/", "-"))) {
            return id;
        }
        const known = names.get(id) ?? `#${names.size + 1}`;
        names.set(id, known);
        return known;
    };
    if (!waitingForSource.ownJids) {
        nameOwnItems(stanza, jids.find((jid) => name.replace(/\/.*/, "") === jid.replace(/@.*/, "")) ?? "");
    }
    let line = sortLists(canonical(stanza, rename)).toString();
    // Rooms may show the account's bare JID instead of a session's full JID.
    for (const jid of jids) {
        line = line.replaceAll(jid, bare(jid));
    }
    return `to ${to ?? "nobody"}: ${line}`;
}

/**
 * In a room's presence about the session itself, the JID is the session's full JID. Presence of others may have another
 * form.
 */
function nameOwnItems(stanza: Element, jid: string): void {
    for (const item of stanza.getChild("x", nsMucUser)?.getChildren("item") ?? []) {
        if (item.attrs.jid === jid) {
            item.attrs.jid = "own session";
        }
    }
}

const nsMucUser = "http://jabber.org/protocol/muc#user";
const unordered = new Set([
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "http://jabber.org/protocol/muc#admin",
    "http://jabber.org/protocol/rsm",
    "jabber:x:data",
]);

/** Lists of members and items have no order. The same holds for fields of forms, values, and parts of an invitation. */
function sortLists(element: Element): Element {
    const children = element.children.map((child) => (typeof child === "string" ? child : sortLists(child)));
    const isInvitation = element.getChild("x", nsMucUser)?.getChild("invite") !== undefined;
    if (isInvitation || element.name === "field" || unordered.has(element.attrs.xmlns ?? "")) {
        children.sort((one, other) => (String(one) < String(other) ? -1 : 1));
    }
    return xml(element.name, element.attrs, ...children);
}
