//! The shipped filter with a change for a test, made in its bytes: no second build, and all else is what users run. Formats:
//! the WebAssembly core specification, section 5.

/// The same filter as another file: an empty custom section behind it gives it another hash, and so a VM of its own.
pub fn another(wasm: &[u8]) -> Vec<u8> {
    let name = b"another";
    let content = [&[name.len() as u8][..], name].concat();
    [wasm, &[0, content.len() as u8], &content].concat()
}

/// A filter whose VM traps at a request whose body reaches it with exactly this size.
pub fn that_traps_at(wasm: &[u8], size: i64) -> Vec<u8> {
    const CALLBACK: &str = "proxy_on_request_body";
    let imported = functions(section(wasm, 2));
    let original = exported(section(wasm, 7), CALLBACK);
    let kinds = numbers(section(wasm, 3));
    let kind = kinds[original - imported];
    let mut out = wasm[..8].to_vec();
    for (id, content) in sections(wasm) {
        let content = match id {
            3 => appended(content, &unsigned(kind)),
            7 => redirected(content, CALLBACK, imported + kinds.len()),
            10 => appended(content, &with_length(&trap_or_call(size, original))),
            _ => content.to_vec(),
        };
        out.push(id);
        out.extend(with_length(&content));
    }
    out
}

/// `(local.get 1) == size ? unreachable : original(0, 1, 2)`.
fn trap_or_call(size: i64, original: usize) -> Vec<u8> {
    let compare = [&[0x00, 0x20, 1, 0x41][..], &signed(size), &[0x46, 0x04, 0x40, 0x00, 0x0b]].concat();
    [&compare[..], &[0x20, 0, 0x20, 1, 0x20, 2, 0x10], &unsigned(original), &[0x0b]].concat()
}

fn sections(wasm: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = &wasm[8..];
    std::iter::from_fn(move || {
        let (id, behind) = rest.split_first()?;
        let (length, behind) = read(behind);
        let (content, behind) = behind.split_at(length);
        rest = behind;
        Some((*id, content))
    })
}

fn section(wasm: &[u8], wanted: u8) -> &[u8] {
    sections(wasm).find(|(id, _)| *id == wanted).expect("a section of that number").1
}

/// How many functions are imported. The filter imports nothing else.
fn functions(imports: &[u8]) -> usize {
    read(imports).0
}

fn numbers(list: &[u8]) -> Vec<usize> {
    let (count, mut rest) = read(list);
    (0..count)
        .map(|_| {
            let (number, behind) = read(rest);
            rest = behind;
            number
        })
        .collect()
}

/// Name, kind and index of each export, with where the index stands.
fn exports(list: &[u8]) -> Vec<(String, usize, usize)> {
    let (count, mut rest) = read(list);
    (0..count)
        .map(|_| {
            let (length, behind) = read(rest);
            let (name, behind) = behind.split_at(length);
            let at = list.len() - behind.len() + 1;
            let (index, behind) = read(&behind[1..]);
            rest = behind;
            (String::from_utf8_lossy(name).into_owned(), index, at)
        })
        .collect()
}

fn exported(list: &[u8], wanted: &str) -> usize {
    exports(list).into_iter().find(|(name, ..)| name == wanted).expect("an export of that name").1
}

fn redirected(list: &[u8], wanted: &str, index: usize) -> Vec<u8> {
    let (_, old, at) = exports(list).into_iter().find(|(name, ..)| name == wanted).expect("an export of that name");
    [&list[..at], &unsigned(index), &list[at + unsigned(old).len()..]].concat()
}

/// A list with one element more.
fn appended(list: &[u8], element: &[u8]) -> Vec<u8> {
    let (count, elements) = read(list);
    [&unsigned(count + 1), elements, element].concat()
}

fn with_length(content: &[u8]) -> Vec<u8> {
    [&unsigned(content.len()), content].concat()
}

/// LEB128.
fn read(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut number, mut shift) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            return (number, &bytes[at + 1..]);
        }
    }
    panic!("a number without an end");
}

fn unsigned(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn signed(mut number: i64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = number as u8 & 0x7f;
        number >>= 7;
        if (number == 0 && byte & 0x40 == 0) || (number == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}
