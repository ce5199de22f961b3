// Is the account still in its rooms? Quiet rooms are asked, and those behind a link that broke (XEP-0410).

import * as jids from "util.jid";
import { renamingUnanswered } from "./nick";
import * as options from "../options";
import { isUnheard, leaveUnheard, lost, pause, rejoin, resume, retryLeave } from "./phases";
import { allMemberships, isCurrent, type Membership, Phase, setTimer } from "../state/memberships";
import { patience } from "../send/ask";
import { hasMoved, move } from "./former";
import { closeGap, holdBack } from "../archive/catchup";
import { lineUp, newLine } from "./pace";
import { saysJoined, saysNothing, selfPing } from "../send/ping";

/** Asks the room whether the account is in it, and brings it back if not. */
export function check(membership: Membership): void {
    ask(membership, false);
}

/** After a gap, what the room said may have been lost though the account is in it. */
function ask(membership: Membership, gap: boolean): void {
    if (membership.checking || membership.phase !== Phase.Joined) {
        return;
    }
    membership.checking = true;
    const answered = (condition: string | undefined) => {
        membership.checking = false;
        if (isCurrent(membership) && membership.phase === Phase.Joined) {
            asked(membership, condition, gap);
        }
    };
    selfPing(membership, answered, patience(membership));
}

function asked(membership: Membership, condition: string | undefined, gap: boolean): void {
    if (condition === undefined || saysJoined(condition)) {
        const before = membership.unanswered;
        membership.tries = 0;
        membership.unanswered = 0;
        if (gap || before > 0) {
            closeGap(membership);
        }
    } else if (saysNothing(condition) && isUnheard(membership)) {
        leaveUnheard(membership);
    } else if (saysNothing(condition)) {
        holdBack(membership);
        membership.unanswered = membership.unanswered + 1;
        askAfter(membership, pause(membership.unanswered), true);
    } else {
        module.log("info", "%s is out of %s (%s) and goes back", membership.username, membership.room, condition);
        lost(membership);
    }
}

function askAfter(membership: Membership, seconds: number, gap: boolean): void {
    setTimer(membership, seconds, () => {
        ask(membership, gap);
    });
}

/** Looks after the rooms that have said nothing since the last call, spread over so many seconds. */
export function checkQuiet(spread: number): void {
    for (const membership of allMemberships()) {
        if (membership.heard) {
            membership.heard = false;
        } else if (membership.phase === Phase.Joined && membership.unanswered === 0) {
            askAfter(membership, math.random() * spread, false);
        }
    }
}

/** Seconds until the rooms of a server are looked after when its link has broken; they are asked within so many more. */
const SOON = 1;
const SPREAD = 5;

/** Whether a link to the room's server has broken a moment ago, over which it may have said something. */
export function isInDoubt(membership: Membership): boolean {
    return looking && membership.phase === Phase.Joined && broken.has(jids.host(membership.room));
}

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

/**
 * `s2sin-established` and `s2sout-established`: the server on the other end is there again. If it connects anew, what it
 * sent over a link that it has lost may not have arrived, though that link seems to be well on our side.
 */
export function onLinkUp(event: { readonly session: S2sSession }): undefined {
    const session = event.session;
    noteHosts(mended, session);
    if (session.direction === "incoming") {
        for (const membership of allMemberships()) {
            if (membership.phase === Phase.Joined && jids.host(membership.room) === session.from_host) {
                holdBack(membership);
            }
        }
    }
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
    const doubtful: Membership[] = [];
    for (const membership of allMemberships()) {
        const host = jids.host(membership.room);
        const isDoubtful = broken.has(host) || (mended.has(host) && membership.catchUp !== undefined);
        if (isDoubtful && membership.phase === Phase.Joined && membership.unanswered === 0) {
            holdBack(membership);
            doubtful.push(membership);
        } else if (mended.has(host)) {
            hasten(membership);
        }
    }
    broken = new LuaSet();
    mended = new LuaSet();
    const spread = Math.min(SPREAD, doubtful.length / options.rejoinRate);
    for (const membership of doubtful) {
        askAfter(membership, math.random() * spread, true);
    }
}

/** A link that breaks again at once must not make more of the tries: they go on from here as they would. */
function hasten(membership: Membership): void {
    if (membership.phase === Phase.Joined && membership.unanswered > PATIENT) {
        membership.unanswered = PATIENT;
        askAfter(membership, pause(PATIENT), true);
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
        const wasRenaming = membership.renaming !== undefined;
        membership.renaming = undefined;
        if (hasMoved(membership)) {
            move(membership);
        } else {
            resume(membership);
        }
        if (wasRenaming) {
            renamingUnanswered(membership);
        }
        if (inDoubt && membership.phase === Phase.Joined) {
            askAfter(membership, math.random() * SPREAD, true);
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
    if (membership.phase === Phase.Lost && isUnheard(membership)) {
        leaveUnheard(membership);
    } else if (membership.phase === Phase.Lost) {
        rejoin(membership);
    } else if (membership.phase === Phase.Leaving) {
        retryLeave(membership);
    }
}
