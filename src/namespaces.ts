// XML namespaces, and the status codes of XEP-0045 15.6 that the module reacts to. Other codes are forwarded unread.

export const MUC = "http://jabber.org/protocol/muc";
/** The module's own: a feature of the account, and the ad-hoc commands. */
export const MINIMIX = "https://modules.prosody.im/mod_minimix";
export const MUC_OWNER = "http://jabber.org/protocol/muc#owner";
export const MUC_USER = "http://jabber.org/protocol/muc#user";
export const AFFILIATIONS = "urn:xmpp:muc:affiliations:1";
export const BOOKMARKS = "urn:xmpp:bookmarks:1";
export const CAPTCHA = "urn:xmpp:captcha";
export const CARBONS = "urn:xmpp:carbons:2";
export const CONFERENCE = "jabber:x:conference";
export const DATAFORM = "jabber:x:data";
export const DELAY = "urn:xmpp:delay";
export const FORWARD = "urn:xmpp:forward:0";
export const HINTS = "urn:xmpp:hints";
export const NICK = "http://jabber.org/protocol/nick";
export const PING = "urn:xmpp:ping";
export const PUBSUB = "http://jabber.org/protocol/pubsub";
export const MAM = "urn:xmpp:mam:2";
export const RSM = "http://jabber.org/protocol/rsm";
export const OCCUPANT_ID = "urn:xmpp:occupant-id:0";
export const STANZA_ID = "urn:xmpp:sid:0";
export const VCARD = "vcard-temp";
export const VCARD_UPDATE = "vcard-temp:x:update";

export const enum Status {
    NonAnonymous = "100",
    NowShowsOffline = "102",
    NowHidesOffline = "103",
    ConfigurationChange = "104",
    Self = "110",
    LoggingOn = "170",
    LoggingOff = "171",
    NowNonAnonymous = "172",
    NowSemiAnonymous = "173",
    NowFullyAnonymous = "174",
    NickAssigned = "210",
    Banned = "301",
    NickChange = "303",
    Kicked = "307",
    AffiliationChange = "321",
    MembersOnly = "322",
    RoomCreated = "201",
    Shutdown = "332",
    TechnicalRemoval = "333",
}
