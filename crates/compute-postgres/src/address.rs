//! Where a database is, and how the way there is protected.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::form_urlencoded;

/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(2);
/// After how long a connection that says nothing is asked whether it is there, and how long one may leave what was sent
/// unacknowledged.
const QUIET: Duration = Duration::from_secs(10);

/// How long a statement may take, wait for a lock, and leave a transaction open. What compiles statements to machine code would take
/// a hundred milliseconds for each that takes one: where plans by tables are forbidden, they are estimated to cost as much.
pub(crate) const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_encoding = 'UTF8'; SET jit = off";
/// The channel on which changes are told.
pub(crate) const CHANNEL: &str = "compute_changes";

/// An address that is none of a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It cannot be read.
    #[error(
        "the address of PostgreSQL cannot be read: {0}; it is postgres://USER:PASSWORD@HOST:PORT/DATABASE, or postgres:///DATABASE?host=/FOLDER"
    )]
    Malformed(String),
    /// A way of protecting the connection that is none.
    #[error(
        "sslmode={0} does not protect the connection from who is between: use verify-full, or disable where nobody is"
    )]
    Unprotected(String),
    /// The certificates of those who vouch for the server cannot be had.
    #[error("the certificates of {what} cannot be read: {problem}")]
    Certificates {
        /// Of whom.
        what: String,
        /// Why.
        problem: String,
    },
}

/// Where a database is.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    /// For people: without the password.
    pub(crate) shown: String,
}

/// Whether a text is the address of a PostgreSQL database, and not that of a folder.
#[must_use]
pub fn is_address(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// An address as it may be shown: without its password. What is none is shown as it is.
#[must_use]
pub fn without_password(address: &str) -> String {
    const HIDDEN: &str = "(hidden)";
    if !is_address(address) {
        return address.to_owned();
    }
    let (base, query) = address.split_once('?').unwrap_or((address, ""));
    let base = match base.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((user, rest)) if user.contains(':') => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:{HIDDEN}@{rest}")
            }
            _ => base.to_owned(),
        },
        None => base.to_owned(),
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    let parts: Vec<_> = parts
        .map(|part| match part.split_once('=') {
            // Only these say nothing secret.
            Some(("host" | "port" | "user" | "dbname" | "sslmode" | "sslrootcert", _)) => {
                part.to_owned()
            }
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        })
        .collect();
    if parts.is_empty() { base } else { format!("{base}?{}", parts.join("&")) }
}

impl Address {
    /// How long it may take to come to the host that answers: each may have two addresses, of which none does.
    pub(crate) fn patience(&self) -> Duration {
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX);
        CONNECT * hosts.saturating_mul(2).saturating_add(2)
    }

    /// Reads an address as `libpq` writes it, whose password may be in `PGPASSWORD`, with `sslmode` (`disable`, `require`, `verify-full`) and `sslrootcert`. A server's
    /// certificate is always checked; without `sslmode`, one on this machine is reached in the clear, and every other through TLS.
    pub(crate) fn read(text: &str) -> Result<Self, AddressError> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut roots) = (None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(value.into_owned()),
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        let rest = rest.finish();
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") };
        let mut config: Config = plain.parse().map_err(malformed)?;
        if let (None, Some(password)) = (config.get_password(), std::env::var_os("PGPASSWORD")) {
            config.password(password.as_encoded_bytes());
        }
        if config.get_hosts().is_empty() {
            return Err(AddressError::Malformed("it names no host".to_owned()));
        }
        let addresses = config.get_hostaddrs();
        let is_here = addresses.iter().all(std::net::IpAddr::is_loopback)
            && config.get_hosts().iter().all(|host| match host {
                Host::Unix(_) => true,
                Host::Tcp(name) => {
                    name == "localhost"
                        || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
                }
            });
        let protected = match mode.as_deref() {
            None => !is_here,
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(other) => return Err(AddressError::Unprotected(other.to_owned())),
        };
        config.ssl_mode(if protected { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT).keepalives_idle(QUIET).tcp_user_timeout(QUIET);
        if config.get_application_name().is_none() {
            config.application_name("compute");
        }
        // Of several, the one that takes changes.
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let shown = shown(&config);
        Ok(Self { tls: tls(protected, roots.as_deref())?, config, shown })
    }
}

/// What the parser says never has the password in it, but a cause may have what it could not read: not the ones that name an option.
fn malformed(error: tokio_postgres::Error) -> AddressError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let names_option = ["unknown option", "invalid value for option"];
    let names_option = names_option.iter().any(|known| cause.starts_with(known));
    AddressError::Malformed(if names_option { cause } else { error.to_string() })
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        match host {
            Host::Tcp(name) => format!("{name}{port}"),
            Host::Unix(path) => format!("{}{port}", path.display()),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("PostgreSQL's database {name} at {}", hosts.join(", "))
}

fn tls(protected: bool, roots: Option<&str>) -> Result<MakeRustlsConnect, AddressError> {
    let mut store = RootCertStore::empty();
    if protected {
        let failed = |problem: String| AddressError::Certificates {
            what: roots.unwrap_or("this machine").to_owned(),
            problem,
        };
        let found = match roots {
            Some(file) => CertificateDer::pem_file_iter(Path::new(file))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| failed(error.to_string()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        store.add_parsable_certificates(found);
        if store.is_empty() {
            return Err(failed("there are none: name some with sslrootcert=FILE".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AddressError::Malformed(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::{Address, without_password};

    #[test]
    fn the_way_is_protected_unless_it_is_here_or_said_otherwise() {
        for (text, mode) in [
            ("postgres://u:p@localhost/d", SslMode::Disable),
            ("postgres://u@127.0.0.1:5433/d", SslMode::Disable),
            ("postgres:///d?host=/run/postgresql&user=u", SslMode::Disable),
            ("postgres://u@db.example.org/d?sslmode=disable", SslMode::Disable),
            ("postgres://u@localhost/d?sslmode=require", SslMode::Require),
            ("postgres://u@localhost/d?hostaddr=10.0.0.5", SslMode::Require),
            ("postgresql://u@a:1,b:2/d?sslmode=disable", SslMode::Disable),
        ] {
            match Address::read(text) {
                Ok(address) => assert_eq!(address.config.get_ssl_mode(), mode, "{text}"),
                // A machine without certificates.
                Err(error) => {
                    assert!(error.to_string().contains("certificates"), "{text}: {error}")
                }
            }
        }
        for (text, told) in [
            ("postgres://u@db/d?sslmode=prefer", "sslmode=prefer does not protect"),
            ("postgres://u@db/d?sslmode=verify-full&sslrootcert=/nowhere", "/nowhere"),
            ("postgres://u:hunter2@:x/d", "cannot be read"),
            ("postgres:///d", "names no host"),
            ("postgres://u@h/d?connect_timeout=x", "invalid value for option `connect_timeout`"),
            ("postgres://u:hunter2@h/d?foo=hunter2", "unknown option `foo`"),
        ] {
            let told_of = Address::read(text).err().map(|error| error.to_string());
            assert!(
                told_of.as_ref().is_some_and(|said| said.contains(told)),
                "{text}: {told_of:?}"
            );
            assert!(!told_of.unwrap_or_default().contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let address =
            Address::read("postgres://u:hunter2@localhost:5433/d?password=hunter3").unwrap();
        assert_eq!(address.shown, "PostgreSQL's database d at localhost:5433");
        for (text, shown) in [
            ("postgres://u:hunter2@h/d", "postgres://u:(hidden)@h/d"),
            (
                "postgres://u:a@b:c@h/d?sslmode=disable&password=x",
                "postgres://u:(hidden)@h/d?sslmode=disable&password=(hidden)",
            ),
            ("postgres://u@h:1,i:2/d", "postgres://u@h:1,i:2/d"),
            ("/var/lib/compute", "/var/lib/compute"),
            ("s3://bucket/a?b=c", "s3://bucket/a?b=c"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
