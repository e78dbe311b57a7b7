/* SPDX-License-Identifier: Apache-2.0 */
/* runs.c - CSV as RFC 4180 has it, and what its columns mean.
 *
 * 1. Fields are bytes: a quoted one may hold separators, line breaks and doubled quotes.
 * 2. A row counts only if it has as many fields as the header; nothing is guessed.
 * 3. Rows that `where` excludes are not read as numbers, so other ladders of the same file may have
 *    what this one may not.
 */
#include "scale/runs.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ALIASES_MAX = 8, MAP_BYTES_MAX = 4096, ABSENT = -1 };

/* Repeats differ by less. */
static const double clash_factor = 1.03;

const char *const enx_column_keys[ENX_COLUMNS_COUNT] = {
    "N", "D", "C", "loss", "U", "epochs", "seed", "tokenizer", "bytes_per_token", "lr",
};

/* Names that a column goes by when no map says otherwise, in this order; case does not matter. */
static const char *const aliases[ENX_COLUMNS_COUNT][ALIASES_MAX] = {
    [ENX_COLUMN_PARAMS] = { "N", "params", "parameters", "num_params", "n_params" },
    [ENX_COLUMN_TOKENS] = { "D", "tokens", "token_num", "n_tokens" },
    [ENX_COLUMN_FLOPS] = { "C", "flops", "flop", "compute", "budget" },
    [ENX_COLUMN_LOSS] = { "bits_per_byte", "loss", "val_loss", "L" },
    [ENX_COLUMN_UNIQUE] = { "U", "unique", "unique_tokens" },
    [ENX_COLUMN_EPOCHS] = { "epochs" },
    [ENX_COLUMN_SEED] = { "seed" },
    [ENX_COLUMN_TOKENIZER] = { "tokenizer" },
    [ENX_COLUMN_BYTES] = { "bytes_per_token" },
    [ENX_COLUMN_RATE] = { "lr", "learning_rate" },
};

typedef struct field {
    char  *text; /* [ENX_RUNS_FIELD_BYTES_MAX + 1] */
    size_t size_bytes;
} field;

typedef struct filter {
    int         column;
    const char *value; /* into the reader's copy of `where` */
} filter;

typedef struct reader {
    const char *at, *end;
    uint32_t    line;     /* of `at` */
    uint32_t    row_line; /* where the row began */
    uint32_t    column_count;
    bool        is_row_open; /* fields of the row are left */
    field       fields[ENX_RUNS_COLUMNS_MAX];
    char       *block; /* of all fields */
    int         columns[ENX_COLUMNS_COUNT];
    filter      filters[ENX_RUNS_FILTERS_MAX];
    uint32_t    filter_count;
    char        map[MAP_BYTES_MAX], where[MAP_BYTES_MAX];
    char        tokenizer[ENX_RUNS_NAME_BYTES_MAX]; /* of the first run that counts */
    uint32_t    tokenizer_line;
} reader;

/* ---- Fields --------------------------------------------------------------------------------- */

static enx_status put_byte(field *f, char byte, uint32_t line, enx_report *report)
{
    if (f->size_bytes == ENX_RUNS_FIELD_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "line %u: a field of more than %d bytes", line,
                        ENX_RUNS_FIELD_BYTES_MAX);
    f->text[f->size_bytes++] = byte;
    return ENX_OK;
}

static enx_status read_quoted(reader *r, field *f, enx_report *report)
{
    const uint32_t first = r->line;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"' && r->at + 1 < r->end && r->at[1] == '"') r->at++;
        else if (*r->at == '"') {
            r->at++;
            return ENX_OK;
        }
        if (*r->at == '\n') r->line++;
        ENX_TRY(put_byte(f, *r->at, first, report));
    }
    return ENX_FAIL(report, FORMAT, "line %u: a quote that is not closed", first);
}

/* Read one field and the separator behind it. */
static enx_status read_field(reader *r, field *f, enx_report *report)
{
    f->size_bytes = 0;
    if (r->at < r->end && *r->at == '"') ENX_TRY(read_quoted(r, f, report));
    for (; r->at < r->end && *r->at != ',' && *r->at != '\n'; r->at++)
        ENX_TRY(put_byte(f, *r->at, r->line, report));
    r->is_row_open = r->at < r->end && *r->at == ',';
    if (!r->is_row_open) {
        r->line++;
        while (f->size_bytes && f->text[f->size_bytes - 1] == '\r') f->size_bytes--;
    }
    if (r->at < r->end) r->at++;
    while (f->size_bytes && f->text[f->size_bytes - 1] == ' ') f->size_bytes--;
    f->text[f->size_bytes] = '\0';
    if (strlen(f->text) != f->size_bytes)
        return ENX_FAIL(report, FORMAT, "line %u: a zero byte; this is no CSV text", r->row_line);
    return ENX_OK;
}

/* Read a row; *count is 0 at the end of the text and for empty lines. */
static enx_status read_row(reader *r, uint32_t *count, enx_report *report)
{
    *count = 0;
    r->row_line = r->line;
    if (r->at == r->end) return ENX_OK;
    do {
        if (*count == ENX_RUNS_COLUMNS_MAX)
            return ENX_FAIL(report, LIMIT, "line %u: more than %d columns", r->row_line,
                            ENX_RUNS_COLUMNS_MAX);
        ENX_TRY(read_field(r, &r->fields[(*count)++], report));
    } while (r->is_row_open);
    if (*count == 1 && r->fields[0].size_bytes == 0) *count = 0;
    return ENX_OK;
}

/* ---- The header ----------------------------------------------------------------------------- */

static int find_column(const reader *r, const char *name, bool is_exact)
{
    for (uint32_t i = 0; i < r->column_count; i++)
        if ((is_exact ? strcmp : strcasecmp)(r->fields[i].text, name) == 0) return (int)i;
    return ABSENT;
}

static enx_status fail_column(const reader *r, const char *what, const char *name,
                              enx_report *report)
{
    const char *names[ENX_RUNS_COLUMNS_MAX];
    for (uint32_t i = 0; i < r->column_count; i++) names[i] = r->fields[i].text;
    const char *near = enx_nearest(name, names, r->column_count);
    return ENX_FAIL(report, INVALID, "%s: the file has no column \"%.60s\"%s%.60s%s", what, name,
                    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Cut "key=value" off the list at *at, in place; false at its end. */
static bool next_pair(char **at, char **key, char **value)
{
    if (!*at || !**at) return false;
    char *const comma = strchr(*at, ',');
    *key = *at;
    *at = comma ? comma + 1 : NULL;
    if (comma) *comma = '\0';
    char *const equal = strchr(*key, '=');
    if (equal) *equal = '\0';
    *value = equal ? equal + 1 : NULL;
    return true;
}

static enx_status copy_list(char out[MAP_BYTES_MAX], const char *list, const char *what,
                            enx_report *report)
{
    const size_t size = list ? strlen(list) : 0;
    if (size >= MAP_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "%s: more than %d bytes", what, MAP_BYTES_MAX - 1);
    memcpy(out, list ? list : "", size + 1);
    return ENX_OK;
}

static enx_status read_map(reader *r, const char *map, enx_report *report)
{
    char *at = r->map, *key, *value;
    ENX_TRY(copy_list(r->map, map, "--map", report));
    while (next_pair(&at, &key, &value)) {
        int id = 0;
        while (id < ENX_COLUMNS_COUNT && strcmp(enx_column_keys[id], key) != 0) id++;
        if (id == ENX_COLUMNS_COUNT || !value) {
            const char *near = enx_nearest(key, enx_column_keys, ENX_COLUMNS_COUNT);
            return ENX_FAIL(report, INVALID,
                            "--map: \"%.40s\" is not one of N, D, C, loss, U, epochs, seed, "
                            "tokenizer, bytes_per_token, lr followed by =COLUMN%s%s%s",
                            key, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        }
        r->columns[id] = find_column(r, value, true);
        if (r->columns[id] == ABSENT) return fail_column(r, "--map", value, report);
    }
    return ENX_OK;
}

static enx_status read_filters(reader *r, const char *where, enx_report *report)
{
    char *at = r->where, *key, *value;
    ENX_TRY(copy_list(r->where, where, "--where", report));
    while (next_pair(&at, &key, &value)) {
        if (!value) return ENX_FAIL(report, INVALID, "--where: \"%.40s\" is not COLUMN=VALUE", key);
        if (r->filter_count == ENX_RUNS_FILTERS_MAX)
            return ENX_FAIL(report, LIMIT, "--where: more than %d conditions",
                            ENX_RUNS_FILTERS_MAX);
        filter *f = &r->filters[r->filter_count++];
        *f = (filter){ find_column(r, key, true), value };
        if (f->column == ABSENT) return fail_column(r, "--where", key, report);
    }
    return ENX_OK;
}

static enx_status check_columns(const reader *r, enx_report *report)
{
    const int *c = r->columns;
    const int  known = (c[ENX_COLUMN_PARAMS] >= 0) + (c[ENX_COLUMN_TOKENS] >= 0);
    if (c[ENX_COLUMN_LOSS] == ABSENT)
        return ENX_FAIL(report, INVALID,
                        "no column is called loss or bits_per_byte; say which one is by "
                        "--map loss=COLUMN");
    if (c[ENX_COLUMN_FLOPS] == ABSENT && known < 2)
        return ENX_FAIL(report, INVALID,
                        "neither compute C nor both parameters N and tokens D are known; say which "
                        "columns they are by --map N=COLUMN,D=COLUMN,C=COLUMN");
    return ENX_OK;
}

static enx_status read_header(reader *r, enx_runs *runs, const enx_runs_options *o,
                              enx_report *report)
{
    ENX_TRY(read_row(r, &r->column_count, report));
    if (r->column_count == 0)
        return ENX_FAIL(report, FORMAT, "no header line; the first line names the columns");
    for (int id = 0; id < ENX_COLUMNS_COUNT; id++) r->columns[id] = ABSENT;
    ENX_TRY(read_map(r, o->map, report));
    for (int id = 0; id < ENX_COLUMNS_COUNT; id++)
        for (int i = 0; i < ALIASES_MAX && aliases[id][i] && r->columns[id] == ABSENT; i++)
            r->columns[id] = find_column(r, aliases[id][i], false);
    ENX_TRY(read_filters(r, o->where, report));
    ENX_TRY(check_columns(r, report));
    for (int id = 0; id < ENX_COLUMNS_COUNT; id++) {
        const field *f = r->columns[id] == ABSENT ? NULL : &r->fields[r->columns[id]];
        if (!f) continue;
        const size_t size = f->size_bytes < ENX_RUNS_NAME_BYTES_MAX - 1
                                ? f->size_bytes
                                : ENX_RUNS_NAME_BYTES_MAX - 1;
        memcpy(runs->names[id], f->text, size);
    }
    runs->is_bits = strcasecmp(runs->names[ENX_COLUMN_LOSS], "bits_per_byte") == 0 ||
                    r->columns[ENX_COLUMN_BYTES] != ABSENT;
    runs->has_seed = r->columns[ENX_COLUMN_SEED] != ABSENT;
    return ENX_OK;
}

/* ---- A run ---------------------------------------------------------------------------------- */

/* A number, to which K, M, B or T may be attached; false: it is none. */
static bool parse_number(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text) return false;
    const char *const suffixes = "KMBT";
    const char *const suffix = *end ? strchr(suffixes, *end) : NULL;
    if (suffix) {
        for (ptrdiff_t i = 0; i <= suffix - suffixes; i++) *out *= 1e3;
        end++;
    }
    return *end == '\0';
}

static enx_status read_count(const reader *r, const enx_runs *runs, enx_column id, double max,
                             double *out, enx_report *report)
{
    *out = NAN;
    if (r->columns[id] == ABSENT) return ENX_OK;
    const char *text = r->fields[r->columns[id]].text;
    double      value = 0;
    if (!parse_number(text, &value))
        return ENX_FAIL(report, FORMAT,
                        "line %u: %s is \"%.40s\", which is not a number; it was read from column "
                        "\"%.40s\", and a map can name another",
                        r->row_line, enx_column_keys[id], text, runs->names[id]);
    if (!(value > 0 && value <= max))
        return ENX_FAIL(
            report, INVALID,
            "line %u: %s is %.40s in column \"%.40s\"; it must be above 0 and at most %g",
            r->row_line, enx_column_keys[id], text, runs->names[id], max);
    *out = value;
    return ENX_OK;
}

/* NAN when the run diverged: its loss is missing, not a number or infinite. */
static enx_status read_loss(const reader *r, const enx_runs *runs, double *out, enx_report *report)
{
    const char *text = r->fields[r->columns[ENX_COLUMN_LOSS]].text;
    double      value = NAN, bytes = NAN;
    if (*text && !parse_number(text, &value))
        return ENX_FAIL(report, FORMAT, "line %u: the loss is \"%.40s\", which is not a number",
                        r->row_line, text);
    *out = NAN;
    if (!isfinite(value)) return ENX_OK;
    if (!(value > 0 && value <= 1e6))
        return ENX_FAIL(report, INVALID,
                        "line %u: the loss is %.40s; a loss is above 0 and at most 1e6",
                        r->row_line, text);
    ENX_TRY(read_count(r, runs, ENX_COLUMN_BYTES, 1e6, &bytes, report));
    *out = isnan(bytes) ? value : value / log(2) / bytes;
    return ENX_OK;
}

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static enx_status read_unique(const reader *r, const enx_runs *runs, enx_run *run,
                              enx_report *report)
{
    double epochs;
    ENX_TRY(read_count(r, runs, ENX_COLUMN_UNIQUE, ENX_RUNS_COUNT_MAX, &run->unique, report));
    ENX_TRY(read_count(r, runs, ENX_COLUMN_EPOCHS, 1e9, &epochs, report));
    if (isnan(run->unique) && epochs >= 1) run->unique = run->tokens / epochs;
    if (run->tokens < run->unique) run->unique = run->tokens; /* what was not read is no matter */
    return ENX_OK;
}

static enx_status check_tokenizer(reader *r, const enx_runs *runs, enx_report *report)
{
    if (r->columns[ENX_COLUMN_TOKENIZER] == ABSENT || runs->is_bits) return ENX_OK;
    const char *text = r->fields[r->columns[ENX_COLUMN_TOKENIZER]].text;
    if (r->tokenizer_line == 0) {
        const size_t size = strnlen(text, sizeof r->tokenizer - 1);
        memcpy(r->tokenizer, text, size);
        r->tokenizer_line = r->row_line;
    } else if (strncmp(r->tokenizer, text, sizeof r->tokenizer - 1) != 0)
        return ENX_FAIL(report, INVALID,
                        "lines %u and %u: tokenizers \"%.40s\" and \"%.40s\"; losses a token of "
                        "different tokenizers do not compare: give bits_per_byte, or a column "
                        "bytes_per_token",
                        r->tokenizer_line, r->row_line, r->tokenizer, text);
    return ENX_OK;
}

/* Fill in the one of N, D, C that the others imply. */
static void complete(enx_run *run)
{
    if (isnan(run->flops)) run->flops = 6 * run->params * run->tokens;
    else if (isnan(run->tokens)) run->tokens = run->flops / (6 * run->params);
    else if (isnan(run->params)) run->params = run->flops / (6 * run->tokens);
}

static enx_status read_run(reader *r, enx_runs *runs, enx_report *report)
{
    enx_run run = { .line = r->row_line };
    ENX_TRY(read_loss(r, runs, &run.loss, report));
    if (isnan(run.loss)) {
        if (runs->diverged_count++ == 0) runs->diverged_line = r->row_line;
        return ENX_OK;
    }
    ENX_TRY(read_count(r, runs, ENX_COLUMN_PARAMS, ENX_RUNS_COUNT_MAX, &run.params, report));
    ENX_TRY(read_count(r, runs, ENX_COLUMN_TOKENS, ENX_RUNS_COUNT_MAX, &run.tokens, report));
    ENX_TRY(read_count(r, runs, ENX_COLUMN_FLOPS, 6 * ENX_RUNS_COUNT_MAX * ENX_RUNS_COUNT_MAX,
                       &run.flops, report));
    ENX_TRY(read_count(r, runs, ENX_COLUMN_RATE, 1e6, &run.rate, report));
    complete(&run);
    ENX_TRY(read_unique(r, runs, &run, report));
    ENX_TRY(check_tokenizer(r, runs, report));
    if (runs->has_seed) run.seed = hash_text(r->fields[r->columns[ENX_COLUMN_SEED]].text);
    runs->runs[runs->count++] = run;
    return ENX_OK;
}

static bool is_wanted(const reader *r)
{
    for (uint32_t i = 0; i < r->filter_count; i++)
        if (strcmp(r->fields[r->filters[i].column].text, r->filters[i].value) != 0) return false;
    return true;
}

static enx_status read_rows(reader *r, enx_runs *runs, enx_report *report)
{
    while (r->at < r->end) {
        uint32_t count;
        ENX_TRY(read_row(r, &count, report));
        if (count == 0) continue;
        if (count != r->column_count)
            return ENX_FAIL(report, FORMAT, "line %u: %u fields; the header has %u", r->row_line,
                            count, r->column_count);
        if (runs->row_count++ == ENX_RUNS_MAX)
            return ENX_FAIL(report, LIMIT, "more than %d runs", ENX_RUNS_MAX);
        if (!is_wanted(r)) runs->filtered_count++;
        else ENX_TRY(read_run(r, runs, report));
    }
    return ENX_OK;
}

/* ---- All runs ------------------------------------------------------------------------------- */

static int compare(double a, double b) { return (a > b) - (a < b); }

static double nan_to_zero(double value) { return isnan(value) ? 0 : value; }

/* Twins next to one another, and the earlier line first. */
static int compare_runs(const void *left, const void *right)
{
    const enx_run *a = left, *b = right;
    const int      by_flops = compare(a->flops, b->flops), by_loss = compare(a->loss, b->loss);
    const int      by_params = compare(nan_to_zero(a->params), nan_to_zero(b->params));
    if (by_flops) return by_flops;
    if (by_params) return by_params;
    if (by_loss) return by_loss;
    if (a->seed != b->seed) return a->seed < b->seed ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

static int compare_losses(const void *left, const void *right)
{
    const enx_run *a = left, *b = right;
    const int      by_loss = compare(a->loss, b->loss);
    return by_loss ? by_loss : (a->line > b->line) - (a->line < b->line);
}

static int compare_lines(const void *left, const void *right)
{
    const enx_run *a = left, *b = right;
    return (a->line > b->line) - (a->line < b->line);
}

static bool are_twins(const enx_run *a, const enx_run *b)
{
    return a->flops == b->flops && a->loss == b->loss && a->seed == b->seed &&
           nan_to_zero(a->params) == nan_to_zero(b->params);
}

/* Same size and compute, other loss: not the same experiment. */
static void note_clash(enx_runs *runs, const enx_run *a, const enx_run *b)
{
    if (a->flops != b->flops || nan_to_zero(a->params) != nan_to_zero(b->params)) return;
    if (!(b->loss > clash_factor * a->loss)) return;
    if (runs->clash_count++ > 0) return;
    runs->clash_lines[0] = a->line;
    runs->clash_lines[1] = b->line;
}

static enx_status take_duplicates(enx_runs *runs, bool is_allowed, enx_report *report)
{
    uint32_t kept = 0;
    qsort(runs->runs, runs->count, sizeof *runs->runs, compare_runs);
    for (uint32_t i = 0; i < runs->count; i++) {
        const enx_run *last = kept ? &runs->runs[kept - 1] : NULL;
        if (!last || !are_twins(last, &runs->runs[i])) {
            if (last) note_clash(runs, last, &runs->runs[i]);
            runs->runs[kept++] = runs->runs[i];
            continue;
        }
        if (!is_allowed)
            return ENX_FAIL(report, INVALID,
                            "lines %u and %u are the same run (C %.6g, loss %.9g); take one out, "
                            "or give them different seeds if they are two",
                            last->line, runs->runs[i].line, last->flops, last->loss);
        runs->duplicate_count++;
    }
    runs->count = kept;
    return ENX_OK;
}

static enx_status finish(enx_runs *runs, const enx_runs_options *o, enx_report *report)
{
    ENX_TRY(take_duplicates(runs, o->has_duplicates, report));
    if (runs->count <= o->trim_worst)
        return ENX_FAIL(report, INVALID,
                        "no run is left: %u rows, %u excluded by the filter, %u diverged, %u of "
                        "worst loss to leave out",
                        runs->row_count, runs->filtered_count, runs->diverged_count, o->trim_worst);
    qsort(runs->runs, runs->count, sizeof *runs->runs, compare_losses);
    runs->count -= o->trim_worst;
    runs->trimmed_count = o->trim_worst;
    qsort(runs->runs, runs->count, sizeof *runs->runs, compare_lines);
    runs->has_params = runs->has_tokens = runs->has_unique = true;
    for (uint32_t i = 0; i < runs->count; i++) {
        const enx_run *run = &runs->runs[i];
        runs->has_params = runs->has_params && !isnan(run->params);
        runs->has_tokens = runs->has_tokens && !isnan(run->tokens);
        runs->has_unique = runs->has_unique && !isnan(run->unique);
    }
    return ENX_OK;
}

/* No more runs than line breaks and one; a file cannot ask for more memory than its own size's. */
static uint32_t count_lines(const char *text, size_t size_bytes)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < size_bytes && lines <= ENX_RUNS_MAX; i++) lines += text[i] == '\n';
    return lines;
}

static enx_status read_all(reader *r, enx_runs *runs, const char *text, size_t size_bytes,
                           const enx_runs_options *o, enx_report *report)
{
    const size_t mark = size_bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    r->at = text + mark;
    r->end = text + size_bytes;
    r->line = 1;
    r->block = enx_mem_new(ENX_RUNS_COLUMNS_MAX, ENX_RUNS_FIELD_BYTES_MAX + 1);
    runs->runs = ENX_MEM_NEW(enx_run, count_lines(text, size_bytes));
    if (!r->block || !runs->runs) return ENX_FAIL(report, NOMEM, "no memory for the runs");
    for (size_t i = 0; i < ENX_RUNS_COLUMNS_MAX; i++)
        r->fields[i].text = r->block + i * (ENX_RUNS_FIELD_BYTES_MAX + 1);
    ENX_TRY(read_header(r, runs, o, report));
    ENX_TRY(read_rows(r, runs, report));
    return finish(runs, o, report);
}

enx_status enx_runs_open(enx_runs **out, const char *text, size_t size_bytes,
                         const enx_runs_options *options, enx_report *report)
{
    ENX_CHECK(out && options && (text || size_bytes == 0));
    enx_runs  *runs = ENX_MEM_NEW(enx_runs, 1);
    reader    *r = ENX_MEM_NEW(reader, 1);
    enx_status status = ENX_OK;
    if (!runs || !r) status = ENX_FAIL(report, NOMEM, "no memory for the runs");
    else status = read_all(r, runs, text ? text : "", size_bytes, options, report);
    if (r) enx_mem_free(r->block);
    enx_mem_free(r);
    if (status == ENX_OK) *out = runs;
    else enx_runs_close(&runs);
    return status;
}

void enx_runs_close(enx_runs **runs)
{
    if (!*runs) return;
    enx_mem_free((*runs)->runs);
    enx_mem_free(*runs);
    *runs = NULL;
}
