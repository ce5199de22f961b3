// Life cycle and the table of hooks: event, handler, priority. Handlers of equal priority run in random order
// (util/events.lua), so none here is at a priority that a module of Prosody's uses.

import { expireIqs, onIq as onClientIq } from "./client/iq";
import { onCarbon, onMessage as onClientMessage } from "./client/message";
import { onPresence as onClientPresence, onSessionGone } from "./client/presence";
import { onResourceBind, resource } from "./options";
import { onUndelivered } from "./room/fork";
import { onIq as onRoomIq } from "./room/iq";
import { onMessage as onRoomMessage } from "./room/message";
import { onPresence as onRoomPresence } from "./room/presence";
import { restoreAccounts, saveAccounts, type Accounts } from "./state/memberships";

// From a session to a room. Presence: after mod_firewall (0.1), before mod_presence (0) notes a directed presence.
module.hook("pre-presence/full", onClientPresence, 0.05);
module.hook("pre-presence/bare", onClientPresence, 0.05);
// Messages: after mod_mam (0, -1) and mod_carbons (-0.5), which go by the address the client used.
module.hook("pre-message/full", onClientMessage, -2);
module.hook("pre-message/bare", onClientMessage, -2);
module.hook("carbons-should-copy", onCarbon, 1);
module.hook("pre-iq/full", onClientIq, -1);
module.hook("pre-iq/bare", onClientIq, -1);
// Before mod_presence (0) broadcasts that the session went offline.
module.hook("resource-unbind", onSessionGone, 1);

// From a room to the account: before mod_presence and mod_iq (0), and between mod_mam (0) and mod_carbons (-0.5).
if (resource === undefined) {
    module.hook("presence/bare", onRoomPresence, 0.05);
    module.hook("message/bare", onRoomMessage, -0.25);
    module.hook("iq/bare", onRoomIq, 0.05);
} else {
    module.hook("presence/full", onRoomPresence, 0.05);
    module.hook("message/full", onRoomMessage, -0.25);
    module.hook("iq/full", onRoomIq, 0.05);
    module.hook("pre-resource-bind", onResourceBind, 1);
}
// Before mod_smacks (0) makes an error of it.
module.hook("delivery/failure", onUndelivered, 1);

/** How often unanswered IQs are looked for, in seconds. */
const SWEEP = 30;
module.add_timer(SWEEP, () => {
    expireIqs();
    return SWEEP;
});

module.save = () => saveAccounts();
module.restore = (saved) => {
    restoreAccounts(saved as Accounts);
};
