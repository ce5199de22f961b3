// The state that one instance of the module hands to the next on a reload. The versions may differ.

import type * as cache from "util.cache";
import { allRefusals, type Refusals, restoreRefusals } from "./bookmarks";
import { monotonic } from "./clock";
import { type Counters, counters, restoreCounters } from "./counters";
import {
    type Account,
    type Accounts,
    accounts,
    createMembership,
    type Membership,
    occupantJid,
    restoreEmpty,
} from "./memberships";
import { type Deletions, deletions, deliveries, type Known, restoreDeletions, restoreDeliveries } from "./deliveries";
import { addFormerOccupant, type FormerOccupants, formerOccupants, restoreFormerOccupants } from "./former";
import { inSharedQueue, isKnownPhase, Phase } from "./place";
import { type InternedStanza, restoreInterned } from "./interned";
import { restoreReader } from "./occupants";
import { newView, outdate } from "./view";
import { convert } from "./upgrade";
import { logs, restoreLogs, type RoomLog } from "./logs";
import { type Numbers, numbers, restoreNumbers, startNumbers } from "./numbers";
import { type Dirty, dirtyRecords, restoreDirty } from "./records";
import { type AllEdits, pendingEdits, type PendingMarks, pendingMarks, restoreEdits, restoreMarks } from "./marks";
import { type PendingIqs, pendingIqs, restorePendingIqs } from "./pending";
import { restoreSelfMarkingRooms, selfMarkingRooms } from "./self-status";
import { restoreSentPresences, type SentPresences, sentPresences } from "./sent-presences";
import { type Loading, loading } from "./store";
import { type Joined, joined, noteJoined, restoreJoined } from "./sessions";

export interface Saved {
    readonly accounts: Accounts;
    readonly refusals: LuaMap<string, Refusals>;
    readonly pendingIqs: PendingIqs;
    readonly joined: Joined;
    readonly counters: Counters;
    readonly formerOccupants: FormerOccupants;
    readonly numbers: Numbers;
    readonly logs: LuaMap<string, RoomLog>;
    readonly deliveries: Known;
    readonly dirty: Dirty;
    readonly loading: Loading;
    readonly sentPresences: SentPresences;
    readonly marks: PendingMarks;
    readonly selfMarkingRooms: cache.Cache<true>;
    readonly deletions: Deletions;
    readonly edits: AllEdits;
}

export function snapshot(): Saved {
    return {
        accounts,
        refusals: allRefusals(),
        pendingIqs,
        joined,
        counters,
        formerOccupants,
        numbers: numbers(),
        logs,
        deliveries: deliveries(),
        dirty: dirtyRecords(),
        loading: loading(),
        sentPresences: sentPresences(),
        marks: pendingMarks(),
        selfMarkingRooms: selfMarkingRooms(),
        deletions,
        edits: pendingEdits,
    };
}

/**
 * Takes over the state of the previous instance. Returns whether there was any. Timers are still those of the previous
 * instance.
 */
export function restore(saved: Partial<Saved>): boolean {
    if (saved.accounts === undefined) {
        return false;
    }
    // Earlier versions used the wall clock for durations, and kept ranges with the account.
    const isOld = saved.logs === undefined;
    if (saved.numbers === undefined || saved.logs === undefined) {
        startNumbers();
    } else {
        restoreNumbers(saved.numbers);
        restoreLogs(saved.logs);
        restoreDeliveries(saved.deliveries ?? new LuaMap());
        restoreDirty(saved.dirty ?? {});
        restoreMarks(saved.marks ?? new LuaMap());
        restoreDeletions(saved.deletions ?? new LuaSet());
        restoreEdits(saved.edits ?? new LuaMap());
    }
    for (const [, account] of saved.accounts) {
        for (const [, membership] of account.memberships) {
            restoreMembership(membership, isOld);
        }
        accounts.set(occupantJid(account.username), restoreAccount(account, isOld));
    }
    if (saved.formerOccupants !== undefined) {
        restoreFormerOccupants(saved.formerOccupants);
    }
    if (saved.pendingIqs !== undefined && !isOld) {
        restorePendingIqs(saved.pendingIqs);
    }
    if (saved.refusals !== undefined) {
        restoreRefusals(saved.refusals);
    }
    if (saved.joined !== undefined) {
        restoreJoined(saved.joined);
    }
    if (saved.sentPresences !== undefined) {
        restoreSentPresences(saved.sentPresences);
    }
    if (saved.selfMarkingRooms !== undefined) {
        restoreSelfMarkingRooms(saved.selfMarkingRooms);
    }
    if (saved.counters !== undefined) {
        restoreCounters(saved.counters);
    }
    return true;
}

function restoreAccount(account: Account, isOld: boolean): Account {
    complete(account, { seen: monotonic(), idleOnDisk: 0 });
    if (isOld) {
        account.seen = monotonic();
    }
    return account;
}

function restoreMembership(membership: Membership, isOld: boolean): void {
    const hadView = (membership as Partial<Membership>).view !== undefined;
    const fresh = createMembership(membership.username, membership.room, membership.nick);
    complete(membership, fresh);
    complete(membership.view, newView());
    if (!convert(membership) && !hadView) {
        outdate(membership.view);
    }
    restoreEmpty(membership);
    if (!isKnownPhase(membership.place.phase)) {
        membership.place = inSharedQueue(Phase.Lost);
    }
    if (isOld) {
        membership.part = undefined;
        membership.nickFree = 0;
        membership.detachedAt = membership.detachedAt === undefined ? undefined : monotonic();
    }
    restoreReader(membership.view);
    restorePresence(membership.shownPresence);
    restorePresence(membership.view.self);
    for (const [session] of membership.attached) {
        noteJoined(session, membership.room);
    }
    if (membership.occupant !== occupantJid(membership.username)) {
        addFormerOccupant(membership.username, membership.room, membership.occupant, membership.nick);
    }
}

function restorePresence(presence: InternedStanza | undefined): void {
    if (presence !== undefined) {
        restoreInterned(presence);
    }
}

/** Adds fields that an earlier version did not have. */
function complete<T extends object>(old: T, fresh: Partial<T>): T {
    const target = old as LuaTable<keyof T, unknown>;
    for (const [key, value] of pairs(fresh)) {
        if (target.get(key) === undefined) {
            target.set(key, value);
        }
    }
    return old;
}
