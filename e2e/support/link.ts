// One direction of a server-to-server connection: a TCP proxy that can be cut, and that notes what passes.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Link {
    /** Where to dial instead of the server itself. */
    readonly port: number;
    readonly target: number;
    readonly #sockets = new Set<Socket>();
    #listener: Server | undefined;
    #held = false;
    #carried = "";

    constructor(port: number, target: number) {
        this.port = port;
        this.target = target;
    }

    /** All that the dialling server has said; a server hears stanzas only on connections that it took. */
    get carried(): string {
        return this.#carried;
    }

    /** Takes connections, from the start or again after cut(). */
    async restore(): Promise<void> {
        this.#listener = createServer((socket) => {
            this.#join(socket, connect(this.target, "127.0.0.1"));
        }).listen(this.port, "127.0.0.1");
        await once(this.#listener, "listening");
    }

    /** Drops all connections and refuses new ones. */
    cut(): void {
        this.#listener?.close();
        for (const socket of this.#sockets) {
            socket.destroy();
        }
    }

    /** Keeps all connections, but lets nothing through until letGo(). */
    hold(): void {
        this.#held = true;
        for (const socket of this.#sockets) {
            socket.pause();
        }
    }

    letGo(): void {
        this.#held = false;
        for (const socket of this.#sockets) {
            socket.resume();
        }
    }

    #join(dialling: Socket, taking: Socket): void {
        dialling.on("data", (data) => (this.#carried += data.toString("latin1")));
        this.#pass(dialling, taking);
        this.#pass(taking, dialling);
    }

    #pass(from: Socket, to: Socket): void {
        this.#sockets.add(from);
        from.pipe(to);
        from.on("error", () => undefined);
        from.on("close", () => {
            this.#sockets.delete(from);
            to.destroySoon();
        });
        if (this.#held) {
            from.pause();
        }
    }
}
