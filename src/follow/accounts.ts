// Accounts without sessions, deleted accounts, and rooms without an attached session.

import { monotonic } from "../state/clock";
import * as id from "util.id";
import * as st from "util.stanza";
import { endOverdue, showDetached } from "../occupancy/shown";
import * as options from "../options";
import { refuseAll } from "../occupancy/refuse";
import { leave } from "../occupancy/leave";
import { fork } from "../send/fork";
import { technicalRemoval } from "../occupancy/replay";
import { forgetRefusals } from "../state/bookmarks";
import { forgetEdits } from "../settings/bookmark-write";
import { forgetMarks } from "../state/marks";
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
import { inSharedQueue, Phase } from "../state/place";
import { forgetAsFormer } from "../send/former";
import { sendPresence } from "../send/upstream";
import { closePart } from "../archive/delivered";
import { deleteOwn } from "../archive/expire";
import { close, noteEnded, save, takeEnded } from "../state/store";

/** A session has ended. After the last one the account's idle time starts. On an anonymous host the account ends. */
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

/** Leaves every room and deletes everything about the account. Leaves are sent once and not retried. */
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
    sendPresence(membership, st.presence({ type: "unavailable" }), membership.nick, id.medium());
}

/** `user-disabled` and `user-deleted`. Everything about the account is deleted, its archive of rooms too. */
export function onAccountEnded(event: { readonly username: string; readonly host: string }): undefined {
    if (event.host === module.host) {
        forgetRefusals(event.username);
        forgetMarks(event.username);
        forgetEdits(event.username);
        noteEnded(event.username);
        forgetAccount(event.username);
        deleteOwn(event.username);
    }
}

/** Leaves the rooms of accounts that have ended before these were known. */
export function forgetEnded(usernames: string[]): void {
    for (const username of takeEnded(usernames)) {
        forgetAccount(username);
    }
}

/** Fraction of options.inactiveAfter after which the idle time of an account is written. */
const PART = 120;

/** Makes unused accounts leave their rooms, so that a bot that joined once does not stay forever. */
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

/** Whether the idle time on disk, from which the next start of the server continues, is out of date. */
function isUnwritten(account: Account): boolean {
    return Math.abs(idleOf(account) - account.idleOnDisk) > options.inactiveAfter / PART;
}

/** Whether no client has used an account for minimix_inactive_after. */
export function isInactive(account: Account): boolean {
    return idleOf(account) > options.inactiveAfter;
}

function leaveAll(account: Account): void {
    for (const membership of membershipsOf(account.username)) {
        if (membership.place.phase !== Phase.Leaving) {
            module.log("info", "%s is unused, leaving %s", account.username, membership.room);
            leave(membership, st.presence({ type: "unavailable" }));
        }
    }
}

/** Shows the rooms that no session is attached, after a delay. After a start, shows them the attached ones. */
export function showAllDetached(): void {
    endOverdue();
    const due: Membership[] = [];
    for (const membership of allMemberships()) {
        if (isDueToShow(membership)) {
            due.push(membership);
        }
    }
    forEachInSlices(due, (membership) => {
        if (isDueToShow(membership)) {
            showDetached(membership);
        }
    });
}

function isDueToShow(membership: Membership): boolean {
    const isDetached = isDetachedFor(membership, options.detachedAfter) && !membership.shownDetached;
    return isDetached && membership.place.phase === Phase.Joined;
}

/**
 * The module is unloaded. Leaves the rooms, because stanzas to the accounts would not be answered any more. Tells the
 * sessions, so that their clients join by themselves. Stored data is kept for a later load.
 */
export function withdrawAll(): void {
    close();
    for (const membership of allMemberships()) {
        refuseAll(membership);
        if (hasAttached(membership)) {
            fork(membership, technicalRemoval(membership));
            detachAll(membership);
        }
        setPlace(membership, inSharedQueue(Phase.Leaving));
        withdraw(membership);
    }
}
