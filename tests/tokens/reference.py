"""Counts the texts on standard input, a JSON string a line, with OpenAI's tiktoken, and writes the counts to a file.

Usage: reference.py RANKFILE COUNTS < TEXTS. The rank file is put where tiktoken looks first: nothing is downloaded.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile

URL = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"


def varint(count: int) -> bytes:
    out = bytearray()
    while count >= 0x80:
        out.append(count & 0x7F | 0x80)
        count >>= 7
    out.append(count)
    return bytes(out)


def main() -> None:
    ranks, counts = sys.argv[1:]
    with tempfile.TemporaryDirectory() as cache:
        shutil.copy(ranks, os.path.join(cache, hashlib.sha1(URL.encode()).hexdigest()))
        os.environ["TIKTOKEN_CACHE_DIR"] = cache
        import tiktoken

        encoding = tiktoken.get_encoding("o200k_base")
    texts = 0
    with open(counts, "wb") as out:
        for line in sys.stdin:
            out.write(varint(len(encoding.encode_ordinary(json.loads(line)))))
            texts += 1
    print(f"tiktoken {tiktoken.__version__} counted {texts} texts", file=sys.stderr)


main()
