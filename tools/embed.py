#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py - a file as a C string.

    tools/embed.py FILE NAME OUT    write OUT: `const char NAME[]` with the bytes of FILE and a
                                    zero, and `const unsigned long NAME_bytes`, how many without it
"""
import sys

BYTES_A_LINE = 16


def main():
    source, name, out = sys.argv[1:]
    with open(source, "rb") as stream:
        data = stream.read() + b"\0"
    with open(out, "w", encoding="ascii") as stream:
        stream.write(f"extern const char {name}[];\nconst char {name}[] = {{\n")
        for at in range(0, len(data), BYTES_A_LINE):
            stream.write(", ".join(str(byte if byte < 128 else byte - 256)
                                   for byte in data[at:at + BYTES_A_LINE]) + ",\n")
        stream.write(f"}};\nextern const unsigned long {name}_bytes;\n"
                     f"const unsigned long {name}_bytes = {len(data) - 1};\n")


main()
