//! Writes a tag into HTML as it streams by: first in `head`, or before whatever comes where a `head` should be.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lol_html::html_content::ContentType;
use lol_html::{AsciiCompatibleEncoding, HtmlRewriter, MemorySettings, OutputSink, Settings, element, end};

use super::policy;

/// How far a place is looked for: pages that begin with more than this without any element get no tag.
const FARTHEST: usize = 256 << 10;
/// What `lol_html` may keep of a tag that goes on and on.
const MEMORY: usize = 128 << 10;

/// Writes one tag into one page; every other byte goes through as it came.
pub(super) struct Scribe {
    /// Until the tag is written, or given up.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    out: Sink,
    done: Rc<Cell<bool>>,
    read: usize,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl OutputSink for Sink {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.borrow_mut().extend_from_slice(chunk);
    }
}

impl Scribe {
    pub(super) fn new(encoding: AsciiCompatibleEncoding, tag: String) -> Self {
        let (out, done) = (Sink::default(), Rc::new(Cell::new(false)));
        let (at_element, at_end) = (Rc::clone(&done), Rc::clone(&done));
        let tag: Rc<str> = tag.into();
        let last = Rc::clone(&tag);
        let memory = MemorySettings::new()
            .with_preallocated_parsing_buffer_size(1 << 10)
            .with_max_allowed_memory_usage(MEMORY)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let settings = Settings::new()
            .with_encoding(encoding)
            .with_strict(false)
            .with_memory_settings(memory)
            .append_element_content_handler(element!("*", move |element| {
                let name = element.tag_name();
                if !at_element.get() && name != "html" {
                    at_element.set(true);
                    if name == "head" {
                        element.prepend(&tag, ContentType::Html);
                    } else {
                        element.before(&tag, ContentType::Html);
                    }
                }
                Ok(())
            }))
            .append_document_content_handler(end!(move |end| {
                if !at_end.replace(true) {
                    end.append(&last, ContentType::Html);
                }
                Ok(())
            }));
        let rewriter = Some(HtmlRewriter::new(settings, out.clone()));
        Self { rewriter, out, done, read: 0 }
    }

    /// Whether what comes from now on goes through as it is.
    pub(super) fn is_done(&self) -> bool {
        self.rewriter.is_none()
    }

    /// Reads the page on, and writes what is settled of it.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(mut rewriter) = self.rewriter.take() else { return out.extend_from_slice(bytes) };
        let wide = self.read == 0 && (bytes.starts_with(b"\xfe\xff") || bytes.starts_with(b"\xff\xfe"));
        self.read = self.read.saturating_add(bytes.len());
        if wide || self.read > FARTHEST || has_own_policy(bytes) {
            self.done.set(true);
        }
        // After an error all that was read is written: it bails out gracefully.
        if rewriter.write(bytes).is_ok() {
            if self.done.get() {
                let _ = rewriter.end();
            } else {
                self.rewriter = Some(rewriter);
            }
        }
        self.give(out);
    }

    /// The page has ended.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(rewriter) = self.rewriter.take() {
            if self.read == 0 {
                self.done.set(true);
            }
            let _ = rewriter.end();
            self.give(out);
        }
    }

    fn give(&self, out: &mut Vec<u8>) {
        out.append(&mut self.out.0.borrow_mut());
    }
}

/// Whether a `meta` element with a Content-Security-Policy is in sight that does not let the script read the session.
/// The script itself stands before it, where it does not count yet.
fn has_own_policy(bytes: &[u8]) -> bool {
    const EQUIV: &[u8] = b"http-equiv";
    const POLICY: &[u8] = b"content-security-policy";
    let mut rest = bytes;
    while let Some(place) = find(rest, EQUIV) {
        let (before, after) = rest.split_at(place + EQUIV.len());
        let value = &after[..after.len().min(POLICY.len() + 16)];
        let is_policy = find(value, POLICY).map_or_else(
            // With a character reference in it, it may say anything.
            || value.split(|byte| *byte == b'>').next().is_some_and(|value| value.contains(&b'&')),
            // Its report-only sister is no policy in a `meta`.
            |at| value.get(at + POLICY.len()) != Some(&b'-'),
        );
        if is_policy && !content(before, after).is_some_and(policy::lets_state_be_read) {
            return true;
        }
        rest = after;
    }
    false
}

/// The `content` of a tag that begins in `before` and ends in `after`, where it can be read as it stands and no other
/// attribute's name or value could be taken for it.
fn content<'a>(before: &'a [u8], after: &'a [u8]) -> Option<&'a str> {
    let start = before.iter().rposition(|byte| *byte == b'<')?;
    let end = after.iter().position(|byte| *byte == b'>')?;
    [&before[start..], &after[..end]].into_iter().find_map(|part| {
        let place = find(part, b"content=")?;
        let is_alone = place.checked_sub(1).is_some_and(|before| part[before].is_ascii_whitespace());
        let value = part.get(place + 8..).filter(|_| is_alone)?.strip_prefix(b"\"")?;
        let text = std::str::from_utf8(&value[..value.iter().position(|byte| *byte == b'"')?]).ok()?;
        (!text.contains('&')).then_some(text)
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|part| part.eq_ignore_ascii_case(needle))
}
