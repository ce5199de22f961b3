import { MINIMIX } from "../namespaces";

/** `account-disco-info`: shows clients that the account joins rooms in their place. */
export function onAccountInfo(event: { readonly reply: Stanza }): undefined {
    event.reply.tag("feature", { var: MINIMIX }).up();
}
