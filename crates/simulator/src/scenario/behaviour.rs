//! How each app and network treats links by default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::app::{App, Network};

/// How one app for messages behaves. All numbers but `weight` are probabilities from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppBehaviour {
    /// Relative part of shares by apps, 0 or more. GlobalWebIndex 2019 (Messenger 82 %, WhatsApp
    /// 56 %, Instagram 34 %, SMS 48 %, mail 37 % of those who share privately) gives the order of
    /// the big ones; the others are assumptions.
    pub weight: f64,
    /// Recipients who open on a phone.
    pub mobile: f64,
    /// Clicks that carry a referrer naming the app: one minus SparkToro's 2023 "direct" share
    /// (WhatsApp, Slack, Discord, TikTok 100 %; Messenger 75 %; Instagram 30 %; LinkedIn and X
    /// "small shares"); others assumptions.
    pub referrer_kept: f64,
    /// Phone clicks that open in the app's own browser, the others in the default browser. Not
    /// published for any app: assumptions from device tests that say whether there is one.
    pub in_app_browser: f64,
    /// Desktop clicks from the app's web client (no referrer but `Sec-Fetch-Site: cross-site`),
    /// the others from a desktop app. Assumption.
    pub web_client: f64,
    /// Links that lose their token on the way. No stripping list names `gv`; what is left is
    /// cutting by hand. Assumption.
    pub token_lost: f64,
    /// Shares for which a preview is fetched (before the server's cache is asked).
    pub preview: f64,
    /// Shares typed by hand, which give a ladder of fetches where the app fetches while typing.
    pub typed_link: f64,
    /// What goes by the app and is posted in its public places (channels of Telegram, servers of
    /// Discord), previewed and opened as its messages are. A post there brings as many readers as a
    /// message on average, so that it is this part of the app's landings too, beside what bursts
    /// bring. 0, as where it is left out, for the other apps. Assumption: no figure is published.
    #[serde(default)]
    pub public: f64,
}

/// How one public network behaves. All numbers but `weight` are probabilities from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkBehaviour {
    /// Relative part of public posts and their readers, 0 or more. Assumption.
    pub weight: f64,
    /// Readers on a phone.
    pub mobile: f64,
    /// Clicks that carry a referrer: one minus SparkToro's 2023 "direct" share (TikTok and
    /// Mastodon 100 %, LinkedIn 14 %, Pinterest 12 %; Facebook, X and Instagram about 0).
    pub referrer_kept: f64,
    /// Phone clicks in the network's own browser, which names itself. Assumption.
    pub in_app_browser: f64,
}

pub(super) fn default_apps() -> BTreeMap<App, AppBehaviour> {
    // weight, mobile, referrer, in-app, web client, token lost, preview, typed
    let rows: [(App, [f64; 8]); 18] = [
        (
            App::Whatsapp,
            [30.0, 0.88, 0.0, 0.35, 0.5, 0.03, 0.95, 0.01],
        ),
        (App::Messenger, [18.0, 0.8, 0.25, 0.8, 0.7, 0.03, 0.9, 0.01]),
        (App::Telegram, [9.0, 0.8, 0.05, 0.6, 0.4, 0.03, 0.95, 0.04]),
        (App::Signal, [4.0, 0.85, 0.0, 0.0, 0.0, 0.02, 0.7, 0.06]),
        (App::Imessage, [9.0, 0.85, 0.0, 0.0, 0.0, 0.02, 0.9, 0.02]),
        (App::Sms, [6.0, 0.97, 0.0, 0.0, 0.1, 0.06, 0.5, 0.05]),
        (App::Instagram, [6.0, 0.95, 0.7, 0.9, 0.9, 0.05, 0.9, 0.0]),
        (App::Slack, [4.0, 0.3, 0.0, 0.3, 0.3, 0.02, 0.95, 0.0]),
        (App::Teams, [3.0, 0.2, 0.3, 0.0, 0.5, 0.03, 0.9, 0.0]),
        (App::Discord, [3.0, 0.5, 0.0, 0.0, 0.4, 0.02, 0.95, 0.0]),
        (App::Mail, [10.0, 0.5, 0.25, 0.0, 0.6, 0.06, 0.1, 0.02]),
        (App::Line, [2.0, 0.92, 0.0, 0.9, 0.0, 0.03, 0.9, 0.0]),
        (App::Kakaotalk, [2.0, 0.9, 0.0, 0.9, 0.0, 0.03, 0.9, 0.0]),
        (App::Wechat, [2.0, 0.95, 0.0, 0.95, 0.0, 0.1, 0.0, 0.0]),
        (App::Viber, [1.5, 0.9, 0.0, 0.5, 0.0, 0.03, 0.9, 0.0]),
        (App::Twitter, [2.0, 0.8, 0.9, 0.05, 0.9, 0.03, 0.9, 0.0]),
        (App::Linkedin, [2.0, 0.6, 0.86, 0.6, 0.9, 0.03, 0.9, 0.0]),
        (App::Tiktok, [2.0, 0.97, 0.0, 0.9, 0.5, 0.03, 0.0, 0.0]),
    ];
    rows.into_iter()
        .map(|(app, row)| {
            let [
                weight,
                mobile,
                referrer_kept,
                in_app_browser,
                web_client,
                token_lost,
                preview,
                typed_link,
            ] = row;
            let public = match app {
                App::Telegram => 0.2,
                App::Discord => 0.3,
                _ => 0.0,
            };
            let behaviour = AppBehaviour {
                weight,
                mobile,
                referrer_kept,
                in_app_browser,
                web_client,
                token_lost,
                preview,
                typed_link,
                public,
            };
            (app, behaviour)
        })
        .collect()
}

pub(super) fn default_networks() -> BTreeMap<Network, NetworkBehaviour> {
    // weight, mobile, referrer, in-app
    let rows: [(Network, [f64; 4]); 9] = [
        (Network::Facebook, [46.0, 0.85, 0.98, 0.85]),
        (Network::Twitter, [20.0, 0.7, 0.98, 0.05]),
        (Network::Reddit, [12.0, 0.6, 0.95, 0.1]),
        (Network::Linkedin, [8.0, 0.55, 0.86, 0.6]),
        (Network::Bluesky, [5.0, 0.6, 0.9, 0.0]),
        (Network::Mastodon, [2.0, 0.5, 0.0, 0.0]),
        (Network::Pinterest, [4.0, 0.8, 0.88, 0.7]),
        (Network::Tiktok, [3.0, 0.97, 0.0, 0.9]),
        (Network::Instagram, [10.0, 0.95, 0.98, 0.9]),
    ];
    rows.into_iter()
        .map(
            |(network, [weight, mobile, referrer_kept, in_app_browser])| {
                (
                    network,
                    NetworkBehaviour {
                        weight,
                        mobile,
                        referrer_kept,
                        in_app_browser,
                    },
                )
            },
        )
        .collect()
}
