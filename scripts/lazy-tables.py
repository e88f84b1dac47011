#!/usr/bin/env python3
"""lazy-tables.py IN.wasm OUT.wasm: takes the token counter's tables out of what every VM gets at its start.

Rust puts them into an active data segment, so each VM (one a worker, and two for the main thread) has its own 3.3 MB of
them, counting or not. Here they become passive segments, and the body of the function `weir_load_tables` (see
filter/core/src/tokens/tables.rs) becomes the `memory.init` of each at the address that it had. Until it is called, those
pages are never touched, so they cost nothing. A file in which a table is not found as it stands is an error.
"""

import sys
from pathlib import Path

TABLES = Path(__file__).resolve().parents[1] / "filter/core/src/tokens/o200k"
LOADER = b"weir_load_tables"
#: Smaller ones are not worth a segment.
LEAST_BYTES = 4096
#: `classes.bin` is read by the estimator too, which loads nothing.
ALWAYS = ("classes.bin",)
EXPORT, CODE, DATA, DATA_COUNT, IMPORT = 7, 10, 11, 12, 2


def number(data, at):
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def unsigned(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def signed(value):
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value & 0x7F]))


def sections(wasm):
    at, found = 8, []
    while at < len(wasm):
        kind = wasm[at]
        length, begin = number(wasm, at + 1)
        found.append((kind, wasm[begin : begin + length]))
        at = begin + length
    return found


def active_segments(body):
    """Address and bytes of each; Rust makes no others."""
    count, at = number(body, 0)
    found = []
    for _ in range(count):
        flags, at = number(body, at)
        if flags != 0 or body[at] != 0x41:
            sys.exit("error: expected active data segments at constant addresses")
        address, at = number(body, at + 1)
        if body[at] != 0x0B:
            sys.exit("error: expected a data segment's address to be one constant")
        length, at = number(body, at + 1)
        found.append((address, body[at : at + length]))
        at += length
    return found


def split(segments):
    """What stays active, and the tables: both as (address, bytes)."""
    active, passive = [], []
    wanted = [file.read_bytes() for file in sorted(TABLES.glob("*.bin")) if file.name not in ALWAYS]
    wanted = [table for table in wanted if len(table) >= LEAST_BYTES]
    for address, data in segments:
        cuts = []
        for table in list(wanted):
            place = data.find(table)
            if place >= 0:
                cuts.append((place, place + len(table)))
                wanted.remove(table)
        done = 0
        for begin, end in sorted(cuts):
            active.append((address + done, data[done:begin]))
            passive.append((address + begin, data[begin:end]))
            done = end
        active.append((address + done, data[done:]))
    if wanted:
        sys.exit(f"error: {len(wanted)} of the tables in {TABLES} are not in the file as they stand")
    return [segment for segment in active if segment[1]], passive


def data_section(active, passive):
    out = unsigned(len(active) + len(passive))
    for address, data in active:
        out += b"\x00\x41" + signed(address) + b"\x0b" + unsigned(len(data)) + data
    for _, data in passive:
        out += b"\x01" + unsigned(len(data)) + data
    return out


def loader_body(passive, first_segment):
    code = b"\x00"
    for index, (address, data) in enumerate(passive, first_segment):
        code += b"\x41" + signed(address) + b"\x41\x00\x41" + signed(len(data)) + b"\xfc\x08" + unsigned(index) + b"\x00"
    return code + b"\x0b"


def imported_functions(body):
    count, at = number(body, 0)
    found = 0
    for _ in range(count):
        for _ in range(2):
            length, at = number(body, at)
            at += length
        if body[at] != 0:
            sys.exit("error: expected to import functions alone")
        found += 1
        _, at = number(body, at + 1)
    return found


def exported(body, name):
    count, at = number(body, 0)
    for _ in range(count):
        length, at = number(body, at)
        here = body[at : at + length]
        kind = body[at + length]
        index, at = number(body, at + length + 1)
        if here == name and kind == 0:
            return index
    sys.exit(f"error: the file exports no function {name.decode()}")


def replaced(body, index, code):
    """The code section with another body for one of its functions."""
    count, at = number(body, 0)
    out = unsigned(count)
    for here in range(count):
        length, begin = number(body, at)
        at = begin + length
        out += unsigned(len(code)) + code if here == index else body[begin - len(unsigned(length)) : at]
    return out


def main():
    source, target = sys.argv[1:]
    wasm = Path(source).read_bytes()
    found = sections(wasm)
    bodies = dict(found)
    active, passive = split(active_segments(bodies[DATA]))
    index = exported(bodies[EXPORT], LOADER) - imported_functions(bodies[IMPORT])
    out = wasm[:8]
    for kind, body in found:
        if kind == DATA_COUNT:
            continue
        if kind == CODE:
            count = unsigned(len(active) + len(passive))
            out += bytes([DATA_COUNT]) + unsigned(len(count)) + count
            body = replaced(body, index, loader_body(passive, len(active)))
        elif kind == DATA:
            body = data_section(active, passive)
        out += bytes([kind]) + unsigned(len(body)) + body
    Path(target).write_bytes(out)
    print(f"{sum(len(data) for _, data in passive)} bytes of tables in {len(passive)} passive segments", file=sys.stderr)


main()
