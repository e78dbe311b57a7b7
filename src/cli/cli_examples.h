/* SPDX-License-Identifier: Apache-2.0 */
/* cli_examples.h - what a program should give, as pairs of input and output.
 *
 * A line of JSON each, of one kind in a file:
 *
 *     {"input": "3 4\n", "output": "7\n"}             a program: its standard input and output
 *     {"call": "add(3, 4)", "output": 7}              a function of Python or JavaScript
 *
 * "input" may be left out.  Outputs of programs are compared line by line without white space at
 * ends of lines and empty lines at the end, outside of the sandbox: the program never sees what is
 * expected.  Values of calls are compared as JSON, in a test that is made of them.
 *
 * Layer: cli.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_CLI_CLI_EXAMPLES_H
#define ENX_CLI_CLI_EXAMPLES_H

#include "base/buf.h"

#include <stdbool.h>

enum {
    CLI_EXAMPLES_MAX = 64,
    CLI_EXAMPLES_BYTES_MAX = 1 << 20,
    CLI_EXAMPLES_SHOWN_BYTES_MAX = 8192, /* to the model */
};

typedef struct cli_examples cli_examples;

typedef struct cli_example {
    const char *input, *output; /* zero-terminated; input "": none */
} cli_example;

/* Of a file's text; `name` is for messages.  ENX_FORMAT: the line that is none; ENX_LIMIT. */
ENX_MUST_USE enx_status cli_examples_open(cli_examples **out, const char *name, const char *text,
                                          enx_report *report);
void                    cli_examples_close(cli_examples **examples);

size_t      cli_examples_count(const cli_examples *examples);
bool        cli_examples_are_calls(const cli_examples *examples);
/* Of those that are no calls. */
cli_example cli_examples_get(const cli_examples *examples, size_t index);

/* Append them for the model, the first so many. */
ENX_MUST_USE enx_status cli_examples_show(enx_buf *out, const cli_examples *examples);

/* Append the test that calls make in "python" or "js".  ENX_UNSUPPORTED: another language. */
ENX_MUST_USE enx_status cli_examples_test(enx_buf *out, const cli_examples *examples,
                                          const char *language, enx_report *report);

/* Is this output the expected one? */
bool cli_examples_agree(const char *output, const char *expected);

#endif /* ENX_CLI_CLI_EXAMPLES_H */
