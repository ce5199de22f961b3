// Every option, its default and its check.

/** The fixed resource of the occupant JID, or undefined for the bare JID. */
export const resource = module.get_option_string("minimix_resource");

/** Seconds that a room has to answer a join or a leave. */
export const answerTimeout = module.get_option_number("minimix_join_timeout", 60);

/** Answers to IQs awaited at one time, for each session; and the seconds that an answer may take. */
export const maxPendingIqs = module.get_option_number("minimix_max_pending_iqs", 64);
export const iqTimeout = module.get_option_number("minimix_iq_timeout", 120);

/** `pre-resource-bind`: no client may take the resource that is the account's in its rooms; it is given a random one. */
export function onResourceBind(event: { resource: string | undefined }): undefined {
    if (event.resource === resource) {
        event.resource = undefined;
    }
}
