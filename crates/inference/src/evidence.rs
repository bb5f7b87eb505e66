//! The closed list of names that evidence may have.

/// Every name of evidence with what it stands for. `docs/classification.md` lists the same names
/// with the same words; a test holds both together.
pub const NAMES: &[(&str, &str)] = &[
    (
        PRIOR,
        "the published share of private links among visits that look like this one, before any fact of this visit",
    ),
    (
        TOKEN,
        "the link carries a share token: somebody passed it on",
    ),
    (
        TOKEN_BROKEN,
        "the link carries a share token that is cut or forged",
    ),
    (
        TOKEN_AGAIN,
        "the link carries a share token that this reader was given or came with before: no new share",
    ),
    (
        NO_TOKEN,
        "the link carries no share token, although this site's links do",
    ),
    (
        WITHOUT_TOKEN,
        "what is known of the visit besides its token: its log-odds, had the token been missing; what the content's history says of it stands beside it, and is part of it",
    ),
    (
        SITE,
        "what this site's own tokens and the apps that name themselves say of landings without referrer, against other sites",
    ),
    (
        SHARE_MARK,
        "an app or site wrote into the link how it was shared",
    ),
    (
        REQUESTED_WITH,
        "an Android app named itself in X-Requested-With",
    ),
    (
        IN_APP_BROWSER,
        "an app named itself in the user agent of its own browser",
    ),
    (CLIENT, "the page's own script named the app"),
    (PRIVATE_REFERRER, "the referrer is a messenger or team chat"),
    (
        MAIL_REFERRER,
        "the referrer is a webmail or mail program, or a service that tests the links of mails",
    ),
    (
        PUBLIC_REFERRER,
        "the referrer is a network, a search engine, an assistant or another site",
    ),
    (INTERNAL_REFERRER, "the referrer is the site itself"),
    (SPAM_REFERRER, "the referrer is a site that forges visits"),
    (CLICK_ID, "the link carries a click id of a platform"),
    (
        CAMPAIGN,
        "the link carries campaign tags: they say where its way began, not the last hop",
    ),
    (
        ROBOT,
        "the user agent is a robot, a scanner, a tool, or missing",
    ),
    (PREVIEW_FETCHER, "the user agent fetches previews of links"),
    (
        RANGE,
        "a Range header asks for the beginning of the page only, which browsers do not do",
    ),
    (
        BURST,
        "one visitor opened three pages or more within two seconds, none from a page or known to be by a person's act",
    ),
    (HOME_PAGE, "the landing is the home page"),
    (SECTION_FRONT, "the landing is the front of a section"),
    (LONG_PATH, "the path is too long to type"),
    (SHORT_PATH, "the path is short enough to type"),
    (
        QUERY,
        "the address has parameters that belong to the content",
    ),
    (RETURNING, "the visitor was here before"),
    (
        NEW_VISITOR,
        "no earlier visit under this visitor's id: it is new, or its id was cleared",
    ),
    (MOBILE, "a phone or tablet"),
    (DESKTOP, "a computer"),
    (
        FETCH_CROSS_SITE,
        "the browser says that another site or app caused the load, yet there is no referrer",
    ),
    (FETCH_NONE, "the browser says that no page caused the load"),
    (
        FETCH_SAME_SITE,
        "the browser says that the site itself caused the load, yet there is no referrer",
    ),
    (
        WEBVIEW,
        "the page is shown inside an app that does not name itself",
    ),
    (
        REWRITTEN_WEBVIEW,
        "the user agent looks like that of a browser inside an app, rewritten",
    ),
    (
        PREVIEW_BEFORE,
        "an app fetched a preview of this content shortly before, or a reader copied it or pressed a share button",
    ),
    (
        FRESH_CONTENT,
        "the content was first seen a short while ago",
    ),
    (OLD_CONTENT, "the content was first seen long ago"),
    (
        READ_BEFORE,
        "a visitor of the same address and browser read this content before; where the site keeps no id",
    ),
    (
        ONE_PRIVATE_READER,
        "a private link that a fact tells brought a reader to this content of late",
    ),
    (
        FEW_PRIVATE_READERS,
        "private links that facts tell brought a few readers to this content of late",
    ),
    (
        MANY_PRIVATE_READERS,
        "private links that facts tell brought many readers to this content of late",
    ),
    (
        SOME_PUBLIC_READERS,
        "search, networks, other sites or campaigns brought some readers to this content of late",
    ),
    (
        MANY_PUBLIC_READERS,
        "search, networks, other sites or campaigns brought many readers to this content of late",
    ),
    (
        FEW_TRACELESS_READERS,
        "no more readers came to this content of late without a trace of how than by public ways",
    ),
    (
        SOME_TRACELESS_READERS,
        "more readers came to this content of late without a trace of how than by public ways",
    ),
    (
        MANY_TRACELESS_READERS,
        "more than twice as many readers came to this content of late without a trace of how as by public ways",
    ),
    (
        CROWD,
        "a crowd came to this content at once without a trace of how, and hardly a sign that it was passed on",
    ),
    (
        LARGE_CROWD,
        "a large crowd came to this content at once without a trace of how, and hardly a sign that it was passed on",
    ),
];

macro_rules! names {
    ($($constant:ident = $name:literal,)+) => {
        $(
            #[doc = concat!("`", $name, "`: see [`NAMES`].")]
            pub const $constant: &str = $name;
        )+
    };
}

names! {
    PRIOR = "prior",
    TOKEN = "token",
    TOKEN_BROKEN = "token_broken",
    TOKEN_AGAIN = "token_again",
    NO_TOKEN = "no_token",
    WITHOUT_TOKEN = "without_token",
    SITE = "site",
    SHARE_MARK = "share_mark",
    REQUESTED_WITH = "requested_with",
    IN_APP_BROWSER = "in_app_browser",
    CLIENT = "client",
    PRIVATE_REFERRER = "private_referrer",
    MAIL_REFERRER = "mail_referrer",
    PUBLIC_REFERRER = "public_referrer",
    INTERNAL_REFERRER = "internal_referrer",
    SPAM_REFERRER = "spam_referrer",
    CLICK_ID = "click_id",
    CAMPAIGN = "campaign",
    ROBOT = "robot",
    PREVIEW_FETCHER = "preview_fetcher",
    RANGE = "range",
    BURST = "burst",
    HOME_PAGE = "home_page",
    SECTION_FRONT = "section_front",
    LONG_PATH = "long_path",
    SHORT_PATH = "short_path",
    QUERY = "query",
    RETURNING = "returning",
    NEW_VISITOR = "new_visitor",
    MOBILE = "mobile",
    DESKTOP = "desktop",
    FETCH_CROSS_SITE = "fetch_cross_site",
    FETCH_NONE = "fetch_none",
    FETCH_SAME_SITE = "fetch_same_site",
    WEBVIEW = "webview",
    REWRITTEN_WEBVIEW = "rewritten_webview",
    PREVIEW_BEFORE = "preview_before",
    FRESH_CONTENT = "fresh_content",
    OLD_CONTENT = "old_content",
    READ_BEFORE = "read_before",
    ONE_PRIVATE_READER = "one_private_reader",
    FEW_PRIVATE_READERS = "few_private_readers",
    MANY_PRIVATE_READERS = "many_private_readers",
    SOME_PUBLIC_READERS = "some_public_readers",
    MANY_PUBLIC_READERS = "many_public_readers",
    FEW_TRACELESS_READERS = "few_traceless_readers",
    SOME_TRACELESS_READERS = "some_traceless_readers",
    MANY_TRACELESS_READERS = "many_traceless_readers",
    CROWD = "crowd_of_traceless_readers",
    LARGE_CROWD = "large_crowd_of_traceless_readers",
}
