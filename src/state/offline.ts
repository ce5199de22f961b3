// Offline members that a room shows in its answer to a join (XEP-0045 7.2.3, presence broadcast of role "none").

import * as options from "../options";
import type { InternedStanza } from "./interned";

export interface OfflineMembers {
    /** Last unavailable presence by nick, or by `@` and the bare JID if the room names no nick. */
    readonly presences: LuaMap<string, InternedStanza>;
    count: number;
    /** Bytes of these, as XML. */
    size: number;
}

/** Creates an empty list. */
export function noMembers(): OfflineMembers {
    return { presences: new LuaMap(), count: 0, size: 0 };
}

/** Iterates over all members, by the keys of `presences`. */
export function eachMember(members: OfflineMembers | undefined): LuaIterable<LuaMultiReturn<[string, InternedStanza]>> {
    let key: string | undefined;
    let interned: InternedStanza | undefined;
    const step = () => {
        if (members !== undefined) {
            [key, interned] = next(members.presences, key);
        }
        return $multi(key, interned);
    };
    return step as unknown as LuaIterable<LuaMultiReturn<[string, InternedStanza]>>;
}

/** Caches a member. Returns false if there is no space. */
export function keepMember(members: OfflineMembers, key: string, interned: InternedStanza): boolean {
    const size = string.len(interned.text);
    forgetMember(members, key);
    const isOver = members.count >= options.maxOccupants || members.size + size > options.maxRoomSize;
    if (isOver || interned.isHeavy === true || size > options.maxCachedSize) {
        return false;
    }
    members.presences.set(key, interned);
    members.count = members.count + 1;
    members.size = members.size + size;
    return true;
}

/** Removes a member that is online, or is no longer a member. Returns whether it was listed. */
export function forgetMember(members: OfflineMembers, key: string): boolean {
    const interned = members.presences.get(key);
    if (interned === undefined) {
        return false;
    }
    members.presences.delete(key);
    members.count = members.count - 1;
    members.size = members.size - string.len(interned.text);
    return true;
}
