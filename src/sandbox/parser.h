/* SPDX-License-Identifier: Apache-2.0 */
/* parser.h - would the language's own parser accept a text, changed in this way, or in that?
 *
 * All changes are judged in one run of the sandbox: Python by compile(), JSON by json.loads(),
 * JavaScript by V8's parser, C by gcc -fsyntax-only.  Nothing of the text is executed.
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_PARSER_H
#define ENX_SANDBOX_PARSER_H

#include "sandbox/sandbox.h"

enum {
    ENX_PARSER_CHANGES_MAX = 4096,
    ENX_PARSER_C_CHANGES_MAX = 96, /* of C: each is a run of the compiler */
    ENX_PARSER_WORDS_BYTES = 160,
    ENX_PARSER_TEXT_BYTES_MAX = 4 << 20,
};

typedef struct enx_parser_change {
    size_t      at, remove; /* bytes */
    const char *insert;     /* borrowed */
} enx_parser_change;

typedef struct enx_parser_verdict {
    bool     is_judged; /* false: there was no time for it */
    bool     is_accepted;
    uint32_t line, column;                  /* of the first error, from 1; 0: not told */
    char     words[ENX_PARSER_WORDS_BYTES]; /* what the parser said, maybe cut; "" */
} enx_parser_verdict;

/* Write verdicts[count], of the text with each of the changes alone; a change that removes and
 * inserts nothing judges the text itself.  language: "python", "json", "js" or "c".  ENX_INVALID:
 * another one · ENX_LIMIT: too large · ENX_NOTFOUND: the report names the package to install · as
 * enx_sandbox_run. */
ENX_MUST_USE enx_status enx_parser_ask(enx_parser_verdict *verdicts, const enx_sandbox *sandbox,
                                       const char *language, const char *text, size_t size_bytes,
                                       const enx_parser_change *changes, size_t count,
                                       enx_report *report);

#endif /* ENX_SANDBOX_PARSER_H */
