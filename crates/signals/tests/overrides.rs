//! A user's own rows over the built-in ones.

use grapevine_signals::{AgentKind, ReferrerKind, Signals};

const OWN: &str = r#"
[[origin]]
id = "chirp"
name = "Chirp"
category = "messenger"
surface = "private"
certainty = "observed"
hosts = ["chirp.example"]
packages = ["example.chirp.android"]
source = "our own logs"
date = "2026-11"

[[fetcher]]
id = "chirp"
app = "chirp"
name = "Chirp"
address = "sender"
when = "compose"
share = true
surface = "private"
certainty = "observed"
tokens = ["ChirpPreview/"]
source = "our own logs"
date = "2026-11"
examples = ["ChirpPreview/1.0"]

[[decoration]]
name = "ref"
says = "content"

[[decoration]]
name = "edition"
says = "tracking"
source = "our own site"
date = "2026-11"

[[fetcher]]
id = "viber"
share = false

[[unnamed]]
id = "optimize"
remove = true
"#;

#[test]
fn own_rows_add_replace_and_remove() {
    let plain = Signals::builtin();
    let own = Signals::with_overrides(OWN, "own.toml").unwrap();
    assert!(plain.agent("ChirpPreview/1.0 (x; y)").share().is_none());
    assert_eq!(
        own.agent("ChirpPreview/1.0 (x; y)")
            .share()
            .map(|f| f.app.as_str()),
        Some("chirp")
    );
    let referrer = own.referrer("https://chirp.example/");
    assert!(matches!(referrer.kind, ReferrerKind::PrivateApp(o) if o.id == "chirp"));
    assert_eq!(
        own.package("example.chirp.android").map(|o| o.id.as_str()),
        Some("chirp")
    );

    let url = "https://a.example/x?edition=2&ref=main";
    assert_eq!(
        plain.link(url).unwrap().canonical,
        "https://a.example/x?edition=2"
    );
    assert_eq!(
        own.link(url).unwrap().canonical,
        "https://a.example/x?ref=main"
    );

    assert!(plain.agent("Viber").share().is_some());
    assert!(own.agent("Viber").share().is_none(), "one key replaced");
    assert!(matches!(own.agent("Viber").kind, AgentKind::PreviewFetcher(f) if f.name == "Viber"));

    let text = "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) OptimizePress/5";
    assert!(!plain.agent(text).is_person());
    assert!(own.agent(text).is_person(), "a pattern taken out");
}

#[test]
fn no_rows_change_nothing() {
    let own = Signals::with_overrides("", "empty.toml").unwrap();
    assert_eq!(own.fetchers().len(), Signals::builtin().fetchers().len());
    assert_eq!(own.data_date(), Signals::builtin().data_date());
}

#[test]
fn the_order_of_own_rows_does_not_matter() {
    let row = |id: &str, token: &str| {
        format!(
            "[[robot]]\nid = \"{id}\"\nname = \"{id}\"\npurpose = \"seo\"\ntokens = [\"{token}\"]\n\
             source = \"test\"\ndate = \"2026\"\nexamples = [\"{token}/1\"]\n"
        )
    };
    let rows = [
        row("b", "Twofold"),
        row("a", "Twofold Agent"),
        row("c", "Twofold Agent Three"),
    ];
    let texts = ["Twofold/1", "Twofold Agent/1", "Twofold Agent Three/1"];
    let answers = |order: [usize; 3]| {
        let text: String = order.iter().map(|i| rows[*i].as_str()).collect();
        let signals = Signals::with_overrides(&text, "own.toml").unwrap();
        texts.map(|t| signals.agent(t).robot().map(|r| r.id.clone()))
    };
    let first = answers([0, 1, 2]);
    assert_eq!(
        first,
        [Some("b".into()), Some("a".into()), Some("a".into())]
    );
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(answers(order), first, "{order:?}");
    }
}

#[test]
fn mistakes_are_named_with_file_row_key_and_fix() {
    let robot = "[[robot]]\nid = \"r\"\nname = \"R\"\npurpose = \"seo\"\nsource = \"s\"\ndate = \"2026\"\nexamples = []\n";
    let fetcher = OWN.replace("app = \"chirp\"", "app = \"chrip\"");
    let cases = [
        ("[[robot", vec!["own.toml", "TOML", "line 1"]),
        (
            "[[robots]]\nid = \"x\"",
            vec!["own.toml", "`robots`", "[[robot]]"],
        ),
        ("[robot]\nid = \"x\"", vec!["own.toml", "robot", "brackets"]),
        (
            "[[robot]]\nname = \"x\"",
            vec!["own.toml", "number 1", "`id`"],
        ),
        (
            "[[robot]]\nid = \"x\"",
            vec!["own.toml", "`x`", "missing field `name`", "README"],
        ),
        (
            &format!("{robot}tokns = [\"R/\"]"),
            vec!["own.toml", "`r`", "`tokns`", "`tokens`"],
        ),
        (
            &format!("{robot}purpse = 1\ntokens = [\"R/\"]"),
            vec!["own.toml", "`r`", "`purpse`"],
        ),
        (robot, vec!["own.toml", "`r`", "`tokens`", "`match`"]),
        (
            &format!("{robot}match = [{{ pattern = '(?<!x)r' }}]"),
            vec!["own.toml", "`r`", "look-around"],
        ),
        (
            &format!("{robot}match = [{{ pattern = '(' }}]"),
            vec!["own.toml", "`r`", "pattern"],
        ),
        (
            &format!("{robot}tokens = [\"\"]"),
            vec!["own.toml", "`r`", "empty"],
        ),
        (
            &format!("{robot}match = [{{ lacks = [\"x\"] }}]"),
            vec!["own.toml", "`r`", "`has`"],
        ),
        (
            &format!("{robot}tokens = [\"R/\"]\n{robot}tokens = [\"R/\"]"),
            vec!["own.toml", "`r`", "twice"],
        ),
        (
            &fetcher,
            vec!["own.toml", "fetcher", "`chirp`", "`chrip`", "origin"],
        ),
        (
            &OWN.replace("chirp.example", "https://chirp.example"),
            vec!["own.toml", "`chirp`", "`hosts`"],
        ),
        (
            "[[decoration]]\nname = \"*\"\nsays = \"tracking\"\nsource = \"s\"\ndate = \"2026\"",
            vec!["own.toml", "`*`", "`name`"],
        ),
    ];
    for (text, words) in cases {
        let said = match Signals::with_overrides(text, "own.toml") {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        };
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    }
}

#[test]
fn too_many_rows_are_refused() {
    let mut text = String::new();
    for n in 0..5000 {
        text.push_str(&format!(
            "[[robot]]\nid = \"r{n}\"\nname = \"R\"\npurpose = \"seo\"\ntokens = [\"Rx{n}y/\"]\nsource = \"s\"\ndate = \"2026\"\nexamples = []\n"
        ));
    }
    let said = Signals::with_overrides(&text, "own.toml")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(said.contains("own.toml") && said.contains("4096"), "{said}");
}
