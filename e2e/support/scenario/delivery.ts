// Several clients for each account, on a server with mod_minimix. The server counts the stanzas from rooms to accounts.
// A model knows the attached sessions. Both give the expected stanzas of each session.
import { bare, type Element, statusCodes } from "../client.ts";
import type { Arrival, Server } from "../prosody.ts";
import { occupantJid } from "../house.ts";
import { isPast } from "./deviations.ts";
import type { Result } from "./equality.ts";
import { type Cast, closing, nextStep } from "./generate.ts";
import {
    accountOf,
    type Answer,
    apply,
    isRefused as isToBeRefused,
    type Model,
    newModel,
    type Occupant,
    type Room,
} from "./model.ts";
import { seededRandom } from "./random.ts";
import { answerIn, clear, idOf, openStage, perform } from "./stage.ts";
import { isConnectionStep, type Step, waitingForSource } from "./steps.ts";

const nsCarbons = "urn:xmpp:carbons:2";

/** Plays one scenario to its end, or to the first failure. */
export async function checkScenario(server: Server, cast: Cast, seed: number, length: number): Promise<Result> {
    const random = seededRandom(seed);
    const model = newModel();
    const stage = openStage(server, true, cast);
    const steps: Step[] = [];
    const ending = closing(model, cast);
    const backlog: Backlog = new Map();
    const mail = new Set<string>();
    const heard = new Set<string>();
    const kept = new Set<string>();
    const quiet = new Set<string>();
    let problems: string[] = [];
    await server.arrivals();
    try {
        while (problems.length === 0) {
            const number = steps.length;
            const step = number < length ? nextStep(random, model, cast, number) : ending.next().value;
            if (step === undefined) {
                break;
            }
            steps.push(step);
            if (step.does === "invite" || step.does === "decline") {
                mail.add(idOf(number));
            }
            const before = stateOf(model);
            const refusal = isToBeRefused(model, step, accountOf(step.who, cast.domain));
            const received = await perform(stage, step, number);
            const answer = answerIn(received.get(step.who) ?? [], number);
            apply(model, step, accountOf(step.who, cast.domain), answer);
            const moment: Moment = {
                step,
                number,
                id: idOf(number),
                account: accountOf(step.who, cast.domain),
                domain: cast.domain,
                answer,
                isRefused: refusal,
                before,
                after: stateOf(model),
                received,
                arrivals: (await server.arrivals()).map(toAccount),
                mail,
                heard,
                kept,
                quiet,
                backlog,
                withCarbons: stage.withCarbons,
                isEnding: number >= length,
            };
            noteHeard(moment);
            noteHistory(moment);
            problems = [...problemsIn(moment), ...(await occupantProblems(server, model, step))];
            noteBacklog(moment, model.asleep);
        }
    } finally {
        await clear(stage);
    }
    return { steps, problems };
}

type State = ReadonlyMap<string, Room>;

/**
 * The expected stanzas of a room for a session: all `lines`, and those of `optional` that the session has not received
 * before.
 */
interface Due {
    readonly lines: string[];
    readonly optional: string[];
}

/** Stanzas that wait for sessions without a connection, by session and room. */
type Backlog = Map<string, Due>;

interface Moment {
    readonly step: Step;
    readonly number: number;
    readonly id: string;
    /** The acting session, and the answer. */
    readonly account: string;
    readonly answer: Answer;
    /** Whether the answer should be an error. Undefined if only the room can decide. */
    readonly isRefused: boolean | undefined;
    readonly domain: string;
    readonly before: State;
    readonly after: State;
    readonly received: ReadonlyMap<string, Element[]>;
    readonly arrivals: readonly Arrival[];
    /** Ids of invitations and refusals. These are for the account, not for its sessions in the room. */
    readonly mail: ReadonlySet<string>;
    /** Messages of rooms that accounts have received: account, room and id of each message. */
    readonly heard: Set<string>;
    /** Ids of messages that are for archives. */
    readonly kept: Set<string>;
    /** Accounts that have not received any of these since their join: account and room. */
    readonly quiet: Set<string>;
    readonly backlog: Backlog;
    readonly withCarbons: ReadonlySet<string>;
    readonly isEnding: boolean;
}

/** Stanzas to the occupant JID are for the account. */
function toAccount(arrival: Arrival): Arrival {
    const account = bare(arrival.to);
    return arrival.to === occupantJid(account) ? { ...arrival, to: account } : arrival;
}

function stateOf({ rooms }: Model): State {
    return structuredClone(rooms);
}

/** C1, L3, R2: the occupants of the room in the step, as the room sees them. */
async function occupantProblems(server: Server, model: Model, step: Step): Promise<string[]> {
    const room = isConnectionStep(step) ? undefined : model.rooms.get(step.room);
    if (room === undefined) {
        return [];
    }
    const seen = (await server.occupants(room.jid)).map(({ nick, sessions }) => `${nick} ${sessions.join()}`);
    const known = [...room.occupants].map(([account, { nick }]) => `${nick} ${occupantJid(account)}`);
    return difference(known.sort(), seen.sort(), `in ${room.jid}`);
}

function problemsIn(moment: Moment): string[] {
    const rooms = [...moment.after.keys()];
    const sessions = [...moment.received.keys()];
    return [
        ...sessions.flatMap((session) => rooms.flatMap((room) => problemsOf(moment, session, room))),
        ...sessions.flatMap((session) => straysOf(moment, session)),
        ...answerProblems(moment),
        ...copyProblems(moment),
        ...carbonProblems(moment),
        ...requestProblems(moment),
    ];
}

/** The stanzas that a session received from a room, and the expected ones. */
function problemsOf(moment: Moment, session: string, room: string): string[] {
    const { step, id, answer } = moment;
    const { before, after, wasIn, isIn } = placeOf(moment, session, room);
    const got = (moment.received.get(session) ?? []).filter((stanza) => isTraffic(stanza, moment, room));
    const lines = got.map(lineOfStanza);
    const due = dueOf(moment, session, room);
    const where = `${session} in ${room}`;
    if (session === step.who && step.does === "resume") {
        return compare(moment.backlog.get(where) ?? { lines: [], optional: [] }, lines, where);
    }
    if (session === step.who && isIn && before !== undefined && isJoin(step, room) && answer !== "error") {
        const arrived = [...due.lines, ...due.optional];
        return replayProblems(moment, got, arrived, before, room).map((problem) => `${where}: ${problem}`);
    }
    if (wasIn && !isIn && after !== undefined) {
        // L1, L2: the session ends, the account stays.
        const told = `presence unavailable ${room}/${after.nick} ${step.does === "leave" ? id : ""}`;
        return difference([told], lines, where);
    }
    const isUpdate = (step.does === "show" || step.does === "rename") && step.room === room && answer !== "error";
    if (session === step.who && isIn && isUpdate && due.lines.length === 0) {
        // C2: a presence without changes is answered, too.
        return difference([`presence  ${room}/${after?.nick ?? ""} ${id}`], lines, where);
    }
    if (session === step.who && isIn && !wasIn) {
        return difference(sortOccupants(due.lines), sortOccupants(lines), where);
    }
    if (wasIn || isIn) {
        return compare(due, lines, where);
    }
    const mayGetWhispers = (after?.sessions.size ?? 0) === 0 || isComing(step);
    return difference([], got.filter((stanza) => !(mayGetWhispers && isWhisper(stanza))).map(lineOfStanza), where);
}

interface Place {
    /** The account in the room. */
    readonly before: Occupant | undefined;
    readonly after: Occupant | undefined;
    /** Whether the session has joined it. */
    readonly wasIn: boolean;
    readonly isIn: boolean;
}

function placeOf(moment: Moment, session: string, room: string): Place {
    const account = accountOf(session, moment.domain);
    const before = moment.before.get(room)?.occupants.get(account);
    const after = moment.after.get(room)?.occupants.get(account);
    return {
        before,
        after,
        wasIn: before?.sessions.has(session) ?? false,
        isIn: after?.sessions.has(session) ?? false,
    };
}

/** R1: all stanzas of the room to the account, except (J6) the answer to another session's join. */
function dueOf(moment: Moment, session: string, room: string): Due {
    const account = accountOf(session, moment.domain);
    const { before, after, wasIn, isIn } = placeOf(moment, session, room);
    const lines = moment.arrivals
        .filter((arrival) => arrival.to === account && isTrafficOf(arrival, moment, room))
        .map(lineOfArrival);
    if (!wasIn && !isIn) {
        // C6: without a session in the room, private messages are delivered as any message to the account.
        const isNobodyIn = (after?.sessions.size ?? 0) === 0;
        return { lines: [], optional: isNobodyIn ? lines.filter((line) => line.startsWith("message chat ")) : [] };
    }
    if (moment.step.does === "probe" && moment.step.room === room && account === moment.account) {
        // C2: the answer is for the session that asked.
        return session === moment.step.who ? { lines, optional: [] } : { lines: [], optional: [] };
    }
    const isResync = account === moment.account && isJoin(moment.step, room) && mayBeResync(before);
    return isResync ? { lines: [], optional: lines } : { lines, optional: [] };
}

/** Whether the room may answer a join of the account itself. */
function mayBeResync(occupant: Occupant | undefined): boolean {
    return occupant !== undefined && (occupant.isOutdated || occupant.mayBeOutdated);
}

/**
 * H6: a restart gives an account nothing to read. Exception: an account that has not got any message since its join asks
 * the room's archive, and gets what was said just before.
 */
function noteHeard({ step, number, before, after, arrivals, heard, kept, quiet }: Moment): void {
    if (step.does === "say" && step.payload !== "not to be kept") {
        kept.add(idOf(number));
    }
    for (const [room, { occupants }] of after) {
        for (const account of occupants.keys()) {
            if (before.get(room)?.occupants.has(account) !== true) {
                quiet.add(`${account} ${room}`);
            }
        }
    }
    const said = [...heard].map((entry) => entry.split(" "));
    for (const key of step.does === "restart" ? quiet : []) {
        for (const [, , id] of said.filter(([, room]) => key.endsWith(` ${room}`))) {
            heard.add(`${key} ${id}`);
        }
    }
    for (const { from, to, id = "" } of arrivals.filter(({ type }) => type === "groupchat")) {
        heard.add(`${to} ${bare(from)} ${id}`);
        if (kept.has(id)) {
            quiet.delete(`${to} ${bare(from)}`);
        }
    }
}

/** A room that answers a session's join itself sends its own history. Other sessions of the account may read it, too. */
function noteHistory({ step, account, before, received, heard }: Moment): void {
    if (step.does !== "join" || !mayBeResync(before.get(step.room)?.occupants.get(account))) {
        return;
    }
    for (const stanza of received.get(step.who) ?? []) {
        if (stanza.name === "message" && isPast(stanza) && bare(stanza.attrs.from ?? "") === step.room) {
            heard.add(`${account} ${step.room} ${idIn(stanza)}`);
        }
    }
}

function noteBacklog(moment: Moment, asleep: ReadonlySet<string>): void {
    const { backlog, step } = moment;
    if (step.does === "restart") {
        backlog.clear();
    }
    for (const room of moment.after.keys()) {
        if (step.does === "resume") {
            backlog.delete(`${step.who} in ${room}`);
        }
        for (const session of asleep) {
            const where = `${session} in ${room}`;
            const { lines, optional } = dueOf(moment, session, room);
            const waiting = backlog.get(where);
            backlog.set(where, {
                lines: [...(waiting?.lines ?? []), ...lines],
                optional: [...(waiting?.optional ?? []), ...optional],
            });
        }
    }
}

function compare({ lines, optional }: Due, got: string[], where: string): string[] {
    // An optional line may equal a later line that must come.
    const surplus = without(got, lines);
    const allowed = without(surplus, without(surplus, optional));
    return difference(lines, without(got, allowed), where);
}

/** J2: occupants, the own presence, history, the subject; then a new presence of the account. */
function replayProblems(moment: Moment, got: Element[], due: string[], before: Occupant, room: string): string[] {
    const { step, id } = moment;
    const occupants = moment.after.get(room)?.occupants ?? new Map<string, Occupant>();
    const own = `${room}/${occupants.get(moment.account)?.nick ?? ""}`;
    const isRenamed = step.does === "join" && before.sessions.has(step.who) && own !== `${room}/${before.nick}`;
    const others = [...occupants.values()].map(({ nick }) => `${room}/${nick}`).filter((address) => address !== own);
    const subject = got.findIndex(isSubject);
    const self = got.findIndex(({ attrs }) => attrs.from === own && attrs.id === id);
    const list = got.slice(isRenamed ? 1 : 0, Math.max(self, 0));
    const history = got.slice(self + 1, Math.max(subject, 0));
    const rest = got.slice(subject + 1).map(lineOfStanza);
    const updates = mayBeResync(before) ? due.slice(due.findLastIndex((line) => line.startsWith("message")) + 1) : due;
    const ownPresences = got.filter(
        ({ name, attrs }) => name === "presence" && attrs.from === own && attrs.type === undefined,
    );
    // The replay has the presence that the account shows from now on.
    const isNews = (line: string) => waitingForSource.oneOwnPresence || !line.startsWith(`presence  ${own} `);
    const codes = got.slice(self, self + 1).flatMap(statusCodes);
    return [
        ...difference(
            others.map((address) => `presence  ${address}`).sort(),
            list.map(({ name, attrs }) => `${name} ${attrs.type ?? ""} ${attrs.from ?? ""}`).sort(),
            "list",
        ),
        ...(waitingForSource.oneOwnPresence || ownPresences.length === 1
            ? []
            : [`${ownPresences.length} own presences`]),
        ...(codes.includes("110") ? [] : ["no own presence"]),
        ...(codes.includes("210") === (step.does === "join" && `${room}/${step.nick}` !== own) ? [] : ["210 is wrong"]),
        ...(subject > self ? [] : ["no subject at the end"]),
        ...history.filter((stanza) => !isPast(stanza)).map((stanza) => `no history: ${stanza.toString()}`),
        ...repeated(history.map(idIn)).map((id) => `history has ${id} twice`),
        // H1. The answer of the room has its own history.
        ...history
            .map(idIn)
            .filter((id) => !mayBeResync(before) && !moment.heard.has(`${moment.account} ${room} ${id}`))
            .map((id) => `history has ${id}, which was for others`),
        // A new nick is in the list, for this session.
        ...difference(isRenamed ? [] : updates.filter(isNews), rest, "after the replay"),
        ...(isRenamed ? difference(due.slice(0, 1), got.slice(0, 1).map(lineOfStanza), "nick change") : []),
    ];
}

/** R1, J2: stanzas from a room are addressed to the session that receives them. */
function straysOf(moment: Moment, session: string): string[] {
    const jid = session.replace("/", `@${moment.domain}/`);
    return (moment.received.get(session) ?? [])
        .filter(({ attrs }) => isRoom(attrs.from, moment) && attrs.to !== jid)
        .filter((stanza) => !isMail(stanza.name, stanza.attrs.id, moment) && !isWhisper(stanza))
        .map((stanza) => `${session} got what is for others: ${stanza.toString()}`);
}

/** C1, C3: an answer goes to the session that asked, once. */
function answerProblems(moment: Moment): string[] {
    const { step, id, received, answer, isRefused, isEnding, before, account } = moment;
    const answers = [...received].flatMap(([session, stanzas]) =>
        stanzas
            .filter(({ attrs }) => attrs.type === "error" || attrs.type === "result")
            .map((stanza) => ({ session, stanza })),
    );
    const due = isQuestion(step) || answer === "error" ? 1 : 0;
    const right = answers.filter(({ session, stanza }) => session === step.who && stanza.attrs.id === id);
    const self = isConnectionStep(step) ? undefined : before.get(step.room)?.occupants.get(account);
    const isSelfPing = step.does === "ask" && step.about === "ping" && step.nick === self?.nick;
    return [
        ...(right.length === due ? [] : [`${right.length} answers`]),
        ...(isRefused === undefined || isRefused === (answer === "error") ? [] : [`answered by ${answer}`]),
        ...answers
            .filter((one) => !right.includes(one) && !isOfConnecting(one.stanza))
            .map(({ session, stanza }) => `${session} got the answer of somebody: ${stanza.toString()}`),
        // C4
        ...(isSelfPing && (answer === "result") !== self?.sessions.has(step.who) ? [`self-ping: ${answer}`] : []),
        ...(isEnding && step.does === "say" && answer === "error" ? [`cannot talk: ${String(right[0]?.stanza)}`] : []),
    ];
}

/** The room sends a message once to each account in it. */
function copyProblems({ step, answer, before, arrivals }: Moment): string[] {
    if (step.does !== "say" && step.does !== "subject") {
        return [];
    }
    const copies = arrivals.filter(({ type, from }) => type === "groupchat" && bare(from) === step.room);
    // Prosody does not announce a subject that is removed a second time.
    const isIdle = step.does === "subject" && step.text === "" && copies.length === 0;
    const accounts = answer === "error" || isIdle ? [] : [...(before.get(step.room)?.occupants.keys() ?? [])];
    return difference(accounts.sort(), copies.map(({ to }) => to).sort(), "copies");
}

/** C6: the sender's other attached sessions get a copy, and no other session does. */
function carbonProblems({ step, id, account, domain, before, received, withCarbons }: Moment): string[] {
    const self = isConnectionStep(step) ? undefined : before.get(step.room)?.occupants.get(account);
    if (step.does !== "whisper" || !self?.sessions.has(step.who)) {
        return [];
    }
    const due = [...self.sessions].filter(
        (session) => session !== step.who && withCarbons.has(session) && received.has(session),
    );
    const got = [...received].flatMap(([session, stanzas]) =>
        stanzas.filter((stanza) => isSentCarbon(stanza, id, accountOf(session, domain))).map(() => session),
    );
    return difference(due.sort(), got.sort(), "carbons");
}

/** C5: a request to an occupant is for one session of the account. */
function requestProblems({ arrivals, received, domain }: Moment): string[] {
    const requests = [...received].flatMap(([session, stanzas]) =>
        stanzas
            .filter(({ name, attrs }) => name === "iq" && (attrs.type === "get" || attrs.type === "set"))
            .map(({ attrs }) => `${accountOf(session, domain)} ${attrs.id ?? ""}`),
    );
    const arrived = arrivals.filter(({ name }) => name === "iq").map(({ to, id }) => `${to} ${id ?? ""}`);
    return [
        ...repeated(requests).map((request) => `asked twice: ${request}`),
        ...requests.filter((request) => !arrived.includes(request)).map((request) => `asked by nobody: ${request}`),
    ];
}

function isRoom(from: string | undefined, { after }: Moment): boolean {
    return after.has(bare(from ?? ""));
}

/** Stanzas of a room to its occupants. */
function isTraffic(stanza: Element, moment: Moment, room: string): boolean {
    const { name, attrs } = stanza;
    return (
        name !== "iq" &&
        attrs.type !== "error" &&
        bare(attrs.from ?? "") === room &&
        !isMail(name, attrs.id, moment) &&
        stanza.getChild("result", "urn:xmpp:mam:2") === undefined
    );
}

function isTrafficOf({ name, type, from, id }: Arrival, moment: Moment, room: string): boolean {
    return name !== "iq" && type !== "error" && bare(from) === room && !isMail(name, id, moment);
}

function isMail(name: string, id: string | undefined, { mail }: Moment): boolean {
    return name === "message" && id !== undefined && mail.has(id);
}

/** Stanzas from the time of the lost connection wait for the session. */
function isComing({ does }: Step): boolean {
    return does === "connect" || does === "resume" || does === "available";
}

function isWhisper({ name, attrs }: Element): boolean {
    return name === "message" && attrs.type === "chat";
}

function isJoin(step: Step, room: string): boolean {
    return step.does === "join" && step.room === room;
}

function isQuestion({ does }: Step): boolean {
    return (
        does === "ask" ||
        does === "role" ||
        does === "affiliation" ||
        does === "configure" ||
        does === "destroy" ||
        does === "register" ||
        does === "unregister"
    );
}

/** Requests of a session when it connects. */
function isOfConnecting({ attrs }: Element): boolean {
    return !attrs.id?.startsWith("step-");
}

function isSubject(stanza: Element): boolean {
    return stanza.getChild("subject") !== undefined && stanza.getChild("body") === undefined;
}

function isSentCarbon(stanza: Element, id: string, account: string): boolean {
    const message = stanza
        .getChild("sent", nsCarbons)
        ?.getChild("forwarded", "urn:xmpp:forward:0")
        ?.getChild("message");
    return stanza.attrs.from === account && message?.attrs.id === id;
}

function idIn({ attrs }: Element): string {
    return attrs.id ?? "";
}

function lineOfStanza({ name, attrs }: Element): string {
    return `${name} ${attrs.type ?? ""} ${attrs.from ?? ""} ${attrs.id ?? ""}`;
}

function lineOfArrival({ name, type, from, id }: Arrival): string {
    return `${name} ${type ?? ""} ${from} ${id ?? ""}`;
}

/** Occupants are listed in any order. */
function sortOccupants(lines: string[]): string[] {
    const end = lines.findIndex((line) => !line.startsWith("presence  "));
    const list = lines.slice(0, Math.max(end - 1, 0));
    return [...list.sort(), ...lines.slice(list.length)];
}

function difference(due: string[], got: string[], where: string): string[] {
    const missing = without(due, got);
    const surplus = without(got, due);
    return [
        ...missing.map((line) => `${where} - ${line}`),
        ...surplus.map((line) => `${where} + ${line}`),
        ...(missing.length + surplus.length === 0 && due.join() !== got.join()
            ? [`${where}: ${got.join(", ")}; in this order: ${due.join(", ")}`]
            : []),
    ];
}

/** Returns a list without the elements of another list. Each is removed as often as it occurs there. */
function without(list: string[], other: string[]): string[] {
    const rest = [...other];
    return list.filter((item) => {
        const at = rest.indexOf(item);
        rest.splice(at, at < 0 ? 0 : 1);
        return at < 0;
    });
}

function repeated(list: string[]): string[] {
    return list.filter((item, index) => list.indexOf(item) < index);
}
