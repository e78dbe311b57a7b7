/* SPDX-License-Identifier: Apache-2.0 */
/* template.h - chat templates: the part of Jinja that models bring along in
 * `tokenizer.chat_template`, with nothing behind it but the values handed in.
 *
 * Rendering follows what Hugging Face's libraries do: trim_blocks and lstrip_blocks are on, one
 * line break at the template's end is dropped, nothing is escaped, `{% generation %}` blocks are
 * their content, break and continue are there, `tojson` writes like Python's json.dumps with
 * ensure_ascii off, and `raise_exception(message)` and `strftime_now(format)` exist.  Values behave
 * like Python's: `/` gives a float, True prints as "True", an undefined name prints as nothing, and
 * an attribute of an undefined value is an error.  Beyond that, lists and dicts may be changed
 * (append, extend, insert, pop, update), but never those of the caller.
 *
 * There are no includes, imports, template inheritance, autoescaping, recursive loops, and no
 * integers beyond 64 bits.
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 * Source: Jinja 3.1, "Template Designer Documentation"; Python 3, "Built-in Types".
 */
#ifndef ENX_TEXT_TEMPLATE_H
#define ENX_TEXT_TEMPLATE_H

#include "base/buf.h"
#include "base/status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENX_TEMPLATE_BYTES_MAX = 1 << 20,
    ENX_TEMPLATE_NESTING_MAX = 96,      /* of brackets, blocks and operators that nest, in text */
    ENX_TEMPLATE_DEPTH_MAX = 400,       /* of expressions, blocks and macros that wait, rendering */
    ENX_TEMPLATE_JSON_DEPTH_MAX = 64,   /* of the context, and of values that are printed */
    ENX_TEMPLATE_STEPS_MAX = 10000000,  /* of one rendering */
    ENX_TEMPLATE_ITEMS_MAX = 1 << 20,   /* of a list or a dict */
    ENX_TEMPLATE_MEMORY_MAX = 1 << 28,  /* bytes of all values of one rendering */
    ENX_TEMPLATE_OUTPUT_MAX = 64 << 20, /* bytes that one rendering has under way */
};

typedef struct enx_template enx_template;

/* Parse a template; `text` is not needed afterwards.  Messages begin "template LINE:COLUMN", both
 * from 1, columns in bytes.  ENX_FORMAT: not a template, and what was expected; ENX_UNSUPPORTED: a
 * statement, filter or test that is not known, by name, wherever it stands; ENX_LIMIT: larger or
 * nested deeper than the limits above; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_template_open(enx_template **out, const char *text, size_t size_bytes,
                                          enx_report *report);
void                    enx_template_close(enx_template **t);

/* Append the text of `context`, an object of all names that the template can see (messages, tools,
 * add_generation_prompt, bos_token, ...); borrowed, unchanged.  `now_s` is what strftime_now shows,
 * in seconds since 1970 UTC and shown as UTC.  When it fails `out` is as it was.
 *
 * ENX_INVALID: the template refused (raise_exception: the report is its message alone), or did what
 * Python would not allow, or the context is no object; ENX_UNSUPPORTED: a function or method that
 * is not known was called; ENX_LIMIT: a limit above, or the cap of `out`; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_template_render(const enx_template *t, const json_t *context,
                                            int64_t now_s, enx_buf *out, enx_report *report);

#endif /* ENX_TEXT_TEMPLATE_H */
