// One direction of a server-to-server connection: a TCP proxy that can be cut, and that records the traffic.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Link {
    /** The port to connect to instead of the server's own. */
    readonly port: number;
    readonly target: number;
    readonly #sockets = new Set<Socket>();
    #listener: Server | undefined;
    #held = false;
    #carried = "";
    #swallowed: RegExp | undefined;

    constructor(port: number, target: number) {
        this.port = port;
        this.target = target;
    }

    /** Everything that the connecting server sent. A server receives stanzas only on connections that it accepted. */
    get carried(): string {
        return this.#carried;
    }

    /** Accepts connections, at first or again after cut(). */
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

    /** Drops the data that matches, of everything that the dialling server sends from now on. `undefined` ends that. */
    swallow(pattern: RegExp | undefined): void {
        this.#swallowed = pattern;
    }

    /** Keeps all connections, but forwards nothing until letGo(). */
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
        dialling.on("data", (data) => {
            const text = data.toString("latin1");
            this.#carried += text;
            taking.write(this.#swallowed === undefined ? text : text.replace(this.#swallowed, ""), "latin1");
        });
        dialling.on("end", () => taking.end());
        taking.pipe(dialling);
        this.#pass(dialling, taking);
        this.#pass(taking, dialling);
    }

    #pass(from: Socket, to: Socket): void {
        this.#sockets.add(from);
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
