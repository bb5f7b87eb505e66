//! A real browser on a page of its own origin: the snippet of docs/hits.md, the other ways that a
//! page sends hits, and what a foreign page can do to the ClickHouse port (nothing).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use grapevine_tests::{Local, query};

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36";
const PATIENCE: Duration = Duration::from_secs(90);

/// A web server with a few pages. What a page posts to `/said` is handed to the test.
struct Pages {
    port: u16,
    said: Receiver<String>,
}

impl Pages {
    fn serve(pages: Vec<(&'static str, String)>) -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("address").port();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One after the other would wait for connections that a browser opens ahead.
                let (pages, tell) = (pages.clone(), tell.clone());
                std::thread::spawn(move || answer(stream, &pages, &tell));
            }
        });
        Pages { port, said }
    }

    /// What a page said next.
    #[track_caller]
    fn next(&self) -> String {
        let said = self.said.recv_timeout(PATIENCE);
        said.expect("the page says what became of it")
    }
}

fn answer(mut stream: TcpStream, pages: &[(&'static str, String)], tell: &Sender<String>) {
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    let body_at = loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => text.push_str(&String::from_utf8_lossy(&chunk[..read])),
        }
        if let Some(end) = text.find("\r\n\r\n") {
            break end + 4;
        }
    };
    let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
    let length = text[..body_at]
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0);
    while text.len() < body_at + length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => text.push_str(&String::from_utf8_lossy(&chunk[..read])),
        }
    }
    if path == "/said" {
        let _ = tell.send(text[body_at..].to_owned());
    }
    let bare = path.split('?').next().unwrap_or_default();
    let page = pages.iter().find(|(at, _)| *at == bare);
    let (status, page) = page.map_or(("204 No Content", ""), |(_, page)| {
        ("200 OK", page.as_str())
    });
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
}

/// Chromium with a fresh profile; ended when dropped.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(url: &str, user_agent: Option<&str>) -> Browser {
        let profile = tempfile::tempdir().expect("tempdir");
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-sync",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            // Without it a headless browser prints its version and leaves.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(user_agent.map(|name| format!("--user-agent={name}")))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("chromium: {error}: install it with apt-get install chromium")
        });
        Browser {
            child,
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is what it should be.
#[track_caller]
fn soon(data_dir: &Path, sql: &str, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = query(data_dir, sql);
        if answer.trim_end() == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{sql}: {answer:?}, not {expected:?}"
        );
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// The script of docs/hits.md, with another collector.
fn documented_snippet(collector: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hits.md");
    let text = std::fs::read_to_string(page).expect("docs/hits.md");
    let (_, rest) = text.split_once("```js\n").expect("a script");
    let (script, _) = rest.split_once("```").expect("its end");
    assert_eq!(
        script.matches("http://127.0.0.1:8080").count(),
        1,
        "{script}"
    );
    script.replace("http://127.0.0.1:8080", collector)
}

fn page(title: &str, script: &str) -> String {
    format!(
        "<!doctype html><html><head><title>{title}</title></head><body><p>Text.</p><script>const say = text => fetch('/said', {{ method: 'POST', body: String(text) }});\n{script}</script></body></html>"
    )
}

#[test]
fn the_documented_snippet_makes_a_chain_that_clickhouse_shows() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    let snippet = documented_snippet(&local.collector);
    let pages = Pages::serve(vec![
        (
            "/a-story",
            page(
                "A story &amp; more",
                &format!("{snippet}\nsay(location.href);"),
            ),
        ),
        (
            "/elsewhere",
            page(
                "Elsewhere",
                "location.href = location.href.replace('localhost', '127.0.0.1').replace('elsewhere', 'a-story?utm_source=x');",
            ),
        ),
    ]);
    let story = format!("http://127.0.0.1:{}/a-story", pages.port);
    // A content is the same by either scheme.
    let content = format!("https://127.0.0.1:{}/a-story", pages.port);

    // From a page of another host, so that there is a referrer.
    let elsewhere = format!("http://localhost:{}/elsewhere", pages.port);
    let first = Browser::open(&elsewhere, Some(DESKTOP));
    let shared = pages.next();
    let (before, token) = shared
        .split_once("gv=")
        .expect("the address bar carries the token");
    assert_eq!(before, format!("{story}?utm_source=x&"));
    assert!(
        token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{token}"
    );
    soon(
        &data_dir,
        "SELECT content, title, referrer_host, device, system, browser, share_token, incoming_token IS NULL, campaign_source FROM grapevine.visits",
        &format!("{content}\tA story & more\tlocalhost\tdesktop\tlinux\tchrome\t{token}\t1\tx"),
    );
    drop(first);

    // The link as it stands in the address bar, opened by somebody else.
    let second = Browser::open(&shared, Some(PHONE));
    let theirs = pages.next();
    assert!(
        !theirs.contains(token),
        "the second visit has a token of its own: {theirs}"
    );
    soon(
        &data_dir,
        "SELECT channel, method, device, content, incoming_token, generation FROM grapevine.visits_people WHERE incoming_token IS NOT NULL",
        &format!("dark_social\ttoken\tmobile\t{content}\t{token}\t1"),
    );
    soon(
        &data_dir,
        "SELECT edges.method, edges.probability, parent.share_token, child.incoming_token, edges.lag_ms > 0 FROM grapevine.edges AS edges JOIN grapevine.visits AS parent ON parent.visit_id = edges.parent_visit JOIN grapevine.visits AS child ON child.visit_id = edges.child_visit",
        &format!("token\t1\t{token}\t{token}\t1"),
    );
    soon(
        &data_dir,
        "SELECT content, size, depth, breadth FROM grapevine.share_chains",
        &format!("{content}\t2\t1\t[1,1]"),
    );
    drop(second);
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn fetch_with_json_the_pixel_and_a_headless_browser() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    let collector = &local.collector;
    let fetched = format!(
        "fetch('{collector}/v1/hits', {{ method: 'POST', headers: {{ 'Content-Type': 'application/json' }}, body: JSON.stringify({{ site: 'example.org', url: location.href, title: document.title, type: 'page_view' }}) }}).then(async answer => say(answer.status + ' ' + await answer.text()), say);"
    );
    let pixel = format!(
        "const picture = new Image(); picture.onload = () => say(picture.width + ' by ' + picture.height); picture.onerror = () => say('no picture'); picture.src = '{collector}/v1/pixel.gif?site=example.org&url=' + encodeURIComponent(location.href) + '&title=' + encodeURIComponent(document.title);"
    );
    let pages = Pages::serve(vec![
        ("/fetched", page("Fetched", &fetched)),
        ("/pixel", page("With a pixel", &pixel)),
        ("/robot", page("For a robot", &fetched)),
    ]);
    let address = |path: &str| format!("http://127.0.0.1:{}{path}", pages.port);

    let browser = Browser::open(&address("/fetched"), Some(DESKTOP));
    // JSON is asked for leave first, and the page may read the answer.
    assert_eq!(pages.next(), "200 {\"accepted\":1}");
    drop(browser);
    let browser = Browser::open(&address("/pixel"), Some(PHONE));
    assert_eq!(pages.next(), "1 by 1");
    drop(browser);
    // Unaltered, the browser names itself headless: no person.
    let browser = Browser::open(&address("/robot"), None);
    assert_eq!(pages.next(), "200 {\"accepted\":1}");
    drop(browser);
    soon(
        &data_dir,
        "SELECT content, title, device, channel = 'bot' FROM grapevine.visits ORDER BY content",
        &format!(
            "{0}/fetched\tFetched\tdesktop\t0\n{0}/pixel\tWith a pixel\tmobile\t0\n{0}/robot\tFor a robot\tdesktop\t1",
            format_args!("https://127.0.0.1:{}", pages.port)
        ),
    );
}

#[test]
fn a_foreign_page_gets_nothing_out_of_or_into_clickhouse() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    let sign_in = format!("user=owner&password={}", local.owner_password);
    let clickhouse = &local.clickhouse;
    // The worst case: the page knows the owner's password, and asks in the ways that need no leave.
    let script = format!(
        "const ask = async (name, mode, sql, inBody) => {{
           const address = '{clickhouse}/?{sign_in}' + (inBody ? '' : '&query=' + encodeURIComponent(sql));
           try {{
             const answer = await fetch(address, {{ method: 'POST', mode, headers: {{ 'Content-Type': 'text/plain' }}, body: inBody ? sql : '' }});
             return name + ': ' + answer.type + ' ' + answer.status + ' ' + await answer.text();
           }} catch (error) {{ return name + ': refused'; }}
         }};
         (async () => {{
           const said = [];
           said.push(await ask('read', 'cors', 'SELECT 4711', true));
           said.push(await ask('create', 'no-cors', 'CREATE TABLE grapevine.planted_by_body (x Int8) ENGINE = Memory', true));
           said.push(await ask('create by address', 'no-cors', 'CREATE TABLE grapevine.planted_by_address (x Int8) ENGINE = Memory', false));
           said.push(await ask('insert', 'no-cors', 'INSERT INTO grapevine.here_before VALUES (1)', true));
           const form = document.createElement('form');
           form.method = 'POST'; form.enctype = 'text/plain'; form.target = 'frame';
           form.action = '{clickhouse}/?{sign_in}&query=' + encodeURIComponent('CREATE TABLE grapevine.planted_by_form (x Int8) ENGINE = Memory');
           const frame = document.createElement('iframe');
           let loads = 0;
           // The first time for its empty self, the second for the answer.
           frame.name = 'frame'; frame.onload = () => {{ loads += 1; if (loads === 2) say(said.join('\\n')); }};
           document.body.append(frame, form); form.submit();
         }})();"
    );
    let client = reqwest::blocking::Client::new();
    let post = |sql: &'static str| {
        let answer = client
            .post(format!("{clickhouse}/?{sign_in}"))
            .body(sql)
            .send()
            .expect("answers");
        (answer.status().as_u16(), answer.text().expect("text"))
    };
    // No page, the same request: it does what it says, so what stops the page is that it is one.
    assert_eq!(post("SELECT 4711"), (200, "4711\n".to_owned()));
    assert_eq!(
        post("CREATE TABLE grapevine.here_before (x Int8) ENGINE = MergeTree ORDER BY x").0,
        200
    );

    let pages = Pages::serve(vec![("/", page("Foreign", &script))]);
    let browser = Browser::open(&format!("http://127.0.0.1:{}/", pages.port), Some(DESKTOP));
    let said = pages.next();
    drop(browser);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "read: refused",
            // Opaque: the page is told nothing, not even that it was turned away.
            "create: opaque 0 ",
            "create by address: opaque 0 ",
            "insert: opaque 0 ",
        ],
    );
    let tables = query(
        &data_dir,
        "SELECT groupArray(name) FROM system.tables WHERE database = 'grapevine' AND (name LIKE 'planted%' OR name = 'here_before')",
    );
    assert_eq!(tables.trim(), "['here_before']");
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.here_before").trim(),
        "0"
    );
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");
}
