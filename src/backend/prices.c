/* SPDX-License-Identifier: Apache-2.0 */
/* prices.c - a small strict reader: fields have no quotes, and every row has all of them. */
#include "backend/prices.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 7, DAY_BYTES = 10 };

static const char first_line[] = "# enxame prices, version 1";
static const char heading[] =
    "provider,model,from,usd_per_mtok_in,usd_per_mtok_cached,usd_per_mtok_out,tiered";

/* One block: the table, its rows, and the text that the rows point into. */
typedef struct loader {
    enx_price_row *rows;
    size_t         row_count;
    const char    *date, *source;
    bool           has_heading;
} loader;

static bool is_day(const char *text)
{
    if (strlen(text) != DAY_BYTES) return false;
    for (int i = 0; i < DAY_BYTES; i++)
        if (i == 4 || i == 7 ? text[i] != '-' : !isdigit((unsigned char)text[i])) return false;
    return true;
}

/* Printable ASCII: names end up on terminals. */
static bool is_name(const char *text)
{
    const size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~') return false;
    return size > 0 && size <= ENX_PRICES_NAME_MAX;
}

static enx_status take_usd(double *value, const char *key, const char *text, enx_report *report)
{
    char *end = NULL;
    *value = strtod(text, &end);
    if (end != text && *end == '\0' && *value >= 0 && *value <= ENX_PRICES_USD_MAX) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "%s: not a number from 0 to %g, USD a million tokens", key,
                    ENX_PRICES_USD_MAX);
}

static enx_status take_row(loader *l, char *line, enx_report *report)
{
    char *fields[FIELDS] = { line };
    int   count = 1;
    for (char *at = line; *at; at++) {
        if (*at != ',') continue;
        if (count == FIELDS) return ENX_FAIL(report, FORMAT, "more than %d fields", FIELDS);
        *at = '\0';
        fields[count++] = at + 1;
    }
    if (count < FIELDS) return ENX_FAIL(report, FORMAT, "%d fields instead of %d", count, FIELDS);
    enx_price_row row = { .provider = fields[0], .model = fields[1], .from = fields[2] };
    if (!is_name(row.provider) || !is_name(row.model))
        return ENX_FAIL(report, FORMAT, "provider and model: each from 1 to %d printable bytes",
                        ENX_PRICES_NAME_MAX);
    if (row.from[0] && !is_day(row.from))
        return ENX_FAIL(report, FORMAT, "from: not a day as 2026-08-31, nor empty");
    ENX_TRY(take_usd(&row.in, "usd_per_mtok_in", fields[3], report));
    row.cached = row.in;
    if (fields[4][0]) ENX_TRY(take_usd(&row.cached, "usd_per_mtok_cached", fields[4], report));
    ENX_TRY(take_usd(&row.out, "usd_per_mtok_out", fields[5], report));
    row.is_tiered = strcmp(fields[6], "yes") == 0;
    if (fields[6][0] && !row.is_tiered) return ENX_FAIL(report, FORMAT, "tiered: yes, or empty");
    l->rows[l->row_count++] = row;
    return ENX_OK;
}

static enx_status take_line(loader *l, char *line, size_t number, enx_report *report)
{
    static const char date[] = "# date: ", source[] = "# source: ";
    if (number == 1) {
        if (strcmp(line, first_line) == 0) return ENX_OK;
        return ENX_FAIL(report, FORMAT, "not a price table: line 1 is \"%s\"", first_line);
    }
    if (!l->has_heading && strncmp(line, date, sizeof date - 1) == 0) {
        l->date = line + sizeof date - 1;
        return is_day(l->date) ? ENX_OK : ENX_FAIL(report, FORMAT, "date: not as 2026-08-31");
    }
    if (!l->has_heading && strncmp(line, source, sizeof source - 1) == 0) {
        l->source = line + sizeof source - 1;
        return is_name(l->source) ? ENX_OK : ENX_FAIL(report, FORMAT, "source: not printable");
    }
    if (line[0] == '#' || line[0] == '\0') return ENX_OK;
    if (l->has_heading) return take_row(l, line, report);
    l->has_heading = strcmp(line, heading) == 0;
    return l->has_heading ? ENX_OK : ENX_FAIL(report, FORMAT, "the heading is not \"%s\"", heading);
}

static int compare_rows(const void *a, const void *b)
{
    const enx_price_row *x = a, *y = b;
    const int            provider = strcmp(x->provider, y->provider);
    const int            model = strcmp(x->model, y->model);
    return provider ? provider : model ? model : strcmp(x->from, y->from);
}

static enx_status check_rows(const loader *l, enx_report *report)
{
    if (!l->date || !l->source)
        return ENX_FAIL(report, FORMAT, "%s: is missing, a line \"# %s: ...\" before the heading",
                        l->date ? "source" : "date", l->date ? "source" : "date");
    if (l->row_count == 0) return ENX_FAIL(report, FORMAT, "no row");
    for (size_t i = 1; i < l->row_count; i++)
        if (compare_rows(&l->rows[i - 1], &l->rows[i]) == 0)
            return ENX_FAIL(report, FORMAT, "%s/%s: two prices from the same day",
                            l->rows[i].provider, l->rows[i].model);
    return ENX_OK;
}

static enx_status take_lines(loader *l, char *text, enx_report *report)
{
    size_t number = 0;
    for (char *line = text; line;) {
        char *end = strchr(line, '\n');
        if (end) *end = '\0';
        const enx_status status = take_line(l, line, ++number, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "line %zu", number);
            return status;
        }
        line = end ? end + 1 : NULL;
    }
    qsort(l->rows, l->row_count, sizeof *l->rows, compare_rows);
    return check_rows(l, report);
}

static enx_status load(enx_prices *prices, const char *text, size_t size_bytes, enx_report *report)
{
    size_t lines = 1;
    if (size_bytes > ENX_PRICES_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu bytes, at most %d", size_bytes, ENX_PRICES_BYTES_MAX);
    if (memchr(text, '\0', size_bytes)) return ENX_FAIL(report, FORMAT, "holds a zero byte");
    for (size_t i = 0; i < size_bytes; i++) lines += text[i] == '\n';
    if (lines > ENX_PRICES_ROWS_MAX)
        return ENX_FAIL(report, LIMIT, "%zu lines, at most %d", lines, ENX_PRICES_ROWS_MAX);
    const size_t rows_bytes = lines * sizeof(enx_price_row);
    char        *block = ENX_MEM_NEW(char, rows_bytes + size_bytes + 1);
    if (!block) return ENX_FAIL(report, NOMEM, "no memory for %zu rows", lines);
    prices->memory = block;
    char *copy = block + rows_bytes;
    memcpy(copy, text, size_bytes);
    loader l = { .rows = (enx_price_row *)(void *)block };
    ENX_TRY(take_lines(&l, copy, report));
    prices->rows = l.rows;
    prices->row_count = l.row_count;
    prices->date = l.date;
    prices->source = l.source;
    return ENX_OK;
}

enx_status enx_prices_open(enx_prices **out, const char *text, size_t size_bytes, const char *path,
                           enx_report *report)
{
    ENX_CHECK(out && text && path);
    enx_prices *prices = ENX_MEM_NEW(enx_prices, 1);
    enx_status  status = prices ? load(prices, text, size_bytes, report)
                                : ENX_FAIL(report, NOMEM, "no memory for a price table");
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        enx_prices_close(&prices);
    } else *out = prices;
    return status;
}

void enx_prices_close(enx_prices **prices)
{
    if (!*prices) return;
    enx_mem_free((*prices)->memory);
    enx_mem_free(*prices);
    *prices = NULL;
}

/* ---- Finding -------------------------------------------------------------------------------- */

static bool is_named(const enx_price_row *row, const char *name, bool is_whole)
{
    const size_t size = strlen(row->provider);
    if (!is_whole) return strcmp(row->model, name) == 0;
    return strncmp(row->provider, name, size) == 0 && name[size] == '/' &&
           strcmp(name + size + 1, row->model) == 0;
}

static bool is_same_price(const enx_price_row *a, const enx_price_row *b)
{
    return a->in == b->in && a->cached == b->cached && a->out == b->out;
}

static enx_status fail_unknown(const enx_prices *prices, const char *name, enx_report *report)
{
    const enx_price_row *near = NULL;
    size_t               least = SIZE_MAX;
    const char          *slash = strchr(name, '/'), *model = slash ? slash + 1 : name;
    for (size_t i = 0; i < prices->row_count; i++) {
        const size_t distance = enx_nearest_distance(model, prices->rows[i].model);
        if (distance >= least) continue;
        least = distance;
        near = &prices->rows[i];
    }
    return ENX_FAIL(report, NOTFOUND,
                    "no price of that model in the table of %s; the nearest name is \"%s/%s\"",
                    prices->date, near->provider, near->model);
}

/* The first match with its price of the day, and the first at another price, if there is any. */
static void search(const enx_price_row *out[2], const enx_prices *prices, const char *name,
                   const char *day, bool is_whole)
{
    const enx_price_row *best = NULL;
    out[0] = out[1] = NULL;
    /* rows of one provider's model are neighbours, in the order of their days */
    for (size_t i = 0; i <= prices->row_count; i++) {
        const enx_price_row *row = i < prices->row_count ? &prices->rows[i] : NULL;
        const bool           is_match = row && is_named(row, name, is_whole);
        if (row && !is_match) continue;
        if (best && row && strcmp(best->provider, row->provider) == 0) {
            if (strcmp(row->from, day) <= 0) best = row;
            continue;
        }
        if (best && !out[0]) out[0] = best;
        else if (best && !out[1] && !is_same_price(out[0], best)) out[1] = best;
        best = row;
    }
}

enx_status enx_prices_find(const enx_price_row **out, const enx_prices *prices, const char *name,
                           const char *day, enx_report *report)
{
    ENX_CHECK(out && prices && name);
    const enx_price_row *found[2];
    search(found, prices, name, day ? day : prices->date, true);
    if (!found[0]) search(found, prices, name, day ? day : prices->date, false);
    if (!found[0]) return fail_unknown(prices, name, report);
    if (found[1])
        return ENX_FAIL(report, INVALID,
                        "%s/%s and %s/%s have different prices; say which as provider/model",
                        found[0]->provider, found[0]->model, found[1]->provider, found[1]->model);
    *out = found[0];
    return ENX_OK;
}
