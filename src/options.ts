// Every option, its default and its check. A value that makes no sense is named in the log, and the default is used;
// so is an option that there is none of. 13.0 has checks of its own, which differ from each other and are not in 0.12.

import * as config from "core.configmanager";
import * as jids from "util.jid";

const HOUR = 3600;
const DAY = 24 * HOUR;

/** The options there are. */
const names = new LuaSet<string>();

const DEFAULT_RESOURCE = "minimix";

/** As Prosody 13.0 reads periods (util/human/io.lua): "m" alone could be minutes or months and is neither. */
const units = new LuaMap<string, number>();
units.set("s", 1);
units.set("min", 60);
units.set("h", 3600);
units.set("ho", 3600);
units.set("d", DAY);
units.set("w", 7 * DAY);
units.set("mon", 31 * DAY);
units.set("y", 365.2425 * DAY);

/** The resource of the occupant JID, "minimix" by default. Undefined (`false`) makes the bare JID the occupant JID. */
export const resource = resourceOption();

/** Services whose rooms are left to the clients. */
export const excluded = services("minimix_exclude");

/** Seconds that a room has to answer a join or a leave. */
export const answerTimeout = period("minimix_join_timeout", 60, 1, HOUR);

/** IQs of one session that wait for an answer at a time; and the seconds that an answer may take. */
export const maxPendingIqs = count("minimix_max_pending_iqs", 64, 1);
export const iqTimeout = period("minimix_iq_timeout", 120, 1, HOUR);

/** Rooms that an account may be in. */
export const maxRooms = count("minimix_max_rooms", 100, 1);

/** Joins of an account's sessions in a second, and those it may make at once. */
export const joinRate = count("minimix_join_rate", 10, 1);
export const joinBurst = count("minimix_join_burst", 500, 1);

/** Nick changes of an account that a room has not answered. */
export const maxNickRequests = count("minimix_max_nick_requests", 16, 1);

/** Occupants of a room that are remembered, and bytes of the biggest presence or subject that is, as XML. */
export const maxOccupants = count("minimix_max_occupants", 5000, 0);
export const maxCachedSize = count("minimix_max_cached_size", 16384, 0);

/** Bytes of all the presences of a room's occupants that are remembered, as XML. */
export const maxRoomSize = count("minimix_max_room_size", 8388608, 0);

/** Seconds without any session attached after which the room is shown so; and how: `<show/>`, or "none" to look available. */
export const detachedAfter = period("minimix_detached_after", 300, 0);
export const detachedShow = oneOf("minimix_detached_show", "xa", ["xa", "away", "dnd", "none"]);

/** Seconds after which a quiet room is asked whether the account is still in it. */
export const pingAfter = period("minimix_ping_after", 900, 1);

/** Rooms that accounts come back to in a second when the server starts. */
export const rejoinRate = count("minimix_rejoin_rate", 100, 1);

/** Whether the server joins the rooms that are bookmarked with autojoin; else that is left to clients. */
export const autojoin = flag("minimix_autojoin", true);

/** Whether rooms are bookmarked when a client joins and leaves them. */
export const bookmarkWrite = flag("minimix_bookmark_write", false);

/** Seconds without a session after which an account leaves its rooms. */
export const inactiveAfter = period("minimix_inactive_after", 30 * DAY, 1);

/**
 * Whether messages of rooms are kept: in an archive of our own, in mod_mam's (a copy for each account), or not at all.
 */
export const archive = archiveOption();

/** Seconds that messages are kept. */
export const archiveExpiresAfter = period("minimix_archive_expires_after", 7 * DAY, 60);

/** Bytes of the biggest message that is kept, as XML. */
export const maxKeptSize = count("minimix_max_kept_size", 65536, 1);

/** Where mod_mam keeps its archive, and what it gives of it at a time: its own options. */
export const personalArchive = text("archive_store", "archive");
export const maxArchivePage = count("max_archive_query_results", 50, 0);

/** Messages of the past that a joining session is sent when it does not say how many, and at the most. */
export const history = count("minimix_history", 20, 0);
export const maxHistory = count("minimix_max_history", 1000, 0);

/** Bytes of memory of the messages of a room that are buffered for an account while a gap before them is filled. */
export const maxGapSize = count("minimix_max_gap_size", 524288, 0);

/** Bytes of memory of the messages of the past that a joining session is sent. */
export const maxHistorySize = count("minimix_max_history_size", 2097152, 0);

/** Rooms that one query of an account's archive goes through. */
export const maxQueryRooms = count("minimix_max_query_rooms", 200, 1);

/** Whether stanzas are written as text once for all; off only to show in tests that it makes no difference. */
export const readyText = valueOf("minimix_ready_text") !== false;

/** Accounts of an anonymous host end with their last session, and nothing of them is kept. */
export const anonymous = module.get_option("authentication") === "anonymous";

refuseUnknown(module.host);
refuseUnknown("*");

function valueOf(name: string): unknown {
    names.add(name);
    return module.get_option(name);
}

/** An option that is not there does nothing, least of all what its name says. */
function refuseUnknown(section: string): void {
    const options = config.getconfig()[section];
    for (const [name] of pairs(options ?? {})) {
        if (string.sub(name, 1, 8) === "minimix_" && !names.has(name)) {
            module.log("error", "There is no option %s", name);
        }
    }
}

/** The value must be in its normal form (RFC 7622 3.4), because rooms reply to the normalised address. */
function resourceOption(): string | undefined {
    const value = valueOf("minimix_resource") ?? DEFAULT_RESOURCE;
    if (value === false) {
        return undefined;
    }
    const address = `${module.host}/${tostring(value)}`;
    const isResource = typeof value === "string" && value !== "" && jids.prep(address) === address;
    return isResource
        ? value
        : refuse("minimix_resource", value, "a resource that a client could bind, or false", DEFAULT_RESOURCE);
}

function text(name: string, fallback: string): string {
    const value = valueOf(name);
    if (value === undefined) {
        return fallback;
    }
    return typeof value === "string" && value !== "" ? value : refuse(name, value, "a text", fallback);
}

/** A list of domains, or one. */
function services(name: string): LuaSet<string> {
    const value = valueOf(name) ?? [];
    const list = typeof value === "object" ? (value as unknown[]) : [value];
    const domains = new LuaSet<string>();
    for (const domain of list) {
        const address = typeof domain === "string" ? jids.prep(domain) : undefined;
        if (address === undefined || jids.host(address) !== address) {
            return refuse(name, domain, "a list of domains", new LuaSet());
        }
        domains.add(address);
    }
    return domains;
}

function flag(name: string, fallback: boolean): boolean {
    const value = valueOf(name) ?? fallback;
    return typeof value === "boolean" ? value : refuse(name, value, "true or false", fallback);
}

function oneOf(name: string, fallback: string, values: string[]): string {
    const value = valueOf(name) ?? fallback;
    for (const allowed of values) {
        if (value === allowed) {
            return allowed;
        }
    }
    return refuse(name, value, `one of ${table.concat(values, ", ")}`, fallback);
}

function archiveOption(): boolean | "mam" {
    const value = valueOf("minimix_archive") ?? true;
    if (value === true || value === false || value === "mam") {
        return value;
    }
    return refuse<boolean | "mam">("minimix_archive", value, 'true, false or "mam"', true);
}

function count(name: string, fallback: number, least: number): number {
    const value = valueOf(name) ?? fallback;
    if (typeof value === "number" && value >= least && value === math.floor(value)) {
        return value;
    }
    return refuse(name, value, `a whole number from ${tostring(least)}`, fallback);
}

/** Seconds, a text such as "30 minutes", or "never" where there is no end to it. */
function period(name: string, fallback: number, least: number, most = math.huge): number {
    const value = valueOf(name) ?? fallback;
    const seconds = value === "never" ? math.huge : parsePeriod(value);
    if (seconds !== undefined && seconds >= least && seconds <= most) {
        return seconds;
    }
    const range = most === math.huge ? `from ${tostring(least)}` : `from ${tostring(least)} to ${tostring(most)}`;
    return refuse(name, value, `a number of seconds ${range}, or a text such as "5 minutes"`, fallback);
}

function parsePeriod(value: unknown): number | undefined {
    if (typeof value !== "string") {
        return typeof value === "number" ? value : undefined;
    }
    const [amount, unit] = string.match(string.lower(value), "^(%d+)%s*([smhdwy]?[io]?n?)");
    const factor = units.get(unit ?? "");
    return factor === undefined ? undefined : (tonumber(amount) ?? 0) * factor;
}

function refuse<T>(name: string, value: unknown, wanted: string, fallback: T): T {
    const used = fallback === undefined || typeof fallback === "object" ? "none" : tostring(fallback);
    module.log("error", "Option %s is to be %s, not %s; using %s", name, wanted, tostring(value), used);
    return fallback;
}
