//! Paths that lead to a restricted path or do not, and the canonical form of a path.

/// Each of them leads to an administrator path on some server.
pub const RESTRICTED_PATHS: &[&[u8]] = &[
    b"/admin",
    b"/admin/",
    b"/admin/x",
    b"/admin?x=1",
    b"/v1/admin",
    b"/v1/admin/",
    b"/files/7/private",
    b"/files/a%20b/private?download",
    b"http://localhost/admin",
    b"http://localhost/public/../admin",
    b"http://localhost//admin",
    // Letter case and percent-encoding.
    b"/Admin",
    b"/ADMIN/x",
    b"/V1/Admin",
    b"/Files/7/Private",
    b"/%61dmin",
    b"/%61%64%6D%69%6e/x",
    b"/%41DMIN",
    b"/v%31/admin",
    b"/files/7/%70rivate",
    b"/%2561dmin",
    b"/%252561dmin",
    b"/%25252561dmin",
    b"/%2525252561dmin",
    // Repeated slashes.
    b"//admin",
    b"///admin//x",
    b"/v1//admin",
    b"/files//7//private",
    // URL parsers read a host first in these.
    b"//x/admin",
    b"///x/admin/y",
    b"/%2Fx/admin",
    b"/\\x/v1/admin",
    b"/admin%2Fx",
    b"/admin%252Fx",
    b"/%2Fadmin",
    b"/v1%2Fadmin",
    b"/v1%252fadmin",
    b"/files%2F7%2Fprivate",
    b"/files/7%2Fprivate",
    // Dot segments.
    b"/./admin",
    b"/x/../admin",
    b"/public/../admin",
    b"/public/./../admin/x",
    b"/public/x/../../admin",
    b"/admin/x/..",
    b"/v1/./admin",
    b"/v1/x/../admin",
    b"/files/7/x/../private",
    b"/public//..//admin",
    b"/public/..//admin",
    b"/public/%2e%2e/admin",
    b"/public/%2E%2E/admin",
    b"/public/.%2e/admin",
    b"/public/..%2fadmin",
    b"/public%2f..%2fadmin",
    b"/public%2F%2e%2e%2Fadmin",
    b"/public/%252e%252e/admin",
    b"/public/%252e%252e%252fadmin",
    b"/public/..%252fadmin",
    b"/%2e/admin",
    b"/%2e%2fadmin",
    b"/../admin",
    b"/public/../../admin",
    b"/public/..%2f..%2fadmin",
    // Path parameters.
    b"/admin;",
    b"/admin;x=1/y",
    b"/;x/admin",
    b"/v1;a=b/admin;c=d",
    b"/public/..;/admin",
    b"/public/..;x=1/admin",
    b"/public/..%3b/admin",
    b"/public/%2e%2e;/admin",
    b"/admin%3Bx",
    b"/admin%253Bx/y",
    b"/files/7/private;v=1",
    // Some servers treat everything after the first semicolon as parameters.
    b"/v1/admin;x/y",
    b"/v1/admin%3Bx/y",
    b"/files/7/private;x/../y",
    // Backslashes.
    b"/admin\\x",
    b"/\\admin",
    b"/public\\..\\admin",
    b"/public/..\\admin",
    b"/public/..%5cadmin",
    b"/public%5C..%5Cadmin",
    b"/public/..%255cadmin",
    b"/v1%5Cadmin",
    // Question marks and number signs that belong to the path until they are decoded.
    b"/admin%3Fx",
    b"/v1/admin%3Fx=/y",
    b"/v1/admin%23",
    b"/v1/admin#x",
    b"/admin#/../public",
    b"/admin%23/../public",
    b"/v1/admin%253F",
    // Invalid and overlong encodings.
    b"/admin/%",
    b"/admin/%zz",
    b"/admin%00",
    b"/v1/admin%00",
    b"/admin/\xff",
    b"/admin/%ff",
    b"/admin/\x01",
    b"/admin%0a",
    b"/public/%c0%ae%c0%ae/admin",
    b"/public/\xc0\xae\xc0\xae/admin",
    b"/public/..%c0%afadmin",
    b"/public/%e0%80%ae%e0%80%ae/admin",
];

pub const OTHER_PATHS: &[&[u8]] = &[
    b"/",
    b"/?next=/admin",
    b"/public",
    b"/public/",
    b"/public/x.css",
    b"/public//x",
    b"/public/a/../b",
    b"/public/a;v=1/b",
    b"/public/%7Euser",
    b"/v1/chat/completions",
    b"/v1/models/meta-llama%2FLlama-3",
    b"/v1/models/meta-llama%252FLlama-3/",
    b"/V1/Models/Qwen",
    b"/v1/models/gpt-4o:free@2024?a=%2F..%2Fadmin",
    b"/v1//chat",
    b"/v1/./chat",
    b"/v1/admins",
    b"/v1/admin/x",
    b"/administrator",
    b"/admin-guide",
    b"/x/admin",
    b"/files/7/8/private",
    b"/files/caf%C3%A9.txt",
    b"/files/100%25.txt",
    b"/files/C%23.txt",
    b"/files/why%3F.txt",
    b"/files/..hidden",
    b"/x/%2e%2e/public",
];

/// True if a request target leads to a restricted path after all transformations that servers may apply.
pub fn is_restricted(target: &[u8]) -> bool {
    [target.to_vec(), without_host(target), up_to(&decoded(target), b";").to_vec()]
        .iter()
        .any(|target| is_restricted_path(target))
}

/// The target without a host, for parsers that read it as a URL that begins with one.
fn without_host(target: &[u8]) -> Vec<u8> {
    let slashed: Vec<u8> = decoded(target).into_iter().map(|byte| if byte == b'\\' { b'/' } else { byte }).collect();
    let slashes = slashed.iter().take_while(|byte| **byte == b'/').count();
    match slashes {
        0 | 1 => slashed,
        _ => slashed[slashes..].iter().copied().skip_while(|byte| *byte != b'/').collect(),
    }
}

fn is_restricted_path(target: &[u8]) -> bool {
    let place = canonical(target);
    let segments: Vec<&str> = place.split('/').filter(|segment| !segment.is_empty()).collect();
    matches!(segments[..], ["admin" | "closed", ..] | ["v1", "admin"] | ["files", _, "private"])
}

/// Applies all steps repeatedly until nothing changes.
fn canonical(target: &[u8]) -> String {
    let path = target.strip_prefix(b"http://localhost").unwrap_or(target);
    let mut path = up_to(path, b"?").to_vec();
    loop {
        let simpler = simpler(&path);
        if simpler == path {
            return String::from_utf8_lossy(&path).to_lowercase();
        }
        path = simpler;
    }
}

fn simpler(path: &[u8]) -> Vec<u8> {
    let decoded = decoded(path);
    let slashes: Vec<u8> = decoded.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    let cut = up_to(&slashes, b"?#\0\n");
    let mut place: Vec<&[u8]> = Vec::new();
    for segment in cut.split(|byte| *byte == b'/') {
        match up_to(segment, b";") {
            b"" | b"." => {}
            b".." => drop(place.pop()),
            name => place.push(name),
        }
    }
    [b"/", place.join(&b'/').as_slice()].concat()
}

fn up_to<'a>(text: &'a [u8], ends: &[u8]) -> &'a [u8] {
    text.split(|byte| ends.contains(byte)).next().unwrap_or_default()
}

/// Decodes overlong forms like careless decoders do.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let encoded = (*first == b'%').then(|| hexadecimal(after)).flatten();
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    let overlong: [(&[u8], u8); 4] = [(b"\xc0\xae", b'.'), (b"\xc0\xaf", b'/'), (b"\xe0\x80\xae", b'.'), (b"\xe0\x80\xaf", b'/')];
    overlong.iter().fold(bytes, |bytes, (form, meaning)| replaced(&bytes, form, *meaning))
}

fn hexadecimal(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

fn replaced(bytes: &[u8], form: &[u8], meaning: u8) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let stands_here = rest.starts_with(form);
        replaced.push(if stands_here { meaning } else { *first });
        rest = if stands_here { &rest[form.len()..] } else { after };
    }
    replaced
}
