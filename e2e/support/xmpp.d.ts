// The part of @xmpp/client that the tests use. The package has no types.
declare module "@xmpp/client" {
    import type { EventEmitter } from "node:events";
    import type { Socket } from "node:net";

    export type Node = Element | string;

    export interface Element {
        name: string;
        attrs: Record<string, string | undefined>;
        children: Node[];
        parent: Element | null;
        is(name: string, xmlns?: string): boolean;
        getNS(): string | undefined;
        getChild(name: string, xmlns?: string): Element | undefined;
        getChildren(name: string, xmlns?: string): Element[];
        getChildText(name: string, xmlns?: string): string | null;
        getChildElements(): Element[];
        append(...nodes: Node[]): this;
        remove(node: Node): this;
        text(): string;
        toString(): string;
    }

    export interface ClientOptions {
        service: string;
        domain: string;
        resource?: string;
        timeout?: number;
        credentials?: (
            authenticate: (credentials: { username: string; password: string }, mechanism: string) => Promise<void>,
        ) => Promise<void>;
    }

    class Transport {
        socketParameters(service: string): string | undefined;
    }

    type IqHandler = (context: { stanza: Element; element: Element }) => Element | boolean | undefined;

    export interface Client extends EventEmitter {
        status: string;
        jid: { toString(): string; bare(): { toString(): string } } | null;
        /** Of TCP; others have no setNoDelay. */
        socket: (Pick<Socket, "destroy"> & Partial<Pick<Socket, "setNoDelay">>) | null;
        transports: (typeof Transport)[];
        start(): Promise<unknown>;
        stop(): Promise<unknown>;
        send(element: Element): Promise<void>;
        iqCallee: {
            get(xmlns: string, name: string, handler: IqHandler): void;
            set(xmlns: string, name: string, handler: IqHandler): void;
        };
        reconnect: { stop(): void; reconnect(): Promise<void> };
        streamManagement: EventEmitter & { enabled: boolean; id: string };
    }

    /** Emits "start" with the root element, "element" with each child of it, "end" and "error". */
    export interface Parser extends EventEmitter {
        write(text: string): void;
    }

    interface Xml {
        (name: string, attrs?: Record<string, unknown> | null, ...children: unknown[]): Element;
        Parser: new () => Parser;
    }

    export function client(options: ClientOptions): Client;
    export const xml: Xml;
}

declare module "ws" {
    const WebSocket: unknown;
    export default WebSocket;
}
