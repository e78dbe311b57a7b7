/* SPDX-License-Identifier: Apache-2.0 */
/* cli_page.h - web pages that judge themselves: what is put into one, and what Chromium says of it.
 *
 * A page has passed when it was loaded, its test (if there is one) has run, a second has gone by,
 * and there was no error: none uncaught, no promise rejected, no file missing, nothing told by
 * console.error.  Time in the page runs as fast as it can (CLI_PAGE_SECONDS of it).
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_PAGE_H
#define ENX_CLI_CLI_PAGE_H

#include "base/buf.h"

#include <stdbool.h>

#define CLI_PAGE_MARK "enxame: the page has run to its end"

/* Append the page with what watches it, on the line where the page's own head begins, so that
 * numbers of lines stay; and the test behind all of it, loaded from the file test.js. */
ENX_MUST_USE enx_status cli_page_wrap(enx_buf *out, const char *page, bool has_test);

/* Append what the console said, one message a line, of Chromium's log.  *has_passed: the mark was
 * among it, which is left out. */
ENX_MUST_USE enx_status cli_page_read(enx_buf *out, const char *log, bool *has_passed);

#endif /* ENX_CLI_CLI_PAGE_H */
