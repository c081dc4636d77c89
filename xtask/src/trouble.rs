//! Turns what a failed program printed into one sentence that says what to do.

/// Causes outside the repository that a person can mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    DiskFull,
    NoNetwork,
    NotAllowed,
    /// worker-build is linked with the system's OpenSSL on Linux.
    NoOpenSsl,
}

impl Trouble {
    /// Recognises the trouble by the words cargo, npm, rustup, Postgres and the system use for it.
    pub fn find(output: &str) -> Option<Self> {
        const DISK: [&str; 4] = ["ENOSPC", "No space left on device", "os error 28", "Disk quota exceeded"];
        const NETWORK: [&str; 16] = [
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNREFUSED",
            "ECONNRESET",
            "ENETUNREACH",
            "ETIMEDOUT",
            "ERR_SOCKET_TIMEOUT",
            "Could not resolve host",
            "Couldn't resolve host",
            "Could not connect to server",
            "Failed to connect to",
            "failed to download from",
            "spurious network error",
            "error sending request for url",
            "dns error",
            "Temporary failure in name resolution",
        ];
        const RIGHTS: [&str; 3] = ["EACCES", "EPERM", "Permission denied"];
        const OPENSSL: [&str; 2] = [
            "Could not find directory of OpenSSL installation",
            "The pkg-config command could not be found",
        ];
        let has = |words: &[&str]| words.iter().any(|word| output.contains(word));
        // The disk first: a full one makes downloads fail too.
        if has(&DISK) {
            Some(Self::DiskFull)
        } else if has(&NETWORK) {
            Some(Self::NoNetwork)
        } else if has(&OPENSSL) {
            Some(Self::NoOpenSsl)
        } else if has(&RIGHTS) {
            Some(Self::NotAllowed)
        } else {
            None
        }
    }

    /// `what` failed: "Installing the npm packages".
    pub fn sentence(self, what: &str) -> String {
        match self {
            Self::DiskFull => format!(
                "{what} failed because the disk is full: free at least 2 GB where the clone, cargo's home and the cache lie, and run this again"
            ),
            Self::NoNetwork => format!(
                "{what} failed because the package registry cannot be reached: check the network connection, and the proxy settings if this \
                 machine needs a proxy (npm config get proxy; the variable HTTPS_PROXY), and run this again"
            ),
            Self::NoOpenSsl => format!(
                "{what} failed because the development files of OpenSSL are missing: install them and run this again \
                 (Debian, Ubuntu: apt install pkg-config libssl-dev; Fedora: dnf install pkgconf openssl-devel)"
            ),
            Self::NotAllowed => {
                format!("{what} failed because a file or folder may not be written: check who owns the clone, ~/.npm and cargo's home")
            }
        }
    }
}

/// The trouble behind an error of the system, wherever in its chain.
pub fn in_error(error: &anyhow::Error) -> Option<Trouble> {
    Trouble::find(&format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_npm_and_cargo_print_without_a_network_is_recognised() {
        for output in [
            "npm error code ENOTFOUND\nnpm error errno ENOTFOUND",
            "npm error code EAI_AGAIN",
            "npm error code ECONNREFUSED",
            "warning: spurious network error (3 tries remaining): [6] Could not resolve hostname",
            "error: failed to download from `x`",
            "  [7] Could not connect to server",
        ] {
            assert_eq!(Trouble::find(output), Some(Trouble::NoNetwork), "{output}");
        }
    }

    #[test]
    fn a_full_disk_is_told_before_the_download_it_broke() {
        assert_eq!(
            Trouble::find("npm error code ENOSPC\nnpm error network ECONNRESET"),
            Some(Trouble::DiskFull)
        );
        assert_eq!(
            Trouble::find("error: No space left on device (os error 28)"),
            Some(Trouble::DiskFull)
        );
    }

    #[test]
    fn missing_openssl_is_told_with_the_packages_to_install() {
        let output = "error: failed to run custom build command for `openssl-sys v0.9.117`\n  Could not find directory of OpenSSL installation, and this `-sys` crate cannot proceed";
        assert!(
            Trouble::find(output)
                .unwrap()
                .sentence("Installing worker-build")
                .contains("libssl-dev")
        );
    }

    #[test]
    fn an_ordinary_failure_is_not_explained_away() {
        assert_eq!(Trouble::find("error[E0308]: mismatched types"), None);
        assert_eq!(Trouble::find(""), None);
    }

    #[test]
    fn each_sentence_says_what_to_do() {
        assert!(Trouble::NoNetwork.sentence("X").contains("check the network connection"));
        assert!(Trouble::DiskFull.sentence("X").contains("free at least"));
        assert!(Trouble::NotAllowed.sentence("X").contains("check who owns"));
    }
}
