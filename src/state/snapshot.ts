// The state as one instance of the module hands it to the next on a reload.

import { type Accounts, accounts } from "./memberships";
import { restoreLog } from "./logs";
import { type PendingIqs, pendingIqs, restorePendingIqs } from "./pending";

export interface Saved {
    readonly accounts: Accounts;
    readonly pendingIqs: PendingIqs;
}

export function snapshot(): Saved {
    return { accounts, pendingIqs };
}

/** Takes over what the instance before had; timers end with the instance that set them. */
export function restore(saved: Saved): void {
    for (const [occupant, account] of saved.accounts) {
        accounts.set(occupant, account);
        for (const [, membership] of account.memberships) {
            membership.timer = undefined;
            membership.checking = false;
            membership.catchUp = undefined;
            if (membership.log !== undefined) {
                restoreLog(membership.log);
            }
        }
    }
    restorePendingIqs(saved.pendingIqs);
}
