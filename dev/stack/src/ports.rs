//! The TCP ports of one stack: fixed ones a person can remember, or free ones for stacks side by side.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use anyhow::{Result, bail};
use rand::Rng;

pub const DEFAULT_GATEWAY: u16 = 8787;
pub const DEFAULT_BASE: u16 = 54329;
const DEFAULT_SANDBOX: u16 = 8790;

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Gateway,
    Postgres,
    Postgrest,
    PostgrestAdmin,
    Proxy,
    Sandbox,
    /// The own socket of a function (workerd only).
    Function,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "the gateway",
            Self::Postgres => "Postgres",
            Self::Postgrest => "PostgREST",
            Self::PostgrestAdmin => "PostgREST's readiness check",
            Self::Proxy => "the PostgREST proxy",
            Self::Sandbox => "the sandbox",
            Self::Function => "the own address of a function",
        })
    }
}

/// Which ports the caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Take any free port for what is not named here.
    pub any_free: bool,
    pub gateway: Option<u16>,
    /// Everything but the gateway lies from here on.
    pub base: Option<u16>,
}

#[derive(Debug)]
pub struct Ports {
    pub gateway: u16,
    pub postgres: u16,
    pub postgrest: u16,
    pub postgrest_admin: u16,
    pub proxy: u16,
    pub sandbox: u16,
    /// Function name -> its own port; the gateway is not among them.
    pub functions: BTreeMap<String, u16>,
    /// Listens on the first port of a free block for as long as the others may still be unused.
    reserved: Option<TcpListener>,
}

impl Ports {
    /// Chooses the ports and checks that nobody listens on them.
    pub fn choose(wanted: Wanted, functions: &[String]) -> Result<Self> {
        let ports = match wanted {
            Wanted {
                any_free: true,
                base: None,
                ..
            } => Self::free(wanted.gateway, functions)?,
            _ => Self::fixed(wanted, functions)?,
        };
        for (purpose, port) in ports.list() {
            if !is_free(port) {
                bail!(taken(port, purpose, holder(port).as_deref()));
            }
        }
        Ok(ports)
    }

    fn fixed(wanted: Wanted, functions: &[String]) -> Result<Self> {
        let base = wanted.base.unwrap_or(DEFAULT_BASE);
        let gateway = match wanted.gateway {
            Some(port) => port,
            None if wanted.any_free => base.saturating_add(5),
            None => DEFAULT_GATEWAY,
        };
        let mut ports = Self::from_base(base, gateway, functions)?;
        if wanted.base.is_none() {
            ports.sandbox = DEFAULT_SANDBOX;
        }
        Ok(ports)
    }

    fn from_base(base: u16, gateway: u16, functions: &[String]) -> Result<Self> {
        let last = u16::try_from(functions.len())
            .ok()
            .and_then(|n| base.checked_add(10)?.checked_add(n));
        if base < 1024 || last.is_none() {
            bail!("--port-base {base} does not fit: ports run from 1024 to 65535");
        }
        Ok(Self {
            gateway,
            postgres: base,
            postgrest: base + 1,
            postgrest_admin: base + 2,
            proxy: base + 3,
            sandbox: base + 4,
            functions: functions.iter().cloned().zip(base + 10..).collect(),
            reserved: None,
        })
    }

    /// A random block of free ports. Stacks that start at the same moment cannot get the same one: the first port of each
    /// block is listened on until the others are in use. Below 32768, because above it systems take the source ports of
    /// outgoing connections.
    fn free(gateway: Option<u16>, functions: &[String]) -> Result<Self> {
        const FIRST: u16 = 20_000;
        const BLOCK: u16 = 32;
        const BLOCKS: u16 = 375;
        for _ in 0..1000 {
            let first = FIRST + BLOCK * rand::rng().random_range(0..BLOCKS);
            let Ok(reserved) = TcpListener::bind((Ipv4Addr::LOCALHOST, first)) else {
                continue;
            };
            let mut ports = Self::from_base(first + 1, first + 6, functions)?;
            if ports.list().into_iter().all(|(_, port)| is_free(port)) {
                ports.gateway = gateway.unwrap_or(ports.gateway);
                ports.reserved = Some(reserved);
                return Ok(ports);
            }
        }
        bail!("found no free ports between {FIRST} and {}", FIRST + BLOCK * BLOCKS)
    }

    fn list(&self) -> Vec<(Purpose, u16)> {
        let mut list = vec![
            (Purpose::Gateway, self.gateway),
            (Purpose::Postgres, self.postgres),
            (Purpose::Postgrest, self.postgrest),
            (Purpose::PostgrestAdmin, self.postgrest_admin),
            (Purpose::Proxy, self.proxy),
            (Purpose::Sandbox, self.sandbox),
        ];
        list.extend(self.functions.values().map(|port| (Purpose::Function, *port)));
        list
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The sentence for a taken port: what it is for, who has it, how to take another.
pub fn taken(port: u16, purpose: Purpose, holder: Option<&str>) -> String {
    let holder = holder.map_or(String::new(), |who| format!(", and {who} listens on it"));
    let flag = match purpose {
        Purpose::Gateway => format!("--port {}", if port == 9000 { 9100 } else { 9000 }),
        _ => format!("--port-base {}", if port < 54_000 { 55_000 } else { 40_000 }),
    };
    format!("port {port} is taken: {purpose} needs it{holder}. Stop that program, or use other ports: cargo xtask dev {flag}")
}

/// Who listens on the port, as far as this account may see it: "`node` (pid 1234)".
fn holder(port: u16) -> Option<String> {
    holder_from_proc(port).or_else(|| holder_from_lsof(port))
}

/// Linux: the socket's inode out of /proc/net/tcp*, then the process that has it open.
fn holder_from_proc(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| listening_inodes(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let open = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        if open.into_iter().any(|target| inodes.iter().any(|inode| target == Path::new(inode))) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("`{}` (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inodes of sockets that listen on `port`, out of a table in the format of /proc/net/tcp.
fn listening_inodes(table: &str, port: u16) -> Vec<&str> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&wanted) && fields[3] == LISTEN)
        .map(|fields| fields[9])
        .collect()
}

fn holder_from_lsof(port: u16) -> Option<String> {
    let output = Command::new("lsof")
        .args(["-nP", "-sTCP:LISTEN", "-Fpc", &format!("-iTCP:{port}")])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |key: char| text.lines().find_map(|line| line.strip_prefix(key));
    Some(format!("`{}` (pid {})", field('c')?, field('p')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<String> {
        vec!["events".into(), "orders".into()]
    }

    #[test]
    fn the_fixed_ports_are_the_documented_ones() {
        let ports = Ports::fixed(Wanted::default(), &functions()).unwrap();
        assert_eq!(
            (ports.gateway, ports.postgres, ports.postgrest, ports.postgrest_admin),
            (8787, 54329, 54330, 54331)
        );
        assert_eq!((ports.proxy, ports.sandbox), (54332, 8790));
        assert_eq!(ports.functions["orders"], 54340);
    }

    #[test]
    fn the_base_moves_everything_but_the_gateway() {
        let wanted = Wanted {
            base: Some(40_000),
            ..Wanted::default()
        };
        let ports = Ports::fixed(wanted, &functions()).unwrap();
        assert_eq!((ports.gateway, ports.postgres, ports.sandbox), (8787, 40_000, 40_004));
        assert!(
            Ports::fixed(
                Wanted {
                    base: Some(65_530),
                    ..wanted
                },
                &functions()
            )
            .is_err()
        );
    }

    #[test]
    fn free_ports_differ_from_each_other_and_from_those_of_a_stack_that_starts_at_the_same_moment() {
        let free = || {
            Ports::choose(
                Wanted {
                    any_free: true,
                    ..Wanted::default()
                },
                &functions(),
            )
            .unwrap()
        };
        // Nobody listens on them yet.
        let stacks: Vec<Ports> = (0..50).map(|_| free()).collect();
        let mut numbers: Vec<u16> = stacks.iter().flat_map(Ports::list).map(|(_, port)| port).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50 * 8);
    }

    #[test]
    fn a_taken_port_is_named_with_its_purpose_its_holder_and_the_flag() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = Wanted {
            any_free: true,
            gateway: Some(port),
            base: None,
        };
        let error = Ports::choose(wanted, &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port} is taken: the gateway needs it")), "{error}");
        assert!(error.contains("--port 9000"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        }
    }

    #[test]
    fn listening_sockets_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:2253 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n";
        assert_eq!(listening_inodes(table, 0x2253), ["4711"]);
        assert!(listening_inodes(table, 0x9999).is_empty());
    }
}
