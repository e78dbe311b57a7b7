/* SPDX-License-Identifier: Apache-2.0 */
/* cli_page.c - a script that counts errors, and Chromium's log without what it says to itself. */
#include "cli/cli_page.h"

#include <string.h>
#include <strings.h>

#define FAULT "enxame: fault: "

static const char watcher[] =
    "<script>(() => { let faults = 0; const log = console.log.bind(console);"
    " const fault = what => { faults++; log('" FAULT "' + what); };"
    " addEventListener('error', e => fault(e.message ? e.message + ' (line ' + e.lineno + ')'"
    " : 'cannot load ' + (e.target.src || e.target.href)), true);"
    " addEventListener('unhandledrejection', e => fault('unhandled rejection: ' + e.reason));"
    " console.error = (...words) => fault(words.join(' '));"
    " const end = () => setTimeout(() => { if (!faults) log('" CLI_PAGE_MARK "'); }, 1000);"
    " addEventListener('load', () => setTimeout(() => {";
static const char test_loader[] =
    " const test = document.createElement('script'); test.src = 'test.js'; test.onload = end;"
    " document.documentElement.append(test);";
static const char no_test[] = " end();";
static const char watcher_end[] = " }, 100)); })();</script>";

/* Behind the first of these tags that there is; else the beginning. */
static size_t find_place(const char *page)
{
    static const char *const tags[] = { "<head", "<html", "<!doctype" };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        for (const char *at = page; (at = strchr(at, '<')) != NULL; at++) {
            const size_t size = strlen(tags[i]);
            const char  *end = strchr(at, '>');
            if (end && strncasecmp(at, tags[i], size) == 0 && strchr(" \t\n>", at[size]))
                return (size_t)(end + 1 - page);
        }
    return 0;
}

enx_status cli_page_wrap(enx_buf *out, const char *page, bool has_test)
{
    const size_t place = find_place(page);
    ENX_TRY(enx_buf_append(out, page, place));
    ENX_TRY(enx_buf_append_text(out, watcher));
    ENX_TRY(enx_buf_append_text(out, has_test ? test_loader : no_test));
    ENX_TRY(enx_buf_append_text(out, watcher_end));
    return enx_buf_append_text(out, page + place);
}

/* Of a line `[…:INFO:CONSOLE:1] "TEXT", source: PLACE (LINE)` the text; NULL: another line. */
static const char *find_message(const char *line, size_t size_bytes, size_t *message_bytes)
{
    static const char name[] = ":CONSOLE", tail[] = "\", source: ";
    const char *const end = line + size_bytes;
    const char       *head = memmem(line, size_bytes, name, sizeof name - 1), *stop = NULL;
    if (line[0] != '[' || !head) return NULL;
    head = memmem(head, (size_t)(end - head), "] \"", 3);
    if (!head) return NULL;
    head += 3;
    for (const char *at = head; (at = memmem(at, (size_t)(end - at), tail, sizeof tail - 1)); at++)
        stop = at; /* the last one: a message may hold anything */
    *message_bytes = (size_t)((stop ? stop : end) - head);
    return head;
}

enx_status cli_page_read(enx_buf *out, const char *log, bool *has_passed)
{
    *has_passed = false;
    while (*log) {
        const size_t size = strcspn(log, "\n");
        size_t       bytes = 0;
        const char  *message = find_message(log, size, &bytes);
        log += size + (log[size] == '\n');
        if (!message) continue;
        if (bytes == sizeof CLI_PAGE_MARK - 1 && memcmp(message, CLI_PAGE_MARK, bytes) == 0) {
            *has_passed = true;
            continue;
        }
        const size_t skip = strncmp(message, FAULT, sizeof FAULT - 1) == 0 ? sizeof FAULT - 1 : 0;
        ENX_TRY(enx_buf_append(out, message + skip, bytes - skip));
        ENX_TRY(enx_buf_append_text(out, "\n"));
    }
    return ENX_OK;
}
