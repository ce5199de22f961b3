// Accounts that come to an end, for now or for good, and rooms in which nobody is attached.

import { monotonic } from "../state/clock";
import * as st from "util.stanza";
import { showDetached } from "../occupancy/shown";
import * as options from "../options";
import { refuseAll } from "../occupancy/refuse";
import { leave } from "../occupancy/transitions";
import { fork } from "../send/fork";
import { technicalRemoval } from "../occupancy/replay";
import { forgetRefusals } from "../state/bookmarks";
import {
    type Account,
    accounts,
    allMemberships,
    detachAll,
    dropMembership,
    findAccount,
    hasAttached,
    isDetachedFor,
    hasSession,
    idleOf,
    type Membership,
    membershipsOf,
    setPlace,
} from "../state/memberships";
import { forEachInSlices } from "../slices";
import { inLine, Phase } from "../state/place";
import { forgetAsFormer } from "../send/former";
import { sendUpstream } from "../send/upstream";
import { closePart } from "../archive/delivered";
import { deleteOwn } from "../archive/expire";
import { close, save } from "../state/store";

/** A session ended. From the last one on the account's time without any runs; on an anonymous host it is over. */
export function sessionEnded(username: string): void {
    const account = findAccount(username);
    if (account === undefined || hasSession(username)) {
        return;
    }
    if (options.anonymous) {
        forgetAccount(username);
    } else {
        account.seen = monotonic();
        if (account.idleOnDisk > 0) {
            save(username);
        }
    }
}

/** Leaves every room and keeps nothing. Rooms are told once: there will be nobody to ask whether they heard it. */
export function forgetAccount(username: string): void {
    for (const membership of membershipsOf(username)) {
        withdraw(membership);
        closePart(membership);
        dropMembership(membership);
    }
    forgetAsFormer(username);
    save(username);
}

function withdraw(membership: Membership): void {
    sendUpstream(membership, st.presence({ type: "unavailable", to: `${membership.room}/${membership.nick}` }));
}

/** `user-disabled`. */
export function onAccountDisabled(event: { readonly username: string; readonly host: string }): undefined {
    if (event.host === module.host) {
        forgetAccount(event.username);
        forgetRefusals(event.username);
    }
}

/** `user-deleted`. */
export function onAccountDeleted(event: { readonly username: string; readonly host: string }): undefined {
    if (event.host === module.host) {
        forgetAccount(event.username);
        forgetRefusals(event.username);
        deleteOwn(event.username);
    }
}

/** How much of options.inactiveAfter may pass before the idle time of an account is written. */
const PART = 120;

/** Accounts that nobody uses leave their rooms: a bot that came once must not sit there for ever. */
export function leaveInactive(): void {
    const left: Account[] = [];
    for (const [, account] of accounts) {
        left.push(account);
    }
    forEachInSlices(left, (account) => {
        if (isInactive(account)) {
            leaveAll(account);
        } else if (isUnwritten(account)) {
            save(account.username);
        }
    });
}

/** Whether the time for which an account has been idle is not on disk, from where the next start of the server takes it. */
function isUnwritten(account: Account): boolean {
    return Math.abs(idleOf(account) - account.idleOnDisk) > options.inactiveAfter / PART;
}

/** Whether nobody has used an account for so long that it is to leave its rooms. */
export function isInactive(account: Account): boolean {
    return idleOf(account) > options.inactiveAfter;
}

function leaveAll(account: Account): void {
    for (const membership of membershipsOf(account.username)) {
        if (membership.place.phase !== Phase.Leaving) {
            module.log("info", "%s is not used any more and leaves %s", account.username, membership.room);
            leave(membership, st.presence({ type: "unavailable" }));
        }
    }
}

/** Rooms in which no session has been attached for a while are shown that nobody is there. */
export function showAllDetached(): void {
    for (const membership of allMemberships()) {
        const isDue = isDetachedFor(membership, options.detachedAfter) && !membership.shownDetached;
        if (isDue && membership.place.phase === Phase.Joined) {
            showDetached(membership);
        }
    }
}

/**
 * The module is unloaded for good: the rooms are left, as nobody would answer them any more, and the sessions are told,
 * so that their clients join by themselves. What is stored stays for when the module is loaded again.
 */
export function withdrawAll(): void {
    close();
    for (const membership of allMemberships()) {
        refuseAll(membership);
        if (hasAttached(membership)) {
            fork(membership, technicalRemoval(membership));
            detachAll(membership);
        }
        setPlace(membership, inLine(Phase.Leaving));
        withdraw(membership);
    }
}
