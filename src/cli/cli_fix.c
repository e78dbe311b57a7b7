/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fix.c - rounds of ranking and judging, over the few best texts so far. */
#include "cli/cli_fix.h"

#include "base/mem.h"
#include "repair/block.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BEAM = 4,
    EDITS_MAX = 6000, /* of one window */
    CANDIDATES_MAX = 4 * EDITS_MAX,
    WIDTH = 400,
    WIDTH_C = 64,
};

static const double progress_bonus = 4; /* nats, for an edit after which the parser gets further */

typedef struct candidate {
    enx_edit edit;    /* at: in the window */
    size_t   shift;   /* of the window in the text */
    double   score;   /* ln chance among all of its text */
    bool     is_mend; /* it leaves fewer faults in its window */
} candidate;

/* A text on the way. */
typedef struct draft {
    enx_buf            text;
    cli_fix_edit       edits[CLI_FIX_EDITS_MAX];
    uint32_t           edit_count;
    double             score;
    enx_parser_verdict verdict;
} draft;

typedef struct fixer {
    const cli_fix_tools *tools;
    enx_code             code;
    draft                drafts[BEAM];
    uint32_t             draft_count;
    enx_edit            *edits;      /* [EDITS_MAX] */
    candidate           *candidates; /* [CANDIDATES_MAX] of one draft */
    candidate           *best;       /* [BEAM][width], judged */
    enx_parser_verdict  *verdicts;   /* [BEAM][width] */
    uint32_t             counts[BEAM];
    uint32_t             width;
    enx_scan             scan;
    uint64_t             ranked, judged;
} fixer;

/* ---- Languages ------------------------------------------------------------------------------ */

static const char *const names[ENX_CODE_COUNT] = {
    [ENX_CODE_PYTHON] = "python", [ENX_CODE_C] = "c", [ENX_CODE_JS] = "js", [ENX_CODE_JSON] = "json"
};

const char *cli_fix_language_name(enx_code code) { return names[code]; }

bool cli_fix_language(enx_code *out, const char *name, const char *path)
{
    static const struct {
        const char *ending;
        enx_code    code;
    } endings[] = { { ".py", ENX_CODE_PYTHON }, { ".pyi", ENX_CODE_PYTHON },
                    { ".c", ENX_CODE_C },       { ".h", ENX_CODE_C },
                    { ".js", ENX_CODE_JS },     { ".mjs", ENX_CODE_JS },
                    { ".cjs", ENX_CODE_JS },    { ".json", ENX_CODE_JSON } };
    for (int i = 0; name && i < ENX_CODE_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enx_code)i;
            return true;
        }
    const char *dot = name ? NULL : strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(endings[i].ending, dot) == 0) {
            *out = endings[i].code;
            return true;
        }
    return false;
}

/* ---- Ranking -------------------------------------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const double x = ((const candidate *)a)->score, y = ((const candidate *)b)->score;
    return x > y ? -1 : x < y;
}

/* Candidates of one window, behind those that there are. */
static uint32_t rank_window(fixer *f, const draft *d, enx_block w, uint32_t count)
{
    const char    *text = d->text.data + w.from;
    const uint32_t size = (uint32_t)(w.to - w.from);
    uint32_t       faults;
    enx_complaint  complaint =
        enx_complaint_place(d->text.data, (uint32_t)d->text.size_bytes, d->verdict.line,
                            d->verdict.column, d->verdict.words);
    complaint.at = complaint.at < (int64_t)w.from || complaint.at > (int64_t)w.to
                       ? -1
                       : complaint.at - (int32_t)w.from;
    enx_scan_text(&f->scan, f->code, text, size);
    const uint32_t before = f->scan.faults;
    const uint32_t edit_count =
        enx_edit_list(f->edits, EDITS_MAX, &faults, f->code, text, size, 0, size, &f->scan);
    for (uint32_t i = 0; i < edit_count && count < CANDIDATES_MAX; i++)
        f->candidates[count++] = (candidate){
            .edit = f->edits[i],
            .shift = w.from,
            .is_mend = faults < before,
            .score = enx_ranker_score(f->tools->ranker, f->code, text, size, &complaint,
                                      &f->edits[i], &f->scan),
        };
    return count;
}

/* The best of draft number `index` into best and counts. */
static void rank_draft(fixer *f, uint32_t index)
{
    const draft   *d = &f->drafts[index];
    enx_block      windows[ENX_BLOCKS_MAX];
    enx_complaint  complaint = enx_complaint_place(d->text.data, (uint32_t)d->text.size_bytes,
                                                   d->verdict.line, d->verdict.column, "");
    const uint32_t window_count =
        enx_block_list(windows, f->code, d->text.data, d->text.size_bytes, complaint.at, &f->scan);
    uint32_t count = 0;
    double   sum = 0;
    for (uint32_t i = 0; i < window_count; i++) count = rank_window(f, d, windows[i], count);
    qsort(f->candidates, count, sizeof *f->candidates, by_score);
    for (uint32_t i = 0; i < count; i++)
        sum += exp(f->candidates[i].score - f->candidates[0].score);
    const double all = count ? f->candidates[0].score + log(sum) : 0;
    f->counts[index] = count < f->width ? count : f->width;
    for (uint32_t i = 0; i < f->counts[index]; i++) {
        f->candidates[i].score -= all;
        f->best[index * f->width + i] = f->candidates[i];
    }
    f->ranked += count;
}

/* ---- Judging -------------------------------------------------------------------------------- */

static enx_status judge_draft(fixer *f, uint32_t index, enx_report *report)
{
    const draft       *d = &f->drafts[index];
    const uint32_t     count = f->counts[index];
    const candidate   *best = f->best + index * f->width;
    enx_parser_change *changes = ENX_MEM_NEW(enx_parser_change, count + 1);
    char(*inserts)[ENX_EDIT_INSERT_MAX + 1] = enx_mem_new(count + 1, sizeof *inserts);
    enx_status status = ENX_OK;
    if (!changes || !inserts) status = ENX_FAIL(report, NOMEM, "no memory for %u edits", count);
    for (uint32_t i = 0; status == ENX_OK && i < count; i++) {
        memcpy(inserts[i], best[i].edit.insert, best[i].edit.insert_bytes);
        changes[i] = (enx_parser_change){ .at = best[i].shift + best[i].edit.at,
                                          .remove = best[i].edit.remove,
                                          .insert = inserts[i] };
    }
    if (status == ENX_OK && count > 0)
        status = enx_parser_ask(f->verdicts + index * f->width, f->tools->sandbox, names[f->code],
                                d->text.data, d->text.size_bytes, changes, count, report);
    f->judged += count;
    enx_mem_free(changes);
    enx_mem_free(inserts);
    return status;
}

static enx_status parser_ask(fixer *f, draft *d, enx_report *report)
{
    const enx_parser_change none = { .insert = "" };
    return enx_parser_ask(&d->verdict, f->tools->sandbox, names[f->code], d->text.data,
                          d->text.size_bytes, &none, 1, report);
}

/* ---- Rounds --------------------------------------------------------------------------------- */

typedef struct pick {
    uint32_t draft, index;
    double   score;
} pick;

static void place_of(cli_fix_edit *e, const char *text)
{
    e->line = e->column = 1;
    for (size_t i = 0; i < e->at; i++) {
        e->column++;
        if (text[i] != '\n') continue;
        e->line++;
        e->column = 1;
    }
}

/* A draft with one more edit; *to is released by the caller also when this fails. */
static enx_status make_draft(const fixer *f, draft *to, const pick *p, enx_report *report)
{
    const draft     *from = &f->drafts[p->draft];
    const candidate *c = &f->best[p->draft * f->width + p->index];
    const size_t     at = c->shift + c->edit.at, after = at + c->edit.remove;
    *to = *from;
    to->score = p->score;
    to->verdict = f->verdicts[p->draft * f->width + p->index];
    cli_fix_edit *e = &to->edits[to->edit_count++];
    *e = (cli_fix_edit){ .at = at, .remove = c->edit.remove };
    memcpy(e->insert, c->edit.insert, c->edit.insert_bytes);
    place_of(e, from->text.data);
    enx_buf_init(&to->text, ENX_PARSER_TEXT_BYTES_MAX);
    if (enx_buf_append(&to->text, from->text.data, at) != ENX_OK ||
        enx_buf_append(&to->text, e->insert, c->edit.insert_bytes) != ENX_OK ||
        enx_buf_append(&to->text, from->text.data + after, from->text.size_bytes - after) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a text of %zu bytes", from->text.size_bytes);
    return ENX_OK;
}

/* The likeliest that was accepted, and its chance among those; false: none was. */
static bool pick_accepted(const fixer *f, pick *out, double *chance)
{
    double sum = 0;
    bool   is_found = false;
    for (uint32_t d = 0; d < f->draft_count; d++)
        for (uint32_t i = 0; i < f->counts[d]; i++) {
            const uint32_t at = d * f->width + i;
            const double   score = f->drafts[d].score + f->best[at].score;
            if (!f->verdicts[at].is_accepted) continue;
            sum += exp(score);
            if (is_found && score <= out->score) continue;
            *out = (pick){ d, i, score };
            is_found = true;
        }
    *chance = is_found && sum > 0 ? exp(out->score) / sum : 0;
    return is_found;
}

static bool is_further(const enx_parser_verdict *after, const enx_parser_verdict *before)
{
    return after->line > before->line ||
           (after->line == before->line && after->column > before->column + 1);
}

/* The best that were refused, most promising first; returns how many. */
static uint32_t pick_refused(const fixer *f, pick out[BEAM])
{
    uint32_t count = 0;
    for (uint32_t d = 0; d < f->draft_count; d++)
        for (uint32_t i = 0; i < f->counts[d]; i++) {
            const uint32_t at = d * f->width + i;
            if (!f->verdicts[at].is_judged) continue;
            const bool is_better =
                is_further(&f->verdicts[at], &f->drafts[d].verdict) || f->best[at].is_mend;
            const double score =
                f->drafts[d].score + f->best[at].score + (is_better ? progress_bonus : 0);
            uint32_t place = count;
            while (place > 0 && out[place - 1].score < score) place--;
            if (place == BEAM) continue;
            if (count < BEAM) count++;
            for (uint32_t k = count - 1; k > place; k--) out[k] = out[k - 1];
            out[place] = (pick){ d, i, score };
        }
    return count;
}

static void close_drafts(draft *drafts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) enx_buf_deinit(&drafts[i].text);
}

static enx_status next_drafts(fixer *f, enx_report *report)
{
    pick           picks[BEAM];
    draft          next[BEAM];
    const uint32_t count = pick_refused(f, picks);
    enx_status     status = ENX_OK;
    uint32_t       made = 0;
    while (made < count && status == ENX_OK) {
        status = make_draft(f, &next[made], &picks[made], report);
        made++;
    }
    close_drafts(f->drafts, f->draft_count);
    memcpy(f->drafts, next, made * sizeof *next);
    f->draft_count = made;
    return status;
}

static enx_status finish(fixer *f, cli_fix *out, const pick *p, enx_report *report)
{
    draft      done;
    enx_status status = make_draft(f, &done, p, report);
    enx_buf_clear(&out->text);
    if (status == ENX_OK && enx_buf_append(&out->text, done.text.data, done.text.size_bytes))
        status = ENX_FAIL(report, NOMEM, "no memory for the text");
    memcpy(out->edits, done.edits, sizeof out->edits);
    out->edit_count = done.edit_count;
    out->is_accepted = status == ENX_OK;
    enx_buf_deinit(&done.text);
    return status;
}

static enx_status run_rounds(fixer *f, cli_fix *out, enx_report *report)
{
    while (out->rounds < f->tools->rounds_max && f->draft_count > 0) {
        pick p = { .score = 0 };
        out->rounds++;
        for (uint32_t i = 0; i < f->draft_count; i++) {
            rank_draft(f, i);
            ENX_TRY(judge_draft(f, i, report));
        }
        if (pick_accepted(f, &p, &out->chance)) return finish(f, out, &p, report);
        ENX_TRY(next_drafts(f, report));
    }
    return ENX_OK;
}

static enx_status begin(fixer *f, cli_fix *out, const char *text, size_t size_bytes,
                        enx_report *report)
{
    draft *first = &f->drafts[0];
    enx_buf_init(&first->text, ENX_PARSER_TEXT_BYTES_MAX);
    f->draft_count = 1;
    if (size_bytes >= ENX_PARSER_TEXT_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu bytes; at most %d", size_bytes,
                        ENX_PARSER_TEXT_BYTES_MAX);
    if (memchr(text, '\0', size_bytes))
        return ENX_FAIL(report, FORMAT, "a zero byte: this is not source text");
    f->edits = ENX_MEM_NEW(enx_edit, EDITS_MAX);
    f->candidates = ENX_MEM_NEW(candidate, CANDIDATES_MAX);
    f->best = ENX_MEM_NEW(candidate, BEAM * f->width);
    f->verdicts = ENX_MEM_NEW(enx_parser_verdict, BEAM * f->width);
    if (!f->edits || !f->candidates || !f->best || !f->verdicts ||
        enx_buf_append(&first->text, text, size_bytes) != ENX_OK ||
        enx_buf_append(&out->text, text, size_bytes) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory to repair %zu bytes", size_bytes);
    ENX_TRY(parser_ask(f, first, report));
    const enx_parser_verdict *v = &first->verdict;
    out->is_accepted = v->is_accepted;
    if (v->is_accepted) {
        out->chance = 1;
        return ENX_OK;
    }
    out->line = v->line;
    out->column = v->column;
    snprintf(out->log, sizeof out->log, "line %u, column %u: %s", v->line, v->column, v->words);
    return ENX_OK;
}

enx_status cli_fix_text(cli_fix *out, const cli_fix_tools *tools, enx_code code, const char *text,
                        size_t size_bytes, enx_report *report)
{
    *out = (cli_fix){ .rounds = 0 };
    enx_buf_init(&out->text, ENX_PARSER_TEXT_BYTES_MAX);
    fixer *f = ENX_MEM_NEW(fixer, 1);
    if (!f) return ENX_FAIL(report, NOMEM, "no memory to repair %zu bytes", size_bytes);
    f->tools = tools;
    f->code = code;
    f->width = tools->width ? tools->width : code == ENX_CODE_C ? WIDTH_C : WIDTH;
    enx_status status = begin(f, out, text, size_bytes, report);
    if (status == ENX_OK && !out->is_accepted) status = run_rounds(f, out, report);
    out->ranked = f->ranked;
    out->judged = f->judged;
    close_drafts(f->drafts, f->draft_count);
    enx_mem_free(f->edits);
    enx_mem_free(f->candidates);
    enx_mem_free(f->best);
    enx_mem_free(f->verdicts);
    enx_mem_free(f);
    return status;
}

void cli_fix_deinit(cli_fix *fix) { enx_buf_deinit(&fix->text); }

/* ---- What changed --------------------------------------------------------------------------- */

enum { CONTEXT = 3 };

static size_t line_bytes(const char *at)
{
    const size_t size = strcspn(at, "\n");
    return size + (at[size] == '\n');
}

/* Lines that differ, or are near one that does. */
static bool *mark_lines(const char *before, const char *after, size_t *count)
{
    size_t lines = 0;
    for (const char *at = before; *at; at += line_bytes(at)) lines++;
    bool *is_changed = ENX_MEM_NEW(bool, lines + 1);
    for (size_t i = 0; is_changed && i < lines; i++) {
        const size_t a = line_bytes(before), b = line_bytes(after);
        is_changed[i] = a != b || memcmp(before, after, a) != 0;
        before += a;
        after += b;
    }
    *count = lines;
    return is_changed;
}

static bool is_near(const bool *is_changed, size_t lines, size_t line)
{
    const size_t from = line > CONTEXT ? line - CONTEXT : 0;
    for (size_t i = from; i < lines && i <= line + CONTEXT; i++)
        if (is_changed[i]) return true;
    return false;
}

static enx_status append_line(enx_buf *out, char mark, const char *at)
{
    const size_t size = line_bytes(at);
    const bool   has_end = size > 0 && at[size - 1] == '\n';
    ENX_TRY(enx_buf_append(out, &mark, 1));
    ENX_TRY(enx_buf_append(out, at, size));
    return has_end ? ENX_OK : enx_buf_append_text(out, "\n\\ No newline at end of file\n");
}

static enx_status append_hunks(enx_buf *out, const char *before, const char *after,
                               const bool *is_changed, size_t lines)
{
    for (size_t i = 0; i < lines;) {
        if (!is_near(is_changed, lines, i)) {
            before += line_bytes(before);
            after += line_bytes(after);
            i++;
            continue;
        }
        size_t end = i;
        while (end < lines && is_near(is_changed, lines, end)) end++;
        ENX_TRY(enx_buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", i + 1, end - i, i + 1, end - i));
        for (; i < end; i++) {
            ENX_TRY(append_line(out, is_changed[i] ? '-' : ' ', before));
            if (is_changed[i]) ENX_TRY(append_line(out, '+', after));
            before += line_bytes(before);
            after += line_bytes(after);
        }
    }
    return ENX_OK;
}

static size_t count_lines(const char *at)
{
    size_t count = 0;
    for (; *at; at += line_bytes(at)) count++;
    return count;
}

/* Texts of other numbers of lines: one hunk, from the first line that differs to the end. */
static enx_status append_whole_hunk(enx_buf *out, const char *before, const char *after)
{
    const size_t a = count_lines(before), b = count_lines(after), least = a < b ? a : b;
    size_t       same = 0;
    while (same < least) {
        const size_t size = line_bytes(before);
        if (size != line_bytes(after) || memcmp(before, after, size) != 0) break;
        before += size;
        after += size;
        same++;
    }
    ENX_TRY(enx_buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", same + (a > same), a - same,
                           same + (b > same), b - same));
    for (; *before; before += line_bytes(before)) ENX_TRY(append_line(out, '-', before));
    for (; *after; after += line_bytes(after)) ENX_TRY(append_line(out, '+', after));
    return ENX_OK;
}

enx_status cli_fix_diff(enx_buf *out, const char *name, const char *before, const char *after)
{
    size_t     lines;
    const bool is_even = count_lines(before) == count_lines(after);
    bool      *is_changed = mark_lines(before, is_even ? after : before, &lines);
    enx_status status = is_changed ? ENX_OK : ENX_NOMEM;
    if (status == ENX_OK) status = enx_buf_printf(out, "--- %s\n+++ %s\n", name, name);
    if (status == ENX_OK)
        status = is_even ? append_hunks(out, before, after, is_changed, lines)
                         : append_whole_hunk(out, before, after);
    enx_mem_free(is_changed);
    return status;
}
