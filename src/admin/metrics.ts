// Metrics, as mod_http_openmetrics shows them. Figures are read only when statistics are collected, and cost nothing
// else.

import { countUnwritten } from "../archive/entries";
import { counters } from "../state/counters";
import { countEdits } from "../state/marks";
import { countDirty } from "../state/records";
import { phases, takeCensus } from "./census";

/** Prosody 0.12 needs a list of label names even for a metric without labels. */
const NO_LABELS: string[] = [];

const gauges = {
    accounts: module.metric("gauge", "accounts", "", "Accounts that are in a room", NO_LABELS),
    memberships: module.metric("gauge", "memberships", "", "Accounts in rooms, by state", ["state"]),
    attached: module.metric("gauge", "attached_sessions", "", "Attached sessions, once for each room", NO_LABELS),
    pendingIqs: module.metric("gauge", "pending_iqs", "", "IQs of sessions that rooms have not answered", NO_LABELS),
    storageWaiting: module.metric(
        "gauge",
        "storage_waiting",
        "",
        "Records and messages that wait for storage to work again",
        NO_LABELS,
    ),
};

const totals = {
    copiesIn: module.metric("counter", "copies_in", "", "Messages and presences from rooms", NO_LABELS),
    copiesOut: module.metric("counter", "copies_out", "", "Stanzas from rooms sent to sessions", NO_LABELS),
    copiesSaved: module.metric(
        "counter",
        "copies_saved",
        "",
        "Stanzas saved compared with one join per session",
        NO_LABELS,
    ),
    replays: module.metric("counter", "replays", "", "Joins of sessions answered from the cache", NO_LABELS),
    rejoins: module.metric("counter", "rejoins", "", "Automatic rejoins of accounts", NO_LABELS),
    archiveWrites: module.metric(
        "counter",
        "archive_writes",
        "",
        "Messages of rooms written to the archive",
        NO_LABELS,
    ),
    storageFailures: module.metric(
        "counter",
        "storage_failures",
        "",
        "Calls of storage drivers that failed",
        NO_LABELS,
    ),
    drops: module.metric("counter", "drops", "", "Stanzas that were not passed on", ["reason"]),
};

/** `stats-update`. */
export function updateMetrics(): undefined {
    const census = takeCensus();
    gauges.accounts.with_labels().set(census.accounts);
    for (const phase of phases) {
        gauges.memberships.with_labels(phase).set(census.byPhase.get(phase) ?? 0);
    }
    gauges.attached.with_labels().set(census.attached);
    gauges.pendingIqs.with_labels().set(census.pendingIqs);
    totals.copiesIn.with_labels().set(counters.copiesIn);
    totals.copiesOut.with_labels().set(counters.copiesOut);
    totals.copiesSaved.with_labels().set(counters.copiesSaved);
    totals.replays.with_labels().set(counters.replays);
    totals.rejoins.with_labels().set(counters.rejoins);
    totals.archiveWrites.with_labels().set(counters.archiveWrites);
    totals.storageFailures.with_labels().set(counters.storageFailures);
    gauges.storageWaiting.with_labels().set(countDirty() + countUnwritten() + countEdits());
    for (const [reason, count] of counters.drops) {
        totals.drops.with_labels(reason).set(count);
    }
}
