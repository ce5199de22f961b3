// Sets and maps as lists, which may change while a list is gone through.

/** The members of a set. */
export function membersOf<T extends AnyNotNil>(set: LuaSet<T>): T[] {
    const list: T[] = [];
    for (const member of set) {
        list.push(member);
    }
    return list;
}
