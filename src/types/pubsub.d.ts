// mod_pep and its service object for each account (util/pubsub.lua).

/** The ids in order, and the `<item/>` elements by id. */
type PepItems = string[] & Record<string, Stanza | undefined>;

interface PepEvent {
    readonly service: PepService;
    readonly node: string;
    /** The sender: a full JID, or true for the server itself. */
    readonly actor: string | true;
}

interface PepItemEvent extends PepEvent {
    readonly id: string;
    /** Undefined in a retraction. */
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
    /** The second result is the items or the error. It raises an error if the storage fails. */
    get_items(node: string, actor: true, id?: string): LuaMultiReturn<[true, PepItems] | [false, string]>;
    publish(
        node: string,
        actor: true,
        id: string,
        item: Stanza,
        options?: Record<string, unknown>,
    ): LuaMultiReturn<[true] | [false | undefined, unknown]>;
}

/** The item by which mod_pep announces a service. */
interface PepItem {
    readonly item: { readonly service: PepService };
}

interface PepModule {
    /** Returns the account's service. Without such an account, the service has no nodes. */
    get_pep_service(this: void, username: string): PepService;
}
