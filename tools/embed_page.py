#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed_page.py - the web page as C: compressed, with its ETag and its policy.

    tools/embed_page.py INDEX ARTIFACT VIEWER OUT

writes the strings of serve/page.h.  The policy allows the inline scripts of INDEX by their hashes
and no others; the same files give the same bytes.
"""
import base64
import gzip
import hashlib
import re
import sys

BYTES_A_LINE = 16
SCRIPT = re.compile(rb"<script[^>]*>(.*?)</script>", re.S)


def write_bytes(out, name, data):
    out.write(f"const char {name}[] = {{\n")
    data += b"\0"
    for at in range(0, len(data), BYTES_A_LINE):
        out.write(", ".join(str(byte if byte < 128 else byte - 256)
                            for byte in data[at:at + BYTES_A_LINE]) + ",\n")
    out.write(f"}};\nconst unsigned long {name}_bytes = {len(data) - 1};\n")


def policy(page):
    hashes = {base64.b64encode(hashlib.sha256(script).digest()).decode()
              for script in SCRIPT.findall(page)}
    scripts = " ".join(f"'sha256-{h}'" for h in sorted(hashes)) or "'none'"
    return ("default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; font-src data:; "
            f"media-src data: blob:; script-src {scripts}; style-src 'unsafe-inline'; "
            "frame-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def main():
    index, artifact, viewer, target = sys.argv[1:]
    with open(index, "rb") as stream:
        page = stream.read()
    with open(artifact, "rb") as stream:
        frame = stream.read()
    with open(viewer, "rb") as stream:
        whole_viewer = stream.read()
    with open(target, "w", encoding="ascii") as out:
        out.write('#include "serve/page.h"\n')
        write_bytes(out, "enx_page", page)
        write_bytes(out, "enx_page_gzip", gzip.compress(page, 9, mtime=0))
        write_bytes(out, "enx_page_frame", frame)
        write_bytes(out, "enx_page_viewer", whole_viewer)
        tag = hashlib.sha256(page).hexdigest()[:32]
        out.write(f'const char enx_page_tag[] = "\\"{tag}\\"";\n')
        out.write(f'const char enx_page_policy[] = "{policy(page)}";\n')


main()
