//! The names in a client's certificate, which TLS has verified before.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// DNS names and e-mail addresses of the subject's alternative names (RFC 5280 section 4.2.1.6); the common
/// name where there are none.
pub(super) fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    let common = certificate.subject().iter_common_name();
    common.filter_map(|name| name.as_str().ok()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::names;

    fn certificate(alternative: &[&str], common: &str) -> Vec<u8> {
        let names: Vec<String> = alternative.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn alternative_names_win_over_the_common_name() {
        assert_eq!(names(&certificate(&["nuit.edge.example"], "operator")), ["nuit.edge.example"]);
        assert_eq!(names(&certificate(&[], "Éloïse")), ["Éloïse"]);
        assert!(names(b"").is_empty() && names(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_empty());
    }
}
