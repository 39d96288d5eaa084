//! A range of network addresses, `10.0.0.0/8` or `::1`, and the question whether it holds an address.
//!
//! Pure arithmetic. Refuses anything that is not an address with an optional prefix length. Read by `config`
//! for `TRUSTED_PROXIES`, asked by whoever decides which address a request came from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: all addresses that share its first bits. IPv4 addresses written as IPv6 (`::ffff:10.0.0.1`,
/// what a dual-stack listener reports) count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix_bits: u8,
}

/// A text that names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address or a range such as 10.0.0.0/8 or fd00::/8")]
pub struct InvalidCidr;

impl Cidr {
    /// Whether the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let differing = u32::from(base) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differing = u128::from(base) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| InvalidCidr)?;
        // A mapped address would never match, since what it is compared with is turned into IPv4 first.
        if base != base.to_canonical() {
            return Err(InvalidCidr);
        }
        let all_bits: u8 = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            // `u8::from_str` would also take "+8".
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidCidr)?
            }
            Some(_) => return Err(InvalidCidr),
            None => all_bits,
        };
        if prefix_bits <= all_bits {
            Ok(Self { base, prefix_bits })
        } else {
            Err(InvalidCidr)
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests;
