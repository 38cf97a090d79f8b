//! Files: the configuration and the secrets beside it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A hundred Cafs take some 30 KiB: what is larger is another file, given by mistake.
pub(super) const LARGEST: usize = 1 << 20;

/// The text of a file, or why there is none, as it stands after "which".
pub(super) fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LARGEST {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let right = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("is not UTF-8 text (line {})", right.split(|byte| *byte == b'\n').count())
    })
}

/// What is said of a file over [`LARGEST`].
pub(super) fn too_large() -> String {
    format!("is larger than {} MiB", LARGEST >> 20)
}
