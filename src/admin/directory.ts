// Who is in which room, and what an admin, or the user, may have an account do there. All of it is in words: the shell
// and the ad-hoc commands say the same.

import * as datetime from "util.datetime";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { bookmarkLeft, bookmarkNotify } from "../settings/bookmark-write";
import { isSetting } from "../settings/notify";
import { onRequest } from "../occupancy/phases";
import { leave, lost, rejoin } from "../occupancy/transitions";
import { refusalsOf } from "../state/bookmarks";
import { counters } from "../state/counters";
import { accounts, findAccount, hasAttached, isCurrent, type Membership, membershipsOf } from "../state/memberships";
import { Phase } from "../state/place";
import { newRequest } from "../state/queue";
import { phases, takeCensus } from "./census";

export interface Outcome {
    readonly done: boolean;
    /** What was done, or else why nothing was. */
    readonly text: string;
}

/** The account's rooms, a line for each, by name. */
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

/** The names alone. */
export function roomNamesOf(username: string): string[] {
    const names: string[] = [];
    for (const membership of membershipsOf(username)) {
        names.push(membership.room);
    }
    table.sort(names);
    return names;
}

/** This host's accounts in a room, a line for each, by name. */
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
        return string.format("lost, %d tries to come back,", tries);
    }
    return membership.liveness.unanswered > 0 ? `${phase}, out of reach,` : phase;
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
    const since = membership.detachedAt;
    return since === undefined ? "no session" : `no session since ${datetime.datetime(since)}`;
}

/** Takes the account out of a room, as its last client would. */
export function leaveRoom(username: string, room: string): Outcome {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    if (membership.place.phase === Phase.Leaving) {
        return refused(`${addressOf(username)} is leaving ${room} already`);
    }
    module.log("info", "%s is made to leave %s", username, room);
    bookmarkLeft(membership);
    leave(membership, st.presence({ type: "unavailable" }));
    const verb = isCurrent(membership) ? "is leaving" : "has left";
    return done(`${addressOf(username)} ${verb} ${room}`);
}

/** Has the account join a room anew: at once where it is lost, and to see who is there where it is in. */
export function rejoinRoom(username: string, room: string): Outcome {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    const phase = membership.place.phase;
    if (phase !== Phase.Joined && phase !== Phase.Lost) {
        return refused(`${addressOf(username)} is ${phase} ${room} now`);
    }
    module.log("info", "%s is made to join %s anew", username, room);
    if (phase === Phase.Joined) {
        lost(membership);
    }
    rejoin(membership);
    return done(`${addressOf(username)} joins ${room} anew`);
}

/** Asks the room for another nick. */
export function renameIn(username: string, room: string, nick: string): Outcome {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    const wanted = nickOf(room, nick);
    if (wanted === undefined) {
        return refused(`"${nick}" cannot be a nick`);
    }
    if (membership.place.phase !== Phase.Joined) {
        return refused(`${addressOf(username)} is ${membership.place.phase} in ${room} now`);
    }
    if (wanted !== membership.nick) {
        onRequest(membership, newRequest("rename", undefined, undefined, wanted, st.presence()));
    }
    if (wanted === membership.nick) {
        return done(`The nick in ${room} is ${wanted}`);
    }
    return isAskedFor(membership, wanted)
        ? done(`${room} has been asked for the nick ${wanted}`)
        : refused(`${room} has refused the nick ${wanted}`);
}

/** Has the account woken for what is said in a room always, on-mention or never, from now on. */
export function notifyOf(username: string, room: string, setting: string): Outcome {
    const membership = membershipIn(username, room);
    if (membership === undefined) {
        return notIn(username, room);
    }
    if (!isSetting(setting)) {
        return refused(`"${setting}" is none of always, on-mention and never`);
    }
    const written = bookmarkNotify(membership, setting);
    if (written === undefined) {
        return refused(`${room} is not bookmarked, and that is where it would be noted: bookmark it first`);
    }
    return written ? done(`${room} notifies you: ${setting}`) : refused(`The bookmark of ${room} could not be written`);
}

/** As rooms write it (RFC 7622 3.4). */
function nickOf(room: string, nick: string): string | undefined {
    const isBlank = string.match(nick, "%S")[0] === undefined;
    const address = isBlank ? undefined : jids.prep(`${room}/${nick}`);
    return address === undefined ? undefined : jids.resource(address);
}

function isAskedFor(membership: Membership, nick: string): boolean {
    const place = membership.place;
    if (place.phase === Phase.Joined && place.operation?.nick === nick) {
        return true;
    }
    for (const request of membership.queue) {
        if (request.nick === nick) {
            return true;
        }
    }
    return false;
}

function done(text: string): Outcome {
    return { done: true, text };
}

function refused(text: string): Outcome {
    return { done: false, text };
}

function membershipIn(username: string, room: string): Membership | undefined {
    const account = findAccount(username);
    return account?.memberships.get(room);
}

function notIn(username: string, room: string): Outcome {
    return refused(`${addressOf(username)} is not in ${room}`);
}

function addressOf(username: string): string {
    return `${username}@${module.host}`;
}

/** The figures of the metrics, a line for each. */
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
    for (const [reason, count] of counters.drops) {
        lines.push(figure(`dropped: ${reason}`, count));
    }
    return lines;
}

function figure(name: string, value: number): string {
    return string.format("%s: %d", name, value);
}
