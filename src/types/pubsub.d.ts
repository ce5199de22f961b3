// mod_pep and the service object it keeps for each account (util/pubsub.lua).

/** Ids in order and, by id, the `<item/>` of each. */
type PepItems = string[] & Record<string, Stanza | undefined>;

interface PepEvent {
    readonly service: PepService;
    readonly node: string;
    /** Who did it: a full JID, or true for the server itself. */
    readonly actor: string | true;
}

interface PepItemEvent extends PepEvent {
    readonly id: string;
    /** Not with a retraction. */
    readonly item?: Stanza;
}

interface PepEvents {
    "item-published/urn:xmpp:bookmarks:1": PepItemEvent;
    "item-retracted": PepItemEvent;
    "node-purged": PepEvent;
    "node-deleted": PepEvent;
}

interface PepService {
    readonly events: object;
    readonly config: { readonly pep_username: string };
    /** The second value is the items, or what is wrong; fails where the storage does. */
    get_items(node: string, actor: true, id?: string): LuaMultiReturn<[true, PepItems] | [false, string]>;
    publish(
        node: string,
        actor: true,
        id: string,
        item: Stanza,
        options?: Record<string, unknown>,
    ): LuaMultiReturn<[true] | [false | undefined, unknown]>;
}

/** What mod_pep announces a service by. */
interface PepItem {
    readonly item: { readonly service: PepService };
}

interface PepModule {
    /** The account's service; one without nodes for who has no account. */
    get_pep_service(this: void, username: string): PepService;
}
