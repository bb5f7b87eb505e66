//! The carriers a link travels by: private apps, some with public places too, and public networks.

use serde::{Deserialize, Serialize};

macro_rules! carriers {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name used in truth files, hits and scenario files.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
    };
}

carriers! {
    /// A private carrier: what dark social travels by.
    App {
        /// WhatsApp: preview by the sender's device, clicks in its own browser or outside.
        Whatsapp = "whatsapp",
        /// Facebook Messenger.
        Messenger = "messenger",
        /// Telegram: preview by a server while typing, no mark on the click. Chats and public
        /// channels alike.
        Telegram = "telegram",
        /// Signal: preview by the sender's device under the name `WhatsApp/2`.
        Signal = "signal",
        /// Apple Messages: preview by the sender's device under a frozen Safari name.
        Imessage = "imessage",
        /// SMS and RCS; Google Messages fetches the preview on Android.
        Sms = "sms",
        /// Instagram direct messages.
        Instagram = "instagram",
        /// Slack.
        Slack = "slack",
        /// Microsoft Teams.
        Teams = "teams",
        /// Discord: direct messages and public servers alike.
        Discord = "discord",
        /// A mail from person to person.
        Mail = "mail",
        /// LINE.
        Line = "line",
        /// KakaoTalk.
        Kakaotalk = "kakaotalk",
        /// WeChat.
        Wechat = "wechat",
        /// Viber.
        Viber = "viber",
        /// Messages of X: its app's browser and link shim, as its posts.
        Twitter = "twitter",
        /// Messages of LinkedIn, as its posts.
        Linkedin = "linkedin",
        /// Messages of TikTok, as its posts.
        Tiktok = "tiktok",
    }
}

carriers! {
    /// A public network: what can be read by anyone.
    Network {
        /// Facebook posts and groups.
        Facebook = "facebook",
        /// X, formerly Twitter.
        Twitter = "twitter",
        /// Reddit.
        Reddit = "reddit",
        /// LinkedIn.
        Linkedin = "linkedin",
        /// Bluesky.
        Bluesky = "bluesky",
        /// Mastodon: every receiving server fetches a preview.
        Mastodon = "mastodon",
        /// Pinterest.
        Pinterest = "pinterest",
        /// TikTok.
        Tiktok = "tiktok",
        /// Instagram's posts, stories and profile links: its app's browser and link shim, as its
        /// messages.
        Instagram = "instagram",
    }
}

impl App {
    /// The public part of the same app, where it has one that looks the same from outside.
    pub const fn network(self) -> Option<Network> {
        Some(match self {
            App::Instagram => Network::Instagram,
            App::Twitter => Network::Twitter,
            App::Linkedin => Network::Linkedin,
            App::Tiktok => Network::Tiktok,
            _ => return None,
        })
    }

    /// Whether the app has public places (channels, servers) that are no network of their own: what
    /// is posted there is previewed and opened as its messages are.
    pub const fn has_public_places(self) -> bool {
        matches!(self, App::Telegram | App::Discord)
    }

    /// Whether both private messages and public posts of the app are simulated.
    pub const fn has_messages_and_posts(self) -> bool {
        self.network().is_some() || self.has_public_places()
    }

    /// Whether a button on a page can name the app as its target. The others are reached by the
    /// system's share sheet, which does not tell the page what was chosen.
    pub(crate) fn has_share_button(self) -> bool {
        matches!(
            self,
            App::Whatsapp
                | App::Messenger
                | App::Telegram
                | App::Sms
                | App::Mail
                | App::Viber
                | App::Line
                | App::Teams
                | App::Kakaotalk
        )
    }

    /// The language whose readers use the app almost alone, where there is one.
    pub(crate) fn home_language(self) -> Option<&'static str> {
        match self {
            App::Line => Some("ja"),
            App::Kakaotalk => Some("ko"),
            App::Wechat => Some("zh"),
            _ => None,
        }
    }
}
