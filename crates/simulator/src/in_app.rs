//! In-app browsers: how each app's own web view names itself, or does not.

use std::sync::Arc;

use crate::agent::{Agent, Engine, Versions, client_hint, mobile_safari};
use crate::app::{App, Network};
use crate::dice::Dice;
use crate::person::Person;

/// How an Android web view's user agent is built.
enum View {
    /// As the system makes it: model, build and `; wv`.
    Marked,
    /// `wv` removed, model and `Version/4.0` left.
    Unmarked,
}

struct Parts<'a> {
    person: &'a Person,
    versions: Versions,
}

impl Parts<'_> {
    fn android(&self, view: View, suffix: &str) -> String {
        let (model, build) = self.versions.model;
        let mark = match view {
            View::Marked => "wv",
            View::Unmarked => "",
        };
        format!(
            "Mozilla/5.0 (Linux; Android {}; {model} Build/{build}; {mark}) AppleWebKit/537.36 \
             (KHTML, like Gecko) Version/4.0 Chrome/{} Mobile Safari/537.36{suffix}",
            self.versions.android,
            self.versions.chromium_build()
        )
    }

    /// A bare WKWebView: no `Safari/`.
    fn iphone(&self, suffix: &str) -> String {
        let (major, minor) = self.versions.ios;
        format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) \
             AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148{suffix}"
        )
    }

    fn pick<'t>(&self, iphone: &'t str, android: &'t str) -> &'t str {
        if self.person.iphone { iphone } else { android }
    }
}

/// The app's own browser on the person's phone; `None` where it opens the system's browser
/// without any mark.
pub(crate) fn app_browser(app: App, person: &Person, dice: &mut Dice) -> Option<Agent> {
    if let Some(network) = app.network() {
        return network_browser(network, person, dice);
    }
    let parts = Parts {
        person,
        versions: Versions::of(person),
    };
    let iphone = person.iphone;
    let plus = |text: &str| format!(" {text}");
    let user_agent = match app {
        App::Whatsapp if iphone => format!("{} [WAiOS/2.26.31]", mobile_safari(&parts.versions)),
        // The newer form keeps model and build, an earlier one hides both.
        App::Whatsapp if dice.chance(0.75) => parts.android(View::Unmarked, " WA4A/2.26.37.73"),
        App::Whatsapp => format!(
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} \
             Mobile Safari/537.36 [WA4A/2.25.32.75;]",
            parts.versions.chromium_build()
        ),
        App::Messenger if iphone => {
            let (major, minor) = parts.versions.ios;
            let model = parts.versions.iphone_model;
            parts.iphone(&format!(
                " [FBAN/MessengerForiOS;FBAV/512.0.0.41.108;FBBV/741852963;FBDV/{model};\
                 FBMD/iPhone;FBSN/iOS;FBSV/{major}.{minor};FBSS/3;FBCR/;FBID/phone;FBLC/en_US;\
                 FBOP/5]"
            ))
        }
        App::Messenger => {
            let mark = if dice.chance(0.3) {
                " MetaIAB Messenger"
            } else {
                " [FB_IAB/Orca-Android;FBAV/512.0.0.28.109;]"
            };
            parts.android(View::Marked, mark)
        }
        // Telegram leaves no token: Safari's own name on iOS, a full build number on Android.
        App::Telegram if iphone => mobile_safari(&parts.versions),
        App::Telegram => format!(
            "Mozilla/5.0 (Linux; Android {}; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} \
             Mobile Safari/537.36",
            parts.versions.android,
            parts.versions.chromium_build()
        ),
        App::Line if iphone => parts.iphone(" Safari Line/15.12.0"),
        App::Line => parts.android(View::Marked, &plus("Line/15.12.0/IAB")),
        App::Kakaotalk if iphone => parts.iphone(&plus("KAKAOTALK 25.8.0")),
        App::Kakaotalk => parts.android(View::Marked, ";KAKAOTALK 2409760"),
        App::Wechat => {
            let mark = " MicroMessenger/8.0.47.2560(0x28002F30) WeChat/arm64 Weixin NetType/WIFI \
                        Language/en";
            if iphone {
                parts.iphone(mark)
            } else {
                parts.android(View::Marked, mark)
            }
        }
        App::Viber if iphone => parts.iphone(&plus("Viber/26.1.0.3")),
        App::Viber => parts.android(View::Marked, &plus("Viber/26.1.0.3")),
        // Slack on iOS opens SFSafariViewController: Safari's name, a cookie jar of its own.
        App::Slack if iphone => mobile_safari(&parts.versions),
        App::Signal
        | App::Imessage
        | App::Sms
        | App::Slack
        | App::Teams
        | App::Discord
        | App::Mail
        | App::Instagram
        | App::Twitter
        | App::Linkedin
        | App::Tiktok => {
            return None;
        }
    };
    let package = match app {
        App::Whatsapp => Some("com.whatsapp"),
        App::Messenger => Some("com.facebook.orca"),
        App::Telegram => Some("org.telegram.messenger"),
        App::Line => Some("jp.naver.line.android"),
        App::Kakaotalk => Some("com.kakao.talk"),
        App::Wechat => Some("com.tencent.mm"),
        App::Viber => Some("com.viber.voip"),
        _ => None,
    };
    let script_sees = (app == App::Telegram).then_some("telegram");
    Some(web_view(
        user_agent,
        &parts,
        package,
        script_sees,
        2 + app as u8,
        dice,
    ))
}

/// The Google app on an iPhone.
pub(crate) fn google_app(person: &Person) -> Arc<str> {
    let parts = Parts {
        person,
        versions: Versions::of(person),
    };
    let (major, minor) = parts.versions.ios;
    format!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) AppleWebKit/605.1.15 \
         (KHTML, like Gecko) GSA/334.0.674067880 Mobile/15E148 Safari/604.1"
    )
    .into()
}

/// The network's own browser on the person's phone, where it has one that names itself.
pub(crate) fn network_browser(network: Network, person: &Person, dice: &mut Dice) -> Option<Agent> {
    let parts = Parts {
        person,
        versions: Versions::of(person),
    };
    let (user_agent, package) = match network {
        Network::Facebook => {
            let (major, minor) = parts.versions.ios;
            let model = parts.versions.iphone_model;
            let newest = dice.chance(0.15);
            let text = match (person.iphone, newest) {
                (true, true) => format!("{} MetaIAB Facebook", mobile_safari(&parts.versions)),
                (true, false) => parts.iphone(&format!(
                    " [FBAN/FBIOS;FBAV/512.0.0.52.98;FBBV/741000111;FBDV/{model};FBMD/iPhone;\
                     FBSN/iOS;FBSV/{major}.{minor};FBSS/3;FBID/phone;FBLC/en_US;FBOP/5;FBRV/0;\
                     IABMV/1]"
                )),
                (false, true) => parts.android(View::Marked, " MetaIAB Facebook"),
                (false, false) => {
                    parts.android(View::Marked, " [FB_IAB/FB4A;FBAV/512.0.0.44.97;IABMV/1;]")
                }
            };
            (text, "com.facebook.katana")
        }
        Network::Twitter => {
            let mark = parts.pick(" Twitter for iPhone/10.62", " TwitterAndroid");
            let text = if person.iphone {
                parts.iphone(mark)
            } else {
                parts.android(View::Marked, mark)
            };
            (text, "com.twitter.android")
        }
        Network::Reddit => {
            let mark = parts.pick(
                " Reddit/Version 2026.23.0/Build 623040/iOS",
                " Reddit/Version 2026.23.0/Build 2623040/Android 15",
            );
            let text = if person.iphone {
                parts.iphone(mark)
            } else {
                parts.android(View::Marked, mark)
            };
            (text, "com.reddit.frontpage")
        }
        // Custom Tab on Android: no token.
        Network::Linkedin if person.iphone => (parts.iphone(" [LinkedInApp]/9.30.1753"), ""),
        Network::Pinterest => {
            let mark = parts.pick(" [Pinterest/iOS]", " [Pinterest/Android]");
            let text = if person.iphone {
                parts.iphone(mark)
            } else {
                parts.android(View::Marked, mark)
            };
            (text, "com.pinterest")
        }
        Network::Tiktok => {
            let mark = " musical_ly_41.9.0 BytedanceWebview/d8a21c6";
            let text = if person.iphone {
                parts.iphone(mark)
            } else {
                parts.android(View::Marked, mark)
            };
            (text, "com.zhiliaoapp.musically")
        }
        Network::Instagram if person.iphone => {
            let (major, minor) = parts.versions.ios;
            let model = parts.versions.iphone_model;
            let text = parts.iphone(&format!(
                " Instagram 393.1.0.36.70 ({model}; iOS {major}_{minor}; en_US; en; scale=3.00; \
                 1179x2556; IABMV/1; 760216891) Safari/604.1"
            ));
            (text, "com.instagram.android")
        }
        Network::Instagram => {
            let (model, _) = parts.versions.model;
            let mark = format!(
                " Instagram 393.0.0.35.106 Android ({}/{}; 480dpi; 1080x2340; {model}; en_US; \
                 748000000; IABMV/1)",
                20 + parts.versions.android,
                parts.versions.android
            );
            (parts.android(View::Marked, &mark), "com.instagram.android")
        }
        Network::Linkedin | Network::Bluesky | Network::Mastodon => return None,
    };
    Some(web_view(
        user_agent,
        &parts,
        Some(package),
        None,
        40 + network as u8,
        dice,
    ))
}

fn web_view(
    user_agent: String,
    parts: &Parts,
    package: Option<&'static str>,
    script_sees: Option<&'static str>,
    jar: u8,
    dice: &mut Dice,
) -> Agent {
    let android = !parts.person.iphone;
    // Chrome has been switching the header off since 2023; how much is left is not published.
    let tells_package = android && dice.chance(0.3);
    Agent {
        user_agent: user_agent.into(),
        sec_ch_ua: android.then(|| client_hint("Android WebView", parts.versions.chromium)),
        engine: if android {
            Engine::Chromium
        } else {
            Engine::Webkit
        },
        jar,
        in_app: true,
        x_requested_with: package.filter(|package| tells_package && !package.is_empty()),
        script_sees,
    }
}
