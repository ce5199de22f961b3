// Lists accounts and rooms, and acts on them for an admin or the user. The shell and the ad-hoc commands share these
// texts.

import * as datetime from "util.datetime";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { bookmarkLeft, bookmarkNotify } from "../settings/bookmark-write";
import { isSetting } from "../settings/notify";
import { onRequest } from "../occupancy/phases";
import { leave } from "../occupancy/leave";
import { lost, rejoin } from "../occupancy/lost";
import { refusalsOf } from "../state/bookmarks";
import { monotonic, wallClock } from "../state/clock";
import { counters } from "../state/counters";
import { isAllKnown, isKnownNow } from "../state/store";
import { countDirty } from "../state/records";
import { countUnwritten } from "../archive/entries";
import {
    accounts,
    findAccount,
    hasAttached,
    isCurrent,
    type Membership,
    membershipsOf,
    queueOf,
    unansweredOf,
} from "../state/memberships";
import { Phase } from "../state/place";
import { newRequest } from "../state/queue";
import { phases, takeCensus } from "./census";

export interface CommandResult {
    readonly done: boolean;
    /** The result, or the reason of a refusal. */
    readonly text: string;
}

/** Returns a text if the rooms of an account are unknown, because storage failed. Undefined if they are known. */
export function unknownRooms(username: string): string | undefined {
    return isKnownNow(username) ? undefined : `The rooms of ${addressOf(username)} are unknown: storage fails`;
}

/** Returns a text if the rooms of some accounts are unknown, because storage failed. */
export function unknownAccounts(): string | undefined {
    return isAllKnown() ? undefined : "The rooms of some accounts are unknown: storage fails";
}

/** Lists the account's rooms, a line for each, sorted by name. */
export function roomsOf(username: string): string[] {
    const lines: string[] = [];
    for (const membership of membershipsOf(username)) {
        lines.push(describe(membership, membership.room));
    }
    for (const [room, refusal] of refusalsOf(username)) {
        if (refusal.forbidden !== undefined) {
            lines.push(`${room}: forbidden by this server (${refusal.forbidden}) until its bookmark changes`);
        }
    }
    table.sort(lines);
    return lines;
}

/** Lists the JIDs of the account's rooms. */
export function roomNamesOf(username: string): string[] {
    const names: string[] = [];
    for (const membership of membershipsOf(username)) {
        names.push(membership.room);
    }
    table.sort(names);
    return names;
}

/** Lists this host's accounts in a room, a line for each, sorted by name. */
export function accountsIn(room: string): string[] {
    const lines: string[] = [];
    for (const [, account] of accounts) {
        const membership = account.memberships.get(room);
        if (membership !== undefined) {
            lines.push(describe(membership, `${account.username}@${module.host}`));
        }
    }
    table.sort(lines);
    return lines;
}

function describe(membership: Membership, name: string): string {
    const since = membership.since === undefined ? "" : ` since ${datetime.datetime(membership.since)}`;
    return `${name}: ${stateOf(membership)} as ${membership.nick}${since}; ${describeSessions(membership)}`;
}

function stateOf(membership: Membership): string {
    const { phase, tries } = membership.place;
    if (phase === Phase.Lost && tries > 0) {
        return string.format("lost, %d attempts to rejoin,", tries);
    }
    return unansweredOf(membership) > 0 ? `${phase}, unreachable,` : phase;
}

function describeSessions(membership: Membership): string {
    if (hasAttached(membership)) {
        const resources: string[] = [];
        for (const [session] of membership.attached) {
            resources.push(jids.resource(session) ?? session);
        }
        table.sort(resources);
        return table.concat(resources, ", ");
    }
    const detachedAt = membership.detachedAt;
    if (detachedAt === undefined) {
        return "no session";
    }
    const since = wallClock() - math.floor(monotonic() - detachedAt);
    return `no session since ${datetime.datetime(since)}`;
}

/** Makes the account leave a room, as its last client would. */
export function leaveRoom(username: string, room: string): CommandResult {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    if (membership.place.phase === Phase.Leaving) {
        return refused(`${addressOf(username)} is already leaving ${room}`);
    }
    module.log("info", "Removing %s from %s on request", username, room);
    bookmarkLeft(membership);
    leave(membership, st.presence({ type: "unavailable" }));
    const verb = isCurrent(membership) ? "is leaving" : "has left";
    return done(`${addressOf(username)} ${verb} ${room}`);
}

/**
 * Makes the account join a room again. A lost account joins at once. A joined account joins to get a new occupant list.
 */
export function rejoinRoom(username: string, room: string): CommandResult {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    const phase = membership.place.phase;
    if (phase !== Phase.Joined && phase !== Phase.Lost) {
        return refused(`${addressOf(username)} is ${phase} ${room} now`);
    }
    module.log("info", "%s is rejoining %s on request", username, room);
    if (phase === Phase.Joined) {
        lost(membership);
    }
    rejoin(membership);
    return done(`${addressOf(username)} is rejoining ${room}`);
}

/** Asks the room for another nick. */
export function renameIn(username: string, room: string, nick: string): CommandResult {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    const wanted = nickOf(room, nick);
    if (wanted === undefined) {
        return refused(`"${nick}" is not a valid nick`);
    }
    if (membership.place.phase !== Phase.Joined) {
        return refused(`Cannot change the nick in ${room} now: ${addressOf(username)} is ${membership.place.phase}`);
    }
    if (wanted !== membership.nick) {
        onRequest(membership, newRequest("rename", undefined, undefined, wanted, st.presence()));
    }
    if (wanted === membership.nick) {
        return done(`The nick in ${room} is ${wanted}`);
    }
    return isNickRequested(membership, wanted)
        ? done(`Asked ${room} for the nick ${wanted}`)
        : refused(`${room} refused the nick ${wanted}`);
}

/** Stores the notification setting of a room: always, on-mention or never. */
export function notifyOf(username: string, room: string, setting: string): CommandResult {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    if (!isSetting(setting)) {
        return refused(`Invalid setting "${setting}": expected always, on-mention or never`);
    }
    const written = bookmarkNotify(membership, setting);
    if (written === undefined) {
        return refused(`${room} is not bookmarked, and the bookmark stores this setting: add a bookmark first`);
    }
    return written
        ? done(`Notifications of ${room}: ${setting}`)
        : refused(`The bookmark of ${room} could not be written`);
}

/** Returns the nick in the form in which rooms write it (RFC 7622 3.4). */
function nickOf(room: string, nick: string): string | undefined {
    const isBlank = string.match(nick, "%S")[0] === undefined;
    const address = isBlank ? undefined : jids.prep(`${room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}

function isNickRequested(membership: Membership, nick: string): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined && place.operation?.nick === nick) {
        return true;
    }
    for (const request of queueOf(membership)) {
        if (request.nick === nick) {
            return true;
        }
    }
    return false;
}

function done(text: string): CommandResult {
    return { done: true, text };
}

function refused(text: string): CommandResult {
    return { done: false, text };
}

function membershipIn(username: string, room: string): Membership | undefined {
    const account = findAccount(username);
    return account?.memberships.get(room);
}

function notIn(username: string, room: string): CommandResult {
    return refused(unknownRooms(username) ?? `${addressOf(username)} is not in ${room}`);
}

function addressOf(username: string): string {
    return `${username}@${module.host}`;
}

/** Lists the figures of the metrics, a line for each. */
export function totals(): string[] {
    const census = takeCensus();
    const lines = [figure("accounts", census.accounts), figure("memberships", census.memberships)];
    for (const phase of phases) {
        lines.push(figure(`- ${phase}`, census.byPhase.get(phase) ?? 0));
    }
    lines.push(figure("attached sessions", census.attached));
    lines.push(figure("pending IQs", census.pendingIqs));
    lines.push(figure("copies in", counters.copiesIn));
    lines.push(figure("copies out", counters.copiesOut));
    lines.push(figure("copies saved", counters.copiesSaved));
    lines.push(figure("replays", counters.replays));
    lines.push(figure("rejoins", counters.rejoins));
    lines.push(figure("archive writes", counters.archiveWrites));
    lines.push(figure("storage failures", counters.storageFailures));
    lines.push(figure("records waiting for storage", countDirty()));
    lines.push(figure("messages waiting for storage", countUnwritten()));
    for (const [reason, count] of counters.drops) {
        lines.push(figure(`dropped: ${reason}`, count));
    }
    return lines;
}

function figure(name: string, value: number): string {
    return string.format("%s: %d", name, value);
}
