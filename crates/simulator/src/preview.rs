//! Preview fetchers: what each app and network sends when somebody puts a link into a message.

use std::net::IpAddr;

use crate::app::{App, Network};
use crate::dice::Dice;
use crate::person::{Person, preview_server};

/// Whose address a preview comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Sender,
    Server,
}

/// How one service fetches.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    pub(crate) user_agent: &'static str,
    pub(crate) side: Side,
    pub(crate) range: Option<&'static str>,
    /// Milliseconds for which a server's copy answers further shares of the same address.
    pub(crate) cached_ms: i64,
    /// Whether it fetches with every key typed.
    pub(crate) while_typing: bool,
    /// Block of server addresses.
    pub(crate) service: usize,
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
const META: &str = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
const META_RANGE: Option<&str> = Some("bytes=0-524288");

fn sender(user_agent: &'static str) -> Fetcher {
    Fetcher {
        user_agent,
        side: Side::Sender,
        range: None,
        cached_ms: 0,
        while_typing: false,
        service: 0,
    }
}

fn server(user_agent: &'static str, service: usize, cached_ms: i64) -> Fetcher {
    Fetcher {
        side: Side::Server,
        service,
        cached_ms,
        ..sender(user_agent)
    }
}

/// The fetcher of a private app for a sharer on that device; `None` where there is none.
pub(crate) fn of_app(app: App, sharer: &Person, mobile: bool, dice: &mut Dice) -> Option<Fetcher> {
    let service = app as usize;
    Some(match app {
        App::Whatsapp if !mobile => sender("WhatsApp/2.2612.7 N"),
        App::Whatsapp if sharer.iphone => sender("WhatsApp/2.26.31.72 i"),
        App::Whatsapp => sender("WhatsApp/2.26.37.73 A"),
        App::Signal => Fetcher {
            while_typing: true,
            ..sender("WhatsApp/2")
        },
        App::Imessage => sender(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like \
             Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        ),
        App::Sms if sharer.iphone => return None,
        App::Sms => {
            let google = "GoogleMessages/20.2 facebookexternalhit/1.1 Facebot Twitterbot/1.0";
            // Which side fetches is not established: an even draw, so that nothing is learned.
            if dice.chance(0.5) {
                sender(google)
            } else {
                server(google, service, 0)
            }
        }
        App::Viber => sender("ViberUrlDownloader"),
        App::Telegram => Fetcher {
            while_typing: true,
            ..server("TelegramBot (like TwitterBot)", service, 30 * DAY)
        },
        App::Messenger | App::Instagram => Fetcher {
            range: META_RANGE,
            // One cache for both: Meta's.
            ..server(META, App::Messenger as usize, 30 * DAY)
        },
        App::Slack => Fetcher {
            range: Some("bytes=0-32768"),
            ..server(
                "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
                service,
                30 * MINUTE,
            )
        },
        App::Teams => server(
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 \
             skype-url-preview@microsoft.com",
            service,
            DAY,
        ),
        App::Discord => server(
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            service,
            25 * MINUTE,
        ),
        App::Line => server("facebookexternalhit/1.1;line-poker/1.0", service, DAY),
        App::Kakaotalk => server(
            "facebookexternalhit/1.1; kakaotalk-scrap/1.0; \
             +https://devtalk.kakao.com/t/scrap/33984",
            service,
            DAY,
        ),
        // Web mail of Google is the only mail client known to fetch.
        App::Mail => server(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/143.0.0.0 Safari/537.36 Google-PageRenderer Google \
             (+https://developers.google.com/+/web/snippet/)",
            service,
            DAY,
        ),
        App::Twitter | App::Linkedin | App::Tiktok => return app.network().and_then(of_network),
        App::Wechat => return None,
    })
}

/// The fetcher of a public network.
pub(crate) fn of_network(network: Network) -> Option<Fetcher> {
    let service = App::ALL.len() + network as usize;
    Some(match network {
        Network::Facebook | Network::Instagram => Fetcher {
            range: META_RANGE,
            ..server(META, App::Messenger as usize, 30 * DAY)
        },
        Network::Twitter => server("Twitterbot/1.0", service, 7 * DAY),
        Network::Reddit => server(
            "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
            service,
            DAY,
        ),
        Network::Linkedin => server(
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient \
             +http://www.linkedin.com)",
            service,
            7 * DAY,
        ),
        Network::Bluesky => server(
            "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
            service,
            DAY,
        ),
        Network::Mastodon => server(
            "Mastodon/4.4.3 (http.rb/5.2.0; +https://instance.example/)",
            service,
            0,
        ),
        Network::Pinterest => server(
            "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)",
            service,
            7 * DAY,
        ),
        Network::Tiktok => return None,
    })
}

impl Fetcher {
    /// Where the request comes from, the sharer being at `sender`.
    pub(crate) fn address(&self, sender: IpAddr, dice: &mut Dice) -> IpAddr {
        match self.side {
            Side::Sender => sender,
            Side::Server => preview_server(self.service, dice),
        }
    }
}
