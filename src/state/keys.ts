// Copies of sets and maps as lists, so that they can change during iteration.

/** Returns the members of a set. */
export function membersOf<T extends AnyNotNil>(set: LuaSet<T>): T[] {
    const list: T[] = [];
    for (const member of set) {
        list.push(member);
    }
    return list;
}
