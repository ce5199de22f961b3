// Rooms a session has ever joined; its error stanzas are never forwarded to them.

export type Joined = LuaMap<string, LuaSet<string>>;

export const joined: Joined = new LuaMap();

export function noteJoined(session: string, room: string): void {
    let rooms = joined.get(session);
    if (rooms === undefined) {
        rooms = new LuaSet();
        joined.set(session, rooms);
    }
    rooms.add(room);
}

export function hasJoined(session: string, room: string): boolean {
    const rooms = joined.get(session);
    return rooms?.has(room) === true;
}

/** The session has ended. */
export function forgetJoined(session: string): void {
    joined.delete(session);
}

/** Takes over the rooms of the previous instance of the module. */
export function restoreJoined(saved: Joined): void {
    for (const [session, rooms] of saved) {
        joined.set(session, rooms);
    }
}
