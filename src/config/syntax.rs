//! Errors of TOML itself: made few and exact, since one slip of the pen makes a parser stumble many times.

use toml::de::Error;

use super::problem::{Place, Problem};
use super::reader::{MOST, Reader};

/// The first error of each line, in order; after a bracket that is never closed, nothing more.
pub(super) fn problems(reader: &Reader<'_>, mut errors: Vec<Error>) -> Vec<Problem> {
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let unclosed = errors.iter().any(|error| error.message().starts_with("unclosed"));
    let mut found: Vec<Problem> = Vec::new();
    let mut told = 0;
    for error in errors {
        let start = error.span().map_or(0, |span| span.start);
        let same_line = !reader.text.as_bytes()[told..start].contains(&b'\n');
        told = start;
        if same_line && !found.is_empty() {
            continue;
        }
        let place = error.span().map_or_else(|| reader.whole_file(), |span| reader.place(&span));
        let inside = unclosed && ["array", "inline table"].iter().any(|word| error.message().contains(word));
        let hint = if inside { " (a bracket before it is not closed)" } else { "" };
        let said = format!("not TOML: {}{hint}", plain(error.message()));
        found.push(Problem { place, key: String::new(), said, certain: true });
        if inside || found.len() >= MOST {
            break;
        }
    }
    found
}

/// Leaves out what a broken line may have caused: the rest stands on its own.
pub(super) fn spared(syntax: &[Problem], mut others: Vec<Problem>) -> Vec<Problem> {
    let unclosed = syntax.iter().any(|problem| problem.said.ends_with("not closed)"));
    let broken = |place: &Place| match place {
        Place::Text { line, .. } => {
            syntax.iter().any(|problem| problem.place.line() == Some(*line))
                || unclosed && syntax.last().is_some_and(|last| last.place < *place)
        }
        Place::File(_) => true,
        Place::Variable(_) => false,
    };
    if !syntax.is_empty() {
        others.retain(|problem| problem.certain && !broken(&problem.place));
    }
    others
}

fn plain(message: &str) -> String {
    // The parser says what literals are called in its grammar where a word in quotes is what is missing.
    message.replace(
        "string values must be quoted, expected literal string",
        "expected a value; texts are quoted",
    )
}
