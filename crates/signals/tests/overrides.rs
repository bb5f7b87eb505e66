//! A user's own rows over the built-in ones.

use grapevine_signals::{AgentKind, ReferrerKind, Signals};

/// What `docs/own-signals.md` goes through.
const OF_DOCS: &str = include_str!("../../../docs/own-signals.toml");

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
name = "cmpid"
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

    let url = "https://a.example/x?edition=2&cmpid=main";
    assert_eq!(
        plain.link(url).unwrap().canonical,
        "https://a.example/x?edition=2"
    );
    assert_eq!(
        own.link(url).unwrap().canonical,
        "https://a.example/x?cmpid=main"
    );

    assert!(plain.agent("Viber").share().is_some());
    assert!(own.agent("Viber").share().is_none(), "one key replaced");
    assert!(matches!(own.agent("Viber").kind, AgentKind::PreviewFetcher(f) if f.name == "Viber"));

    let text = "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) OptimizePress/5";
    assert!(!plain.agent(text).is_person());
    assert!(own.agent(text).is_person(), "a pattern taken out");
}

#[test]
fn the_file_of_the_docs_adds_an_app_a_host_and_a_robot() {
    let own = Signals::with_overrides(OF_DOCS, "docs/own-signals.toml").unwrap();
    let reading = own.agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 ChirpInApp/3",
    );
    assert!(reading.is_person());
    assert_eq!(reading.in_app.map(|row| row.app.as_str()), Some("chirp"));
    let pasted = own.agent("ChirpPreview/1.1");
    assert_eq!(pasted.share().map(|row| row.app.as_str()), Some("chirp"));
    let from = own.referrer("https://intranet.example.com/chat/7");
    assert!(matches!(from.kind, ReferrerKind::PrivateApp(origin) if origin.id == "intranet"));
    assert_eq!(
        own.agent("ExampleUptime/3")
            .robot()
            .map(|row| row.id.as_str()),
        Some("our-monitor")
    );
    let link = own.link("https://example.com/a?cmpid=b&cid=c").unwrap();
    assert_eq!(link.canonical, "https://example.com/a?cmpid=b");
    assert_eq!(link.campaign.name.as_deref(), Some("c"));
    let elsewhere = own.link("https://example.org/a?cid=c").unwrap();
    assert_eq!(elsewhere.canonical, "https://example.org/a?cid=c");
}

/// Every entry that the page shows stands in the file, word for word but for its examples.
#[test]
fn the_page_shows_what_stands_in_its_file() {
    let page = include_str!("../../../docs/own-signals.md");
    let lines = page.lines().map(str::trim);
    let shown: Vec<&str> = lines
        .filter(|line| line.starts_with("[[") || line.contains(" = \"") || line.contains(" = ["))
        .filter(|line| !line.contains('…') && !line.contains("model = ") && !line.contains('`'))
        .filter(|line| !line.contains("SELECT"))
        .collect();
    assert!(shown.len() > 20, "{shown:?}");
    for line in shown {
        assert!(OF_DOCS.lines().any(|own| own == line), "{line}");
    }
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
        row("c", "Twofold"),
        row("b", "Twofold Agent"),
        row("a", "Twofold Agent Three"),
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
        [Some("c".into()), Some("b".into()), Some("a".into())]
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
            &OWN.replace("ChirpPreview/1.0", "Mozilla/5.0 (X11) Chirp"),
            vec![
                "own.toml",
                "fetcher",
                "`chirp`",
                "Mozilla/5.0 (X11) Chirp",
                "ordinary browser",
            ],
        ),
        (
            &OWN.replace(
                "tokens = [\"ChirpPreview/\"]\n",
                "tokens = [\"WhatsApp/2\"]\n",
            )
            .replace("examples = [\"ChirpPreview/1.0\"]", "examples = []"),
            vec!["own.toml", "fetcher", "`chirp`", "no example", "`examples`"],
        ),
        (
            "[[in_app]]\nid = \"line\"\ntokens = [\"LineBrowser/\"]\nmatch = []",
            vec![
                "own.toml",
                "in_app",
                "`line`",
                "ordinary browser",
                "`examples`",
            ],
        ),
        (
            "[[robot]]\nid = \"r\"\nname = \"R\"\npurpose = \"seo\"\nsource = \"s\"\ndate = \"2026\"\ntokens = [\"Robbie/\"]\nexamples = [\"TelegramBot (like TwitterBot) Robbie/1\"]",
            vec!["own.toml", "robot", "`r`", "fetcher `telegram`"],
        ),
        (
            "[[campaign]]\nid = \"z\"\ncategory = \"paid\"\nmediums = [\"zine\"]\nsource = \"s\"\ndate = \"2026\"\n[[campaign]]\nid = \"a\"\ncategory = \"mail\"\nmediums = [\"zine\"]\nsource = \"s\"\ndate = \"2026\"",
            vec!["own.toml", "campaign", "`z`", "zine", "Mail", "Paid"],
        ),
        (
            &format!("{robot}tokens = [\"Mozilla\"]")
                .replace("examples = []", "examples = [\"Mozilla/5.0\"]"),
            vec!["own.toml", "robot", "`r`", "Chrome on Windows", "narrower"],
        ),
        // No ordinary browser has it, but readers in WhatsApp's do.
        (
            &format!("{robot}tokens = [\"WAiOS/\"]")
                .replace("examples = []", "examples = [\"WAiOS/1\"]"),
            vec!["own.toml", "robot", "`r`", "in_app `whatsapp`"],
        ),
        (
            "[[unnamed]]\nid = \"u\"\nmatch = [{ has = [\"Firefox/\"] }]\nsource = \"s\"\ndate = \"2026\"\nexamples = [\"Firefox/1\"]",
            vec!["own.toml", "unnamed", "`u`", "Firefox on Windows"],
        ),
        (
            "[[in_app]]\nid = \"i\"\napp = \"line\"\nname = \"I\"\nsurface = \"private\"\ncertainty = \"observed\"\ntokens = [\"Chrome/\"]\nsource = \"s\"\ndate = \"2026\"\nexamples = [\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\"]",
            vec!["own.toml", "in_app", "`i`", "Chrome on Windows"],
        ),
        (
            &format!("{robot}tokens = [\"R/\"]").replace("\"2026\"", "\"2026-13\""),
            vec!["own.toml", "`r`", "`date`", "2026-13", "01 to 12"],
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

/// Rows that are held to their own hosts, names and words need no examples; those given are tried.
#[test]
fn examples_of_own_rows_are_optional_and_tried_when_given() {
    let rows = [
        (
            "[[origin]]\nid = \"chirp\"\nname = \"Chirp\"\ncategory = \"messenger\"\nsurface = \"private\"\ncertainty = \"observed\"\nhosts = [\"chirp.example\"]\n",
            "https://app.chirp.example/c/7",
            "https://chirps.example/",
            "of no origin",
        ),
        (
            "[[origin]]\nid = \"forum\"\nname = \"Forum\"\ncategory = \"social\"\nsurface = \"public\"\ncertainty = \"observed\"\n",
            "utm_source=forum&utm_medium=social",
            "utm_source=fb&utm_medium=social",
            "of origin `facebook`",
        ),
        (
            "[[decoration]]\nname = \"edition\"\nsays = \"share-mark\"\nhosts = [\"example.org\"]\n",
            "https://www.example.org/a?id=7&Edition=2",
            "https://www.example.com/a?edition=2",
            "nothing of that in it",
        ),
        (
            "[[decoration]]\nname = \"fb*\"\nsays = \"tracking\"\n",
            "https://www.example.org/a?fbx=2",
            "https://www.example.org/a?fbclid=IwAR0",
            "what decoration `fbclid` takes",
        ),
        (
            "[[decoration]]\nname = \"page\"\nsays = \"content\"\n",
            "https://www.example.org/a?page=2",
            "https://www.example.org/a",
            "nothing of that in it",
        ),
        (
            "[[campaign]]\nid = \"ours\"\ncategory = \"print\"\nmediums = [\"zine\"]\n",
            "utm_source=zine-7&utm_medium=zine",
            "utm_source=zine&utm_medium=email",
            "what campaign `mail` takes",
        ),
        (
            "[[page]]\nid = \"ours\"\nkind = \"section\"\nnames = [\"dossiers\"]\n",
            "https://example.org/dossiers/the-city-bridge",
            "https://example.org/dossier/the-city-bridge",
            "by no name of this entry",
        ),
        (
            "[[platform]]\nid = \"ours\"\nkind = \"browser\"\ntokens = [\"chirpium/\"]\n",
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0 Safari/537.36 Chirpium/2",
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0 Safari/537.36",
            "of `chrome` by another entry",
        ),
    ];
    for (keys, right, wrong, said) in rows {
        let row = format!("{keys}source = \"we run it\"\ndate = \"2026\"\n");
        let with = |example: &str| {
            let text = format!("{row}examples = [\"{example}\"]");
            Signals::with_overrides(&text, "own.toml").map_err(|error| error.to_string())
        };
        assert!(Signals::with_overrides(&row, "own.toml").is_ok(), "{row}");
        assert_eq!(with(right).err(), None, "{right}");
        let error = with(wrong).err().unwrap_or_default();
        for word in ["own.toml", wrong, said, "`examples`"] {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
}

#[test]
fn examples_of_a_built_in_row_are_not_those_of_what_replaces_it() {
    let elsewhere = "[[decoration]]\nid = \"cid\"\nname = \"cid\"\nhosts = [\"example.com\"]";
    let own = Signals::with_overrides(elsewhere, "own.toml").unwrap();
    let row = own.decorations().iter().find(|row| row.id == "cid");
    assert!(row.unwrap().examples.is_empty());
    let abc = "https://abcnews.go.com/US/story?cid=social&id=47110815";
    assert_eq!(own.link(abc).unwrap().canonical, abc);
    // User agents are matched by parts: there the examples stay, and say that the row is another.
    let fetcher = "[[fetcher]]\nid = \"viber\"\ntokens = [\"Vibrations/\"]";
    assert!(Signals::with_overrides(fetcher, "own.toml").is_err());
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

#[test]
fn what_own_rows_say_has_a_name_that_neither_order_nor_comments_change() {
    let row = |id: &str| {
        format!(
            "[[robot]]\nid = \"{id}\"\nname = \"R\"\npurpose = \"seo\"\ntokens = [\"Rx{id}/\"]\n\
             source = \"s\"\ndate = \"2010\"\nexamples = [\"Rx{id}/1\"]\n"
        )
    };
    let name = |text: &str| {
        let signals = Signals::with_overrides(text, "own.toml").unwrap();
        signals.fingerprint().map(str::to_owned)
    };
    assert_eq!(Signals::builtin().fingerprint(), None);
    assert_eq!(name("# nothing yet"), None);
    let one = name(&format!("{}{}", row("a"), row("b")));
    assert_eq!(one.as_ref().map(String::len), Some(8));
    assert_eq!(name(&format!("# why\n{}\n\n{}", row("b"), row("a"))), one);
    assert_ne!(name(&row("a")), one);
    let removal = "[[unnamed]]\nid = \"optimize\"\nremove = true";
    assert!(name(removal).is_some(), "what is taken out counts too");
    // The same on every machine and in every version, or versions of visits would tell nothing.
    assert_eq!(name(removal).as_deref(), Some("0701c24e"));
}
