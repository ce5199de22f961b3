// Chooses the next step: usually ordinary use, sometimes a mistake.
import {
    accountOf,
    affiliationOf,
    isAttached,
    type Model,
    type Occupant,
    occupantWith,
    type Room,
    roomOf,
} from "./model.ts";
import type { Random } from "./random.ts";
import type { Wishes } from "./stage.ts";
import {
    type Affiliation,
    allPayloads,
    type Form,
    questionsToOccupants,
    questionsToRooms,
    type Role,
    type Shows,
    type Step,
    waitingForSource,
} from "./steps.ts";

export interface Cast extends Wishes {
    readonly domain: string;
    /** All sessions, such as "alice/phone". */
    readonly sessions: readonly string[];
    /** The session that creates the rooms. */
    readonly host: string;
    /** Returns the address of the n-th room. */
    readonly room: (n: number) => string;
    /** Whether clients disconnect and connect. */
    readonly comeAndGo: boolean;
    /**
     * Whether to avoid steps whose result differs if an account stays in a room without its client. Then no step
     * addresses an absent occupant, and the host stays.
     */
    readonly considerate: boolean;
    /** Text of a message. Ordinary texts differ by their number. */
    readonly text?: (n: number) => string;
}

interface Scene {
    readonly random: Random;
    readonly model: Model;
    readonly cast: Cast;
    readonly number: number;
}

type Maker = (scene: Scene) => Step | undefined;

/** Frequency of each kind of step, relative to all. */
const makers: [weight: number, maker: Maker][] = [
    [14, join],
    [6, leave],
    [8, show],
    [24, say],
    [6, whisper],
    [3, subject],
    [5, rename],
    [4, kick],
    [4, setRole],
    [5, setAffiliation],
    [3, configureAgain],
    [1, destroy],
    [6, askRoom],
    [6, askOccupant],
    [2, ping],
    [4, invite],
    [3, voice],
    [3, register],
    [2, unregister],
    [4, probe],
];

const comings: [weight: number, maker: Maker][] = [
    [24, connect],
    [5, drop],
    [6, lose],
    [12, resume],
    [3, close],
    [3, unavailable],
    [2, available],
    [4, restart],
];

const shownStates = [undefined, undefined, "away", "dnd", "xa", "chat"];
const liveRooms = 2;

/** Returns the next step. There always is one. */
export function nextStep(random: Random, model: Model, cast: Cast, number: number): Step {
    const scene = { random, model, cast, number };
    const founding = found(scene);
    if (founding !== undefined) {
        return founding;
    }
    const table = cast.comeAndGo ? [...makers, ...comings] : makers;
    const total = table.reduce((sum, [weight]) => sum + weight, 0);
    for (;;) {
        let choice = random.below(total);
        const maker = table.find(([weight]) => (choice -= weight) < 0)?.[1];
        const step = maker?.(scene);
        if (step !== undefined) {
            return step;
        }
    }
}

/** At the end all sessions leave. After they have rejoined, all have voice, and then the rooms are destroyed. */
export function* closing(model: Model, cast: Cast): Generator<Step, undefined> {
    for (const who of cast.sessions.filter((session) => !model.online.has(session))) {
        yield { does: model.asleep.has(who) ? "resume" : "connect", who };
    }
    for (const room of [...model.rooms.values()].filter(({ state }) => state !== "destroyed")) {
        for (const [account, self] of [...room.occupants]) {
            const sessions = cast.sessions.filter((session) => accountIn(cast, session) === account);
            const [first] = sessions;
            if (self.sessions.size === 0 && first !== undefined) {
                yield joinOf(cast, first, room, self.nick);
            }
            for (const who of sessions.filter((session) => self.sessions.has(session))) {
                yield { does: "leave", who, room: room.jid, nick: self.nick };
            }
        }
        yield* conversation(cast, room);
    }
    return undefined;
}

function* conversation(cast: Cast, room: Room): Generator<Step> {
    const owner =
        cast.sessions.find((session) => affiliationOf(room, accountIn(cast, session)) === "owner") ?? cast.host;
    yield joinOf(cast, owner, room);
    yield { does: "configure", who: owner, room: room.jid, form: openToAll };
    for (const [account, affiliation] of room.affiliations) {
        if (affiliation === "outcast") {
            yield { does: "affiliation", who: owner, room: room.jid, account, affiliation: "none" };
        }
    }
    for (const who of cast.sessions.filter((session) => session !== owner)) {
        yield joinOf(cast, who, room);
    }
    for (const who of cast.sessions) {
        yield { does: "say", who, room: room.jid, text: `${who} can talk`, payload: "plain" };
    }
    yield { does: "destroy", who: owner, room: room.jid };
}

const openToAll: Form = {
    "muc#roomconfig_membersonly": "0",
    "muc#roomconfig_moderatedroom": "0",
    "muc#roomconfig_persistentroom": "0",
    "muc#roomconfig_roomsecret": "",
};

function joinOf(cast: Cast, who: string, room: Room, nick = ownNick(who)): Step {
    const shows = restoredShows(cast, who, room) ?? {};
    return { does: "join", who, room: room.jid, nick, shows, password: room.password };
}

/**
 * Returns what an account showed before a restart, until its first session returns. P1: the module shows it for a while,
 * also if the session is less available.
 */
function restoredShows(cast: Cast, who: string, room: Room): Shows | undefined {
    const self = room.occupants.get(accountIn(cast, who));
    return cast.considerate && self?.isRestored ? self.shows : undefined;
}

/** All clients connect, and there are rooms to join. */
function found(scene: Scene): Step | undefined {
    const { model, cast, random, number } = scene;
    const newcomer = cast.sessions[number];
    if (newcomer !== undefined) {
        return { does: "connect", who: newcomer };
    }
    if (model.online.size === 0) {
        return resume(scene) ?? connect(scene);
    }
    const rooms = [...model.rooms.values()];
    const locked = rooms.find(({ state }) => state === "locked");
    if (locked !== undefined && !random.chance(10)) {
        return configure(scene, locked);
    }
    if (rooms.filter(({ state }) => state === "open" || state === "locked").length >= liveRooms) {
        return undefined;
    }
    const room = rooms.find(({ state }) => state === "none") ?? roomOf(model, cast.room(rooms.length));
    const founder = cast.considerate ? cast.host : random.pick([...model.online]);
    return joinStep(scene, founder, room, undefined);
}

function account({ cast }: Scene, session: string): string {
    return accountIn(cast, session);
}

function accountIn({ domain }: Cast, session: string): string {
    return accountOf(session, domain);
}

/** Returns the connected ones of these sessions. */
function awake({ online }: Model, sessions: Iterable<string>): string[] {
    return [...sessions].filter((session) => online.has(session));
}

function someRoom({ random, model }: Scene): Room {
    const rooms = [...model.rooms.values()];
    return random.pick(random.chance(5) ? rooms : rooms.filter(({ state }) => state !== "destroyed"));
}

/** All sessions in rooms. */
function insiders({ model }: Scene): { who: string; room: Room; self: Occupant }[] {
    return [...model.rooms.values()].flatMap((room) =>
        [...room.occupants.values()].flatMap((self) => awake(model, self.sessions).map((who) => ({ who, room, self }))),
    );
}

/** Returns a session in a room; sometimes a session outside. */
function insider(scene: Scene): { who: string; room: Room; self: Occupant | undefined } {
    const { random, model } = scene;
    const rooms = [...model.rooms.values()];
    const candidates = insiders(scene);
    if (candidates.length > 0 && !random.chance(6)) {
        return random.pick(candidates);
    }
    const who = random.pick([...model.online]);
    const room = random.pick(rooms);
    const self = room.occupants.get(account(scene, who));
    return { who, room, self: self?.sessions.has(who) ? self : undefined };
}

/** Returns a session with many rights; sometimes another one. */
function administrator(scene: Scene): { who: string; room: Room } {
    const { random, model } = scene;
    const administrators = [...model.rooms.values()].flatMap((room) =>
        [...room.occupants]
            .filter(([account]) => ["owner", "admin"].includes(affiliationOf(room, account)))
            .flatMap(([, { sessions }]) => awake(model, sessions).map((who) => ({ who, room }))),
    );
    return administrators.length > 0 && !random.chance(15) ? random.pick(administrators) : insider(scene);
}

/** Returns the nick of an occupant; sometimes an unused nick. */
function someNick(scene: Scene, room: Room): string {
    const occupants = [...room.occupants.values()].filter(
        ({ sessions }) => sessions.size > 0 || !scene.cast.considerate,
    );
    return occupants.length > 0 && !scene.random.chance(8) ? scene.random.pick(occupants).nick : "Nobody";
}

/** An account with or without a place in the room. */
function someAccount(scene: Scene, room: Room): string {
    const { cast, random } = scene;
    const accounts = cast.sessions.map((session) => account(scene, session));
    const isLeftAlone = (name: string) =>
        cast.considerate && (room.occupants.get(name)?.sessions.size === 0 || name === account(scene, cast.host));
    return random.pick([...accounts.filter((name) => !isLeftAlone(name)), `stranger@${cast.domain}`]);
}

function isAnybodyAbsent(room: Room): boolean {
    return [...room.occupants.values()].some(({ sessions }) => sessions.size === 0);
}

function shows({ random }: Scene): Shows {
    const show = random.pick(shownStates);
    const status = random.pick([undefined, undefined, "at tea", "<busy> & 'quoted'"]);
    const name = random.pick([undefined, undefined, undefined, "Ämy", "A. & B."]);
    return {
        ...(show !== undefined && { show }),
        ...(status !== undefined && { status }),
        ...(name !== undefined && { name }),
    };
}

function ownNick(session: string): string {
    const name = session.replace(/\/.*/, "");
    return name.charAt(0).toUpperCase() + name.slice(1);
}

function wishedNick({ random, cast }: Scene, who: string, room: Room): string {
    const nick = random.pick([`${ownNick(who)} II`, ownNick(who), `Ünïcødé ${ownNick(who)}`, "Everybody's"]);
    const [, holder] = occupantWith(room, nick) ?? [];
    return cast.considerate && holder?.sessions.size === 0 ? ownNick(who) : nick;
}

function reason({ random }: Scene): string | undefined {
    return random.pick([undefined, "because & therefore"]);
}

function connect({ random, model, cast }: Scene): Step | undefined {
    const away = cast.sessions.filter((session) => !model.online.has(session) && !model.asleep.has(session));
    return away.length === 0 ? undefined : { does: "connect", who: random.pick(away) };
}

function goer({ random, model, cast }: Scene): string | undefined {
    const goers = [...model.online].filter((session) => !cast.considerate || session !== cast.host);
    return goers.length === 0 ? undefined : random.pick(goers);
}

function drop(scene: Scene): Step | undefined {
    const who = goer(scene);
    // With stream management the session would continue without the connection: see lose().
    return who === undefined || scene.cast.withSmacks?.includes(who) ? undefined : { does: "drop", who };
}

function lose({ random, model, cast }: Scene): Step | undefined {
    const losers = cast.withSmacks?.filter((session) => model.online.has(session)) ?? [];
    return losers.length === 0 ? undefined : { does: "lose", who: random.pick(losers) };
}

function resume({ random, model }: Scene): Step | undefined {
    return model.asleep.size === 0 ? undefined : { does: "resume", who: random.pick([...model.asleep]) };
}

function close(scene: Scene): Step | undefined {
    const who = goer(scene);
    return who === undefined ? undefined : { does: "close", who };
}

function unavailable(scene: Scene): Step | undefined {
    const who = goer(scene);
    return who === undefined ? undefined : { does: "unavailable", who };
}

function available(scene: Scene): Step | undefined {
    const who = goer(scene);
    return who === undefined ? undefined : { does: "available", who };
}

/** A temporary room would end with its occupants, and a client without the password could not return. */
function restart({ random, model, cast }: Scene): Step | undefined {
    if (cast.considerate && waitingForSource.presenceAfterRestart) {
        return undefined;
    }
    const rooms = [...model.rooms.values()];
    const live = rooms.filter(({ state }) => state === "open" || state === "locked");
    const mayReturn = (room: Room) =>
        [...room.occupants.values()].every(({ password, lastPassword }) =>
            [password, waitingForSource.laterPasswords ? password : lastPassword, undefined].includes(room.password),
        );
    if (!live.every((room) => room.state === "open" && room.persistent && mayReturn(room)) || !random.chance(50)) {
        return undefined;
    }
    const returning = live.flatMap(({ jid, occupants }) =>
        [...occupants].map(([account, { nick }]) => [`${jid}/${nick}`, account] as const),
    );
    return { does: "restart", who: random.pick([...model.online]), returning: Object.fromEntries(returning) };
}

function join(scene: Scene): Step {
    const { random, model } = scene;
    const room = someRoom(scene);
    const outside = [...model.online].filter((session) => !isAttached(room, account(scene, session), session));
    const who = outside.length > 0 && !random.chance(10) ? random.pick(outside) : random.pick([...model.online]);
    return joinStep(scene, who, room, historyFor(scene, room.occupants.has(account(scene, who))));
}

/** Returns all sessions, or none. */
const boundedByTime = [
    undefined,
    undefined,
    { maxstanzas: "0" },
    { maxchars: "0" },
    { seconds: "3600" },
    { since: "1970-01-01T00:00:00Z" },
    { since: "2100-01-01T00:00:00Z" },
];
const boundedByNumber = [
    { maxstanzas: "2" },
    { maxstanzas: "5", since: "2020-01-01T00:00:00Z" },
    { maxstanzas: "3", seconds: "3600" },
];

/**
 * The last messages of the room equal those of the account only if the account got all. If clients come and go, a join
 * asks for all messages. Otherwise it may ask for a few, but not when the session is attached already.
 */
function historyFor({ random, cast }: Scene, isIn: boolean): Record<string, string> | undefined {
    if (cast.considerate && !isIn) {
        return undefined;
    }
    return random.pick(cast.considerate || !isIn ? [...boundedByTime, ...boundedByNumber] : boundedByTime);
}

function joinStep(scene: Scene, who: string, room: Room, history: Record<string, string> | undefined): Step {
    const { random, cast } = scene;
    const self = room.occupants.get(account(scene, who));
    // A session that rejoins under another nick gets the account's nick. Without the module it gets the other nick. As
    // in rename().
    const mayChange = !self?.sessions.has(who) || room.persistent || room.occupants.size > 1;
    const keeps = cast.considerate ? !self?.sessions.has(who) : random.chance(70);
    const keepsNick = self !== undefined && (keeps || !mayChange);
    const nick = keepsNick ? self.nick : random.chance(75) ? ownNick(who) : wishedNick(scene, who, room);
    const password = cast.considerate || !random.chance(12) ? room.password : random.pick([undefined, "wrong"]);
    const shown = shows(scene);
    const wanted = restoredShows(cast, who, room) ?? shown;
    return { does: "join", who, room: room.jid, nick, shows: wanted, password, history };
}

function leave(scene: Scene): Step | undefined {
    const { who, room, self } = insider(scene);
    if (scene.cast.considerate && who === scene.cast.host) {
        return undefined;
    }
    const status = scene.random.pick([undefined, "bye"]);
    return { does: "leave", who, room: room.jid, nick: self?.nick ?? ownNick(who), status };
}

function show(scene: Scene): Step {
    const { who, room, self } = insider(scene);
    const repeated = self !== undefined && scene.random.chance(25) ? self.shows : shows(scene);
    return { does: "show", who, room: room.jid, nick: self?.nick ?? ownNick(who), shows: repeated };
}

function rename(scene: Scene): Step | undefined {
    const { who, room } = insider(scene);
    if (!room.persistent && room.occupants.size <= 1) {
        // Prosody treats the room as empty meanwhile, and destroys it with the occupant inside.
        return undefined;
    }
    const nick = scene.random.chance(20) ? someNick(scene, room) : wishedNick(scene, who, room);
    return { does: "rename", who, room: room.jid, nick, shows: shows(scene) };
}

function say(scene: Scene): Step {
    const { random, cast, number } = scene;
    const { who, room } = insider(scene);
    const text = cast.text?.(number) ?? `text ${number}`;
    const payload = random.chance(40) ? "plain" : random.pick(allPayloads);
    return { does: "say", who, room: room.jid, text, payload };
}

const whisperTypes = ["chat", "chat", "chat", "normal", "headline"] as const;

function whisper(scene: Scene): Step {
    const { who, room } = insider(scene);
    const text = `whispered ${scene.number}`;
    const invites = !waitingForSource.invitationsInPrivate && scene.random.chance(20);
    // The checks of several clients know private messages by their type.
    const types = scene.cast.comeAndGo && !scene.cast.considerate ? (["chat"] as const) : whisperTypes;
    const type = scene.random.pick([...types]);
    return {
        does: "whisper",
        who,
        room: room.jid,
        nick: someNick(scene, room),
        text,
        type,
        ...(invites && { invites }),
    };
}

function probe(scene: Scene): Step | undefined {
    const { who, room } = insider(scene);
    return waitingForSource.probes ? undefined : { does: "probe", who, room: room.jid, nick: someNick(scene, room) };
}

/** XEP-0045 7.10, usually by occupants that have the right. */
function register(scene: Scene): Step | undefined {
    const { random } = scene;
    const members = insiders(scene).filter(({ who, room }) =>
        ["owner", "admin", "member"].includes(affiliationOf(room, account(scene, who))),
    );
    const { who, room, self } = members.length > 0 && random.chance(80) ? random.pick(members) : insider(scene);
    if (isAbsent(scene, self)) {
        return undefined;
    }
    return { does: "register", who, room: room.jid, nick: random.chance(80) ? ownNick(who) : someNick(scene, room) };
}

function unregister(scene: Scene): Step | undefined {
    const { who, room, self } = insider(scene);
    return isAbsent(scene, self) ? undefined : { does: "unregister", who, room: room.jid };
}

/** Whether only the account is in the room, or is not: the room shows a new affiliation of its occupants by presence. */
function isAbsent({ cast }: Scene, self: Occupant | undefined): boolean {
    return cast.considerate && (self === undefined || self.sessions.size === 0);
}

function subject(scene: Scene): Step {
    const { who, room } = insider(scene);
    return { does: "subject", who, room: room.jid, text: scene.random.pick(["", `subject ${scene.number}`]) };
}

function kick(scene: Scene): Step {
    const { who, room } = administrator(scene);
    return {
        does: "role",
        who,
        room: room.jid,
        nick: someNick(scene, room),
        role: "none",
        reason: reason(scene),
    };
}

function setRole(scene: Scene): Step | undefined {
    if (scene.cast.considerate) {
        // A client that rejoins keeps its role, while a room would assign the usual one.
        return undefined;
    }
    const { who, room } = administrator(scene);
    const nick = someNick(scene, room);
    const [account = ""] = occupantWith(room, nick) ?? [];
    if (["owner", "admin"].includes(affiliationOf(room, account))) {
        // Owners without the role of a moderator see real JIDs when they join, and none afterwards (muc.lib.lua).
        return undefined;
    }
    const role = scene.random.pick<Role>(["moderator", "participant", "visitor", "visitor"]);
    return { does: "role", who, room: room.jid, nick, role, reason: reason(scene) };
}

function setAffiliation(scene: Scene): Step {
    const { who, room } = administrator(scene);
    const affiliation = scene.random.pick<Affiliation>([
        "owner",
        "admin",
        "member",
        "member",
        "none",
        "none",
        "outcast",
    ]);
    return {
        does: "affiliation",
        who,
        room: room.jid,
        account: someAccount(scene, room),
        affiliation,
        reason: reason(scene),
    };
}

function configureAgain(scene: Scene): Step | undefined {
    const { who, room } = administrator(scene);
    return { does: "configure", who, room: room.jid, form: form(scene, room) };
}

/** The owner opens a new room. */
function configure(scene: Scene, room: Room): Step | undefined {
    const owner = [...room.occupants].find(([account]) => affiliationOf(room, account) === "owner");
    const [who] = awake(scene.model, owner?.[1].sessions ?? []);
    if (who === undefined) {
        return undefined;
    }
    const persistent = {
        "muc#roomconfig_persistentroom": scene.cast.considerate || scene.random.chance(50) ? "1" : "0",
    };
    return { does: "configure", who, room: room.jid, form: { ...form(scene, room), ...persistent } };
}

/** Prosody shows registered members to joining occupants, as unavailable. */
const withOffline = ["moderator", "participant", "visitor", "none"];

function form({ random, cast, number }: Scene, room: Room): Form {
    const yesOrNo = () => random.pick(["0", "1"]);
    const all: Form = {
        roomname: `Room ${number}`,
        whois: random.pick(["anyone", "moderators"]),
        changesubject: yesOrNo(),
        publicroom: yesOrNo(),
        roomsecret: random.pick(["", "secret"]),
    };
    if (!cast.considerate) {
        all.enablearchiving = yesOrNo();
        all.moderatedroom = yesOrNo();
        all.persistentroom = yesOrNo();
    }
    if (!cast.comeAndGo) {
        // Occupants that are in the room but not shown.
        all.presencebroadcast = random.pick([
            ["moderator", "participant", "visitor"],
            ["moderator", "participant"],
            ...(waitingForSource.offlineMembers ? [] : [withOffline, withOffline]),
        ]);
    }
    // Prosody removes a non-member without telling the others. Only an occupant that rejoins would notice.
    if ((!cast.considerate || !isAnybodyAbsent(room)) && (!cast.comeAndGo || areMembers(room))) {
        all.membersonly = random.pick(["0", "0", "1"]);
    }
    const chosen = Object.entries(all).filter(() => random.chance(35));
    if (chosen.some(([name]) => name === "membersonly")) {
        // Whether others see the removal depends on the order in which Prosody handles the two fields.
        return roomConfig(chosen.filter(([name]) => name !== "presencebroadcast"));
    }
    return roomConfig(chosen);
}

function roomConfig(chosen: [string, string | string[]][]): Form {
    return Object.fromEntries(chosen.map(([name, values]) => [`muc#roomconfig_${name}`, values]));
}

function areMembers(room: Room): boolean {
    return [...room.occupants.keys()].every((account) => affiliationOf(room, account) !== "none");
}

function destroy(scene: Scene): Step {
    const { who, room } = administrator(scene);
    return { does: "destroy", who, room: room.jid, reason: reason(scene) };
}

function askRoom(scene: Scene): Step | undefined {
    const { who, room } = insider(scene);
    const about = scene.random.pick(questionsToRooms);
    // After a restart, Prosody does not repeat the avatar to accounts that have stayed (muc/vcard.lib.lua).
    return about === "avatar" && scene.cast.comeAndGo ? undefined : { does: "ask", who, room: room.jid, about };
}

function askOccupant(scene: Scene): Step | undefined {
    const { who, room } = insider(scene);
    const about = scene.random.pick(questionsToOccupants);
    const nick = someNick(scene, room);
    const [, asked] = occupantWith(room, nick) ?? [];
    if ([...(asked?.sessions ?? [])].some((session) => scene.model.asleep.has(session))) {
        // It would answer after its return.
        return undefined;
    }
    return { does: "ask", who, room: room.jid, nick, about };
}

/** XEP-0410: usually the own occupant, from inside and outside of the room. */
function ping(scene: Scene): Step {
    const { who, room, self } = insider(scene);
    return { does: "ask", who, room: room.jid, nick: self?.nick ?? ownNick(who), about: "ping" };
}

function invite(scene: Scene): Step {
    const { who, room } = insider(scene);
    const does = scene.random.pick<"invite" | "directInvite" | "decline">(["invite", "directInvite", "decline"]);
    return { does, who, room: room.jid, account: someAccount(scene, room) };
}

function voice(scene: Scene): Step | undefined {
    const { who, room, self } = insider(scene);
    if (self === undefined) {
        // Prosody does not expect this from a non-occupant (muc/request.lib.lua).
        return undefined;
    }
    return {
        does: scene.random.pick<"requestVoice" | "grantVoice">(["requestVoice", "grantVoice"]),
        who,
        room: room.jid,
    };
}
