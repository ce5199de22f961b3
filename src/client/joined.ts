// Maintains `session.rooms_joined`, in which mod_track_muc_joins keeps the session's nick in each room.
// mod_throttle_unsolicited, mod_csi_battery_saver and others read it.
//
// For rooms joined through the account, the table takes the nick from the memberships. pairs() does not list these.
// Otherwise mod_ping_muc would ping them from the session's own address, be refused, and tell the client that it is
// out.

import { isAttached, knownNick, membershipOf } from "../state/memberships";

/** `resource-bind`. */
export function onBind(event: { readonly session: ClientSession }): undefined {
    track(event.session);
}

function track(session: ClientSession): void {
    session.rooms_joined = setmetatable(session.rooms_joined ?? {}, {
        __index: (_: object, room: string) => nickOf(session, room),
    });
}

function nickOf(session: ClientSession, room: string): string | undefined {
    const membership = membershipOf(session, room);
    const isIn = membership !== undefined && isAttached(membership, session.full_jid);
    return isIn ? knownNick(membership) : undefined;
}

/** Adds the table to all sessions when the module is loaded. */
export function trackAll(): void {
    forEachSession(track);
}

/** Removes the table from all sessions when the module is unloaded. */
export function untrackAll(): void {
    forEachSession((session) => {
        if (session.rooms_joined !== undefined) {
            setmetatable(session.rooms_joined, {});
        }
    });
}

function forEachSession(task: (this: void, session: ClientSession) => void): void {
    const users = prosody.hosts.get(module.host)?.sessions;
    if (users !== undefined) {
        for (const [, user] of users) {
            for (const [, session] of user.sessions) {
                task(session);
            }
        }
    }
}
