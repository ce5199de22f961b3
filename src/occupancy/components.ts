// Watches components of this server that are connected by a stream (XEP-0114). Their rooms end with the stream.

import { inTurn } from "../turn";
import { hostBack, hostGone } from "./watch";

/** Watches existing components, and those that are added later. */
export function watchComponents(): void {
    for (const [host] of prosody.hosts) {
        watchComponent(host);
    }
    module.hook_global("host-activated", (host) => {
        watchComponent(host);
        return undefined;
    });
}

function watchComponent(name: string): void {
    const host = prosody.hosts.get(name);
    if (host?.type !== "component") {
        return;
    }
    const events = host.events;
    const onGone = () => {
        inTurn(() => {
            hostGone(name);
        });
        return undefined;
    };
    const onBack = () => {
        inTurn(() => {
            hostBack(name);
        });
        return undefined;
    };
    module.hook_object_event(events, "component-disconnected", onGone, 1);
    module.hook_object_event(events, "component-authenticated", onBack, 1);
}
