/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fix.h - one text that its parser refuses, repaired by the likeliest edits that it accepts.
 *
 *   1. the parser says where it stopped
 *   2. edits of the blocks around that place, and of those whose brackets do not match, are ranked
 *   3. the best are judged by the parser, all in one run of the sandbox
 *   4. of those that it accepts the likeliest wins; its chance is among these alone
 *   5. where it accepts none, the edits that bring it further are kept, and are edited again
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_FIX_H
#define ENX_CLI_CLI_FIX_H

#include "base/buf.h"
#include "repair/rank.h"
#include "sandbox/parser.h"

enum { CLI_FIX_EDITS_MAX = 8 };

typedef struct cli_fix_edit {
    uint32_t line, column; /* from 1, in the text as it was when this edit was made */
    size_t   at, remove;   /* bytes */
    char     insert[ENX_EDIT_INSERT_MAX + 1];
} cli_fix_edit;

typedef struct cli_fix {
    bool         is_accepted; /* the text, at the end */
    double       chance;      /* of these edits among all that were accepted; 1 without edits */
    uint32_t     rounds;      /* 0: it was accepted as it came */
    cli_fix_edit edits[CLI_FIX_EDITS_MAX];
    uint32_t     edit_count;
    uint64_t     ranked, judged; /* edits */
    enx_buf      text;           /* repaired; as it came where nothing was accepted */
    uint32_t     line, column; /* where the parser stopped in it as it came, from 1; 0: not told */
    char         log[ENX_PARSER_WORDS_BYTES + 64]; /* what it said there */
} cli_fix;

typedef struct cli_fix_tools {
    const enx_sandbox *sandbox;
    const enx_ranker  *ranker;
    uint32_t           rounds_max; /* edits at most, 1 .. CLI_FIX_EDITS_MAX */
    uint32_t           width;      /* edits judged a round; 0: 400, of C 64 */
} cli_fix_tools;

/* "python", "json", "js", "c", or by the name of a file; false: none of them. */
bool        cli_fix_language(enx_code *out, const char *name, const char *path);
const char *cli_fix_language_name(enx_code code);

/* Repair; *out is to be released by cli_fix_deinit also when this fails.  Errors are those of
 * enx_parser_ask: a text that cannot be repaired is ENX_OK without is_accepted. */
ENX_MUST_USE enx_status cli_fix_text(cli_fix *out, const cli_fix_tools *tools, enx_code code,
                                     const char *text, size_t size_bytes, enx_report *report);
void                    cli_fix_deinit(cli_fix *fix);

/* Append the lines that differ, as a unified diff.  Edits neither make nor take lines; of texts
 * that differ in their number, all from the first other line on is given. */
ENX_MUST_USE enx_status cli_fix_diff(enx_buf *out, const char *name, const char *before,
                                     const char *after);

#endif /* ENX_CLI_CLI_FIX_H */
