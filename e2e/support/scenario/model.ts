// A small model of rooms with accounts as occupants and attached sessions. It knows XEP-0045, and not the module's
// code.
import { type Affiliation, type Form, isConnectionStep, type Role, type Shows, type Step } from "./steps.ts";

export interface Occupant {
    nick: string;
    /** The attached sessions. Without any the account is still in the room. */
    readonly sessions: Set<string>;
    shows: Shows;
    /** No session of the account has attached since a restart. */
    isRestored: boolean;
    isModerator: boolean;
    /** Since the account last got the occupant list, real JIDs have become visible or invisible to it. */
    isOutdated: boolean;
    /** Since then the room may have announced something that changes its list of offline members. */
    mayBeOutdated: boolean;
    /** The password of the account's join, and the last one that a session sent. */
    readonly password: string | undefined;
    lastPassword: string | undefined;
}

export interface Room {
    readonly jid: string;
    /** The room does not exist yet; is created but not configured; is open to others; is destroyed for good. */
    state: "none" | "locked" | "open" | "destroyed";
    password: string | undefined;
    membersOnly: boolean;
    persistent: boolean;
    /** The room lists members that are offline, or did so earlier. */
    hasListedOffline: boolean;
    /** Accounts that see real JIDs. */
    whois: string;
    readonly affiliations: Map<string, Affiliation>;
    /** Nicks reserved for one account, by account. */
    readonly registered: Map<string, string>;
    /** By account. */
    readonly occupants: Map<string, Occupant>;
}

export interface Model {
    readonly rooms: Map<string, Room>;
    /** Connected sessions, and those with a lost connection that will resume (XEP-0198). */
    readonly online: Set<string>;
    readonly asleep: Set<string>;
}

/** The answer to a session's request. */
export type Answer = "result" | "error" | "none";

export function newModel(): Model {
    return { rooms: new Map(), online: new Set(), asleep: new Set() };
}

/** The account of a session, such as "alice/phone". */
export function accountOf(session: string, domain: string): string {
    return `${session.replace(/\/.*/, "")}@${domain}`;
}

export function roomOf(model: Model, jid: string): Room {
    let room = model.rooms.get(jid);
    if (room === undefined) {
        room = { jid, affiliations: new Map(), registered: new Map(), occupants: new Map(), ...fresh("none") };
        model.rooms.set(jid, room);
    }
    return room;
}

type Configured = "state" | "password" | "membersOnly" | "persistent" | "hasListedOffline" | "whois";

function fresh(state: Room["state"]): Pick<Room, Configured> {
    return {
        state,
        password: undefined,
        membersOnly: false,
        persistent: false,
        hasListedOffline: false,
        whois: "moderators",
    };
}

export function affiliationOf(room: Room, account: string): Affiliation {
    return room.affiliations.get(account) ?? "none";
}

export function occupantWith(room: Room, nick: string): [account: string, Occupant] | undefined {
    return [...room.occupants].find(([, occupant]) => occupant.nick === nick);
}

export function isAttached(room: Room, account: string, session: string): boolean {
    return room.occupants.get(account)?.sessions.has(session) ?? false;
}

/** Whether the room admits an account. If the account is in, all its sessions attach (J2, J3). */
function isLetIn(room: Room, account: string, nick: string, password: string | undefined): boolean {
    if (room.occupants.has(account) || room.state === "none") {
        return true;
    }
    const affiliation = affiliationOf(room, account);
    return (
        room.state === "open" &&
        affiliation !== "outcast" &&
        !(room.membersOnly && affiliation === "none") &&
        (room.password === undefined || room.password === password) &&
        occupantWith(room, nick) === undefined
    );
}

/** Whether a step should be answered by an error. Undefined if only the room can decide. */
export function isRefused(model: Model, step: Step, account: string): boolean | undefined {
    if (isConnectionStep(step)) {
        return false;
    }
    const room = roomOf(model, step.room);
    const attached = isAttached(room, account, step.who);
    if ("nick" in step && [...room.registered].some(([other, nick]) => other !== account && nick === step.nick)) {
        return undefined;
    }
    if (step.does === "join" && !(attached && step.nick !== room.occupants.get(account)?.nick)) {
        return !isLetIn(room, account, step.nick, step.password);
    }
    if (step.does === "join" || step.does === "rename" || step.does === "show") {
        const holder = occupantWith(room, step.nick);
        return !attached || (holder !== undefined && holder[0] !== account);
    }
    return undefined;
}

/** Applies a step to the model. `answer` is the answer that the acting session got. */
export function apply(model: Model, step: Step, account: string, answer: Answer): void {
    if (isConnectionStep(step)) {
        if (step.does === "restart") {
            restart(model);
        } else if (step.does === "connect" || step.does === "resume") {
            model.online.add(step.who);
            model.asleep.delete(step.who);
        } else if (step.does === "lose") {
            model.online.delete(step.who);
            model.asleep.add(step.who);
        } else if (step.does !== "available") {
            detachEverywhere(model, step.who, account);
            if (step.does !== "unavailable") {
                model.online.delete(step.who);
            }
        }
        return;
    }
    const room = roomOf(model, step.room);
    if (answer === "error") {
        return;
    }
    if (mayChangeList(room, step)) {
        for (const occupant of room.occupants.values()) {
            occupant.mayBeOutdated = true;
        }
    }
    switch (step.does) {
        case "join":
            join(room, step, account);
            break;
        case "show":
        case "rename": {
            const occupant = room.occupants.get(account);
            if (occupant?.sessions.has(step.who)) {
                occupant.nick = step.nick;
                occupant.shows = step.shows;
            }
            break;
        }
        case "leave":
            leave(room, step.who, account);
            break;
        case "role":
            if (answer === "result") {
                setRole(room, occupantWith(room, step.nick), step.role);
            }
            break;
        case "affiliation":
            if (answer === "result") {
                affiliate(room, step.account, step.affiliation);
            }
            break;
        case "invite":
            if (room.membersOnly && affiliationOf(room, step.account) === "none") {
                affiliate(room, step.account, "member");
            }
            break;
        case "register":
            if (answer === "result") {
                room.registered.set(account, step.nick);
            }
            break;
        case "unregister":
            if (answer === "result" && affiliationOf(room, account) === "member") {
                affiliate(room, account, "none");
            }
            break;
        case "ask":
            if (step.about === "several changes" && answer === "result") {
                affiliate(room, "one@a.lab", "member");
                affiliate(room, "two@a.lab", "member");
            }
            break;
        case "configure":
            if (answer === "result") {
                configure(room, step.form);
            }
            break;
        case "destroy":
            if (answer === "result") {
                // Prosody remembers that a persistent room was destroyed.
                end(room, room.persistent ? "destroyed" : "none");
            }
            break;
    }
}

/** Whether a step may change the offline members that a room lists, also if it has listed none before. */
function mayChangeList(room: Room, step: Step): boolean {
    const { does } = step;
    return (
        (does === "ask" && (step.about === "several changes" || step.about === "avatar")) ||
        ["affiliation", "invite", "register", "unregister", "configure"].includes(does) ||
        (room.hasListedOffline && ["join", "leave", "role"].includes(does))
    );
}

/** Ends all sessions. Accounts return to their rooms with the role of their affiliation. */
function restart(model: Model): void {
    model.online.clear();
    model.asleep.clear();
    for (const room of model.rooms.values()) {
        for (const [account, occupant] of room.occupants) {
            occupant.sessions.clear();
            occupant.isRestored = true;
            occupant.isModerator = isModerating(affiliationOf(room, account));
            occupant.isOutdated = false;
            // A session may be faster than the account. Then the room answers its join.
            occupant.mayBeOutdated = true;
        }
    }
}

function detachEverywhere(model: Model, session: string, account: string): void {
    for (const room of model.rooms.values()) {
        room.occupants.get(account)?.sessions.delete(session);
    }
}

function join(room: Room, step: Step & { does: "join" }, account: string): void {
    const occupant = room.occupants.get(account);
    if (occupant === undefined) {
        if (room.state === "none") {
            room.state = "locked";
            // XEP-0045 10.1: Prosody takes the password of the join that creates a room as the room's.
            room.password = step.password;
            room.affiliations.set(account, "owner");
        }
        room.occupants.set(account, {
            nick: step.nick,
            sessions: new Set([step.who]),
            shows: step.shows,
            isRestored: false,
            isModerator: isModerating(affiliationOf(room, account)),
            isOutdated: false,
            mayBeOutdated: false,
            password: step.password,
            lastPassword: step.password,
        });
        return;
    }
    if (occupant.sessions.has(step.who)) {
        occupant.nick = step.nick;
    }
    occupant.sessions.add(step.who);
    occupant.lastPassword = step.password;
    occupant.shows = step.shows;
    occupant.isRestored = false;
    occupant.isOutdated = false;
    occupant.mayBeOutdated = false;
}

function leave(room: Room, session: string, account: string): void {
    const occupant = room.occupants.get(account);
    if (occupant?.sessions.delete(session) && occupant.sessions.size === 0) {
        remove(room, account);
    }
}

function remove(room: Room, account: string | undefined): void {
    if (account !== undefined && room.occupants.delete(account) && room.occupants.size === 0 && !room.persistent) {
        end(room, "none");
    }
}

/** Lowest first. */
const affiliations: Affiliation[] = ["outcast", "none", "member", "admin", "owner"];

function isModerating(affiliation: Affiliation): boolean {
    return affiliation === "owner" || affiliation === "admin";
}

function affiliate(room: Room, account: string, affiliation: Affiliation): void {
    const before = affiliationOf(room, account);
    room.affiliations.set(account, affiliation);
    if (affiliation === "none" || affiliation === "outcast") {
        room.registered.delete(account);
    }
    if (affiliation === "outcast" || (affiliation === "none" && room.membersOnly)) {
        remove(room, account);
    }
    const occupant = room.occupants.get(account);
    const isDegraded = affiliations.indexOf(affiliation) < affiliations.indexOf(before);
    if (occupant !== undefined && (isDegraded || isModerating(affiliation))) {
        setModerator(room, occupant, isModerating(affiliation));
    }
}

function setRole(room: Room, target: [account: string, Occupant] | undefined, role: Role): void {
    const [account, occupant] = target ?? [];
    if (role === "none") {
        remove(room, account);
    } else if (occupant !== undefined) {
        setModerator(room, occupant, role === "moderator");
    }
}

/** Moderators always see real JIDs. */
function setModerator(room: Room, occupant: Occupant, isModerator: boolean): void {
    if (occupant.isModerator !== isModerator && room.whois !== "anyone") {
        occupant.isOutdated = true;
    }
    occupant.isModerator = isModerator;
}

function configure(room: Room, form: Form): void {
    if (room.state === "locked") {
        room.state = "open";
    }
    const password = form["muc#roomconfig_roomsecret"];
    if (typeof password === "string") {
        room.password = password === "" ? undefined : password;
    }
    const whois = form["muc#roomconfig_whois"];
    if (typeof whois === "string" && whois !== room.whois) {
        room.whois = whois;
        for (const occupant of room.occupants.values()) {
            occupant.isOutdated = true;
        }
    }
    const persistent = form["muc#roomconfig_persistentroom"];
    if (persistent !== undefined) {
        room.persistent = persistent === "1";
    }
    if (form["muc#roomconfig_presencebroadcast"]?.includes("none") === true) {
        room.hasListedOffline = true;
    }
    const membersOnly = form["muc#roomconfig_membersonly"];
    if (membersOnly !== undefined) {
        room.membersOnly = membersOnly === "1";
    }
    if (room.membersOnly) {
        for (const account of [...room.occupants.keys()]) {
            if (affiliationOf(room, account) === "none") {
                remove(room, account);
            }
        }
    }
}

function end(room: Room, state: Room["state"]): void {
    Object.assign(room, fresh(state));
    room.occupants.clear();
    room.registered.clear();
    room.affiliations.clear();
}
