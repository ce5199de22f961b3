// Life cycle and the table of hooks: event, handler, priority. Handlers of equal priority run in random order
// (util/events.lua). So no hook here uses a priority of a module of Prosody.

import "./admin/place";
import { onAccountInfo as onAnnounce } from "./admin/announce";
import { offerCommands } from "./admin/commands";
import { updateMetrics } from "./admin/metrics";
import { checkNeighbours } from "./admin/neighbours";
import { addShellCommands, removeShellCommands } from "./admin/shell";
import { onAccountInfo, onFormRequest as onArchiveFormRequest, onQuery as onArchiveQuery } from "./archive/query";
import { expireIqs, giveUpIqs, onIq as onClientIq } from "./client/iq";
import { onBind, trackAll, untrackAll } from "./client/joined";
import { onCarbon, onMessage as onClientMessage } from "./client/message";
import { onPresence as onClientPresence, onSessionGone } from "./client/presence";
import { forgetEnded, leaveInactive, onAccountEnded, showAllDetached, withdrawAll } from "./follow/accounts";
import { followAll, onLogin, onService, onServiceGone } from "./follow/autojoin";
import { onBlock, onPrivateMessage, onUnblock } from "./follow/blocking";
import { reopenParts, saveDelivered } from "./archive/delivered";
import { restoreUnwritten } from "./archive/entries";
import { expire } from "./archive/expire";
import { fromRoom } from "./archive/gate";
import { onShouldStore } from "./archive/personal";
import { onPush } from "./push/push";
import { retryEdits } from "./settings/bookmark-write";
import { load, restoreLoading, saveLate } from "./state/store";
import { keepConnections } from "./state/driver";
import { onRecovery, retryNow } from "./state/outage";
import { leaveFormerAddresses } from "./occupancy/former";
import { watchComponents } from "./occupancy/components";
import { resumeAll } from "./occupancy/resume";
import { keepShown } from "./occupancy/shown";
import { checkGaps, bringBack, checkQuiet, onLinkGone, onLinkUp } from "./occupancy/watch";
import * as options from "./options";
import { forgetAllowances } from "./state/limits";
import { onResourceBind } from "./client/resource";
import { onUndelivered } from "./send/fork";
import { onIq as onRoomIq } from "./room/iq";
import { passFirewall } from "./room/firewall";
import { onFormerIq, onFormerMessage, onFormerPresence } from "./room/former";
import { isLocalError, onGroupchatMessage, onMessage as onRoomMessage, onUnkept } from "./room/message";
import { passing } from "./room/broadcast";
import { onPresence as onRoomPresence } from "./room/presence";
import { finishSlices } from "./slices";
import { inTurn, turn, turnIf } from "./turn";
import { allFormerOccupants, formerOccupantsOf, hasFormerOccupants } from "./state/former";
import { restore, type Saved, snapshot } from "./state/snapshot";

// From a session to a room. Presence: after mod_firewall (0.1), and before mod_presence (0) records directed presence.
module.hook("pre-presence/full", turn(onClientPresence), 0.05);
module.hook("pre-presence/bare", turn(onClientPresence), 0.05);
// Messages: after mod_mam (0, -1) and mod_carbons (-0.5), which use the address that the client used.
module.hook("pre-message/full", turn(onClientMessage), -2);
module.hook("pre-message/bare", turn(onClientMessage), -2);
module.hook("carbons-should-copy", onCarbon, 1);
module.hook("pre-iq/full", turn(onClientIq), -1);
module.hook("pre-iq/bare", turn(onClientIq), -1);
// Before mod_presence (0) broadcasts that the session went offline.
module.hook("resource-unbind", turn(onSessionGone), 1);
module.hook("resource-bind", onBind, 0.05);

// After mod_bookmarks (0) has converted bookmarks of older forms.
module.hook("resource-bind", turn(onLogin), -1);
if (!options.anonymous) {
    module.handle_items("pep-service", onService, onServiceGone, true);
}

// From a room to the account: before mod_presence and mod_iq (0), and between mod_mam (0) and mod_carbons (-0.5).
// Groupchat comes before mod_mam, unless mod_mam stores it.
if (options.archive !== "mam") {
    module.hook(
        options.resource === undefined ? "message/bare" : "message/full",
        turn(fromRoom(onGroupchatMessage)),
        0.05,
    );
}
if (options.resource === undefined) {
    module.hook("presence/bare", passing(turn(fromRoom(onRoomPresence))), 0.05);
    module.hook("message/bare", turn(fromRoom(onRoomMessage)), -0.25);
    module.hook("iq/bare", turn(fromRoom(onRoomIq)), 0.05);
} else {
    module.hook("presence/full", passing(turn(fromRoom(onRoomPresence))), 0.05);
    module.hook("message/full", turn(fromRoom(onRoomMessage)), -0.25);
    module.hook("iq/full", turn(fromRoom(onRoomIq)), 0.05);
    module.hook("pre-resource-bind", onResourceBind, 1);
}
// Before mod_mam (0), which answers all other queries.
if (options.archive !== false) {
    module.hook("iq-get/self/urn:xmpp:mam:2:query", onArchiveFormRequest, 1);
    module.hook("iq-set/self/urn:xmpp:mam:2:query", onArchiveQuery, 1);
    module.hook("account-disco-info", onAccountInfo, -1);
}
// Before all other modules: a local room would write an error directly to a session's stream.
module.hook(
    options.resource === undefined ? "message/bare" : "message/full",
    turnIf(isLocalError, onRoomMessage),
    1000,
);
// Before mod_blocklist (100, and -1 for requests that edit the list).
module.hook(options.resource === undefined ? "message/bare" : "message/full", onPrivateMessage, 100.5);
module.hook("iq-set/self/urn:xmpp:blocking:block", turn(onBlock), 1);
module.hook("iq-set/self/urn:xmpp:blocking:unblock", turn(onUnblock), 1);
// After mod_offline (0) and other modules that store messages.
module.hook("message/offline/handle", onUnkept, -10);
module.hook("cloud_notify/push", onPush, 1);
// Before mod_mam's own answer (-1).
if (options.archive === "mam") {
    module.hook("archive-should-store", onShouldStore, 0);
}
// After mod_smacks (0), which returns an error for an undelivered stanza.
module.hook("delivery/failure", onUndelivered, -1);

module.hook("s2sin-destroyed", turn(onLinkGone), 1);
module.hook("s2sout-destroyed", turn(onLinkGone), 1);
module.hook("s2sin-established", turn(onLinkUp), 1);
module.hook("s2sout-established", turn(onLinkUp), 1);
module.hook_global("server-stopping", keepShown, 1);
module.hook_global("server-stopping", finishSlices, 1);
module.hook_global("server-stopping", saveDelivered);
module.hook_global("server-stopping", saveLate);
module.hook_global("server-stopping", retryNow, -1);
// Before mod_pep (0) deletes the account's bookmarks, because each deletion would cause a leave.
module.hook_global("user-deleted", onAccountEnded, 1);
module.hook_global("user-disabled", onAccountEnded, 1);

// The order of features does not matter. The priority is unused by other modules, as above.
module.hook("account-disco-info", onAnnounce, -2);
module.hook_global("stats-update", updateMetrics);

/** Timers that run until the module is unloaded. While they run, they keep this instance in memory. */
const timers: Timer[] = [];

/** Calls `task` every `seconds` seconds, or never. */
function every(seconds: number, task: (this: void, seconds: number) => void): void {
    if (seconds !== math.huge) {
        const timer = module.add_timer(seconds, () => {
            inTurn(() => {
                task(seconds);
            });
            return seconds;
        });
        timers.push(timer);
    }
}

every(30, expireIqs);
every(30, keepConnections);
every(600, forgetAllowances);
every(Math.min(30, Math.max(1, options.detachedAfter)), showAllDetached);
every(options.pingAfter, checkQuiet);
every(6 * 3600, expire);
every(Math.min(3600, options.inactiveAfter), leaveInactive);

/** Calls `task` once all hosts and modules are loaded. */
function onceStarted(task: (this: void) => void): void {
    if (prosody.start_time === undefined) {
        module.hook_global("server-started", () => {
            task();
            return undefined;
        });
    } else {
        task();
    }
}

let isFormerHooked = false;

/**
 * Hooked before the account's own handlers, and only after `minimix_resource` has changed: rooms may still write to an
 * address of any form.
 */
function hookFormerAddresses(): void {
    if (hasFormerOccupants() && !isFormerHooked) {
        isFormerHooked = true;
        module.hook("presence/bare", turn(onFormerPresence), 0.06);
        module.hook("presence/full", turn(onFormerPresence), 0.06);
        module.hook("message/bare", turn(onFormerMessage), 0.06);
        module.hook("message/full", turn(onFormerMessage), 0.06);
        module.hook("iq/bare", turn(onFormerIq), 0.06);
        module.hook("iq/full", turn(onFormerIq), 0.06);
    }
}

/** Returns stored accounts to their rooms, and follows their bookmarks. */
function comeBack(usernames: string[]): void {
    hookFormerAddresses();
    onceStarted(() => {
        forgetEnded(usernames);
        for (const username of usernames) {
            leaveFormerAddresses(formerOccupantsOf(username));
        }
        bringBack(usernames);
        followAll(usernames);
    });
}

onRecovery(checkGaps);

// A reload passes the state to the next instance. Otherwise it is read from storage. Prosody calls `load` and, on a
// reload, `restore` with the result of `save` or an empty table (core/modulemanager.lua).
module.load = () => {
    trackAll();
    addShellCommands();
    offerCommands();
    onceStarted(checkNeighbours);
    onceStarted(passFirewall);
    watchComponents();
    if (module.reloading !== true) {
        load(comeBack);
    }
    keepConnections();
};

module.save = () => {
    finishSlices();
    saveDelivered();
    saveLate();
    retryNow();
    return snapshot();
};

module.restore = (saved) => {
    const state = saved as Partial<Saved>;
    if (restore(state)) {
        restoreUnwritten();
        reopenParts();
        hookFormerAddresses();
        resumeAll();
        leaveFormerAddresses(allFormerOccupants());
        restoreLoading(state.loading, comeBack);
        retryEdits();
    } else {
        load(comeBack);
    }
};

module.unload = () => {
    for (const timer of timers) {
        timer.stop();
    }
    finishSlices();
    removeShellCommands();
    untrackAll();
    if (module.reloading !== true) {
        saveDelivered();
        saveLate();
        retryNow();
        giveUpIqs();
        withdrawAll();
    }
};
