// Prosody's util.* as far as the module uses it. The names exist in 0.12 and 13.0.

declare module "util.stanza" {
    interface Attributes {
        [name: string]: string | undefined;
        from?: string | undefined;
        to?: string | undefined;
        id?: string | undefined;
        type?: string | undefined;
        xmlns?: string | undefined;
    }
    interface Stanza {
        name: string;
        attr: Attributes;
        tags: Stanza[];
        tag(name: string, attr?: Attributes): this;
        text(text: string): this;
        up(): this;
        reset(): this;
        add_child(child: Stanza): this;
        add_direct_child(child: Stanza | string): this;
        get_child(name?: string, xmlns?: string): Stanza | undefined;
        get_child_text(name: string, xmlns?: string): string | undefined;
        get_child_with_attr(name: string, xmlns: string | undefined, attr: string, value: string): Stanza | undefined;
        get_text(): string | undefined;
        maptags(callback: (this: void, tag: Stanza) => Stanza | undefined): this;
        find(path: string): Stanza | string | undefined;
        get_error(): LuaMultiReturn<[string | undefined, string | undefined, string | undefined]>;
        top_tag(): string;
    }
    function stanza(name: string, attr?: Attributes): Stanza;
    function message(attr?: Attributes, body?: string): Stanza;
    function presence(attr?: Attributes): Stanza;
    function iq(attr: Attributes): Stanza;
    function reply(stanza: Stanza): Stanza;
    function error_reply(stanza: Stanza, type: string, condition: string, text?: string, by?: string): Stanza;
    /** Writes the five reserved characters of XML as entities. */
    function xml_escape(text: string): string;
    /** Returns a deep copy. With `tagsOnly`, children are left out. */
    function clone(stanza: Stanza, tagsOnly?: boolean): Stanza;
}

declare module "util.xml" {
    /** Returns undefined, and the problem, for invalid XML. */
    function parse(text: string): import("util.stanza").Stanza | undefined;
}

declare module "util.xmppstream" {
    /** A connection, or what stands for one. */
    interface Source {
        /** Whether the stream's header has not come. */
        notopen?: true | undefined;
    }
    interface Callbacks {
        /** The namespace of the stream's own element, and that of stanzas. */
        readonly stream_ns: string;
        readonly default_ns: string;
        streamopened(this: void, source: Source): void;
        handlestanza(this: void, source: Source, stanza: import("util.stanza").Stanza): void;
        error(this: void, source: Source, problem: string): void;
    }
    interface Parser {
        /** Returns undefined, and the problem, for invalid XML. */
        feed(text: string): LuaMultiReturn<[unknown, string?]>;
        /** Forgets everything, so that another stream can follow. */
        reset(this: void): void;
    }
    function _new(this: void, source: Source, callbacks: Callbacks): Parser;
    export { _new as new, type Source };
}

declare module "util.jid" {
    function split(jid: string): LuaMultiReturn<[string | undefined, string | undefined, string | undefined]>;
    function bare(jid: string): string;
    /** Returns undefined for an invalid JID. */
    function prep(jid: string): string | undefined;
    function resource(jid: string): string | undefined;
    function node(jid: string): string | undefined;
    function host(jid: string): string;
    function prep(jid: string): string | undefined;
    function join(node: string | undefined, host: string, resource?: string): string;
}

declare module "util.cache" {
    interface Cache<V> {
        get(key: string): V | undefined;
        set(key: string, value: V | undefined): boolean;
        items(): LuaIterable<LuaMultiReturn<[string, V]>>;
        count(): number;
    }
    // `this: void` because the module is imported as a namespace and called with a dot.
    function _new<V>(
        this: void,
        size: number,
        onEvict?: (this: void, key: string, value: V) => boolean | undefined,
    ): Cache<V>;
    export { _new as new, type Cache };
}

declare module "util.encodings" {
    namespace stringprep {
        /** Returns undefined for an invalid local part of a JID. */
        function nodeprep(this: void, text: string): string | undefined;
        /** Returns undefined for an invalid resource. */
        function resourceprep(this: void, text: string): string | undefined;
    }
    export { stringprep };
}

declare module "util.time" {
    /** Returns seconds since an arbitrary time. Setting the clock does not change it. */
    function monotonic(): number;
}

declare module "util.id" {
    function short(): string;
    function medium(): string;
}

declare module "util.datetime" {
    function datetime(time?: number): string;
    function parse(stamp: string): number | undefined;
}

declare module "util.rsm" {
    interface ResultSet {
        first?: string | undefined;
        last?: string | undefined;
        count?: number | undefined;
    }
    function generate(set: ResultSet): import("util.stanza").Stanza;
}

declare module "util.hashes" {
    function sha1(text: string, hex: true): string;
}

declare module "util.dataforms" {
    interface Field {
        readonly name: string;
        readonly type: "hidden" | "jid-single" | "list-single" | "text-single" | "text-multi";
        readonly label?: string;
        readonly required?: boolean;
        readonly value?: string;
        /** The choices of a list. */
        readonly options?: { readonly label: string; readonly value: string }[];
    }
    /** The fields in order, with title and instructions. */
    interface Layout extends Array<Field> {
        title?: string | undefined;
        instructions?: string | undefined;
    }
    type Form = Layout & { readonly __form: never };
    type Fields = Record<string, string | undefined>;
    function _new(this: void, layout: Layout): Form;
    export { _new as new, type Field, type Fields, type Form, type Layout };
}

declare module "util.adhoc" {
    type Form = import("util.dataforms").Form;
    type Fields = import("util.dataforms").Fields;
    interface Request {
        readonly from: string;
        readonly form?: import("util.stanza").Stanza;
    }
    /** The state of a command: notes, or a form with the result (adhoc.lib.lua, handle_cmd). */
    interface Answer {
        readonly status: "completed" | "executing" | "canceled";
        readonly info?: string;
        readonly error?: { readonly message: string };
        readonly result?: { readonly layout: Form; readonly values: Fields };
    }
    type Handler = (this: unknown, data: Request, state: unknown) => LuaMultiReturn<[Answer, unknown]>;
    /** A list is the choices of the field. */
    type InitialValues = Record<string, string | string[]>;
    function new_initial_data_form(
        this: void,
        form: Form,
        initial: (this: void, data: Request) => InitialValues,
        result: (
            this: void,
            fields: Fields,
            problems: Record<string, string | undefined> | undefined,
            data: Request,
        ) => Answer,
    ): Handler;
}

declare module "core.configmanager" {
    /** Returns the options by host, with "*" for the whole server. */
    function getconfig(): Record<string, Record<string, unknown> | undefined>;
}

declare module "core.storagemanager" {
    /** Returns the driver of a store, and its name. */
    function get_driver(host: string, store: string): LuaMultiReturn<[unknown, string]>;
}

declare module "util.datamanager" {
    /** Opens a list whose items are read when they are needed. Undefined in 0.12. */
    const list_open: object | undefined;
}
