//! Links: the one address of a content, and what was hung onto it.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashMap;

use crate::address::{self, Address, LINK_BYTES_MAX};
use crate::decorations::{Decoration, DecorationIndex, Place, Says};
use crate::error::LinkError;
use crate::escape::{Part, decode, has_escapes, push_decoded, push_normal};
use crate::few::Few;
use crate::pages::Pages;
use crate::shape::Shape;
use crate::texts::Texts;

/// Bytes of a share token: it is counted, compared and stored.
pub const SHARE_TOKEN_BYTES_MAX: usize = 64;

/// Bytes of a campaign value that are kept.
const VALUE_BYTES_MAX: usize = 256;

/// Click ids that a platform puts on together: Google Ads has `gclid`, `gad_source`, `gad_campaignid` and `gbraid`.
const CLICK_IDS: usize = 4;
/// Share marks that an app puts on together: WeChat has `from` and `isappinstalled`.
const SHARE_MARKS: usize = 2;

/// A mark found in a link, with its value.
#[derive(Debug, Clone)]
pub struct Mark<'a> {
    /// The entry that knows the mark.
    pub decoration: &'a Decoration,
    /// Its value, decoded, cut to 256 bytes.
    pub value: Cow<'a, str>,
}

/// The campaign tags of a link, decoded, each cut to 256 bytes. The first of a kind counts.
#[derive(Debug, Clone, Default)]
pub struct Campaign<'a> {
    /// Who sent the link out, such as `newsletter`.
    pub source: Option<Cow<'a, str>>,
    /// By what means, such as `email`.
    pub medium: Option<Cow<'a, str>>,
    /// For which campaign.
    pub name: Option<Cow<'a, str>>,
    /// Which of several links.
    pub content: Option<Cow<'a, str>>,
    /// Which search term.
    pub term: Option<Cow<'a, str>>,
    /// The campaign's id.
    pub id: Option<Cow<'a, str>>,
}

impl Campaign<'_> {
    /// Whether nothing is tagged.
    pub fn is_empty(&self) -> bool {
        let fields = [
            &self.source,
            &self.medium,
            &self.name,
            &self.content,
            &self.term,
            &self.id,
        ];
        fields.iter().all(|field| field.is_none())
    }
}

/// A link, read.
#[derive(Debug, Clone)]
pub struct Link<'a> {
    /// The content's one address: `https`, host in lower case and punycode without `www.`,
    /// normal path, remaining parameters sorted, no fragment. Reading it again gives it again.
    pub canonical: Cow<'a, str>,
    host: Range<usize>,
    path: Range<usize>,
    /// Grapevine's share token: 1 to 64 bytes of `A-Z a-z 0-9 _ -`.
    pub share_token: Option<Cow<'a, str>>,
    /// A share token was there, but not of that form: forged, cut or mangled.
    pub share_token_broken: bool,
    /// Click ids, by the entries that know them. Their values are not kept.
    pub click_ids: Few<&'a Decoration, CLICK_IDS>,
    /// Marks of links shared from an app or site.
    pub share_marks: Few<Mark<'a>, SHARE_MARKS>,
    /// Campaign tags.
    pub campaign: Campaign<'a>,
    /// The recipient's id in a mail. A person's: hash it before it is kept.
    pub recipient: Option<Mark<'a>>,
    /// The entry of a mail's own id, which names no recipient.
    mail_id: Option<&'a Decoration>,
    /// How the address looks.
    pub shape: Shape,
}

impl Link<'_> {
    /// The host of [`Link::canonical`], with its port when there is one.
    pub fn host(&self) -> &str {
        &self.canonical[self.host.clone()]
    }

    /// The host without its port: what decorations of certain hosts are known by.
    pub(crate) fn host_name(&self) -> &str {
        let host = self.host();
        match host.ends_with(']') {
            true => host,
            false => host.rsplit_once(':').map_or(host, |(name, _)| name),
        }
    }

    /// The path of [`Link::canonical`], from its first slash to its query.
    pub fn path(&self) -> &str {
        &self.canonical[self.path.clone()]
    }

    /// Whether a click id proves an advertisement.
    pub fn is_paid_click(&self) -> bool {
        self.click_ids.iter().any(|d| d.paid)
    }
}

pub(crate) fn read<'a>(
    decorations: &'a DecorationIndex,
    pages: &Pages,
    url: &'a str,
) -> Result<Link<'a>, LinkError> {
    let (page, query, fragment) = address::parts(url)?;
    let page = Page::read(decorations, pages, page)?;
    let canonical = Cow::Owned(page.text.into());
    let mut room = Room::default();
    let rest = [query, fragment];
    let mut link = Link::of_page(canonical, page.facts, decorations, rest, &mut room, None)?;
    if link.shape.parameters > 0 {
        link.canonical = Cow::Owned(room.address);
    }
    Ok(link)
}

/// As [`read`], with the pages that were read before.
pub(crate) fn read_known<'a>(
    decorations: &'a DecorationIndex,
    pages: &Pages,
    known: &'a mut KnownPages,
    url: &'a str,
) -> Result<Link<'a>, LinkError> {
    let (page, query, fragment) = address::parts(url)?;
    if page.len() > KNOWN_BYTES_MAX {
        return read(decorations, pages, url);
    }
    if !known.pages.contains_key(page) {
        let read = Page::read(decorations, pages, page)?;
        known.remember(page, read);
    }
    let KnownPages {
        pages: known,
        room,
        texts,
    } = known;
    texts.clear();
    match known.get(page) {
        Some(page) => {
            let canonical = Cow::Borrowed(&*page.text);
            let rest = [query, fragment];
            let mut link =
                Link::of_page(canonical, page.facts, decorations, rest, room, Some(texts))?;
            if link.shape.parameters > 0 {
                link.canonical = Cow::Borrowed(&room.address);
            }
            Ok(link)
        }
        None => read(decorations, pages, url),
    }
}

/// Pages remembered; when there are more, all are forgotten.
const KNOWN_MAX: usize = 8_192;
/// Longer addresses are rare and not remembered, bytes.
const KNOWN_BYTES_MAX: usize = 512;

/// Addresses of pages that were read before, at most 8,192 of at most 512 bytes: a few thousand
/// pages make most of the hits of a site. Reading a link with it gives what reading it without
/// gives, in less time.
#[derive(Debug, Default)]
pub struct KnownPages {
    pages: HashMap<Box<str>, Page>,
    room: Room,
    /// Values of the link that is read, decoded.
    texts: Texts,
}

/// Room to put an address together in that has parameters of its own; used again for the next one.
#[derive(Debug, Default)]
struct Room {
    /// The page's address with the parameters that are left, sorted.
    address: String,
    /// The parameters as they came, and where each of them is.
    parameters: String,
    places: Vec<Range<usize>>,
}

impl KnownPages {
    fn remember(&mut self, page: &str, read: Page) {
        if self.pages.len() >= KNOWN_MAX {
            self.pages.clear();
        }
        self.pages.insert(page.into(), read);
    }
}

/// A link as far as its `?` or `#`, read.
#[derive(Debug)]
struct Page {
    /// `https`, host, port and path in normal form.
    text: Box<str>,
    facts: PageFacts,
}

#[derive(Debug, Clone, Copy)]
struct PageFacts {
    host_start: usize,
    /// The path ends with the text.
    path_start: usize,
    /// Without parameters.
    shape: Shape,
}

impl Page {
    fn read(decorations: &DecorationIndex, pages: &Pages, page: &str) -> Result<Page, LinkError> {
        let Address { host, port, path } = address::split(page)?;
        let mut text = String::with_capacity(page.len() + 16);
        text.push_str("https://");
        let host_start = text.len();
        text.push_str(&host);
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let path_start = text.len();
        address::push_path(&mut text, path, |name| {
            let found = decorations.find(&host, name, "", Place::Query);
            found.is_some_and(|d| d.says == Says::Session)
        });
        while pages.is_index(text[path_start..].rsplit('/').next().unwrap_or_default()) {
            let cut = text.rfind('/').unwrap_or(path_start).max(path_start);
            text.truncate(cut);
        }
        if text.len() == path_start {
            text.push('/');
        }
        let facts = PageFacts {
            host_start,
            path_start,
            shape: Shape::of(&text[path_start..], pages),
        };
        Ok(Page {
            text: text.into(),
            facts,
        })
    }
}

impl<'a> Link<'a> {
    /// The mark of a system that sends mails, by the entry that knows it: the link was sent out in a
    /// mail, to whomever it came since.
    pub fn mailed_by(&self) -> Option<&'a Decoration> {
        let recipient = self.recipient.as_ref().map(|mark| mark.decoration);
        recipient.or(self.mail_id)
    }

    /// The link of a page, with what came behind it: query and fragment. Where parameters are left, its address
    /// is the one in `room`.
    fn of_page(
        page: Cow<'a, str>,
        facts: PageFacts,
        decorations: &'a DecorationIndex,
        [query, fragment]: [&'a str; 2],
        room: &mut Room,
        texts: Option<&'a Texts>,
    ) -> Result<Link<'a>, LinkError> {
        let path = facts.path_start..page.len();
        let mut link = Link {
            canonical: page,
            host: facts.host_start..facts.path_start,
            path,
            share_token: None,
            share_token_broken: false,
            click_ids: Few::default(),
            share_marks: Few::default(),
            campaign: Campaign::default(),
            recipient: None,
            mail_id: None,
            shape: facts.shape,
        };
        let mut length = link.canonical.len();
        if !query.is_empty() {
            let parameters = link.read_query(decorations, query, room, texts);
            link.shape = facts.shape.with_parameters(parameters);
            if parameters > 0 {
                length = room.address.len();
            }
        }
        // Escaping can treble it, and what is handed out must be readable again.
        if length > LINK_BYTES_MAX {
            return Err(LinkError::TooLong(length));
        }
        if !fragment.is_empty() {
            link.read_fragment(decorations, fragment, texts);
        }
        Ok(link)
    }

    /// Takes the decorations out of the query. Returns how many parameters are left; where any are, the page's
    /// address with them, sorted, is in `room`.
    fn read_query(
        &mut self,
        index: &'a DecorationIndex,
        query: &'a str,
        room: &mut Room,
        texts: Option<&'a Texts>,
    ) -> usize {
        let Room {
            address,
            parameters,
            places,
        } = room;
        parameters.clear();
        places.clear();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (raw_name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(raw_name);
            match index.find(self.host_name(), &name, value, Place::Query) {
                Some(decoration) if decoration.says != Says::Content => {
                    self.take(decoration, value, texts);
                }
                _ => {
                    let start = parameters.len();
                    push_normal(parameters, pair, Part::Query);
                    places.push(start..parameters.len());
                }
            }
        }
        if places.is_empty() {
            return 0;
        }
        let text = |place: &Range<usize>| &parameters[place.clone()];
        places.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        address.clear();
        address.push_str(&self.canonical);
        for (at, place) in places.iter().enumerate() {
            address.push(if at == 0 { '?' } else { '&' });
            address.push_str(text(place));
        }
        places.len()
    }

    /// Looks for decorations in a fragment, including one that routes, as in `#/a?gv=t`.
    fn read_fragment(
        &mut self,
        index: &'a DecorationIndex,
        fragment: &'a str,
        texts: Option<&'a Texts>,
    ) {
        for item in fragment
            .split(['&', '?', ';'])
            .filter(|item| !item.is_empty())
        {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let name = decode(name);
            let found = index.find(self.host_name(), &name, value, Place::Fragment);
            if let Some(decoration) = found {
                self.take(decoration, value, texts);
            }
        }
    }

    fn take(&mut self, decoration: &'a Decoration, value: &'a str, texts: Option<&'a Texts>) {
        let campaign = &mut self.campaign;
        let field = match decoration.says {
            Says::ShareToken => return self.take_token(decode(value)),
            Says::ClickId => return self.click_ids.push(decoration),
            Says::ShareMark => {
                return self.share_marks.push(Mark {
                    decoration,
                    value: short(value, texts),
                });
            }
            Says::Recipient => {
                let mark = || Mark {
                    decoration,
                    value: short(value, texts),
                };
                self.recipient.get_or_insert_with(mark);
                return;
            }
            Says::CampaignSource => &mut campaign.source,
            Says::CampaignMedium => &mut campaign.medium,
            Says::CampaignName => &mut campaign.name,
            Says::CampaignContent => &mut campaign.content,
            Says::CampaignTerm => &mut campaign.term,
            Says::CampaignId => &mut campaign.id,
            Says::MailId => {
                if !value.is_empty() {
                    self.mail_id.get_or_insert(decoration);
                }
                &mut campaign.id
            }
            Says::Tracking | Says::Session | Says::Content => return,
        };
        if field.is_none() && !value.is_empty() {
            *field = Some(short(value, texts));
        }
    }

    fn take_token(&mut self, token: Cow<'a, str>) {
        if !is_share_token(&token) {
            self.share_token_broken = true;
        } else if self.share_token.is_none() {
            self.share_token = Some(token);
        }
    }
}

/// Whether a text has the form of a share token: 1 to 64 bytes of `A-Z a-z 0-9 _ -`.
pub fn is_share_token(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= SHARE_TOKEN_BYTES_MAX && text.bytes().all(known)
}

/// A value, decoded and cut at a character's edge.
fn short<'a>(value: &'a str, texts: Option<&'a Texts>) -> Cow<'a, str> {
    // Three bytes of escape for each byte kept are enough.
    let raw = cut(value, 3 * VALUE_BYTES_MAX);
    if !has_escapes(raw) {
        return Cow::Borrowed(cut(raw, VALUE_BYTES_MAX));
    }
    Texts::put(texts, |text| {
        push_decoded(text, raw);
        text.truncate(cut(text, VALUE_BYTES_MAX).len());
    })
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
