// Watches rooms: self-pings (XEP-0410) to quiet rooms, and to rooms behind a broken link.

import * as jids from "util.jid";
import * as options from "../options";
import { isUnheard, pause } from "./operations";
import { leaveUnheard, retryLeave } from "./leave";
import { lost, rejoin, rejoinAfter } from "./lost";
import { after } from "../turn";
import {
    allMemberships,
    isCurrent,
    livenessOf,
    type Membership,
    membershipsOf,
    now,
    setPlace,
    triesOf,
    unansweredOf,
} from "../state/memberships";
import { type Joined, Phase, type Place } from "../state/place";
import { patience } from "../send/ask";
import { startBuffering } from "../archive/buffer";
import { closeGap } from "../archive/catchup";
import { takeGaps } from "../archive/entries";
import { addPaced, newPacedQueue } from "./pace";
import { answerPings } from "./pong";
import { saysJoined, saysNothing, selfPing } from "../send/ping";

/** Sends a self-ping, and rejoins if the account is out. */
export function check(membership: Membership): void {
    checkRoom(membership, false);
}

/** Asks the room. After a gap, messages may be lost although the account is still in. */
function checkRoom(membership: Membership, gap: boolean): void {
    const place = membership.place;
    if (place.phase !== Phase.Joined || place.liveness?.checking) {
        return;
    }
    livenessOf(place).checking = true;
    const answered = (condition: string | undefined) => {
        livenessOf(place).checking = false;
        if (isCurrent(membership) && membership.place === place) {
            checked(membership, place, condition, gap);
        }
        answerPings(membership, place);
        forgetLiveness(place);
    };
    selfPing(membership, answered, patience(membership));
}

/** Drops the record of self-pings when nothing is in doubt. */
function forgetLiveness(place: Joined): void {
    const liveness = place.liveness;
    const isDone = liveness?.unanswered === 0 && liveness.timer === undefined && liveness.checking !== true;
    if (isDone && liveness.waiting === undefined) {
        place.liveness = undefined;
    }
}

function checked(membership: Membership, place: Joined, condition: string | undefined, gap: boolean): void {
    if (condition === undefined || saysJoined(condition)) {
        const before = unansweredOf(membership);
        place.tries = 0;
        place.confirmedAt = now();
        livenessOf(place).unanswered = 0;
        // The gap may be newer than the self-ping.
        if (gap || before > 0 || membership.catchUp?.progress.step === "idle") {
            closeGap(membership);
        }
    } else if (saysNothing(condition) && isUnheard(membership)) {
        leaveUnheard(membership);
    } else if (saysNothing(condition)) {
        unreachable(membership, place);
    } else {
        module.log("info", "%s is no longer in %s (%s), rejoining", membership.username, membership.room, condition);
        lost(membership);
    }
}

/** The room was not reached. Its messages may be lost. */
function unreachable(membership: Membership, place: Joined): void {
    const liveness = livenessOf(place);
    startBuffering(membership);
    liveness.unanswered = liveness.unanswered + 1;
    checkAfter(membership, place, pause(liveness.unanswered), true);
}

/** Seconds without a stanza of the room after which a session's self-ping is not answered from the known state. */
const QUIET = 60;

/** Whether the state of the account in the room is only known from a while ago. */
export function needsCheck(membership: Membership, place: Place): place is Joined {
    if (place.phase !== Phase.Joined || unansweredOf(membership) > 0) {
        return false;
    }
    const isQuiet = now() - Math.max(membership.heardAt ?? 0, place.confirmedAt ?? 0) > QUIET;
    return isQuiet || place.liveness?.checking === true || isInDoubt(membership);
}

/** Schedules the next self-ping, in place of an earlier one. */
export function checkAfter(membership: Membership, place: Joined, seconds: number, gap: boolean): void {
    const liveness = livenessOf(place);
    liveness.timer?.stop();
    liveness.timer = after(seconds, () => {
        liveness.timer = undefined;
        checkRoom(membership, gap);
    });
}

/** Sends self-pings to the rooms that have been quiet for a number of seconds, spread over the same time. */
export function checkQuiet(seconds: number): void {
    for (const membership of allMemberships()) {
        const place = membership.place;
        const isQuiet = unansweredOf(membership) === 0 && now() - (membership.heardAt ?? 0) >= seconds;
        if (place.phase === Phase.Joined && isQuiet) {
            checkAfter(membership, place, math.random() * seconds, false);
        }
    }
}

/** Seconds until the rooms of a server are checked after its link broke, and over which the checks are spread. */
const SOON = 1;
const SPREAD = 5;

/** Whether a link to the room's server has just broken, so that stanzas may be lost. */
export function isInDoubt(membership: Membership): boolean {
    const place = membership.place;
    return looking && place.phase === Phase.Joined && hasBroken(place, jids.host(membership.room));
}

/** Whether a link to a server has broken, or was replaced, while the account was in a room there. */
function hasBroken(place: Joined, host: string): boolean {
    return broken.has(host) || place.since <= (reopened.get(host) ?? -1);
}

/** Largest retry counter when a link returns, which gives a back-off of about 16 s. */
const PATIENT = 5;

/** Servers with a link that has broken, or returned, since the last check. */
let broken = new LuaSet<string>();
let mended = new LuaSet<string>();

/** Servers that have opened a new link since the last check, and when. */
let reopened = new LuaMap<string, number>();

let looking = false;

/** `s2sin-destroyed` and `s2sout-destroyed`: the remote server may have stopped and lost the account. */
export function onLinkGone(event: { readonly session: S2sSession }): undefined {
    noteHosts(broken, event.session);
}

/**
 * `s2sin-established` and `s2sout-established`: the remote server is reachable again. If it opens a new link, stanzas
 * on its former link may be lost, although that link looks intact here.
 */
export function onLinkUp(event: { readonly session: S2sSession }): undefined {
    const session = event.session;
    noteHosts(mended, session);
    if (session.direction === "incoming" && session.from_host !== undefined) {
        reopened.set(session.from_host, now());
    }
}

/** Collects the hosts of a link. When a server stops, all its links break, so they are handled together. */
function noteHosts(links: LuaSet<string>, session: S2sSession): void {
    const host = session.direction === "outgoing" ? session.to_host : session.from_host;
    if (host !== undefined) {
        links.add(host);
    }
    if (session.hosts !== undefined) {
        for (const [other] of session.hosts) {
            links.add(other);
        }
    }
    lookSoon();
}

function lookSoon(): void {
    if (!looking) {
        looking = true;
        after(SOON, () => {
            looking = false;
            lookAfterLinks();
        });
    }
}

function lookAfterLinks(): void {
    const doubtful: Membership[] = [];
    for (const membership of allMemberships()) {
        const host = jids.host(membership.room);
        const place = membership.place;
        const isDoubtful =
            place.phase === Phase.Joined &&
            (hasBroken(place, host) || (mended.has(host) && membership.catchUp !== undefined));
        if (isDoubtful && unansweredOf(membership) === 0) {
            startBuffering(membership);
            doubtful.push(membership);
        } else if (mended.has(host)) {
            hasten(membership);
        }
    }
    broken = new LuaSet();
    mended = new LuaSet();
    reopened = new LuaMap();
    checkAll(doubtful);
}

function checkAll(memberships: Membership[]): void {
    const spread = Math.min(SPREAD, memberships.length / options.rejoinRate);
    for (const membership of memberships) {
        const place = membership.place;
        if (place.phase === Phase.Joined) {
            checkAfter(membership, place, math.random() * spread, true);
        }
    }
}

/** A component of this server has disconnected, with its rooms. */
export function hostGone(host: string): void {
    for (const membership of allMemberships()) {
        const place = membership.place;
        const isAt = jids.host(membership.room) === host;
        if (isAt && place.phase === Phase.Joined && unansweredOf(membership) === 0) {
            unreachable(membership, place);
        }
    }
}

/** A component of this server has connected again. Its rooms may have lost the account. */
export function hostBack(host: string): void {
    const memberships: Membership[] = [];
    for (const membership of allMemberships()) {
        if (jids.host(membership.room) === host) {
            memberships.push(membership);
        }
    }
    const spread = Math.min(SPREAD, memberships.length / options.rejoinRate);
    for (const membership of memberships) {
        goBack(membership, math.random() * spread);
    }
}

function goBack(membership: Membership, seconds: number): void {
    const place = membership.place;
    if (place.phase === Phase.Joined) {
        startBuffering(membership);
        checkAfter(membership, place, seconds, true);
    } else if (place.phase === Phase.Lost && place.next.kind === "pause") {
        const tries = Math.min(place.tries, PATIENT);
        const timer = rejoinAfter(membership, seconds);
        setPlace(membership, { phase: Phase.Lost, tries, next: { kind: "pause", timer } });
    } else if (place.phase === Phase.Leaving && place.operation !== undefined && place.tries > 0) {
        retryLeave(membership, Math.min(place.tries, PATIENT));
    }
}

/** Shortens the back-off when a link returns, but does not reset it: the link may be flapping. */
function hasten(membership: Membership): void {
    const place = membership.place;
    if (place.phase === Phase.Joined && unansweredOf(membership) > PATIENT) {
        livenessOf(place).unanswered = PATIENT;
        checkAfter(membership, place, pause(PATIENT), true);
    } else if (place.phase === Phase.Lost && place.next.kind === "pause" && triesOf(membership) > PATIENT) {
        const timer = rejoinAfter(membership, pause(PATIENT));
        setPlace(membership, { phase: Phase.Lost, tries: PATIENT, next: { kind: "pause", timer } });
    } else if (place.phase === Phase.Leaving && place.operation !== undefined && place.tries > PATIENT) {
        retryLeave(membership, PATIENT);
    }
}

/** Storage works again. Fetches the messages that could not be stored. */
export function checkGaps(): void {
    for (const membership of takeGaps()) {
        if (membership.place.phase === Phase.Joined) {
            startBuffering(membership);
        }
    }
    const doubtful: Membership[] = [];
    for (const membership of allMemberships()) {
        if (membership.place.phase === Phase.Joined && membership.catchUp?.progress.step === "idle") {
            doubtful.push(membership);
        }
    }
    checkAll(doubtful);
}

/** Returns accounts to their rooms after a start of the server, and completes unfinished leaves. */
export function bringBack(usernames: string[]): void {
    const memberships: Membership[] = [];
    for (const username of usernames) {
        for (const membership of membershipsOf(username)) {
            memberships.push(membership);
        }
    }
    if (memberships.length > 0) {
        module.log("info", "Rejoining %d rooms", memberships.length);
        comeSoon(memberships);
    }
}

/** Largest number of unanswered rejoins per service of rooms. Others wait. */
const MAX_UNANSWERED = 10;

/** Memberships with an unanswered rejoin, by the service of their rooms. */
const unanswered = new LuaMap<string, Membership[]>();

const queue = newPacedQueue(comeBack, serviceOf, mayComeBack);

function serviceOf(membership: Membership): string {
    return jids.host(membership.room);
}

/** Whether a service may get a rejoin now. A slow service gets no more until it answers: it would only answer later. */
function mayComeBack(service: string): boolean {
    const joins: Membership[] = [];
    for (const other of unanswered.get(service) ?? []) {
        if (isOnItsWay(other)) {
            joins.push(other);
        }
    }
    if (joins.length === 0) {
        unanswered.delete(service);
    } else {
        unanswered.set(service, joins);
    }
    return joins.length < MAX_UNANSWERED;
}

function isOnItsWay(membership: Membership): boolean {
    const place = membership.place;
    const isPending = place.phase === Phase.Joining || (place.phase === Phase.Lost && place.next.kind === "archive");
    return isPending && isCurrent(membership);
}

function noteOnItsWay(membership: Membership): void {
    if (isOnItsWay(membership)) {
        const service = serviceOf(membership);
        const joins = unanswered.get(service) ?? [];
        joins.push(membership);
        unanswered.set(service, joins);
    }
}

/** Queues memberships for a rejoin or a leave at a limited rate. */
export function comeSoon(memberships: Membership[]): void {
    addPaced(queue, memberships);
}

/** A session's join may have been faster. */
function comeBack(membership: Membership): void {
    const place = membership.place;
    if (!isCurrent(membership)) {
        return;
    }
    if (place.phase === Phase.Lost && place.next.kind === "queue") {
        if (isUnheard(membership)) {
            leaveUnheard(membership);
        } else {
            rejoin(membership);
            noteOnItsWay(membership);
        }
    } else if (place.phase === Phase.Leaving && place.operation === undefined) {
        retryLeave(membership);
    }
}
