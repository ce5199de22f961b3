// Is the account still in its rooms? Quiet rooms are asked, and those behind a link that broke (XEP-0410).

import * as jids from "util.jid";
import { lost, pause, rejoin, resume, retryLeave, TRIES_FOR_ARCHIVE } from "../occupancy";
import { allMemberships, isCurrent, type Membership, Phase, setTimer } from "../state/memberships";
import { catchUp, noteGap } from "./catchup";
import { lineUp, newLine } from "./pace";
import { saysJoined, saysNothing, selfPing } from "./ping";

/** Asks the room whether the account is in it, and brings it back if not. */
export function check(membership: Membership): void {
    if (membership.checking || membership.phase !== Phase.Joined) {
        return;
    }
    membership.checking = true;
    selfPing(membership, (condition) => {
        membership.checking = false;
        if (isCurrent(membership) && membership.phase === Phase.Joined) {
            asked(membership, condition);
        }
    });
}

function asked(membership: Membership, condition: string | undefined): void {
    if (condition === undefined || saysJoined(condition)) {
        membership.tries = 0;
        membership.unanswered = 0;
        if (membership.gap !== undefined) {
            closeGap(membership);
        }
    } else if (saysNothing(condition)) {
        membership.unanswered = membership.unanswered + 1;
        noteGap(membership);
        checkAfter(membership, pause(membership.unanswered));
    } else {
        module.log("info", "%s is out of %s (%s) and goes back", membership.username, membership.room, condition);
        lost(membership);
    }
}

/** What the room said may have been lost though the account is in it. */
function closeGap(membership: Membership): void {
    catchUp(membership, (answered) => {
        if (answered) {
            membership.gapTries = 0;
        } else if (isCurrent(membership) && membership.phase === Phase.Joined) {
            gapLeft(membership);
        }
    });
}

/** A room that never answers must do without. */
function gapLeft(membership: Membership): void {
    if (membership.gapTries < TRIES_FOR_ARCHIVE) {
        membership.gapTries = membership.gapTries + 1;
        checkAfter(membership, pause(membership.gapTries));
    } else {
        membership.gap = undefined;
        membership.gapTries = 0;
    }
}

function checkAfter(membership: Membership, seconds: number): void {
    setTimer(membership, seconds, () => {
        check(membership);
    });
}

/** Looks after the rooms that have said nothing since the last call, spread over so many seconds. */
export function checkQuiet(spread: number): void {
    for (const membership of allMemberships()) {
        if (membership.heard) {
            membership.heard = false;
        } else if (membership.phase === Phase.Joined && membership.unanswered === 0) {
            checkAfter(membership, math.random() * spread);
        }
    }
}

/** Seconds until the rooms of a server are looked after when its link has broken; they are asked within so many more. */
const SOON = 1;
const SPREAD = 5;

/** How often an account has asked or tried in vain that is not to wait for long once there is a link: some 16 s. */
const PATIENT = 5;

/** Servers whose link has broken, or come up, since the last look. */
let broken = new LuaSet<string>();
let mended = new LuaSet<string>();
let looking = false;

/** `s2sin-destroyed` and `s2sout-destroyed`: the server on the other end may have gone, and the account with it. */
export function onLinkGone(event: { readonly session: S2sSession }): undefined {
    noteHosts(broken, event.session);
}

/** `s2sin-established` and `s2sout-established`: the server on the other end is there again. */
export function onLinkUp(event: { readonly session: S2sSession }): undefined {
    noteHosts(mended, event.session);
}

/** One link may serve several hosts. A server that stops breaks them all, so that they are looked at together. */
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
    if (!looking) {
        looking = true;
        module.add_timer(SOON, () => {
            looking = false;
            lookAfterLinks();
            return undefined;
        });
    }
}

function lookAfterLinks(): void {
    for (const membership of allMemberships()) {
        const host = jids.host(membership.room);
        if (broken.has(host) && membership.phase === Phase.Joined && membership.unanswered === 0) {
            noteGap(membership);
            checkAfter(membership, math.random() * SPREAD);
        } else if (mended.has(host)) {
            hasten(membership);
        }
    }
    broken = new LuaSet();
    mended = new LuaSet();
}

/** A link that breaks again at once must not make more of the tries: they go on from here as they would. */
function hasten(membership: Membership): void {
    if (membership.phase === Phase.Joined && membership.unanswered > PATIENT) {
        membership.unanswered = PATIENT;
        checkAfter(membership, pause(PATIENT));
    } else if (membership.phase === Phase.Lost || (membership.phase === Phase.Leaving && membership.tries > 0)) {
        if (membership.timer !== undefined && membership.tries > PATIENT) {
            membership.tries = PATIENT;
            setTimer(membership, pause(PATIENT), () => {
                comeBack(membership);
            });
        }
    }
}

/** Goes on with the memberships of the module before a reload; where it was waiting for an answer, it asks again. */
export function resumeAll(): void {
    for (const membership of allMemberships()) {
        const inDoubt = membership.checking || membership.timer !== undefined || membership.unanswered > 0;
        membership.timer = undefined;
        membership.checking = false;
        resume(membership);
        if (inDoubt && membership.phase === Phase.Joined) {
            noteGap(membership);
            checkAfter(membership, math.random() * SPREAD);
        }
    }
}

/** Brings the accounts back to the rooms they were in when the server stopped, and finishes the leaves under way. */
export function bringBack(): void {
    const memberships = allMemberships();
    if (memberships.length > 0) {
        module.log("info", "Coming back to %d rooms", memberships.length);
        comeSoon(memberships);
    }
}

const line = newLine(comeBack);

/** The account joins rooms, or leaves them if it was about to, as soon as their turn comes. */
export function comeSoon(memberships: Membership[]): void {
    lineUp(line, memberships);
}

/** Unless a session's join has been quicker. */
function comeBack(membership: Membership): void {
    if (!isCurrent(membership) || membership.timer !== undefined) {
        return;
    }
    if (membership.phase === Phase.Lost) {
        rejoin(membership);
    } else if (membership.phase === Phase.Leaving) {
        retryLeave(membership);
    }
}
