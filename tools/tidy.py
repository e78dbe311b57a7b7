#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py - does the tree keep its own rules?

    tools/tidy.py [ROOT]       check the tree; one line a breach, exit status 1 when there is any
    tools/tidy.py --self-test  check the checker

The rules are data, in the tables below; STYLE.md says why they are there.  A message reads
"path:line: what is wrong; what to do".
"""
import collections
import os
import re
import sys
import tempfile

# ---- the rules -------------------------------------------------------------

# room: the rooms whose headers it may include
ROOMS = {
    "base": "base",
    "plat": "base plat",
    "kernels": "base kernels",
    "gguf": "base gguf",
    "text": "base gguf text",
    "model": "base plat kernels gguf model",
    "engine": "base plat kernels gguf text model engine",
    "train": "base plat kernels gguf text model train",
    "scale": "base scale",
    "market": "base market",
    "swarm": "base swarm",
    "check": "base text swarm check",
    "backend": "base plat kernels gguf text model engine swarm backend",
    "sandbox": "base plat sandbox",
    "repair": "base gguf repair",
    "store": "base plat swarm store",
    "serve": "base plat kernels gguf text model engine scale market swarm check backend sandbox"
             " store serve",
    "cli": "base plat kernels gguf text model engine train scale market swarm check backend"
           " sandbox repair store serve cli",
}
ROOMS = {room: set(allowed.split()) for room, allowed in ROOMS.items()}

# system header (a name, or a prefix that ends in /): the only rooms that may include it
HEADER_ROOMS = {
    "sqlite3.h": {"store"},
    "histedit.h": {"cli"},
    "oneapi/": {"train"},
    "seccomp.h": {"sandbox"},
    "curl/": {"backend"},
    "microhttpd.h": {"serve"},
    "nats/": {"backend"},
    "openssl/": {"plat"},
    "immintrin.h": {"kernels"},
    "x86intrin.h": {"kernels"},
    "arm_neon.h": {"kernels"},
}

# rooms that are pure functions of their inputs, and what brings the world in
PURE_ROOMS = {"base", "kernels", "gguf", "text", "scale", "market", "repair", "swarm", "check"}
WORLD_HEADERS = {
    "time.h", "pthread.h", "threads.h", "unistd.h", "fcntl.h", "signal.h", "poll.h", "netdb.h",
    "dirent.h", "sys/", "netinet/", "arpa/",
}

# the exceptions, each with its reason
WORLD_ALLOWED = {
    ("src/base/mem.c", "sys/mman.h"),  # asks the kernel for huge pages under big blocks
    ("src/kernels/cpu.c", "sys/auxv.h"),  # what an ARM processor can, which only the kernel may ask
}

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 1200

# call: what to use instead; everywhere
BANNED = {
    "strcpy": "use memcpy with a known size, or enx_buf",
    "strcat": "use enx_buf",
    "sprintf": "use snprintf, or enx_buf_printf",
    "vsprintf": "use vsnprintf, or enx_buf_printf",
    "gets": "use enx_file_read with a limit",
    "atoi": "use strtol and check the end",
    "atof": "use strtod and check the end",
    "strtok": "step with strcspn, which keeps no state",
    "rand": "use base/rng.h, which has a seed",
    "srand": "use base/rng.h, which has a seed",
}
# ... below src/
BANNED_HEAP = {
    name: "use enx_mem_* (base/mem.h), an arena or enx_buf"
    for name in ("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign",
                 "strdup", "strndup")
}
BANNED_LEAVING = {
    "exit": "return an enx_status; only cli ends the program",
    "quick_exit": "return an enx_status; only cli ends the program",
    "abort": "use ENX_CHECK for broken promises, an enx_status for bad input",
    "printf": "fill the enx_report or an enx_buf; only cli prints",
    "vprintf": "fill the enx_report or an enx_buf; only cli prints",
    "puts": "fill the enx_report or an enx_buf; only cli prints",
    "putchar": "fill the enx_report or an enx_buf; only cli prints",
    "perror": "fill the enx_report; only cli prints",
}
HEAP_OWNERS = {"src/base/mem.c"}  # and the room plat
LEAVERS = {"src/base/check.c"}  # and the room cli

FOLDERS = ("src", "include", "tests", "fuzz", "bench", "tools", "scripts", "web", ".ci")
SCRIPTS = (".py", ".sh", ".js", ".mjs")
DATA_FOLDERS = {"corpus", "dist", "golden", "data", "node_modules", "__pycache__"}
LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
INVISIBLE = re.compile("[\u00a0\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
SPDX = "SPDX-License-Identifier: Apache-2.0"

# ---- the checker -----------------------------------------------------------

SKIPPED = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
CALL = re.compile(r"(?<![\w.>])([a-z_]\w*)\s*\(")


def blank(match):
    """Keep line breaks, so that line numbers stay right."""
    return re.sub(r"[^\n]", " ", match.group())


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class File:
    def __init__(self, root, path):
        self.path = path
        parts = path.split("/")
        self.room = parts[1] if parts[0] == "src" and len(parts) > 2 else None
        with open(os.path.join(root, path), "rb") as stream:
            raw = stream.read()
        self.encoded = True
        try:
            self.text = raw.decode("utf-8")
        except UnicodeDecodeError:
            self.encoded = False
            self.text = raw.decode("latin-1")
        self.lines = self.text.split("\n")
        self.is_c = path.endswith((".c", ".h"))
        self.is_header = path.endswith(".h")
        self.is_script = path.endswith(SCRIPTS) or self.text.startswith("#!")
        self.code = SKIPPED.sub(blank, self.text) if self.is_c else ""


def check_text(file):
    if not file.encoded:
        yield 1, "the file is not UTF-8; save it as UTF-8"
    if file.text and not file.text.endswith("\n"):
        yield len(file.lines), "the last line has no end; add a line break"
    if len(file.lines) - 1 > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, f"{len(file.lines) - 1} lines; split the file," \
            f" {FILE_LINES_MAX} is the limit"
    for number, line in enumerate(file.lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, f"{len(line)} columns; break the line, {LINE_COLUMNS_MAX} is the limit"
        if "\t" in line or "\r" in line:
            yield number, "a tab or carriage return; use spaces and plain line breaks"
        if line != line.rstrip():
            yield number, "space at the end of the line; remove it"
        if LATER.search(line):
            yield number, f"'{LATER.search(line).group()}'; do it now, or file it and say" \
                " nothing here"
        if INVISIBLE.search(line):
            yield number, "an invisible character; write it as an escape"


def check_first_line(file):
    if file.is_c and file.lines[0] != f"/* {SPDX} */":
        yield 1, f"no licence line; start with /* {SPDX} */"
    if file.is_script and not any(SPDX in line for line in file.lines[:2]):
        yield 1, f"no licence line; start with # {SPDX} (after #!)"


def check_header(file):
    parts = file.path[:-2].split("/")
    parts = parts[1:] if parts[0] == "src" else parts[-1:] if parts[0] == "include" else parts
    guard = "_".join(["ENX"] + parts + ["H"]).upper().replace("-", "_").replace(".", "_")
    if f"#ifndef {guard}\n#define {guard}\n" not in file.text:
        yield 1, f"no header guard {guard}; name it after the path"
    if not file.text.endswith(f"#endif /* {guard} */\n"):
        yield len(file.lines) - 1, f"the guard's end is bare; write #endif /* {guard} */"
    for promise in ("Layer:", "Thread-safety:"):
        if promise not in file.text.split("#ifndef", 1)[0]:
            yield 1, f"the opening comment has no '{promise}' line; say it there"


def header_rooms(name):
    for prefix, rooms in HEADER_ROOMS.items():
        if name == prefix or prefix.endswith("/") and name.startswith(prefix):
            return rooms
    return None


def is_world(name):
    return name in WORLD_HEADERS or name.split("/")[0] + "/" in WORLD_HEADERS


def check_includes(file):
    # Comments are blanked for the search, but so are the quoted names: look those up in the text.
    for match in INCLUDE.finditer(file.text):
        if file.code[match.start():match.end()].strip() == "":
            continue
        line = line_of(file.text, match.start(1))
        quoted, name = match.group(1) == '"', match.group(2)
        target = name.split("/")[0]
        if quoted and target in ROOMS:
            if target not in ROOMS[file.room]:
                allowed = ", ".join(sorted(ROOMS[file.room]))
                yield line, f"{file.room}/ may not include {name}; it may include {allowed}"
        elif quoted and "/" not in name:
            yield line, f'"{name}" has no room; include it as "{file.room}/{name}"'
        rooms = header_rooms(name)
        if rooms and file.room not in rooms:
            yield line, f"{file.room}/ may not include {name}; only {', '.join(sorted(rooms))}" \
                " may, so ask that room"
        if not quoted and file.room in PURE_ROOMS and is_world(name) \
                and (file.path, name) not in WORLD_ALLOWED:
            yield line, f"{file.room}/ may not include {name}; it is a pure room, so take what" \
                " you need as an argument"


def banned_in(file):
    banned = dict(BANNED)
    if file.room and file.room != "plat" and file.path not in HEAP_OWNERS:
        banned.update(BANNED_HEAP)
    if file.room and file.room != "cli" and file.path not in LEAVERS:
        banned.update(BANNED_LEAVING)
    return banned


def check_calls(file):
    banned = banned_in(file)
    for match in CALL.finditer(file.code):
        name = match.group(1)
        if name in banned:
            yield line_of(file.code, match.start()), f"{name}() is banned here; {banned[name]}"


def check_functions(file):
    first = None
    for number, line in enumerate(file.code.split("\n"), 1):
        if line.rstrip() == "{":
            first = number
        elif line.startswith("}") and first:
            lines = number - first + 1
            if lines > FUNCTION_LINES_MAX:
                yield first, f"a function of {lines} lines; split it, {FUNCTION_LINES_MAX} is" \
                    " the limit"
            first = None


def check_file(file):
    yield from check_text(file)
    yield from check_first_line(file)
    if not file.is_c:
        return
    yield from check_calls(file)
    yield from check_functions(file)
    if file.is_header:
        yield from check_header(file)
    if file.room in ROOMS:
        yield from check_includes(file)
    elif file.room:
        yield 1, f"src/{file.room} is no room; use one of {', '.join(ROOMS)}"


def check_names(paths):
    """File names are unique in src/, so that a stack trace or a search is never ambiguous."""
    homes = collections.defaultdict(set)
    for path in paths:
        if path.startswith("src/") and path.endswith((".c", ".h")):
            folder, name = os.path.split(path)
            homes[os.path.splitext(name)[0]].add(folder)
    for name, folders in sorted(homes.items()):
        if len(folders) > 1:
            yield f"{max(folders)}/{name}", f"the name is also used in {min(folders)};" \
                " rename one, names are unique in src/"


def list_files(root):
    for top in FOLDERS:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(set(folders) - DATA_FOLDERS)
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if name.endswith((".c", ".h", "meson.build") + SCRIPTS) or "." not in name:
                    yield path


def check_tree(root):
    paths = list(list_files(root))
    messages = []
    for path in paths:
        file = File(root, path)
        messages += [f"{path}:{line}: {message}" for line, message in check_file(file)]
    messages += [f"{path}:1: {message}" for path, message in check_names(paths)]
    return messages, len(paths)


# ---- the checker's own test ------------------------------------------------

GOOD_C = f"/* {SPDX} */\n/* good.c - a \"/* TO\" \"DO free(\" of no harm. */\n"
GOOD_H = f"""/* {SPDX} */
/* good.h - fine.
 *
 * Layer: base.  Thread-safety: no shared state.
 */
#ifndef ENX_BASE_GOOD_H
#define ENX_BASE_GOOD_H
#endif /* ENX_BASE_GOOD_H */
"""
LONG_BODY = "int f(void)\n{\n" + "    f();\n" * 69 + "}\n"
C = f"/* {SPDX} */\n"
# path, text, the message it must give (None: none at all)
CASES = (
    ("src/base/good.c", GOOD_C.replace('"/* TO" "DO free("', "'free('"), None),
    ("src/base/good.h", GOOD_H, None),
    ("src/base/x.c", C + '#include "swarm/swarm.h"\n', ":2: base/ may not include swarm/swarm.h"),
    ("src/base/x.c", C + '/* #include "swarm/swarm.h" */\n', None),
    ("src/swarm/x.c", C + '#include "base/buf.h"\n#include <jansson.h>\n', None),
    ("src/swarm/x.c", C + "#include <time.h>\n", ":2: swarm/ may not include time.h"),
    ("src/swarm/x.c", C + "#include <sys/time.h>\n", "it is a pure room"),
    ("src/base/mem.c", C + "#include <sys/mman.h>\n", None),
    ("src/base/x.c", C + "#include <sys/mman.h>\n", "it is a pure room"),
    ("src/engine/x.c", C + '#include "train/train.h"\n', "engine/ may not include train/"),
    ("src/train/x.c", C + '#include "engine/engine.h"\n', "train/ may not include engine/"),
    ("src/serve/x.c", C + '#include "train/train.h"\n', "serve/ may not include train/"),
    ("src/cli/x.c", C + '#include "train/train.h"\n', None),
    ("src/cli/x.c", C + "#include <sqlite3.h>\n", "cli/ may not include sqlite3.h; only store"),
    ("src/store/x.c", C + "#include <sqlite3.h>\n", None),
    ("src/model/x.c", C + "#include <immintrin.h>\n", "only kernels may"),
    ("src/model/x.c", C + '#include "x.h"\n', 'include it as "model/x.h"'),
    ("src/attic/x.c", C, "src/attic is no room"),
    ("src/model/x.c", C + "int a = strcpy(b, c);\n", ":2: strcpy() is banned here; use memcpy"),
    ("tests/x.c", C + "int a = sprintf(b, c);\n", "sprintf() is banned"),
    ("src/model/x.c", C + "void *p = malloc(4);\n", "malloc() is banned here; use enx_mem_"),
    ("src/plat/x.c", C + "void *p = malloc(4);\n", None),
    ("tests/x.c", C + "void *p = malloc(4);\n", None),
    ("src/model/x.c", C + "int a = table->free(b), c = enx_mem_free(b), d = t.exit(1);\n", None),
    ("src/model/x.c", C + "/* free(x) */ const char *s = \"free(x)\";\n", None),
    ("src/model/x.c", C + "int a = printf(b);\n", "only cli prints"),
    ("src/model/x.c", C + "int a = snprintf(b);\n", None),
    ("src/cli/x.c", C + "int a = printf(b), c = exit(1);\n", None),
    ("src/base/check.c", C + "int a = abort();\n", None),
    ("src/model/x.c", C + "int a = abort();\n", "abort() is banned"),
    ("src/model/x.c", C + LONG_BODY, ":3: a function of 71 lines"),
    ("src/model/x.c", C + LONG_BODY.replace("    f();\n", "", 1), None),
    ("src/model/x.c", C + "/*" + "x" * 98 + "*/\n", ":2: 102 columns"),
    ("src/model/x.c", C + "/*" + "\u00e9" * 96 + "*/\n", None),
    ("src/model/x.c", C + "int a;\n" * 1200, ":1201: 1201 lines; split"),
    ("src/model/x.c", C + "\tint a;\n", ":2: a tab"),
    ("src/model/x.c", C + "int a; \n", ":2: space at the end"),
    ("src/model/x.c", C + "int a;", "the last line has no end"),
    ("src/model/x.c", C + "/* TO" + "DO later */\n", "do it now"),
    ("tools/x.py", f"# {SPDX}\n# FIX" + "ME\n", "do it now"),
    ("tools/x.py", "#!/usr/bin/env python3\n", "no licence line"),
    ("scripts/x", f"#!/bin/sh\n# {SPDX}\n", None),
    ("src/model/x.c", C + "/* \u202e */\n", "an invisible character"),
    ("src/model/x.c", "int a;\n", ":1: no licence line"),
    ("src/model/x.h", GOOD_H, "no header guard ENX_MODEL_X_H"),
    ("tests/sim/x.h", GOOD_H.replace("BASE_GOOD", "TESTS_SIM_X"), None),
    ("include/enxame/enxame.h", GOOD_H.replace("BASE_GOOD", "ENXAME"), None),
    ("src/base/x.h", GOOD_H.replace("GOOD", "X").replace("Layer:", ""), "has no 'Layer:'"),
    ("src/base/x.h", GOOD_H.replace("GOOD", "X").replace("Thread-safety", ""),
     "has no 'Thread-safety:'"),
    ("src/base/x.h", GOOD_H.replace("GOOD", "X").replace(" /* ENX_BASE_X_H */", ""), "is bare"),
)


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as stream:
        stream.write(text)


def self_test():
    for path, text, want in CASES:
        with tempfile.TemporaryDirectory() as root:
            write(root, path, text)
            messages, _ = check_tree(root)
            if want is None:
                assert not messages, f"{path}: {text[-80:]!r} gives {messages}"
            else:
                assert len(messages) >= 1, f"{path}: {text[-80:]!r} gives nothing, want {want}"
                assert any(want in m for m in messages), f"{path}: {messages} lacks {want!r}"
    with tempfile.TemporaryDirectory() as root:
        write(root, "src/base/twin.c", C)
        write(root, "src/model/twin.c", C)
        messages, count = check_tree(root)
        assert count == 2 and "also used in src/base" in messages[0], messages
    print(f"tidy: self-test of {len(CASES) + 1} cases passed")


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        return 0
    root = arguments[0] if arguments else os.path.join(os.path.dirname(__file__), "..")
    messages, count = check_tree(root)
    for message in messages:
        print(message)
    print(f"tidy: {count} files, {len(messages)} breaches")
    return 1 if messages or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
