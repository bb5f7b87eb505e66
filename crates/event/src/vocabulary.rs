//! The closed sets of names. Each is an Avro enum of the same symbols, in the same order.

use serde::{Deserialize, Serialize};

macro_rules! closed_set {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every member, in the order of the schema.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name used on topics, in ClickHouse and in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The member of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(self.as_str())
            }
        }
    };
}

closed_set! {
    /// What happened, as the sender says.
    HitKind {
        /// A page was shown, or fetched by a robot or a preview fetcher.
        PageView = "page_view",
        /// A page address or a part of the page was copied.
        Copy = "copy",
        /// A share button was pressed.
        Share = "share",
        /// Time spent, scrolling and the like.
        Engagement = "engagement",
        /// Something the site counts as success.
        Conversion = "conversion",
        /// A link that leads away was followed.
        LinkClick = "link_click",
        /// Anything else the site sends.
        Custom = "custom",
    }
}

closed_set! {
    /// How a hit reached Grapevine.
    Protocol {
        /// `POST /v1/hits`.
        Native = "native",
        /// The pixel, `GET /v1/pixel.gif`.
        Pixel = "pixel",
        /// A line of an access log.
        Log = "log",
        /// A protocol that this version does not know.
        Unknown = "unknown",
    }
}

closed_set! {
    /// What a visitor pseudonym is made from.
    VisitorBasis {
        /// There is none: the reader opted out.
        None = "none",
        /// Address, user agent and day.
        Address = "address",
        /// An id that the site keeps.
        Client = "client",
    }
}

closed_set! {
    /// Where a visit came from.
    Channel {
        /// Typed, bookmarked, or nothing says otherwise.
        Direct = "direct",
        /// A search engine.
        Search = "search",
        /// A public post.
        Social = "social",
        /// A link on another site.
        Referral = "referral",
        /// A tagged link of a campaign that is none of the below.
        Campaign = "campaign",
        /// Mail marketing: newsletters and the like.
        Mail = "mail",
        /// A paid click.
        Paid = "paid",
        /// A link of the same site.
        Internal = "internal",
        /// An AI assistant that a person used.
        Assistant = "assistant",
        /// A privately passed link.
        DarkSocial = "dark_social",
        /// No person.
        Bot = "bot",
    }
}

closed_set! {
    /// What decided the channel of a visit.
    Method {
        /// A share token in the landing's link: passed on, or the reader's own.
        Token = "token",
        /// A mark that an app writes into shared links.
        ShareMark = "share_mark",
        /// An app's own browser, told by the user agent.
        InAppBrowser = "in_app_browser",
        /// An app's own browser, told by X-Requested-With.
        RequestedWith = "requested_with",
        /// The referrer.
        Referrer = "referrer",
        /// A click id in the link.
        ClickId = "click_id",
        /// Campaign parameters in the link.
        Campaign = "campaign",
        /// The page's own script said so.
        Client = "client",
        /// The user agent says that it is no person.
        Agent = "agent",
        /// No certain fact: log-odds over a stated prior.
        Prior = "prior",
    }
}

closed_set! {
    /// Device class.
    Device {
        /// A computer.
        Desktop = "desktop",
        /// A phone.
        Mobile = "mobile",
        /// A tablet.
        Tablet = "tablet",
        /// Anything else, or not known.
        Other = "other",
    }
}

closed_set! {
    /// How a share was observed.
    ShareKind {
        /// A messenger fetched a preview of the link.
        Preview = "preview",
        /// The link was copied.
        Copy = "copy",
        /// A share button was pressed.
        Button = "button",
        /// A kind that this version does not know.
        Unknown = "unknown",
    }
}

closed_set! {
    /// Whose network a share act came from.
    AddressOf {
        /// The sharer's own device.
        Sender = "sender",
        /// The data centre of the service.
        Server = "server",
        /// Not established.
        Unknown = "unknown",
    }
}

closed_set! {
    /// Where a surge stands.
    SurgeState {
        /// Its first record.
        Raised = "raised",
        /// It has doubled since the last record.
        Updated = "updated",
        /// It is near its baseline again.
        Over = "over",
    }
}

closed_set! {
    /// What a surge is seen to have begun with.
    SeedKind {
        /// A reader who likely came by a private link.
        Visit = "visit",
        /// An act of passing the link on.
        Share = "share",
    }
}

closed_set! {
    /// How an edge is known, strongest first.
    EdgeMethod {
        /// A share token that survived: as probable as that it was passed on.
        Token = "token",
        /// A preview fetch that points at the sharer.
        Preview = "preview",
        /// Inferred from delays and marks.
        Inferred = "inferred",
    }
}

closed_set! {
    /// What a possible cause of a visit is.
    ParentKind {
        /// An earlier visitor of the content.
        Visitor = "visitor",
        /// An observed share act whose sharer is not known.
        Act = "act",
        /// The outside world: search, another site, the publisher's own post.
        Outside = "outside",
        /// All causes that are not listed one by one.
        Pooled = "pooled",
        /// A share of somebody who was never seen to land on the content: proven where the method is
        /// token, else possible.
        Unknown = "unknown",
    }
}
