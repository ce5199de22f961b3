// Prosody's module API (core/moduleapi.lua) and globals, as far as the module uses them.

type Stanza = import("util.stanza").Stanza;

/** Passes arguments to the task (Lua 5.2 and newer, LuaJIT). */
declare function xpcall<E, R>(
    this: void,
    task: (this: void, argument: E) => R,
    handler: (this: void, problem: string) => string,
    argument: E,
): LuaMultiReturn<[true, R] | [false, string]>;

/**
 * Lua's pcall, for functions that return several values.
 * @customName pcall
 */
declare function tryCall<A extends unknown[]>(
    this: void,
    task: (this: void, ...values: A) => unknown,
    ...values: A
): LuaMultiReturn<[boolean, unknown, unknown, unknown]>;

/** Any value except nil ends the event, also `false` (util/events.lua). Only carbons-should-copy uses `false`. */
type Handled = true | undefined;
type Handler<E> = (this: void, event: E) => Handled | false;

interface ClientSession {
    readonly username: string;
    readonly host: string;
    readonly resource: string;
    readonly full_jid: string;
    readonly type: string;
    /** Set when the session has ended. Answers are pointless then. */
    readonly destroyed?: boolean;
    readonly roster?: LuaMap<string, { subscription: string } | undefined>;
    /** mod_carbons: the namespace by which the session enabled carbons. */
    readonly want_carbons?: string;
    readonly hibernating?: number;
    /** mod_track_muc_joins: the session's nick in each room that it has joined. */
    rooms_joined?: Record<string, string | undefined>;
    /** mod_mam: the client has read the archive, so mod_offline sends nothing. */
    mam_requested?: boolean;
    readonly filters?: Record<string, unknown[] | undefined>;
    /** Returns undefined if a filter keeps the stanza. */
    filter(this: void, type: "stanzas/out", stanza: Stanza): Stanza | undefined;
    /** Writes to the stream. Some kinds of sessions have no stream. */
    readonly rawsend?: StreamSession["rawsend"];
    log(this: void, level: "debug", format: string, ...values: unknown[]): void;
    /** Sends a stanza. Stream resumption replaces it: look it up at each call. */
    send(this: void, stanza: Stanza | string): boolean | undefined;
}

/** A client with its own stream. */
interface StreamSession extends ClientSession {
    rawsend(this: void, data: Stanza | string): boolean | undefined;
}

interface Origin {
    readonly type: string;
    send(this: void, stanza: Stanza | string): boolean | undefined;
}

interface S2sSession {
    readonly direction: "incoming" | "outgoing";
    readonly from_host?: string;
    readonly to_host?: string;
    /** The hosts that an incoming session may speak for. */
    readonly hosts?: LuaMap<string, unknown>;
}

interface StanzaEvent<O> {
    readonly origin: O;
    readonly stanza: Stanza;
}

interface ModuleEvents {
    "iq-set/self/urn:xmpp:blocking:block": StanzaEvent<ClientSession>;
    "iq-set/self/urn:xmpp:blocking:unblock": StanzaEvent<ClientSession>;
    "pre-presence/bare": StanzaEvent<ClientSession>;
    "pre-presence/full": StanzaEvent<ClientSession>;
    "pre-message/bare": StanzaEvent<ClientSession>;
    "pre-message/full": StanzaEvent<ClientSession>;
    "pre-iq/bare": StanzaEvent<ClientSession>;
    "pre-iq/full": StanzaEvent<ClientSession>;
    "presence/bare": StanzaEvent<Origin>;
    "presence/full": StanzaEvent<Origin>;
    "message/bare": StanzaEvent<Origin>;
    "message/full": StanzaEvent<Origin>;
    "iq/bare": StanzaEvent<Origin>;
    "iq/full": StanzaEvent<Origin>;
    /** Of mod_mam. Return false to store nothing. */
    "archive-should-store": { readonly stanza: Stanza };
    /** Of mod_cloud_notify. Return true to stop the push. */
    "cloud_notify/push": { readonly username: string; readonly original_stanza?: Stanza; reason?: string };
    "account-disco-info": { readonly reply: Stanza };
    "iq-get/self/urn:xmpp:mam:2:query": StanzaEvent<ClientSession>;
    "iq-set/self/urn:xmpp:mam:2:query": StanzaEvent<ClientSession>;
    "s2sin-destroyed": { readonly session: S2sSession };
    "s2sout-destroyed": { readonly session: S2sSession };
    "resource-bind": { readonly session: ClientSession };
    "s2sin-established": { readonly session: S2sSession };
    "s2sout-established": { readonly session: S2sSession };
    "resource-unbind": { readonly session: ClientSession };
    "carbons-should-copy": { readonly stanza: Stanza; readonly session: ClientSession };
    "pre-resource-bind": { resource: string | undefined };
    "message/offline/handle": { readonly username: string; readonly stanza: Stanza };
    "delivery/failure": { readonly session: ClientSession; readonly stanza: Stanza };
}

/** Errors are the second result. */
/** Without a username: the record of the host. */
interface KeyValueStore<V> {
    get(username: string | undefined): LuaMultiReturn<[V | undefined, string | undefined]>;
    set(username: string | undefined, value: V | undefined): LuaMultiReturn<[boolean | undefined, string | undefined]>;
    users(): LuaIterable<unknown>;
}

interface ArchiveQuery {
    /** A time in whole seconds. SQL supports no others. */
    readonly start?: number | undefined;
    readonly end?: number | undefined;
    readonly before?: string | undefined;
    readonly after?: string | undefined;
    readonly ids?: string[];
    readonly key?: string;
    readonly reverse?: boolean;
    readonly limit?: number;
    readonly with?: string | undefined;
    /** Only for delete: the number of newest items to keep. */
    readonly truncate?: number;
}

type ArchiveResults = LuaIterable<LuaMultiReturn<[string, Stanza, number, string]>>;

interface ArchiveStore {
    readonly caps?: { readonly quota?: number };
    append(
        key: string,
        id: string | undefined,
        value: Stanza,
        when: number,
        label: string,
    ): LuaMultiReturn<[string | undefined, string | undefined]>;
    find(key: string, query: ArchiveQuery): LuaMultiReturn<[ArchiveResults | undefined, string | undefined]>;
    get(
        key: string,
        id: string,
    ): LuaMultiReturn<[Stanza, number, string | undefined] | [undefined, string | undefined, undefined]>;
    delete(key: string, query?: ArchiveQuery): LuaMultiReturn<[number | boolean | undefined, string | undefined]>;
    users(): LuaIterable<unknown>;
}

interface Timer {
    stop(): void;
}

interface MetricFamily {
    with_labels(...values: string[]): { set(value: number): void };
}

interface AdhocLibrary {
    "new"(
        this: void,
        title: string,
        node: string,
        handler: import("util.adhoc").Handler,
        permission: "admin" | "local_user",
    ): unknown;
}

interface ProsodyModule {
    readonly name: string;
    readonly host: string;
    load?: (this: void) => void;
    unload?: (this: void) => void;
    save?: (this: void) => unknown;
    restore?: (this: void, saved: unknown) => void;
    hook<N extends keyof ModuleEvents>(event: N, handler: Handler<ModuleEvents[N]>, priority: number): void;
    hook_global<N extends keyof GlobalEvents>(event: N, handler: Handler<GlobalEvents[N]>, priority?: number): void;
    /** Calls `wrapper` instead of the event's handlers. It calls `fire` to call them. */
    wrap_event<N extends keyof ModuleEvents>(
        event: N,
        wrapper: (
            this: void,
            fire: (this: void, name: string, event: ModuleEvents[N]) => Handled,
            name: string,
            event: ModuleEvents[N],
        ) => Handled,
    ): void;
    /** Hooks an event of an object such as a PEP service. */
    hook_object_event<N extends keyof ObjectEvents>(
        object: object,
        event: N,
        handler: Handler<ObjectEvents[N]>,
        priority: number,
    ): void;
    unhook_object_event<N extends keyof PepEvents>(object: object, event: N, handler: Handler<PepEvents[N]>): void;
    /** `existing`: also for items that already exist. */
    handle_items(type: "pep-service", added: Handler<PepItem>, removed: Handler<PepItem>, existing: boolean): void;
    /** Whether the module is unloaded in order to be loaded again. */
    readonly reloading?: boolean;
    log(level: "debug" | "info" | "warn" | "error", format: string, ...values: unknown[]): void;
    send(stanza: Stanza): boolean | undefined;
    fire_event(name: string, event: object): unknown;
    add_timer(seconds: number, callback: (this: void) => number | undefined): Timer;
    /** Returns the value as written in the configuration, of any type. */
    get_option(name: string): unknown;
    /** Opens a store of this host. On 0.12 the type "keyval+" silently drops all data. */
    open_store<V>(name: string, type: "keyval"): KeyValueStore<V>;
    open_store(name: string, type: "archive"): ArchiveStore;
    depends(name: string): unknown;
    get_host_type(): "local" | "component" | "global";
    /** Returns a table that modules share. It lives as long as the server. */
    shared<T>(path: string): T;
    /** Loads the library of mod_adhoc. */
    require(name: "adhoc"): AdhocLibrary;
    provides(name: "adhoc", command: unknown): void;
    metric(type: "gauge" | "counter", name: string, unit: string, description: string, labels: string[]): MetricFamily;
}

interface Host {
    readonly type: "local" | "component";
    readonly events: object;
    /** Accounts with a session, on a host for users. */
    readonly sessions?: LuaMap<string, { readonly sessions: LuaMap<string, ClientSession> }>;
    /** The provider of accounts, on a host for users. */
    readonly users?: { readonly name: string };
    /** The loaded modules, with their public functions. */
    readonly modules: LuaMap<string, unknown>;
}

/** Events of a PEP service, and of a component's host when the component connects or disconnects. */
interface ObjectEvents extends PepEvents {
    "component-authenticated": ComponentEvent;
    "component-disconnected": ComponentEvent;
}

interface ComponentEvent {
    readonly session: { readonly host: string };
}

/** Events of the whole server. */
interface GlobalEvents {
    "server-started": Record<string, never>;
    /** The host's name. */
    "host-activated": string;
    "server-stopping": Record<string, never>;
    "stats-update": Record<string, never>;
    "user-deleted": { readonly username: string; readonly host: string };
    "user-disabled": { readonly username: string; readonly host: string };
}

declare namespace math {
    function random(this: void, from?: number, to?: number): number;
}

declare const module: ProsodyModule;

declare namespace prosody {
    const full_sessions: LuaMap<string, ClientSession>;
    const hosts: LuaMap<string, Host>;
    /** When the server started. Undefined during start. */
    const start_time: number | undefined;
}
