// Converts memberships of earlier versions at a reload: flat records with the fields of all phases.

import type { CatchUp } from "./catchup";
import * as jids from "util.jid";
import { type InternedStanza, intern, restoreInterned } from "./interned";
import { isAttached, type Membership, now } from "./memberships";
import { inSharedQueue, type Join, joiningBy, type Liveness, Phase, type Place } from "./place";
import { enqueue, newRequest } from "./queue";
import { keepOccupant, setSelf } from "./view";

interface FormerRequest {
    readonly session: string | undefined;
    readonly id: string | undefined;
    readonly nick: string;
    readonly stanza: Stanza;
    readonly isBack?: boolean;
    readonly isJoin?: boolean;
}

/** Fields that this version has replaced. */
interface Former {
    phase: Phase;
    request: FormerRequest;
    waiting: FormerRequest[];
    resync: { readonly request: FormerRequest | undefined };
    nickRequests: FormerRequest[];
    renaming: unknown;
    newcomer: string;
    joinId: string;
    claimed: InternedStanza;
    batched: boolean;
    timer: Timer;
    tries: number;
    heard: boolean;
    checking: boolean;
    unanswered: number;
    unreflected: unknown;
    occupants: LuaMap<string, InternedStanza>;
    shownPresence: Stanza;
    occupantCount: number;
    occupantSize: number;
    self: Stanza;
    presenceOfRoom: InternedStanza;
    subject: Stanza;
    incomplete: boolean;
    nonAnonymous: boolean;
    logged: boolean;
    outdated: boolean;
}

const replaced: (keyof Former)[] = [
    "phase",
    "request",
    "waiting",
    "resync",
    "nickRequests",
    "renaming",
    "newcomer",
    "joinId",
    "claimed",
    "batched",
    "timer",
    "tries",
    "heard",
    "checking",
    "unanswered",
    "unreflected",
    "occupants",
    "occupantCount",
    "occupantSize",
    "self",
    "presenceOfRoom",
    "subject",
    "incomplete",
    "nonAnonymous",
    "logged",
    "outdated",
];

/** Converts a membership of an earlier version. Returns whether it was one. */
export function convert(membership: Membership): boolean {
    const former = membership as unknown as Partial<Former>;
    if (former.phase === undefined) {
        return false;
    }
    if ((membership.catchUp as Partial<CatchUp> | undefined)?.progress === undefined) {
        membership.catchUp = undefined;
    }
    membership.shownPresence = former.shownPresence === undefined ? undefined : intern(former.shownPresence);
    showFormer(membership, former);
    membership.place = placeOf(membership, former);
    takeRequests(membership, former);
    const fields = membership as unknown as LuaTable<string, unknown>;
    for (const name of replaced) {
        fields.set(name, undefined);
    }
    return true;
}

function showFormer(membership: Membership, former: Partial<Former>): void {
    const view = membership.view;
    for (const [nick, interned] of former.occupants ?? new LuaMap()) {
        restoreInterned(interned);
        keepOccupant(membership.room, view, nick, interned);
    }
    if (former.self !== undefined) {
        setSelf(membership, jids.resource(former.self.attr.from ?? "") ?? "", former.self);
    }
    view.room = former.presenceOfRoom;
    view.isRoomFirst = former.presenceOfRoom === undefined ? undefined : true;
    view.subject = former.subject === undefined ? undefined : intern(former.subject);
    view.nonAnonymous = former.nonAnonymous === true ? true : undefined;
    view.logged = former.logged === true ? true : undefined;
    if (former.incomplete === true || former.occupants === undefined) {
        view.stale = "incomplete";
    } else if (former.outdated === true) {
        view.stale = "outdated";
    }
}

function placeOf(membership: Membership, former: Partial<Former>): Place {
    const tries = former.tries ?? 0;
    const { phase, request, resync } = former;
    if (phase === Phase.Leaving) {
        return inSharedQueue(Phase.Leaving, tries);
    }
    if (phase === Phase.Joining && request !== undefined) {
        return joiningBy(joinOf(membership, request, resync !== undefined), [], new LuaSet(), false, tries);
    }
    if (phase === Phase.Joined || (phase === Phase.Entering && resync === undefined)) {
        return { phase: Phase.Joined, tries, since: now(), liveness: livenessOf(former) };
    }
    return inSharedQueue(Phase.Lost, tries);
}

/** The room is asked whether the account is still in it. */
function livenessOf(former: Partial<Former>): Liveness | undefined {
    const unanswered = former.unanswered ?? 0;
    const isInDoubt = former.timer !== undefined || former.checking === true || unanswered > 0;
    return isInDoubt ? { unanswered } : undefined;
}

/** The session that asked counted as attached before the room had answered. */
function joinOf(membership: Membership, request: FormerRequest, isReturn: boolean): Join {
    if (isAttached(membership, request.session) && request.isBack !== true) {
        membership.attached.delete(request.session ?? "");
    }
    return {
        kind: "join",
        id: request.id ?? "",
        nick: request.nick,
        request: newRequest("join", request.session, request.id, request.nick, request.stanza),
        isReturn,
        isDoubtful: false,
        timer: module.add_timer(0, () => undefined),
        isFirst: false,
        left: undefined,
        since: now(),
    };
}

function takeRequests(membership: Membership, former: Partial<Former>): void {
    const resync = former.resync;
    const requests: FormerRequest[] = [];
    if (resync?.request !== undefined) {
        requests.push(resync.request);
    }
    for (const request of former.nickRequests ?? []) {
        if (request.isJoin === true) {
            requests.push(request);
        }
    }
    for (const request of former.waiting ?? []) {
        requests.push(request);
    }
    for (const { session, id, nick, stanza } of requests) {
        if (session !== undefined) {
            enqueue(membership, newRequest("join", session, id, nick, stanza));
        }
    }
}
