// Reads and checks the options. An invalid value or an unknown option is logged. The default replaces an invalid value.
// The checks of 13.0 differ from each other and are missing in 0.12.

import * as config from "core.configmanager";
import * as jids from "util.jid";

const HOUR = 3600;
const DAY = 24 * HOUR;

/** The names of all options. */
const names = new LuaSet<string>();

const DEFAULT_RESOURCE = "minimix";

/** Units of periods, as in Prosody 13.0 (util/human/io.lua). "m" alone is invalid: it could be minutes or months. */
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

/** Services that the module ignores. Clients join their rooms by themselves. */
export const excluded = services("minimix_exclude");

/** Timeout of a join or a leave, in seconds. */
export const answerTimeout = period("minimix_join_timeout", 60, 1, HOUR);

/** Unanswered IQs per session, and the timeout of each in seconds. */
export const maxPendingIqs = count("minimix_max_pending_iqs", 64, 1);
export const iqTimeout = period("minimix_iq_timeout", 120, 1, HOUR);

/** Rooms per account. */
export const maxRooms = count("minimix_max_rooms", 100, 1);

/** Joins per second of an account's sessions, and the largest burst. */
export const joinRate = count("minimix_join_rate", 10, 1);
export const joinBurst = count("minimix_join_burst", 500, 1);

/** Unanswered nick changes per account and room. */
export const maxNickRequests = count("minimix_max_nick_requests", 16, 1);

/** Cached occupants per room, and bytes of the largest cached presence or subject, as XML. */
export const maxOccupants = count("minimix_max_occupants", 5000, 0);
export const maxCachedSize = count("minimix_max_cached_size", 16384, 0);

/** Bytes of cached presence per room, as XML. */
export const maxRoomSize = count("minimix_max_room_size", 8388608, 0);

/** Seconds without an attached session until the room is shown `detachedShow`: a `<show/>`, or "none" for available. */
export const detachedAfter = period("minimix_detached_after", 300, 0);
export const detachedShow = oneOf("minimix_detached_show", "xa", ["xa", "away", "dnd", "none"]);

/** Seconds without a stanza from the room until the account sends a self-ping. */
export const pingAfter = period("minimix_ping_after", 900, 1);

/** Rejoins per second when the server starts. */
export const rejoinRate = count("minimix_rejoin_rate", 100, 1);

/** Whether the server joins rooms that are bookmarked with autojoin. Otherwise clients join them. */
export const autojoin = flag("minimix_autojoin", true);

/** Whether joins and leaves of clients change the bookmarks. */
export const bookmarkWrite = flag("minimix_bookmark_write", false);

/** Seconds without a session until an account leaves its rooms. */
export const inactiveAfter = period("minimix_inactive_after", 30 * DAY, 1);

/**
 * Where messages of rooms are archived: true for the module's archive, "mam" for mod_mam (a copy per account), or
 * false.
 */
export const archive = archiveOption();

/** Seconds until an archived message expires. */
export const archiveExpiresAfter = period("minimix_archive_expires_after", 7 * DAY, 60);

/** Bytes of the largest archived message, as XML. */
export const maxKeptSize = count("minimix_max_kept_size", 65536, 1);

/** Options of mod_mam: the name of the store, and the largest page. */
export const personalArchive = text("archive_store", "archive");
export const maxArchivePage = count("max_archive_query_results", 50, 0);

/** Messages of history for a joining session: the default number, and the limit. */
export const history = count("minimix_history", 20, 0);
export const maxHistory = count("minimix_max_history", 1000, 0);

/** Bytes of memory for messages of a room that are buffered while an earlier gap is filled, per account. */
export const maxGapSize = count("minimix_max_gap_size", 524288, 0);

/** Bytes of memory of history for a joining session. */
export const maxHistorySize = count("minimix_max_history_size", 2097152, 0);

/** Largest number of rooms that one query of an archive reads. */
export const maxQueryRooms = count("minimix_max_query_rooms", 200, 1);

/** Whether a stanza is serialised once for all sessions. Tests turn this off to show that nothing else changes. */
export const readyText = valueOf("minimix_ready_text") !== false;

/** Whether the host is anonymous. Its accounts end with their last session, and nothing is stored. */
export const anonymous = module.get_option("authentication") === "anonymous";

refuseUnknown(module.host);
refuseUnknown("*");

function valueOf(name: string): unknown {
    names.add(name);
    return module.get_option(name);
}

/** Logs unknown options, which would have no effect. */
function refuseUnknown(section: string): void {
    const options = config.getconfig()[section];
    for (const [name] of pairs(options ?? {})) {
        if (string.sub(name, 1, 8) === "minimix_" && !names.has(name)) {
            module.log("error", "Unknown option %s", name);
        }
    }
}

/** Reads the resource. It must be normalised (RFC 7622 3.4), because rooms reply to the normalised address. */
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
    return typeof value === "string" && value !== "" ? value : refuse(name, value, "a string", fallback);
}

/** Reads a domain or a list of domains. */
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

/** Reads seconds, a text such as "30 minutes", or "never" for no limit. */
function period(name: string, fallback: number, least: number, most = math.huge): number {
    const value = valueOf(name) ?? fallback;
    const seconds = value === "never" ? math.huge : parsePeriod(value);
    if (seconds !== undefined && seconds >= least && seconds <= most) {
        return seconds;
    }
    const range = most === math.huge ? `from ${tostring(least)}` : `from ${tostring(least)} to ${tostring(most)}`;
    return refuse(name, value, `a number of seconds ${range}, or a period such as "5 minutes"`, fallback);
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
    module.log("error", "Invalid value for %s: expected %s, got %s; using %s", name, wanted, tostring(value), used);
    return fallback;
}
