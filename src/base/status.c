/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - texts, exit codes and reports. */
#include "base/status.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

const char *enx_status_text(enx_status status)
{
    static const char *const texts[] = {
#define X(name, text, exit_code) text,
        ENX_STATUS_MAP(X)
#undef X
    };
    ENX_CHECK((unsigned)status < ENX_STATUS_COUNT);
    return texts[status];
}

int enx_status_exit_code(enx_status status)
{
    static const int codes[] = {
#define X(name, text, exit_code) exit_code,
        ENX_STATUS_MAP(X)
#undef X
    };
    ENX_CHECK((unsigned)status < ENX_STATUS_COUNT);
    return codes[status];
}

/* A text cut at the end of the buffer must not end inside a UTF-8 character. */
static void trim_partial_character(char *text)
{
    size_t end = strlen(text), at = end;
    while (at > 0 && end - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80) at--;
    if (at == 0) return;
    const unsigned char lead = (unsigned char)text[at - 1];
    const size_t        need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (need > 1 && end - (at - 1) < need) text[at - 1] = '\0';
}

enx_status enx_report_set(enx_report *report, enx_status status, const char *file, int line,
                          const char *format, ...)
{
    if (!report) return status;
    report->status = status;
    report->file = file;
    report->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof report->text, format, arguments);
    va_end(arguments);
    trim_partial_character(report->text);
    return status;
}

void enx_report_wrap(enx_report *report, const char *format, ...)
{
    if (!report) return;
    char    inner[ENX_REPORT_TEXT_MAX];
    char    prefix[ENX_REPORT_TEXT_MAX];
    va_list arguments;
    memcpy(inner, report->text, sizeof inner);
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    const size_t prefix_bytes = strlen(prefix);
    size_t       used = prefix_bytes < sizeof report->text ? prefix_bytes : sizeof report->text - 1;
    memcpy(report->text, prefix, used);
    for (const char *p = ": "; *p && used + 1 < sizeof report->text; p++) report->text[used++] = *p;
    for (const char *p = inner; *p && used + 1 < sizeof report->text; p++)
        report->text[used++] = *p;
    report->text[used] = '\0';
    trim_partial_character(report->text);
}
