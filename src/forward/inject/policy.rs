//! A backend's Content-Security-Policy (CSP level 3): the warning's script and the state that it reads are let in,
//! by their exact addresses, and nothing else. A policy that cannot be opened that narrowly is left alone, and so
//! is its page.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Where the warning lives.
pub(super) struct Site<'a> {
    /// Scheme and authority, where they are known.
    pub(super) origin: Option<&'a str>,
    /// The portal's prefix.
    pub(super) prefix: &'a str,
}

/// What lets the script in.
#[derive(Debug, Default)]
pub(super) struct Permission {
    /// The page's own nonce, for a policy that trusts nothing else.
    pub(super) nonce: Option<String>,
    /// The policies anew, of each header where they are not well as they are.
    policies: Vec<(HeaderName, Vec<HeaderValue>)>,
}

/// One policy: its directives as they were written.
struct Policy<'a> {
    directives: Vec<Directive<'a>>,
    is_changed: bool,
}

struct Directive<'a> {
    name: &'a str,
    sources: Vec<&'a str>,
    added: Vec<String>,
}

/// What lets the script in under all policies of an answer; none if it cannot be done. A policy that only reports
/// bars nothing: it is opened where it can be, so that it does not report each page.
pub(super) fn permission(headers: &HeaderMap, site: &Site<'_>) -> Option<Permission> {
    let mut permission = Permission::default();
    permission.open(headers, CONTENT_SECURITY_POLICY, site)?;
    let nonce = permission.nonce.clone();
    if permission.open(headers, CONTENT_SECURITY_POLICY_REPORT_ONLY, site).is_none() {
        permission.nonce = nonce;
    }
    Some(permission)
}

/// Whether a page under this policy may read the session's state.
pub(super) fn lets_state_be_read(policy: &str) -> bool {
    let policy = Policy::parse(policy);
    policy.connections().is_none_or(Directive::is_open_to_self)
}

impl Permission {
    /// Says the policies anew.
    pub(super) fn grant(self, headers: &mut HeaderMap) {
        for (name, policies) in self.policies {
            headers.remove(&name);
            for policy in policies {
                headers.append(&name, policy);
            }
        }
    }

    fn open(&mut self, headers: &HeaderMap, name: HeaderName, site: &Site<'_>) -> Option<()> {
        if !headers.contains_key(&name) {
            return Some(());
        }
        let (mut values, mut is_changed) = (Vec::new(), false);
        for value in headers.get_all(&name) {
            let mut texts = Vec::new();
            for text in value.to_str().ok()?.split(',') {
                let mut policy = Policy::parse(text);
                policy.open(site, &mut self.nonce)?;
                is_changed |= policy.is_changed;
                texts.push(if policy.is_changed { policy.text() } else { text.trim().to_owned() });
            }
            values.push(HeaderValue::try_from(texts.join(", ")).ok()?);
        }
        self.policies.extend(is_changed.then_some((name, values)));
        Some(())
    }
}

impl<'a> Policy<'a> {
    /// Of two directives of one name, the first counts.
    fn parse(text: &'a str) -> Self {
        let directives = text.split(';').filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            Some(Directive { name: words.next()?, sources: words.collect(), added: Vec::new() })
        });
        Self { directives: directives.collect(), is_changed: false }
    }

    fn open(&mut self, site: &Site<'_>, nonce: &mut Option<String>) -> Option<()> {
        let closed = ["sandbox", "require-sri-for"];
        if closed.iter().any(|name| self.place(name).is_some()) {
            return None;
        }
        self.open_scripts(site, nonce)?;
        self.open_connections(site)
    }

    /// Each browser reads the most special of the three that it knows.
    fn open_scripts(&mut self, site: &Site<'_>, nonce: &mut Option<String>) -> Option<()> {
        let special: Vec<usize> =
            ["script-src-elem", "script-src"].iter().filter_map(|name| self.place(name)).collect();
        let places =
            if special.is_empty() { self.place("default-src").into_iter().collect() } else { special };
        for place in places {
            let directive = self.directives.get(place)?;
            if directive.has("'strict-dynamic'") {
                let own = directive.nonce()?;
                if nonce.as_ref().is_some_and(|other| other != own) {
                    return None;
                }
                *nonce = Some(own.to_owned());
            } else if !directive.is_open_to_self() {
                let script = format!("{}{}/session.js", site.origin?, site.prefix);
                self.add(place, "script-src", vec![script]);
            }
        }
        Some(())
    }

    fn open_connections(&mut self, site: &Site<'_>) -> Option<()> {
        let Some(place) = self.place_of_connections() else { return Some(()) };
        if !self.directives.get(place)?.is_open_to_self() {
            let state = format!("{}{}/session", site.origin?, site.prefix);
            let again = format!("{state}/continuer");
            self.add(place, "connect-src", vec![state, again]);
        }
        Some(())
    }

    fn place_of_connections(&self) -> Option<usize> {
        self.place("connect-src").or_else(|| self.place("default-src"))
    }

    fn connections(&self) -> Option<&Directive<'a>> {
        self.directives.get(self.place_of_connections()?)
    }

    /// Adds sources to a directive; to `name`, with all that it had by default, where the directive is the default.
    fn add(&mut self, place: usize, name: &'static str, added: Vec<String>) {
        self.is_changed = true;
        let Some(directive) = self.directives.get_mut(place) else { return };
        if directive.name.eq_ignore_ascii_case("default-src") {
            let sources = directive.sources.clone();
            self.directives.push(Directive { name, sources, added });
        } else {
            directive.added.extend(added);
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.directives.iter().position(|directive| directive.name.eq_ignore_ascii_case(name))
    }

    fn text(&self) -> String {
        let directives: Vec<String> = self.directives.iter().map(Directive::text).collect();
        directives.join("; ")
    }
}

impl<'a> Directive<'a> {
    fn has(&self, source: &str) -> bool {
        self.sources.iter().any(|own| own.eq_ignore_ascii_case(source))
    }

    fn is_open_to_self(&self) -> bool {
        self.has("'self'") || self.has("*")
    }

    fn nonce(&self) -> Option<&'a str> {
        self.sources.iter().find_map(|source| {
            let (start, rest) = source.split_at_checked(7)?;
            let nonce = rest.strip_suffix('\'')?;
            let plain = nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
            (start.eq_ignore_ascii_case("'nonce-") && plain && !nonce.is_empty()).then_some(nonce)
        })
    }

    fn text(&self) -> String {
        let own = self.sources.iter().copied();
        let own = own.filter(|source| self.added.is_empty() || !source.eq_ignore_ascii_case("'none'"));
        let words: Vec<&str> =
            std::iter::once(self.name).chain(own).chain(self.added.iter().map(String::as_str)).collect();
        words.join(" ")
    }
}
