//! TLS towards Postgres, with the meaning libpq gives to `sslmode`:
//! `disable` is plain text; `prefer` (also when nothing is said) encrypts if the server can;
//! `require` encrypts and checks the certificate only if `sslrootcert` names an authority;
//! `verify-ca` and `verify-full` always check it, against `sslrootcert` or the public authorities.
//! (`verify-ca` checks the host name too here: stricter than libpq, never weaker.)

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A database address, split into what tokio-postgres understands and what it does not.
#[derive(Debug, PartialEq)]
pub struct Address {
    pub url: String,
    mode: Mode,
    root: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Mode {
    Plain,
    Prefer,
    Encrypt,
    Verify,
}

impl Address {
    pub fn parse(url: &str) -> Result<Self> {
        // The key=value form of an address has no TLS options of ours: handed on as it is.
        let Some((base, query)) = url.split_once('?') else {
            return Ok(Self {
                url: url.to_owned(),
                mode: Mode::Prefer,
                root: None,
            });
        };
        let (mut mode, mut root, mut kept) = (Mode::Prefer, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("sslmode", "disable") => mode = Mode::Plain,
                ("sslmode", "allow" | "prefer") => mode = Mode::Prefer,
                ("sslmode", "require") => mode = Mode::Encrypt,
                ("sslmode", "verify-ca" | "verify-full") => mode = Mode::Verify,
                ("sslmode", other) => bail!("sslmode={other} is not known: use disable, require or verify-full"),
                ("sslrootcert", path) => root = Some(PathBuf::from(path)),
                _ => kept.push(pair.to_owned()),
            }
        }
        match mode {
            Mode::Plain => kept.push("sslmode=disable".to_owned()),
            Mode::Prefer => {} // tokio-postgres's own default
            Mode::Encrypt | Mode::Verify => kept.push("sslmode=require".to_owned()),
        }
        let url = if kept.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", kept.join("&"))
        };
        Ok(Self { url, mode, root })
    }

    /// Whoever answers is taken for the server.
    pub fn is_unchecked(&self) -> bool {
        matches!(self.mode, Mode::Prefer | Mode::Encrypt) && self.root.is_none()
    }
}

/// `None` for an unencrypted connection.
pub fn connector(address: &Address) -> Result<Option<MakeRustlsConnect>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = match (address.mode, &address.root) {
        (Mode::Plain, _) => return Ok(None),
        (Mode::Prefer | Mode::Encrypt, None) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
        (_, root) => builder.with_root_certificates(authorities(root.as_ref())?).with_no_client_auth(),
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn authorities(file: Option<&PathBuf>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    let certificates = CertificateDer::pem_file_iter(file).with_context(|| format!("cannot read sslrootcert {}", file.display()))?;
    for certificate in certificates {
        store.add(certificate.with_context(|| format!("{} is not a PEM certificate", file.display()))?)?;
    }
    if store.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(store)
}

/// What `sslmode=require` means everywhere: encrypted, whoever the server is. Signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Address {
        Address::parse(&format!("postgres://u:p@h/d{query}")).unwrap()
    }

    #[test]
    fn sslmode_decides_between_plain_encrypted_and_verified() {
        assert_eq!(parse("").mode, Mode::Prefer);
        assert_eq!(parse("?sslmode=disable").mode, Mode::Plain);
        assert_eq!(parse("?sslmode=require").mode, Mode::Encrypt);
        assert_eq!(parse("?sslmode=verify-full").mode, Mode::Verify);
        assert!(Address::parse("postgres://h/d?sslmode=yes").is_err());
    }

    #[test]
    fn options_that_tokio_postgres_does_not_know_are_taken_out_of_the_address() {
        let address = parse("?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x");
        assert_eq!(address.url, "postgres://u:p@h/d?application_name=x&sslmode=require");
        assert_eq!(address.root, Some(PathBuf::from("/ca.pem")));
        assert!(address.url.parse::<tokio_postgres::Config>().is_ok());
    }

    #[test]
    fn without_an_authority_only_verification_checks_the_server() {
        assert!(parse("").is_unchecked());
        assert!(parse("?sslmode=require").is_unchecked());
        assert!(!parse("?sslmode=require&sslrootcert=/ca.pem").is_unchecked());
        assert!(!parse("?sslmode=verify-full").is_unchecked());
    }
}
