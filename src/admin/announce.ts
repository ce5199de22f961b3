import { MINIMIX } from "../namespaces";

/** `account-disco-info`: clients see that the account, and not they themselves, is in their rooms. */
export function onAccountInfo(event: { readonly reply: Stanza }): undefined {
    event.reply.tag("feature", { var: MINIMIX }).up();
}
