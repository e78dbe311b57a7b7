#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's Jinja2, set up as transformers does, in the format of render_templates.c."""
import json
import sys
from datetime import datetime, timezone

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.fromtimestamp(1721952000, timezone.utc)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def main():
    world = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                          extensions=[loopcontrols])
    world.filters["tojson"] = tojson
    world.globals.update(raise_exception=refuse, strftime_now=NOW.strftime)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = {"text": world.from_string(job["template"]).render(**job["context"])}
        except Exception as error:  # any failure of a template is a refusal here
            result = {"error": str(error)}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
