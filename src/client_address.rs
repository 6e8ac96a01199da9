//! Canonical addresses of clients and proxies. Every listener, limit and log line uses this form.
//!
//! A dual-stack listener (`[::]`) reports an IPv4 peer as the IPv6 address `::ffff:10.1.2.3` (RFC 4291, section 2.5.5.2),
//! and proxies write such addresses in `X-Forwarded-For`. Both notations are one address here. `rate_limits` limits the
//! requests of each address.

pub mod rate_limits;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4},
    str,
};

use ipnet::{IpNet, Ipv4Net};

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_BITS: u8 = 96;

/// The address of a peer or a client. An IPv4-mapped IPv6 address is the IPv4 address, and an address has no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

/// The network that an address is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

/// A configured network. A network of IPv4-mapped IPv6 addresses is the IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyNetwork(IpNet);

/// A network with every IPv4 or every IPv6 address. It cannot be that of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnboundedNetworkError;

/// The networks of the proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<ProxyNetwork>);

/// True if connections to the address come from the same host.
pub fn is_loopback(address: IpAddr) -> bool {
    ClientAddress::from(address).0.is_loopback()
}

impl ClientAddress {
    /// Parses an element of `X-Forwarded-For`. Proxies also write a port, brackets around an IPv6 address, and the zone of a
    /// link-local address.
    fn parse_hop(hop: &[u8]) -> Option<Self> {
        let text = str::from_utf8(hop).ok()?.trim();
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
            return parse_ipv6(address).filter(|_| is_port);
        }
        let ipv4 = text.parse::<Ipv4Addr>().or_else(|_| text.parse::<SocketAddrV4>().map(|address| *address.ip()));
        ipv4.ok().map(|address| Self(address.into())).or_else(|| parse_ipv6(text))
    }

    /// Returns the network that the address is counted as: the /64 of an IPv6 address, since hosts usually own all of it.
    pub fn network(self) -> ClientNetwork {
        ClientNetwork(match self.0 {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

fn parse_ipv6(text: &str) -> Option<ClientAddress> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::from(address).into())
}

impl ProxyNetwork {
    fn contains(&self, address: ClientAddress) -> bool {
        self.0.contains(&address.0)
    }
}

impl TryFrom<IpNet> for ProxyNetwork {
    type Error = UnboundedNetworkError;

    fn try_from(network: IpNet) -> Result<Self, UnboundedNetworkError> {
        let mapped = |network: &IpNet| match network {
            IpNet::V6(network) if network.prefix_len() >= MAPPED_BITS => {
                let address = network.network().to_ipv4_mapped()?;
                Ipv4Net::new(address, network.prefix_len() - MAPPED_BITS).ok()
            }
            _ => None,
        };
        let network = mapped(&network).map_or(network, IpNet::from);
        // A larger IPv6 network that contains one mapped address contains all of them.
        let has_every_ipv4 = network.contains(&IpAddr::from(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()));
        if network.prefix_len() == 0 || has_every_ipv4 { Err(UnboundedNetworkError) } else { Ok(Self(network)) }
    }
}

impl TrustedProxies {
    pub fn new(networks: Vec<ProxyNetwork>) -> Self {
        Self(networks)
    }

    /// Returns the client's address: the peer, or if it is a trusted proxy, the last address in `X-Forwarded-For` that is not.
    /// An element that is no address ends the search, because a client may have written everything before it.
    pub fn client(&self, peer: ClientAddress, forwarded_for: &[&[u8]]) -> ClientAddress {
        self.farthest_hop(peer, forwarded_for).unwrap_or(peer)
    }

    /// Returns the client's address if a trusted proxy reports it, also if the address is that of a trusted proxy: a node that
    /// forwards connections may have one. Without a report all clients would share the address of the proxy.
    pub fn reported_client(&self, peer: ClientAddress, forwarded_for: &[&[u8]]) -> Option<ClientAddress> {
        let is_client = !self.0.is_empty() && !self.is_trusted(peer);
        if is_client { Some(peer) } else { self.farthest_hop(peer, forwarded_for) }
    }

    /// Returns the farthest address that a trusted proxy reports.
    fn farthest_hop(&self, peer: ClientAddress, forwarded_for: &[&[u8]]) -> Option<ClientAddress> {
        let hops = forwarded_for.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        let mut farthest = None;
        for hop in hops {
            match ClientAddress::parse_hop(hop) {
                Some(address) if self.is_trusted(farthest.unwrap_or(peer)) => farthest = Some(address),
                _ => break,
            }
        }
        farthest
    }

    fn is_trusted(&self, address: ClientAddress) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ProxyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
