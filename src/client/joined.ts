// `session.rooms_joined`, in which mod_track_muc_joins keeps the nick of a session in each room that it has joined.
// mod_throttle_unsolicited, mod_csi_battery_saver and others look rooms up there. For rooms that are joined through the
// account the table is answered from the memberships. pairs() does not list these: mod_ping_muc would ping them from the
// session's own address, be refused, and tell the client that it is out.

import { isAttached, membershipOf } from "../state/memberships";

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
    return isIn ? membership.nick : undefined;
}

/** The module is loaded while sessions are there. */
export function trackAll(): void {
    forEachSession(track);
}

/** The module is unloaded. */
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
