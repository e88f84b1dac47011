//! `identity`: who calls, by which evidence.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Cidr, Identity, Jwt, KeyOwner, Principal, Source, reader::Field};

pub(super) fn read(field: &Field<'_>) -> Option<Identity> {
    let mut identity = field.object()?;
    let sources = identity.read_or("sources", Vec::new(), |list| {
        let sources = list.each(read_source)?;
        report_second(list, &sources, "api_keys", |source| matches!(source, Source::ApiKeys(_)));
        report_second(list, &sources, "jwt", |source| matches!(source, Source::Jwt(_)));
        Some(sources)
    });
    let groups_of = identity.read_or("groups_of", HashMap::new(), read_groups_of);
    let allow_anonymous =
        identity.read_or("anonymous", false, |field| field.choice(&[("deny", false), ("allow", true)]));
    identity.close();
    Some(Identity { sources: sources?, groups_of: groups_of?, allow_anonymous: allow_anonymous? })
}

/// A second source of these kinds would never be asked: evidence that is invalid for the first one is refused.
fn report_second(list: &Field<'_>, sources: &[Source], kind: &str, is_kind: fn(&Source) -> bool) {
    let count = sources.iter().filter(|source| is_kind(source)).count();
    if count > 1 {
        list.report(format!("{count} sources `{kind}`"), "at most one");
    }
}

fn read_source(field: &Field<'_>) -> Option<Source> {
    let mut source = field.object()?;
    let read = [
        source.take("api_keys").map(|field| read_api_keys(&field)),
        source.take("jwt").map(|field| read_jwt(&field)),
        source.take("mtls").map(|field| read_mtls(&field)),
        source.take("workload").map(|field| read_workload(&field)),
        source.take("header").map(|field| read_header(&field)),
    ];
    source.close();
    let mut present = read.into_iter().flatten();
    match (present.next(), present.next()) {
        (Some(source), None) => source,
        (None, _) => {
            field.reject("one of `api_keys`, `jwt`, `mtls`, `workload`, `header`");
            None
        }
        (Some(_), Some(_)) => {
            field.report("several sources in one entry", "each in an entry of its own: their order counts");
            None
        }
    }
}

fn read_api_keys(field: &Field<'_>) -> Option<Source> {
    let mut keys = HashMap::new();
    for key in field.each(read_api_key)? {
        let (field, hash, owner) = key;
        match keys.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(owner);
            }
            Entry::Occupied(_) => field.reject("a key that is in the list once"),
        }
    }
    Some(Source::ApiKeys(keys))
}

fn read_api_key<'a>(field: &Field<'a>) -> Option<(Field<'a>, [u8; 32], KeyOwner)> {
    let mut key = field.object()?;
    let hash = key.read("sha256", "the SHA-256 of the key, 64 hex digits", |hash| {
        let bytes = match hash.node.text() {
            Some(text) => decode_sha256(text),
            None => None,
        };
        if bytes.is_none() {
            // Whoever misunderstands the field writes the key itself here.
            hash.reject_unseen("64 hex digits in quotes, the SHA-256 of the key: `printf %s KEY | sha256sum`");
        }
        Some((hash.clone(), bytes?))
    });
    let user = key.read_if("user", Field::owned);
    let service_principal = key.read_if("service_principal", Field::owned);
    let groups = key.read_or("groups", Vec::new(), read_groups);
    key.close();
    let principal = match (user?, service_principal?) {
        (Some(user), None) => Principal::User(user),
        (None, Some(name)) => Principal::ServicePrincipal(name),
        (None, None) => {
            field.report("no owner", "`user` or `service_principal`");
            return None;
        }
        (Some(_), Some(_)) => {
            field.report("two owners", "either `user` or `service_principal`");
            return None;
        }
    };
    let (hash_field, hash) = hash?;
    Some((hash_field, hash, KeyOwner { principal, groups: groups? }))
}

fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut hash = [0; 32];
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

fn read_jwt(field: &Field<'_>) -> Option<Source> {
    let mut jwt = field.object()?;
    let user = jwt.read_if("user", read_claim);
    let groups = jwt.read_if("groups", read_claim);
    let service_principal = jwt.read_if("service_principal", read_claim);
    let issuer = jwt.read("issuer", "the tokens' `iss`", Field::owned);
    let audiences = jwt.read("audiences", "the `aud` that a token must hold one of", |list| list.some(Field::owned));
    let jwks_file = jwt.read("jwks_file", "a file that holds the issuer's JSON web keys", Field::owned);
    jwt.close();
    let (user, service_principal) = (user?, service_principal?);
    if user.is_none() && service_principal.is_none() {
        field.report("no claim that names the caller", "`user`, `service_principal` or both");
        return None;
    }
    Some(Source::Jwt(Jwt {
        user,
        groups: groups?,
        service_principal,
        issuer: issuer?,
        audiences: audiences?,
        jwks_file: jwks_file?,
    }))
}

fn read_claim(field: &Field<'_>) -> Option<Vec<String>> {
    let valid = |claim: &str| !claim.split('.').any(str::is_empty);
    let claim = field.matching("a claim's name, or a path of names with dots between them", valid)?;
    Some(claim.split('.').map(str::to_owned).collect())
}

fn read_mtls(field: &Field<'_>) -> Option<Source> {
    let mut mtls = field.object()?;
    let attribute = mtls.read("user", "`uri_san`, `dns_san` or `subject`", |user| {
        user.choice(&[
            ("uri_san", "uri_san_peer_certificate"),
            ("dns_san", "dns_san_peer_certificate"),
            ("subject", "subject_peer_certificate"),
        ])
    });
    mtls.close();
    Some(Source::Mtls { attribute: attribute? })
}

fn read_workload(field: &Field<'_>) -> Option<Source> {
    let mut workload = field.object()?;
    let trust_domain = workload.read_or("trust_domain", "cluster.local".to_owned(), |field| {
        // SPIFFE's own characters.
        let valid =
            |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
        field.matching("a mesh's trust domain, such as `cluster.local`", valid).map(str::to_owned)
    });
    workload.close();
    Some(Source::Workload { trust_domain: trust_domain? })
}

fn read_header(field: &Field<'_>) -> Option<Source> {
    let mut header = field.object()?;
    let user = header.read("user", "the header that names the user", read_header_name);
    let groups = header.read_if("groups", read_header_name);
    let trusted_from =
        header.read("trusted_from", "the address ranges that may set these headers, such as `127.0.0.0/8`", |list| {
            list.some(read_cidr)
        });
    header.close();
    let (user, groups) = (user?, groups?);
    if groups.as_ref() == Some(&user) {
        field.report(format!("`{user}` twice"), "one header for the user and another one for the groups");
        return None;
    }
    Some(Source::Header { user, groups, trusted_from: trusted_from? })
}

fn read_header_name(field: &Field<'_>) -> Option<String> {
    let name = field
        .matching("a header's name", |name| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        })?
        .to_ascii_lowercase();
    // Credentials would be recorded as names; the door removes the others before anybody reads them.
    let taken = matches!(name.as_str(), "authorization" | "proxy-authorization" | "x-api-key" | "cookie")
        || name.starts_with("x-weir-")
        || name.starts_with("x-envoy-");
    if taken {
        field.reject("a header that holds no credential and does not begin with `x-weir-` or `x-envoy-`");
        return None;
    }
    Some(name)
}

fn read_cidr(field: &Field<'_>) -> Option<Cidr> {
    let expected = "an address range such as `10.0.0.0/8` or `fd00::/8`";
    let text = field.text()?;
    let cidr = parse_cidr(text);
    match cidr {
        None => field.reject(expected),
        Some(Cidr { prefix: 0, .. }) => {
            field.warn(
                format!("`{text}`"),
                "only proxies of your own: from here everybody can call himself what he likes",
            );
        }
        Some(_) => {}
    }
    cidr
}

/// An address is a range of one; bits behind the prefix are cleared.
fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let prefix = match prefix {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse::<u8>().ok()?),
        Some(_) => return None,
        None => None,
    };
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let prefix = prefix.unwrap_or(32);
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix.into())?).unwrap_or(0);
            Some(Cidr { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), prefix })
        }
        IpAddr::V6(address) => {
            let prefix = prefix.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix.into())?).unwrap_or(0);
            Some(Cidr { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), prefix })
        }
    }
}

fn read_groups(field: &Field<'_>) -> Option<Vec<String>> {
    field.each(Field::owned)
}

fn read_groups_of(field: &Field<'_>) -> Option<HashMap<String, Vec<String>>> {
    let members = field.entries()?;
    let members: Vec<_> =
        members.iter().map(|(name, groups)| Some(((*name).to_owned(), read_groups(groups)?))).collect();
    members.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("127.0.0.0/8", Some(("127.0.0.0", 8))),
            ("10.1.2.3/8", Some(("10.0.0.0", 8))),
            ("10.1.2.3", Some(("10.1.2.3", 32))),
            ("0.0.0.0/0", Some(("0.0.0.0", 0))),
            ("fd00:1::/8", Some(("fd00::", 8))),
            ("::1", Some(("::1", 128))),
            ("::/0", Some(("::", 0))),
            ("10.0.0.0/33", None),
            ("::/129", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0/8", None),
            ("localhost", None),
        ] {
            let expected = expected.map(|(address, prefix)| Cidr { address: address.parse().unwrap(), prefix });
            assert_eq!(parse_cidr(text), expected, "{text}");
        }
    }

    #[test]
    fn hashes() {
        let hash = decode_sha256(&"0aF9".repeat(16)).unwrap();
        assert_eq!(hash.get(..4), Some(&[0x0a, 0xf9, 0x0a, 0xf9][..]));
        for wrong in ["", "0a", &"0aF9".repeat(17), &"0aFg".repeat(16), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(decode_sha256(wrong), None, "{wrong}");
        }
    }
}
